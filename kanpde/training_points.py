"""The points of every stage of a training, and the systems of residuals on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.floats import TINY
from kanpde.geometry import Box, Geometry
from kanpde.model import Ansatz, Graph, Network
from kanpde.model.tensor import TensorSplines
from kanpde.multiindex import IndexSet
from kanpde.residual import Residuals, System, residual_scales
from kanpde.sampling import PointSet, Sampling, draw, draw_where_large, earlier, in_intervals, tensor_rule

HELD_OUT_SEED = 1_000_003
HELD_OUT_LEAST = 2000
GAUSS = 2
"""Gauss points of a cell in each direction, at least."""


@dataclass(frozen=True)
class Cells:
    """Residuals on a grid of Gauss points (n, ..), one line of it for each point of a coordinate, and its weights.

    intervals: for each coordinate the interval of its points (n,).
    """

    residuals: Residuals
    intervals: tuple[Tensor, ...]
    weights: Tensor

    def variations(self, theta: Tensor) -> list[Tensor]:
        """Return for the intervals (G,) of each coordinate how much the residual varies across them.

        That is the part of its mean square that remains of it less its means over each interval along a line. A
        coordinate that is resolved has residuals that do not vary at the scale of its intervals.
        """
        r = self.residuals.at_points(theta)[0].unflatten(1, self.weights.shape) / self.weights.sqrt()
        found = []
        for axis, number in enumerate(self.intervals):
            number = number.to(r.device)
            along, weights = (each.movedim(1 + axis, 0).flatten(1) for each in (r, self.weights.expand_as(r)))
            count = torch.bincount(number).to(r)
            means = along.new_zeros(len(count), along.shape[1]).index_add_(0, number, along) / count[:, None]
            rest = ((along - means[number]).square() * weights).sum(dim=1)
            found.append(r.new_zeros(len(count)).index_add_(0, number, rest))
        return found


class Collocation:
    """Point sets for every stage, and the fixed held-out set, which is never trained on.

    `horizon` is the part of the time interval, from its start, in which points lie.
    """

    def __init__(
        self,
        ansatz: Ansatz,
        sampling: Sampling,
        seed: int,
        like: Tensor,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        self.ansatz = ansatz
        self.sampling = sampling
        self.seed = seed
        self.like = like
        geometry = ansatz.problem.geometry
        if not ansatz.problem.equations and (sampling.adaptive or sampling.causal):
            raise KanpdeError(
                f"sampling.adaptive={sampling.adaptive}, sampling.causal={sampling.causal}: problem"
                f" '{ansatz.problem.name}' has no equations and so no points to choose: use 0."
            )
        self._trained, self._held_out = map(ansatz.about, ansatz.problem.divided())
        self.scales = scales or residual_scales(ansatz, self._sets("sobol", HELD_OUT_LEAST, HELD_OUT_SEED, geometry))

    def count(self, network: Network | Graph | TensorSplines, draws: int) -> int:
        """Return the number of interior points of the `draws`-th draw of a stage; each has twice as many."""
        return self.sampling.interior_count(network.parameters) * 2**draws

    def system(
        self,
        network: Network | Graph,
        theta: Tensor,
        stage: int,
        draws: int,
        redraws: int = 0,
        gamma: float = 0.0,
        horizon: float = 1.0,
    ) -> System:
        """Return the residuals on a stage's own points, with causal weights if gamma is not 0."""
        seed = self.seed * 7_368_787 + stage * 10_007 + draws * 1_009 + redraws * 101
        count = self.count(network, draws)
        chosen = round(self.sampling.adaptive * count) if stage > 0 else 0
        geometry, grids = self._domain(horizon), self._grids(network, horizon)
        sets = self._sets(self.sampling.rule, count, seed, geometry, grids, count - chosen)
        if chosen:
            sets = self._adapted(sets, network, theta, chosen, seed, horizon)
        if gamma:
            labels = tuple(self.ansatz.problem.equations)
            sets[labels] = earlier(sets[labels], self._domain(horizon), gamma)
        return System(self._trained, network, sets, self.scales)

    def held_out(self, network: Network | Graph, draws: int, horizon: float = 1.0) -> System:
        """Return the residuals on the held-out points, or on held-out data where there are no equations."""
        count, geometry = self._held_out_count(network, draws), self._domain(horizon)
        seed, grids = HELD_OUT_SEED + self.seed, self._grids(network, horizon)
        return System(self._held_out, network, self._sets("sobol", count, seed, geometry, grids), self.scales)

    def in_cells(self, splines: TensorSplines, more: int) -> Cells:
        """Return the residuals on Gauss points in every cell of splines, which may be those of a part of the time.

        Two in each direction and `more`, and one for every spline in the first and last intervals.
        """
        box, count = self._box(splines), GAUSS + more
        rules, of = [], []
        for axis, breaks in enumerate(splines.grids()):
            basis = splines.basis(axis)
            rules.append(in_intervals(breaks.cpu(), count, count if basis.periodic else max(count, basis.degree + 1)))
            of.append(torch.bucketize(rules[-1][0], breaks[1:-1].cpu()))
        unit, weights = tensor_rule(rules)
        inside = Points.of(box.names, box.interior().place(unit).to(self.like))
        sets = {tuple(self.ansatz.problem.equations): PointSet(inside, weights.to(self.like))}
        for label in self._soft(splines):
            sets[(label,)] = self._on_faces(box, self.ansatz.problem.conditions[label].where, rules)
        residuals = Residuals(self.ansatz, splines, sets, self.scales)
        return Cells(residuals, tuple(of), weights.to(self.like).view([len(number) for number in of]))

    def _on_faces(self, box: Box, where: str, rules: list[tuple[Tensor, Tensor]]) -> PointSet:
        """Return the points of a rule (n,) for each coordinate on faces of a box."""
        patches = box.boundary(where)
        total = sum(patch.measure for patch in patches)
        places, shares, normals = [], [], []
        for (axis, _), patch in zip(box.faces(where), patches, strict=True):
            unit, weights = tensor_rule(rules[:axis] + rules[axis + 1 :])
            normal = patch.normals(unit)
            assert normal is not None
            places.append(patch.place(unit))
            shares.append(weights * (patch.measure / total))
            normals.append(normal)
        at = Points.of(box.names, torch.cat(places).to(self.like), torch.cat(normals).to(self.like))
        return PointSet(at, torch.cat(shares).to(self.like))

    def held_out_cells(self, splines: TensorSplines) -> Residuals:
        """Return the residuals of splines, which may be those of a part of the time, on held-out points."""
        count, seed = self._held_out_count(splines, 0), HELD_OUT_SEED + self.seed
        sets = self._sets("sobol", count, seed, self._box(splines), splines.grids(), soft=self._soft(splines))
        return Residuals(self.ansatz, splines, sets, self.scales)

    def _held_out_count(self, network: Network | Graph | TensorSplines, draws: int) -> int:
        return max(HELD_OUT_LEAST, self.count(network, draws) // 2)

    def _box(self, splines: TensorSplines) -> Box:
        """Return the part of the domain that splines are on."""
        box, (start, end) = self.ansatz.problem.geometry, splines.span
        assert isinstance(box, Box)
        if (start, end) == (0.0, 1.0):
            return box
        name = box.names[splines.axes[1]]
        a, b = box.intervals[name]
        return box.part(**{name: (a + start * (b - a), a + end * (b - a))})

    def _soft(self, splines: TensorSplines) -> tuple[str, ...]:
        """Return the soft conditions, but for initial ones if splines begin later."""
        problem, start = self.ansatz.problem, (splines.axes[1], 0)
        if splines.span[0] == 0:
            return self.ansatz.soft
        assert isinstance(problem.geometry, Box)
        return tuple(
            label for label in self.ansatz.soft if start not in problem.geometry.faces(problem.conditions[label].where)
        )

    def spread(self, horizon: float) -> Tensor:
        """Return evenly distributed points (N, d) of the domain."""
        geometry = self._domain(horizon)
        patch = (geometry.interior(),)
        return draw(patch, geometry.names, "sobol", 2 * HELD_OUT_LEAST, HELD_OUT_SEED, self.like).at.array()

    def wildness(self, network: Network, theta: Tensor) -> float:
        """Return how much larger a solution of data alone is in the domain than at the data, at the most."""
        problem = self._trained.problem
        names = problem.geometry.names
        data = [c.groups(problem.geometry).to(self.like).at.array() for c in problem.constraints.values()]
        far, near = (
            float(self.ansatz.taylor(network, theta, Points.of(names, points), IndexSet(names))[0].abs().max())
            for points in (self.spread(1.0), torch.cat(data))
        )
        return far / max(near, TINY)

    def _domain(self, horizon: float) -> Geometry:
        geometry = self.ansatz.problem.geometry
        return geometry.until(horizon) if isinstance(geometry, Box) and horizon < 1 else geometry

    def _sets(
        self,
        rule: str,
        count: int,
        seed: int,
        geometry: Geometry,
        grids: Sequence[Tensor | None] | None = None,
        even: int | None = None,
        soft: tuple[str, ...] | None = None,
    ) -> dict[tuple[str, ...], PointSet]:
        """Return the points of equations, `even` of the `count` if not all, and of `soft` conditions, if not all."""
        problem, within = self.ansatz.problem, count if even is None else even
        sets = {}
        if problem.equations:
            inside = draw((geometry.interior(),), geometry.names, rule, within, seed, self.like, grids)
            sets[tuple(problem.equations)] = inside
        boundary = self.sampling.boundary_count(count, geometry.dimension)
        for number, label in enumerate(self.ansatz.soft if soft is None else soft, start=1):
            patches = geometry.boundary(problem.conditions[label].where)
            sets[(label,)] = draw(patches, geometry.names, rule, boundary, seed + 31 * number, self.like)
        return sets

    def _grids(self, network: Network | Graph, horizon: float) -> list[Tensor | None] | None:
        """Return the network's breaks in the part of the domain where points lie, if that is a box."""
        geometry = self.ansatz.problem.geometry
        if not isinstance(geometry, Box):
            return None
        grids = network.grids()
        if horizon < 1 and geometry.time is not None:
            axis = geometry.names.index(geometry.time)
            breaks = grids[axis]
            if breaks is not None:
                grids[axis] = torch.cat([breaks[breaks < horizon] / horizon, breaks.new_ones(1)])
        return grids

    def _adapted(
        self,
        sets: dict[tuple[str, ...], PointSet],
        network: Network | Graph,
        theta: Tensor,
        chosen: int,
        seed: int,
        horizon: float,
    ) -> dict[tuple[str, ...], PointSet]:
        """Add so many points where the residuals of the equations are large, with their share of the weights."""
        labels = tuple(self.ansatz.problem.equations)
        share, geometry, even = self.sampling.adaptive, self._domain(horizon), sets[labels]

        def size(at: Points) -> Tensor:
            points = PointSet(at, self.like.new_ones(len(at)))
            return System(self.ansatz, network, {labels: points}, self.scales).at_points(theta)[0].norm(dim=0)

        large = draw_where_large(geometry.interior(), geometry.names, chosen, seed + 5, size, self.like)
        array = torch.cat([even.at.array(), large.at.array()])
        weights = torch.cat([(1 - share) * even.weights, share * large.weights])
        return {**sets, labels: PointSet(Points.of(geometry.names, array), weights)}
