"""Simplices: even points in many of them, their measures, and the one that a point lies in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import factorial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpde.geometry.patch import Place

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
MOST_BUCKETS = 2_000_000


def measures(corners: Array) -> Array:
    """Return lengths, areas or volumes (T,) of simplices with corners (T, k + 1, d), k <= d."""
    edges = corners[:, 1:] - corners[:, :1]
    gram = edges @ edges.transpose(0, 2, 1)
    return np.sqrt(np.clip(np.linalg.det(gram), 0, None)) / factorial(edges.shape[1])


def place_in(corners: Array) -> Place:
    """Return the map of the unit cube (N, k) onto simplices (T, k + 1, d) with constant density.

    The first coordinate chooses the simplex, and what is left of it is a coordinate within.
    """
    size = measures(corners)
    bounds = torch.from_numpy(np.concatenate([[0.0], np.cumsum(size) / size.sum()]))
    vertices = torch.from_numpy(np.ascontiguousarray(corners))

    def place(unit: Tensor) -> Tensor:
        here, limits = vertices.to(unit.device), bounds.to(unit.device)
        chosen = choose(limits, unit)
        low, high = limits[chosen], limits[chosen + 1]
        inner = torch.cat([((unit[:, 0] - low) / (high - low)).clamp(0, 1)[:, None], unit[:, 1:]], dim=1)
        return (barycentric(inner)[:, :, None] * here[chosen]).sum(dim=1)

    return place


def chosen_in(corners: Array, values: Array) -> Place:
    """Return the function that gives for points of the unit cube the values (T, m) of the simplices they are in."""
    size = measures(corners)
    bounds = torch.from_numpy(np.concatenate([[0.0], np.cumsum(size) / size.sum()]))
    known = torch.from_numpy(np.ascontiguousarray(values))
    return lambda unit: known.to(unit.device)[choose(bounds.to(unit.device), unit)]


def choose(bounds: Tensor, unit: Tensor) -> Tensor:
    """Return the interval between ascending bounds in which the first coordinate lies (N,)."""
    return torch.bucketize(unit[:, 0].contiguous(), bounds[1:-1].contiguous(), right=True)


def barycentric(unit: Tensor) -> Tensor:
    """Return barycentric coordinates (N, k + 1), spread evenly over a simplex, for points (N, k) of the unit cube."""
    rest, columns, k = torch.ones_like(unit[:, 0]), [], unit.shape[1]
    for j in range(k):
        share = unit[:, j] ** (1 / (k - j))
        columns.append(rest * (1 - share))
        rest = rest * share
    return torch.stack([*columns, rest], dim=1)


class Buckets:
    """A uniform grid of buckets that hold the simplices (T, k, d) whose bounding boxes touch them."""

    def __init__(self, corners: Array) -> None:
        d = corners.shape[2]
        self.lower, upper = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        extent = upper - self.lower
        width = (np.prod(extent) / min(len(corners), MOST_BUCKETS)) ** (1 / d)
        self.shape = np.maximum(1, np.ceil(extent / width).astype(np.int64))
        self.width = extent / self.shape
        slack = 1e-6 * self.width
        low, high = self._place(corners.min(axis=1) - slack), self._place(corners.max(axis=1) + slack)
        spans = high - low + 1
        number = np.repeat(np.arange(len(corners)), spans.prod(axis=1))
        rest = np.arange(len(number)) - np.repeat(
            np.cumsum(spans.prod(axis=1)) - spans.prod(axis=1), spans.prod(axis=1)
        )
        place = np.empty((len(number), d), np.int64)
        for axis in range(d):
            place[:, axis] = low[number, axis] + rest % spans[number, axis]
            rest //= spans[number, axis]
        bucket = np.ravel_multi_index(tuple(place.T), tuple(self.shape))
        order = np.argsort(bucket, kind="stable")
        self._members = number[order]
        self._starts = np.searchsorted(bucket[order], np.arange(self.shape.prod() + 1))

    def pairs(self, x: Array) -> Iterator[tuple[Numbers, Numbers]]:
        """Yield for points (N, d) numbers of points and of a simplex near each, until all near ones have been named."""
        if not len(x):
            return
        bucket = np.ravel_multi_index(tuple(self._place(x).T), tuple(self.shape))
        start, count = self._starts[bucket], self._starts[bucket + 1] - self._starts[bucket]
        for turn in range(int(count.max())):
            here = np.flatnonzero(count > turn)
            yield here, self._members[start[here] + turn]

    def _place(self, x: Array) -> Numbers:
        return np.clip(((x - self.lower) / self.width).astype(np.int64), 0, self.shape - 1)


class Simplices:
    """The simplices of a full-dimensional mesh, with their maps to the reference simplex.

    points: (V, d). cells: (T, d + 1) numbers of points. `inverse` (T, d, d) has the derivatives of these maps.
    """

    def __init__(self, points: Array, cells: Numbers) -> None:
        corners = points[cells]
        self.origin = corners[:, 0]
        self.inverse = np.linalg.inv((corners[:, 1:] - corners[:, :1]).transpose(0, 2, 1))

    def place(self, number: Numbers, x: Array) -> Array:
        """Return the places (N, d) of points in the reference simplex, as seen from simplices with these numbers."""
        place: Array = np.einsum("nij,nj->ni", self.inverse[number], x - self.origin[number])
        return place

    def deepest(self, x: Array, pairs: Iterable[tuple[Numbers, Numbers]]) -> tuple[Numbers, Array]:
        """Return for points (N, d) the simplex they are deepest in (N,) and the place in the reference simplex (N, d).

        `pairs` are numbers of points and of a candidate for each. The depth is the least barycentric coordinate, which
        is negative outside. Points without candidates have the number -1.
        """
        element, local, best = np.full(len(x), -1), np.zeros_like(x), np.full(len(x), -np.inf)
        for here, candidate in pairs:
            place = self.place(candidate, x[here])
            depth = np.minimum(place.min(axis=1), 1 - place.sum(axis=1))
            better = depth > best[here]
            chosen = here[better]
            best[chosen], element[chosen], local[chosen] = depth[better], candidate[better], place[better]
        return element, local


class Locator(Simplices):
    """Finds the simplex of a full-dimensional mesh that a point lies in; `points` (V, d), `cells` (T, d + 1)."""

    def __init__(self, points: Array, cells: Numbers) -> None:
        super().__init__(points, cells)
        self._buckets = Buckets(points[cells])

    def __call__(self, x: Array) -> tuple[Numbers, Array]:
        """Return for points (N, d) the simplex they are deepest in (N,) and the place in the reference simplex (N, d).

        Points without a simplex near have the number -1.
        """
        return self.deepest(x, self._buckets.pairs(x))
