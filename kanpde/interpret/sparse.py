"""Training that makes edges vanish: a penalty on their sizes, and on how evenly these are distributed.

pykan's regularisation (Liu et al. 2024, equations 2.17 to 2.20): the L1 norm of an edge is its mean absolute value,
here less its mean, and their entropy is that of the sizes as parts of their sum. Both are minimised by least squares
with weights that follow the sizes (iteratively reweighted least squares, Daubechies et al. 2010), so that the damped
Gauss-Newton method of all training applies.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.floats import TINY
from kanpde.interpret.refit import SOLVER, STAGE
from kanpde.model import Ansatz, Factors, Graph
from kanpde.model.chain import is_constant
from kanpde.multiindex import IndexSet
from kanpde.residual import System
from kanpde.sampling import Sampling
from kanpde.training_points import Collocation

SAMPLES = 64
"""Points over which sizes of edges are measured in the penalty."""
SMALLEST = 1e-6
"""The size, relative to the largest, below which weights do not grow any more."""
TOGETHER = 32
"""Edges whose rows are computed together."""
ITERATIONS = 4
"""Steps between two changes of the weights."""


class Penalised(System):
    """The residuals of a problem, and a row for each edge and point of a sample: weight times what the edge adds.

    Of what it adds its present mean is taken off. weights (E,).
    """

    def __init__(self, system: System, graph: Graph, points: Tensor, weights: Tensor) -> None:
        self.__dict__.update(system.__dict__)
        self._graph, self._points, self._weights = graph, points, weights
        self._varying = [e for e, edge in enumerate(graph.edges) if not is_constant(edge.chain)]
        self._value = IndexSet(tuple(map(str, range(points.shape[1]))))
        self._means = graph.evaluated(points)[1].mean(dim=0)

    @property
    def rows(self) -> int:
        return super().rows + len(self._varying) * len(self._points)

    def residual(self, theta: Tensor) -> Tensor:
        shares = self._graph.at(theta).evaluated(self._points)[1]
        rows = ((shares - self._means) * self._weights).T[self._varying]
        return torch.cat([super().residual(theta), rows.flatten()])

    def factors(self, theta: Tensor) -> Iterator[tuple[Tensor, Factors]]:
        yield from super().factors(theta)
        count = len(self._points)
        for first in range(0, len(self._varying), TOGETHER):
            edges = self._varying[first : first + TOGETHER]
            # The points once for each edge: what it adds to the rows is then one pass through all of the network.
            inputs = self._graph.first(self._value, self._points.repeat(len(edges), 1))
            _, passed = self._graph.forward(theta, self._value, inputs)
            adjoints, rows = {}, []
            for number, e in enumerate(edges):
                own = slice(number * count, (number + 1) * count)
                adjoints[e] = torch.zeros_like(passed[e].share)
                adjoints[e][:, own] = self._weights[e]
                rows.append((passed[e].share[0, own, 0] - self._means[e]) * self._weights[e])
            yield torch.cat(rows), list(self._graph.edge_factors(theta, self._value, passed, adjoints))


def sparsified(
    graph: Graph, ansatz: Ansatz, points: Tensor, strength: float, entropy: float, rounds: int, seed: int
) -> Graph:
    """Return the graph after some rounds of training with the penalty `strength` (sum of sizes + entropy * theirs).

    Sizes of edges are relative to that of the output, over points (N, d).
    Raises KanpdeError for a strength that is not positive, and a negative entropy or number of rounds.
    """
    if not (strength > 0 and entropy >= 0 and rounds >= 1):
        raise KanpdeError(
            f"sparsify(strength={strength}, entropy={entropy}, rounds={rounds}): give a positive strength, an entropy"
            " that is not negative and at least 1 round."
        )
    if not graph.parameters:
        return graph
    collocation = Collocation(ansatz, Sampling(), seed, graph.lower)
    sample = points[:SAMPLES]
    for _ in range(rounds):
        nodes, shares = graph.evaluated(points)
        output = nodes[:, list(graph.outputs)].std(dim=0).norm().clamp_min(TINY)
        sizes = (shares - shares.mean(dim=0)).abs().mean(dim=0) / output
        floor = SMALLEST * sizes.max()
        parts = (sizes / sizes.sum()).clamp_min(SMALLEST)
        pull = (1 - entropy * (parts.log() + (parts * -parts.log()).sum())).clamp_min(0.0)
        weights = (strength * pull / ((sizes + floor) * output**2 * len(sample))).sqrt()
        system = Penalised(collocation.system(graph, graph.theta, STAGE, 0), graph, sample, weights)
        state = SOLVER.init(system, graph.theta)
        for _ in range(ITERATIONS):
            if state.stopped:
                break
            state = SOLVER.step(system, state)
        graph = graph.at(state.theta)
    return graph
