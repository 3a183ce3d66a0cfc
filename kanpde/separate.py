"""From products of all splines to few product nodes: singular functions, on as few knots as they need.

By Eckart & Young 1936 no sum of so many separable functions is closer to a function of two variables, in the mean over
the box, than its first singular functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt

import torch
from torch import Tensor

from kanpde.basis import BSpline
from kanpde.floats import TINY
from kanpde.model import Network
from kanpde.model.tensor import TensorSplines
from kanpde.sampling import in_intervals

LEEWAY = 1.2
"""Fewer parameters count more than errors that differ by less."""

FIRST, LAST, RATIO = 1e-2, 1e-12, 4.0
"""What knots are tried: those that leave so much of the functions, relative to them, and each this part of the next."""
BALANCE = 20.0
"""Knots of the two coordinates go together if what they leave differs by less than this factor."""


@dataclass(frozen=True)
class Nodes:
    """Product nodes for each unknown: coefficients (M, K) of their factors of the fast and of the slow coordinate.

    error: by how much their sum differs from what they came from, in the mean over the box, relative to it.
    axes: the fast and the slow coordinate, as in `TensorSplines`.
    """

    fast: BSpline
    slow: BSpline
    axes: tuple[int | None, int]
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
            if i is not None:
                saved["bases"][0][i] = basis.saved()
        network = like.restored(saved)
        theta = like.lower.new_zeros(network.parameters)
        hidden, last = network.weights(theta)
        for i, rows in network.layers[0].groups():
            hidden[rows] = torch.cat([pair[self.axes.index(i)] for pair in self.factors]).T
        if self.axes[0] is None:
            hidden *= torch.cat([constant for constant, _ in self.factors]).T
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
    """Coarser splines of one coordinate.

    error: what they leave of the functions. directions: what they span, in an orthonormal basis of the finest ones
    (K, K'). triangle: takes their coefficients to that (K', K').
    """

    basis: BSpline
    error: float
    directions: Tensor
    triangle: Tensor


class Separation:
    """Singular functions of tensor products of splines with coefficients theta (P,), on as few of their knots as do.

    A network has at most so many `parameters` and `products` nodes, and `intervals` in each coordinate.
    """

    def __init__(self, splines: TensorSplines, theta: Tensor, parameters: int, products: int, intervals: int) -> None:
        self._axes, self._outputs = splines.axes, splines.outputs
        self._limit, self._products = parameters, products
        (q_fast, r_fast), (q_slow, r_slow) = (orthonormal(b, b) for b in (splines.fast, splines.slow))
        c = theta.view(splines.shape)
        self._whole = [r_slow @ c[:, :, u] @ r_fast.T for u in range(self._outputs)]
        unit = [whole / whole.norm().clamp_min(TINY) / self._outputs**0.5 for whole in self._whole]
        self._fast = planes(splines.fast, q_fast, r_fast, torch.cat(unit).T, intervals)
        self._slow = planes(splines.slow, q_slow, r_slow, torch.cat(unit, dim=1), intervals)
        some = len(self._fast) > 1
        pairs = [(f, s) for f in self._fast for s in self._slow if not some or alike(f.error, s.error)]
        self._choices = [self._choice(*pair) for pair in pairs or [(self._fast[0], self._slow[0])]]

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
        factors, functions = [], self._singular(fast, slow)
        for (u, s, vt), own in zip(functions, self._shared([s for _, s, _ in functions], count), strict=True):
            size = s[:own].sqrt()
            of_slow = torch.linalg.solve_triangular(slow.triangle, u[:, :own] * size, upper=True)
            of_fast = torch.linalg.solve_triangular(fast.triangle, vt[:own].T * size, upper=True)
            factors.append((of_fast.T, of_slow.T))
        return Nodes(fast.basis, slow.basis, self._axes, tuple(factors), error)

    def _price(self, fast: Plane, slow: Plane) -> int:
        """Return the parameters of a node: its factors, and a line to each output."""
        factors = slow.basis.size if self._axes[0] is None else fast.basis.size + slow.basis.size
        return factors + 2 * self._outputs

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

    def _shared(self, values: list[Tensor], count: int) -> list[int]:
        """Return how many of `count` nodes each unknown gets, given its singular values (M,).

        Those with the largest shares of their unknowns are taken.
        """
        shares = [
            s.square() / max(float(whole.square().sum()), TINY) for s, whole in zip(values, self._whole, strict=True)
        ]
        owner = torch.cat([torch.full((len(s),), u) for u, s in enumerate(shares)])
        chosen = owner[torch.cat(shares).cpu().argsort(descending=True, stable=True)[:count]]
        return [int((chosen == u).sum()) for u in range(self._outputs)]


def orthonormal(finest: BSpline, basis: BSpline) -> tuple[Tensor, Tensor]:
    """Return orthonormal functions (N, K) that span a basis at the Gauss points of the finest one, and their triangle.

    They are orthonormal in the mean over the grid.
    """
    breaks = 0.5 * (finest.breaks[0] + 1)
    x, w = in_intervals(breaks.cpu(), finest.degree + 1, finest.degree + 1)
    values = basis.taylor((2 * x - 1).to(finest.knots)[:, None], 0)[0, :, 0]
    return torch.linalg.qr(values * w.sqrt().to(values)[:, None])


def alike(left: float, right: float) -> bool:
    """Whether two errors are of one size, or both rounding."""
    return max(left, LAST) <= BALANCE * max(right, LAST) and max(right, LAST) <= BALANCE * max(left, LAST)


def planes(finest: BSpline, q: Tensor, triangle: Tensor, functions: Tensor, intervals: int) -> list[Plane]:
    """Return coarser splines of one coordinate, from fine to coarse, that leave little of functions (K, N).

    q (points, K) are an orthonormal basis of the finest ones, in which the functions are given, and `triangle` (K, K)
    takes coefficients to it. They have at most so many intervals.
    """
    order, errors = removal(finest, triangle, functions)
    fewest = max(0, finest.intervals - intervals)
    levels = [LAST * RATIO**n for n in range(1 + int(log(FIRST / LAST, RATIO)))]
    counts = sorted({max(fewest, sum(e <= level for e in errors)) for level in levels})
    found = []
    for count in counts:
        kept = torch.ones(finest.intervals + 1, dtype=torch.bool)
        kept[[1 + j for j in order[:count]]] = False
        basis = finest.with_breaks(finest.breaks[:, kept.to(finest.knots.device)])
        spanned, own = orthonormal(finest, basis)
        directions = q.T @ spanned
        error = float((functions - directions @ (directions.T @ functions)).norm())
        found.append(Plane(basis, error, directions, own))
    return found


def removal(finest: BSpline, triangle: Tensor, functions: Tensor) -> tuple[list[int], list[float]]:
    """Return in which order knots inside the grid are removed best, one by one, and what all that are removed cost.

    Splines without a knot are those without a jump there, so removing it projects functions (K, N), given in an
    orthonormal basis, on what is orthogonal to one direction. The knot comes next whose direction has least of them.
    """
    directions = torch.linalg.solve_triangular(triangle.T, finest.jumps()[0].T, upper=False)
    directions = directions / directions.norm(dim=0)
    left, order, errors, lost = functions.clone(), list[int](), list[float](), 0.0
    there = torch.ones(directions.shape[1], dtype=torch.bool, device=directions.device)
    while bool(there.any()):
        shares = (directions.T @ left).square().sum(dim=1)
        j = int(torch.where(there, shares, inf).argmin())
        d = directions[:, j].clone()
        lost += float(shares[j])
        there[j] = False
        order.append(j)
        errors.append(sqrt(lost))
        left = left - d[:, None] * (d @ left)
        directions = directions - d[:, None] * (d @ directions)
        directions = directions / directions.norm(dim=0).clamp_min(TINY)
    return order, errors
