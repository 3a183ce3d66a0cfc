"""The points of every stage of a training, and the systems of residuals on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpde.field import Points
from kanpde.geometry import Box, Geometry
from kanpde.model import Ansatz, Network
from kanpde.model.tensor import TensorSplines
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
        self.scales = scales or residual_scales(ansatz, self._sets("sobol", HELD_OUT_LEAST, HELD_OUT_SEED, None))

    def count(self, network: Network | TensorSplines, draws: int) -> int:
        """Return the number of interior points of the `draws`-th draw of a stage; each has twice as many."""
        return self.sampling.interior_count(network.parameters) * 2**draws

    def system(
        self,
        network: Network,
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
        sets = self._sets(self.sampling.rule, count, seed, network, horizon, count - chosen)
        if chosen:
            sets = self._adapted(sets, network, theta, chosen, seed, horizon)
        if gamma:
            labels = tuple(self.ansatz.problem.equations)
            sets[labels] = earlier(sets[labels], self._domain(horizon), gamma)
        return System(self.ansatz, network, sets, self.scales)

    def held_out(self, network: Network, draws: int, horizon: float = 1.0) -> System:
        """Return the residuals on the held-out points."""
        return System(self.ansatz, network, self._held_out_sets(network, draws, horizon), self.scales)

    def in_cells(self, splines: TensorSplines, intervals: int, more: int) -> Cells:
        """Return the residuals on Gauss points in every cell of the splines up to an interval of the slow coordinate.

        Two in each direction and `more`, and one for every spline in the first and last intervals.
        """
        horizon, count = splines.reach(intervals), GAUSS + more
        geometry, problem = self._domain(horizon), self.ansatz.problem
        assert isinstance(geometry, Box)
        rules, of = [], []
        for axis, breaks in enumerate(self._grids(splines, horizon)):
            assert breaks is not None
            basis = splines.basis(axis)
            rules.append(in_intervals(breaks.cpu(), count, count if basis.periodic else max(count, basis.degree + 1)))
            of.append(torch.bucketize(rules[-1][0], breaks[1:-1].cpu()))
        unit, weights = tensor_rule(rules)
        inside = Points.of(geometry.names, geometry.interior().place(unit).to(self.like))
        sets = {tuple(problem.equations): PointSet(inside, weights.to(self.like))}
        for label in self.ansatz.soft:
            sets[(label,)] = self._on_faces(geometry, problem.conditions[label].where, rules)
        residuals = Residuals(self.ansatz, splines.until(intervals), sets, self.scales)
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

    def held_out_cells(self, splines: TensorSplines, intervals: int) -> Residuals:
        """Return the residuals of the splines up to an interval of the slow coordinate on held-out points."""
        sets = self._held_out_sets(splines, 0, splines.reach(intervals))
        return Residuals(self.ansatz, splines.until(intervals), sets, self.scales)

    def _held_out_sets(
        self, network: Network | TensorSplines, draws: int, horizon: float
    ) -> dict[tuple[str, ...], PointSet]:
        count = max(HELD_OUT_LEAST, self.count(network, draws) // 2)
        return self._sets("sobol", count, HELD_OUT_SEED + self.seed, network, horizon)

    def spread(self, horizon: float) -> Tensor:
        """Return evenly distributed points (N, d) of the domain."""
        geometry = self._domain(horizon)
        patch = (geometry.interior(),)
        return draw(patch, geometry.names, "sobol", 2 * HELD_OUT_LEAST, HELD_OUT_SEED, self.like).at.array()

    def _domain(self, horizon: float) -> Geometry:
        geometry = self.ansatz.problem.geometry
        return geometry.until(horizon) if isinstance(geometry, Box) and horizon < 1 else geometry

    def _sets(
        self,
        rule: str,
        count: int,
        seed: int,
        network: Network | TensorSplines | None,
        horizon: float = 1.0,
        even: int | None = None,
    ) -> dict[tuple[str, ...], PointSet]:
        """Return the points of equations, `even` of the `count` if not all, and of soft conditions."""
        problem, geometry = self.ansatz.problem, self._domain(horizon)
        within = count if even is None else even
        grids = self._grids(network, horizon) if network and isinstance(geometry, Box) else None
        inside = draw((geometry.interior(),), geometry.names, rule, within, seed, self.like, grids)
        sets = {tuple(problem.equations): inside}
        boundary = self.sampling.boundary_count(count, geometry.dimension)
        for number, label in enumerate(self.ansatz.soft, start=1):
            patches = geometry.boundary(problem.conditions[label].where)
            sets[(label,)] = draw(patches, geometry.names, rule, boundary, seed + 31 * number, self.like)
        return sets

    def _grids(self, network: Network | TensorSplines, horizon: float) -> list[Tensor | None]:
        """Return the network's breaks in the part of the domain where points lie."""
        grids = network.grids()
        time = self.ansatz.problem.geometry.time
        if horizon < 1 and time is not None:
            axis = self.ansatz.problem.geometry.names.index(time)
            breaks = grids[axis]
            if breaks is not None:
                grids[axis] = torch.cat([breaks[breaks < horizon] / horizon, breaks.new_ones(1)])
        return grids

    def _adapted(
        self,
        sets: dict[tuple[str, ...], PointSet],
        network: Network,
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
