"""Where collocation points go: point sets with quadrature weights on the patches of a geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite

import numpy
import torch
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Points
from kanpde.floats import TINY
from kanpde.geometry import Geometry, Patch

Rule = Callable[[int, int, int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class PointSet:
    """Points with weights (N,) that sum to the share of the set in its condition (1 for a whole patch)."""

    at: Points
    weights: Tensor


def tensor_rule(rules: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the tensor product of rules on [0, 1], one for each of d coordinates, as points (N, d) and weights."""
    unit, weights = torch.empty(1, 0, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    for x, w in rules:
        unit = torch.cat([unit.repeat_interleave(len(x), dim=0), x.repeat(len(unit))[:, None]], dim=1)
        weights = (weights[:, None] * w).flatten()
    return unit, weights


def per_axis(count: int, dimension: int) -> int:
    """Return the number of nodes per axis for at least `count` points."""
    return max(2, ceil(count ** (1 / dimension) - 1e-9))


def gauss(count: int, dimension: int, seed: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre."""
    nodes, weights = numpy.polynomial.legendre.leggauss(per_axis(count, dimension))
    return tensor_rule([(torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2))] * dimension)


def chebyshev(count: int, dimension: int, seed: int) -> tuple[Tensor, Tensor]:
    """Chebyshev points of the first kind with the weights of Fejer's first rule (Fejer 1933)."""
    n = per_axis(count, dimension)
    angle = torch.pi * (torch.arange(n, dtype=torch.float64) + 0.5) / n
    j = torch.arange(1, n // 2 + 1, dtype=torch.float64)
    weights = (1 - 2 * (torch.cos(2 * angle[:, None] * j) / (4 * j**2 - 1)).sum(dim=1)) / n
    return tensor_rule([((1 - torch.cos(angle)) / 2, weights)] * dimension)


def uniform(count: int, dimension: int, seed: int) -> tuple[Tensor, Tensor]:
    """Midpoints of a uniform grid."""
    n = per_axis(count, dimension)
    nodes = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return tensor_rule([(nodes, torch.full((n,), 1 / n, dtype=torch.float64))] * dimension)


def sobol(count: int, dimension: int, seed: int) -> tuple[Tensor, Tensor]:
    """Scrambled Sobol sequence (Owen 1995); another seed gives other points."""
    engine = torch.quasirandom.SobolEngine(dimension, scramble=True, seed=seed)
    return engine.draw(count, dtype=torch.float64), torch.full((count,), 1 / count, dtype=torch.float64)


RULES: dict[str, Rule] = {"sobol": sobol, "gauss": gauss, "chebyshev": chebyshev, "uniform": uniform}


@dataclass(frozen=True)
class Sampling:
    """Settings of the collocation points.

    rule: "sobol", "gauss", "chebyshev" or "uniform".
    points: number of interior points; None means `ratio` per parameter of the stage, at least `least`.
    boundary: points on each condition, as a multiple of the square root (in d dimensions the power 1 - 1/d) of the
        interior number.
    adaptive: share of the interior points drawn where the residual is large, with the density
        |r| / mean |r| + 1 (Wu et al. 2023, RAD with k = c = 1), redrawn every `redraw` iterations.
    causal: gamma of the weights exp(-gamma (t - t_0) / (t_1 - t_0)) of the equations, with the mean 1, that a training
        starts with (in place of the residual-based ones of Wang, Sankaran & Perdikaris 2022).
    """

    rule: str = "sobol"
    points: int | None = None
    ratio: float = 3.0
    least: int = 1000
    boundary: float = 4.0
    adaptive: float = 0.0
    redraw: int = 20
    causal: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise unknown_name("sampling rule", self.rule, RULES)
        if self.points is not None and self.points < 1:
            raise KanpdeError(f"sampling.points={self.points}: give at least 1 interior point.")
        if not 0 <= self.adaptive <= 1:
            raise KanpdeError(f"sampling.adaptive={self.adaptive}: the share of adaptive points lies in [0, 1].")
        if not (self.causal >= 0 and isfinite(self.causal)):
            raise KanpdeError(
                f"sampling.causal={self.causal}: give 0 for weights that are equal, or a positive number."
            )
        for name in ("ratio", "boundary", "least", "redraw"):
            if not getattr(self, name) > 0:
                raise KanpdeError(f"sampling.{name}={getattr(self, name)}: give a positive number.")

    def check(self, geometry: Geometry) -> None:
        """Raise KanpdeError for weights that fall in time where there is none."""
        if self.causal and geometry.time is None:
            raise KanpdeError(f"sampling.causal={self.causal}: there is no time among the coordinates: use 0.")

    def interior_count(self, parameters: int) -> int:
        """Return the number of interior points for a network of so many parameters."""
        return self.points if self.points is not None else max(self.least, ceil(self.ratio * parameters))

    def boundary_count(self, interior: int, dimension: int) -> int:
        """Return the number of points of a soft condition in a domain of this dimension."""
        return max(2, ceil(self.boundary * interior ** (1 - 1 / dimension)))


def towards(breaks: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Return points (N,) of [0, 1] from uniform ones, half of them spread evenly over intervals, and 1 / density (N,).

    `breaks` (G + 1,) ascend from 0 to 1. The density is (1 + 1 / (G h)) / 2 on an interval of length h, so that short
    intervals get their share of points.
    """
    even = torch.linspace(0, 1, len(breaks), dtype=breaks.dtype)
    unit, cumulative = unit.contiguous(), 0.5 * (breaks + even)
    interval = torch.searchsorted(cumulative[1:-1].contiguous(), unit, right=True)
    length, mass = breaks.diff()[interval], cumulative.diff()[interval]
    return breaks[interval] + length * (unit - cumulative[interval]) / mass, length / mass


def in_intervals(breaks: Tensor, count: int, ends: int) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre points and weights (N,) on the intervals between `breaks` (G + 1,) of [0, 1].

    `count` on each interval, and `ends` on the first and on the last one.
    """
    starts, lengths, last = breaks[:-1, None], breaks.diff()[:, None], len(breaks) - 2
    points, weights = [], []
    for part, number in ((slice(0, 1), ends), (slice(1, last), count), (slice(max(1, last), last + 1), ends)):
        x, w = gauss(number, 1, 0)
        points.append((starts[part] + lengths[part] * x[:, 0].to(breaks)).flatten())
        weights.append((lengths[part] * w.to(breaks)).flatten())
    return torch.cat(points), torch.cat(weights)


def draw(
    patches: tuple[Patch, ...],
    names: tuple[str, ...],
    rule: str,
    count: int,
    seed: int,
    like: Tensor,
    grids: Sequence[Tensor | None] | None = None,
) -> PointSet:
    """Return about `count` points on patches, in proportion to their measure, on the device of `like`.

    `grids` may give for each coordinate of a box the breaks in [0, 1] to which points are drawn (`towards`). The
    weights sum to 1. Raises KanpdeError if no point was drawn.
    """
    total = sum(patch.measure for patch in patches)
    points, weights, normals = [], [], []
    for number, patch in enumerate(patches):
        share = patch.measure / total
        unit, w = of_rule(patch, rule, max(1, round(share * count)), seed + 7919 * number, grids or ())
        points.append(patch.place(unit))
        weights.append(share * w / w.sum())
        normal = patch.normals(unit)
        if normal is not None:
            normals.append(normal)
    if not points:
        raise KanpdeError("no points: the geometry has no patch there.")
    normal = torch.cat(normals).to(like) if normals else None
    return PointSet(Points.of(names, torch.cat(points).to(like), normal), torch.cat(weights).to(like))


def of_rule(
    patch: Patch, rule: str, count: int, seed: int, grids: Sequence[Tensor | None] = ()
) -> tuple[Tensor, Tensor]:
    """Return about `count` points of the unit cube (N, dimension) that are placed in a patch, and weights (N,).

    `grids` are those of `draw`.
    """
    if patch.dimension == 0:
        return torch.empty(1, 0, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    tried = ceil(count / patch.share)
    while True:
        unit, weights = RULES[rule](tried, patch.dimension, seed)
        for axis, breaks in enumerate(grids):
            if breaks is not None:
                unit[:, axis], thinning = towards(breaks.cpu(), unit[:, axis])
                weights = weights * thinning
        kept = patch.kept(unit)
        if bool(kept.any()):
            return unit[kept], weights[kept]
        tried *= 2


def earlier(points: PointSet, geometry: Geometry, gamma: float) -> PointSet:
    """Return points with their weights times exp(-gamma (t - t_0) / (t_1 - t_0)), which has the weighted mean 1."""
    axis = geometry.names.index(str(geometry.time))
    start, end = geometry.lower[axis], geometry.upper[axis]
    passed = (getattr(points.at, geometry.names[axis]) - start) / (end - start)
    weights = points.weights * torch.exp(-gamma * (passed - passed.min()))  # some are not 0 whatever gamma is
    return PointSet(points.at, weights * (points.weights.sum() / weights.sum()))


def draw_where_large(
    patch: Patch, names: tuple[str, ...], count: int, seed: int, size: Callable[[Points], Tensor], like: Tensor
) -> PointSet:
    """Return `count` interior points with the density |r| / mean |r| + 1, where `size` gives |r| at points.

    Weights are uniform, so large residuals count more, as intended (Wu et al. 2023).
    """
    unit, _ = of_rule(patch, "sobol", 10 * count, seed)
    candidates = patch.place(unit).to(like)
    r = size(Points.of(names, candidates)).nan_to_num(posinf=0.0)
    density = r / r.mean().clamp_min(TINY) + 1
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(density.cpu(), count, replacement=False, generator=generator).to(like.device)
    return PointSet(Points.of(names, candidates[chosen]), like.new_full((count,), 1 / count))
