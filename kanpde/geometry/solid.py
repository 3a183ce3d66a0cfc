"""What a closed surface of triangles encloses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from math import prod

import numpy as np
import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.geometry.ball import COORDINATES
from kanpde.geometry.base import SLACK, Geometry
from kanpde.geometry.patch import Patch, box_place
from kanpde.geometry.simplices import Array, Buckets, Numbers, chosen_in, measures, place_in

ASIDE = (1.93e-11, 1.37e-11)
"""Rays pass aside of the points by this part of the size, so that they do not meet edges."""


class Solid(Geometry):
    """The part of space that a closed surface of triangles encloses, such as an .stl file has it.

    points: (V, 3). triangles: (F, 3) numbers of points, in any orientation. tags: names of parts of the boundary and
    their triangles. Boundary names: those of `tags`, and `all`. The volume is exact; points are drawn in the bounding
    box and kept if they are inside, which is decided by counting what a ray along z crosses.
    Raises KanpdeError for a surface that is not closed or has degenerate triangles.
    """

    def __init__(
        self,
        points: Array,
        triangles: Numbers,
        tags: Mapping[str, Numbers] | None = None,
        coordinates: Sequence[str] | None = None,
        source: str = "",
    ) -> None:
        self.source = source or "a surface"
        self.names = COORDINATES if coordinates is None else tuple(coordinates)
        if len(set(self.names)) != 3:
            raise KanpdeError(f"coordinates=({', '.join(self.names)}): {self.source} has 3 dimensions.")
        self.corners = np.asarray(points, dtype=np.float64)[triangles]
        if not np.isfinite(self.corners).all():
            raise KanpdeError(f"{self.source} has points that are not finite: repair it.")
        self._check(np.asarray(triangles))
        self.lower = tuple(self.corners.min(axis=(0, 1)).tolist())
        self.upper = tuple(self.corners.max(axis=(0, 1)).tolist())
        edges = self.corners[:, 1:] - self.corners[:, :1]
        normals = np.cross(edges[:, 0], edges[:, 1])
        self._normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
        self._orient()
        number = {tuple(t): i for i, t in enumerate(np.sort(triangles, axis=1).tolist())}
        self.tags: dict[str, set[int]] = {
            name: {number[tuple(t)] for t in np.sort(chosen, axis=1).tolist() if tuple(t) in number}
            for name, chosen in (tags or {}).items()
        }

    def written(self) -> str:
        content = sha256(self.corners.tobytes()).hexdigest()[:12]
        return f"Solid({self.source}, {len(self.corners)} triangles, {content})"

    def interior(self) -> Patch:
        return self._interior

    @cached_property
    def _interior(self) -> Patch:
        lengths = [b - a for a, b in zip(self.lower, self.upper, strict=True)]
        volume = float((self.corners[:, 0] * self._normals).sum(axis=1) @ measures(self.corners)) / 3

        def within(unit: Tensor) -> Tensor:
            return self.contains(place(unit))

        place = box_place(self.lower, self.upper)
        return Patch("interior", 3, volume, place, within=within, share=volume / prod(lengths))

    def parts(self) -> Mapping[str, tuple[Patch, ...]]:
        groups: dict[frozenset[str], list[int]] = defaultdict(list)
        for number in range(len(self.corners)):
            groups[frozenset(name for name, which in self.tags.items() if number in which)].append(number)
        patches = {names: self._patch(names, np.array(which)) for names, which in groups.items()}
        found = {name: tuple(p for names, p in patches.items() if name in names) for name in self.tags}
        return {**found, "all": tuple(patches.values())}

    def contains(self, points: Tensor, slack: float = SLACK) -> Tensor:
        """Return for points (N, 3) whether they lie inside; those within the slack of the surface count as on it."""
        x = points.detach().cpu().numpy()
        inside = self._crossings(x) % 2 == 1
        near = self._near(x, abs(slack) * self.size)
        return torch.from_numpy(inside | near if slack >= 0 else inside & ~near).to(points.device)

    def _crossings(self, x: Array) -> Numbers:
        """Return how many triangles lie above points (N, 3)."""
        above = np.zeros(len(x), np.int64)
        at = x[:, :2] + np.array(ASIDE) * self.size
        for here, triangle in self._buckets.pairs(at):
            weights = np.einsum("nij,nj->ni", self._inverse[triangle], at[here] - self.corners[triangle, 0, :2])
            inside = (weights.min(axis=1, initial=1.0) >= 0) & (weights.sum(axis=1) <= 1)
            a = self.corners[triangle]
            height = a[:, 0, 2] + (weights * (a[:, 1:, 2] - a[:, :1, 2])).sum(axis=1)
            above[here] += inside & (height > x[here, 2])
        return above

    def _near(self, x: Array, width: float) -> np.ndarray:
        """Return which points (N, 3) lie within a small width of a triangle, across and along it."""
        near = np.zeros(len(x), dtype=bool)
        for here, triangle in self._buckets.pairs(x[:, :2]):
            a, n = self.corners[triangle], self._normals[triangle]
            offset = x[here] - a[:, 0]
            across = np.abs((offset * n).sum(axis=1))
            close = np.flatnonzero(across <= width)
            e, o = a[close, 1:] - a[close, :1], offset[close]
            weights = np.linalg.solve(e @ e.transpose(0, 2, 1), (e @ o[:, :, None]))[:, :, 0]
            least = np.minimum(weights.min(axis=1, initial=1.0), 1 - weights.sum(axis=1))
            near[here[close]] |= least * np.linalg.norm(e, axis=2).max(axis=1, initial=0.0) >= -width
        return near

    @cached_property
    def _buckets(self) -> Buckets:
        return Buckets(self.corners[:, :, :2])

    @cached_property
    def _inverse(self) -> Array:
        """The maps (F, 2, 2) to the places in triangles seen from above; those seen from the side are never crossed."""
        edges = (self.corners[:, 1:, :2] - self.corners[:, :1, :2]).transpose(0, 2, 1)
        upright = np.abs(self._normals[:, 2]) < 1e-12
        inverse = np.full_like(edges, np.nan)
        inverse[~upright] = np.linalg.inv(edges[~upright])
        return inverse

    def _check(self, triangles: Numbers) -> None:
        edges = self.corners[:, 1:] - self.corners[:, :1]
        flat = measures(self.corners) <= 1e-12 * np.linalg.norm(edges, axis=2).max(axis=1) ** 2
        if flat.any():
            raise KanpdeError(f"{self.source} has {int(flat.sum())} degenerate triangles: repair it.")
        sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
        _, count = np.unique(sides, axis=0, return_counts=True)
        if (count % 2).any():
            raise KanpdeError(
                f"{self.source} is a surface in space that is not closed: {int((count % 2).sum())} edges have a"
                " triangle on one side only. Give a closed surface, or a mesh of tetrahedra."
            )

    def _orient(self) -> None:
        """Turn the normals outwards, by what lies behind each triangle."""
        middle = self.corners.mean(axis=1)
        step = 1e-7 * max(b - a for a, b in zip(self.lower, self.upper, strict=True))
        inwards = self._crossings(middle + step * self._normals) % 2 == 1
        self._normals[inwards] *= -1

    def _patch(self, names: frozenset[str], which: Numbers) -> Patch:
        corners = self.corners[which]
        place, normal = place_in(corners), chosen_in(corners, self._normals[which])
        return Patch("+".join(sorted(names)) or "untagged", 2, float(measures(corners).sum()), place, normal)
