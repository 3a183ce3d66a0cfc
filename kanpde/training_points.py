"""The points of every stage of a training, and the systems of residuals on them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kanpde.field import Points
from kanpde.geometry import Box, Geometry
from kanpde.model import Ansatz, Network
from kanpde.residual import System, residual_scales
from kanpde.sampling import PointSet, Sampling, draw, draw_where_large, earlier

HELD_OUT_SEED = 1_000_003
HELD_OUT_LEAST = 2000


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

    def count(self, network: Network, draws: int) -> int:
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
        count = max(HELD_OUT_LEAST, self.count(network, draws) // 2)
        sets = self._sets("sobol", count, HELD_OUT_SEED + self.seed, network, horizon)
        return System(self.ansatz, network, sets, self.scales)

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
        network: Network | None,
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

    def _grids(self, network: Network, horizon: float) -> list[Tensor | None]:
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
            return System(self.ansatz, network, {labels: points}, self.scales).magnitude(theta)

        large = draw_where_large(geometry.interior(), geometry.names, chosen, seed + 5, size, self.like)
        array = torch.cat([even.at.array(), large.at.array()])
        weights = torch.cat([(1 - share) * even.weights, share * large.weights])
        return {**sets, labels: PointSet(Points.of(geometry.names, array), weights)}
