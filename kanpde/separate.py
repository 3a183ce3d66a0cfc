"""From products of all splines to few product nodes: singular functions, on as few knots as they need.

By Eckart & Young 1936 no sum of so many separable functions is closer to a function of two variables, in the mean over
the box, than its first singular functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpde.basis import BSpline
from kanpde.model import Network
from kanpde.model.tensor import TensorSplines
from kanpde.sampling import in_intervals

LEEWAY = 1.2
"""Fewer parameters count more than errors that differ by less."""

Knots = tuple[Tensor, Tensor]
"""Knots (1, G + 2k + 1) of the fast and of the slow coordinate."""


@dataclass(frozen=True)
class Nodes:
    """Product nodes for each unknown: coefficients (M, K) of their factors of the fast and of the slow coordinate.

    error: by how much their sum differs from what they came from, in the mean over the box, relative to it.
    axes: the fast and the slow coordinate.
    """

    fast: BSpline
    slow: BSpline
    axes: tuple[int, int]
    factors: tuple[tuple[Tensor, Tensor], ...]
    error: float

    @property
    def count(self) -> int:
        """The number of product nodes."""
        return sum(len(fast) for fast, _ in self.factors)

    def network(self, like: Network, points: Tensor) -> tuple[Network, Tensor]:
        """Return a network with as many product nodes as `like`, on these knots, and its parameters (P,).

        The lines behind the nodes are made for what they are at `points` (N, 2).
        """
        saved = like.saved()
        for i, basis in zip(self.axes, (self.fast, self.slow), strict=True):
            saved["bases"][0][i] = basis.saved()
        network = like.restored(saved)
        theta = like.lower.new_zeros(network.parameters)
        hidden, last = network.weights(theta)
        for i, rows in network.layers[0].groups():
            hidden[rows] = torch.cat([pair[self.axes.index(i)] for pair in self.factors]).T
        line = network.layers[1].edges[0].basis
        assert isinstance(line, BSpline)
        owner = torch.cat([torch.full((len(fast),), u) for u, (fast, _) in enumerate(self.factors)])
        ramps = last.T.unflatten(1, (self.count, 2))
        for node, u in enumerate(owner.tolist()):
            ramps[u, node] = line.ramp()[node]
        covering, change = network.covering(theta, points)
        return covering, change.parameters(theta)


@dataclass(frozen=True)
class Plane:
    """Coarser splines of one coordinate in an orthonormal basis of the finest ones (K, K'), and their triangle."""

    basis: BSpline
    directions: Tensor
    triangle: Tensor


class Separation:
    """Singular functions of tensor products of splines with coefficients theta (P,), on any of the given coarser knots.

    The knots of `levels` are among those of `splines`. A network has at most `parameters` and `products` nodes, and
    `intervals` in each coordinate.
    """

    def __init__(
        self,
        splines: TensorSplines,
        theta: Tensor,
        levels: Sequence[Knots],
        parameters: int,
        products: int,
        intervals: int,
    ) -> None:
        self._axes = splines.axes
        self.outputs, self._limit, self._products = splines.outputs, parameters, products
        fast, slow = ([knots[i] for knots in levels] for i in (0, 1))
        self._fast, triangle_fast = planes(splines.fast, fast, intervals)
        self._slow, triangle_slow = planes(splines.slow, slow, intervals)
        c = theta.view(splines.shape)
        self._whole = [triangle_slow @ c[:, :, u] @ triangle_fast.T for u in range(self.outputs)]
        self._choices = [self._choice(f, s) for f in self._fast for s in self._slow]

    @property
    def least(self) -> float:
        """The smallest error of any network."""
        return min(float(errors[-1]) for _, _, errors in self._choices)

    def nodes(self, tolerance: float) -> Nodes:
        """Return the nodes of the smallest network whose error is about `tolerance`, or the least if that is larger."""
        enough = LEEWAY * max(tolerance, self.least)
        best: tuple[int, float, Plane, Plane, int] | None = None
        for fast, slow, errors in self._choices:
            count = int((errors > enough).sum())
            if count < len(errors):
                price = self._price(fast, slow) * count
                if best is None or price < best[0]:
                    best = price, float(errors[count]), fast, slow, count
        assert best is not None
        _, error, fast, slow, count = best
        factors = []
        for (u, s, vt), own in zip(self._singular(fast, slow), self._shared(fast, slow, count), strict=True):
            size = s[:own].sqrt()
            of_slow = torch.linalg.solve_triangular(slow.triangle, u[:, :own] * size, upper=True)
            of_fast = torch.linalg.solve_triangular(fast.triangle, vt[:own].T * size, upper=True)
            factors.append((of_fast.T, of_slow.T))
        return Nodes(fast.basis, slow.basis, self._axes, tuple(factors), error)

    def _price(self, fast: Plane, slow: Plane) -> int:
        """Return the parameters of a node: its factors, and a line to each output."""
        return fast.basis.size + slow.basis.size + 2 * self.outputs

    def _choice(self, fast: Plane, slow: Plane) -> tuple[Plane, Plane, Tensor]:
        """Return the knots and the errors (M + 1,) of 0 to M nodes on them."""
        most = min(self._products, self._limit // self._price(fast, slow))
        lost, gained = 0.0, []
        for whole in self._whole:
            square = float(whole.square().sum())
            inside = slow.directions.T @ whole @ fast.directions
            s = torch.linalg.svdvals(inside)
            if square > 0:
                outside = whole - slow.directions @ inside @ fast.directions.T
                lost += float(outside.square().sum()) / square
                gained.append(s.square() / square)
        if not gained:
            return fast, slow, self._whole[0].new_zeros(1)
        shares = torch.cat(gained).sort(descending=True).values
        left = torch.cat([shares.flip(0).cumsum(0).flip(0), shares.new_zeros(1)])
        return fast, slow, ((left[: most + 1] + lost) / len(self._whole)).sqrt()

    def _singular(self, fast: Plane, slow: Plane) -> list[tuple[Tensor, Tensor, Tensor]]:
        return [
            torch.linalg.svd(slow.directions.T @ whole @ fast.directions, full_matrices=False) for whole in self._whole
        ]

    def _shared(self, fast: Plane, slow: Plane, count: int) -> list[int]:
        """Return how many of `count` nodes each unknown gets: those with the largest shares of their unknowns."""
        shares = [
            s.square() / max(float(whole.square().sum()), torch.finfo(s.dtype).tiny)
            for (_, s, _), whole in zip(self._singular(fast, slow), self._whole, strict=True)
        ]
        owner = torch.cat([torch.full((len(s),), u) for u, s in enumerate(shares)])
        chosen = owner[torch.cat(shares).cpu().argsort(descending=True, stable=True)[:count]]
        return [int((chosen == u).sum()) for u in range(self.outputs)]


def planes(finest: BSpline, levels: Sequence[Tensor], intervals: int) -> tuple[list[Plane], Tensor]:
    """Return what coarser splines of one coordinate span, and the triangle (K, K) of the finest ones.

    Without those that have more than so many intervals, unless all have.
    """
    breaks = 0.5 * (finest.breaks[0] + 1)
    x, w = in_intervals(breaks.cpu(), finest.degree + 1, finest.degree + 1)
    z, root = (2 * x - 1).to(finest.knots)[:, None], w.sqrt().to(finest.knots)[:, None]
    q, whole = torch.linalg.qr(finest.taylor(z, 0)[0, :, 0] * root)
    found: list[Plane] = []
    bases = [BSpline(finest.degree, knots, finest.periodic) for knots in levels]
    least = min(basis.intervals for basis in bases)
    for basis in bases:
        new = all(basis.intervals != plane.basis.intervals for plane in found)
        if new and basis.intervals <= max(intervals, least):
            directions, triangle = torch.linalg.qr(basis.taylor(z, 0)[0, :, 0] * root)
            found.append(Plane(basis, q.T @ directions, triangle))
    return found, whole
