"""Training a graph further with the residuals of its problem, by Levenberg-Marquardt."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from time import perf_counter

from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.model import Ansatz, Graph, Network
from kanpde.sampling import Sampling
from kanpde.solver import LevenbergMarquardt
from kanpde.training_points import Collocation

SOLVER = LevenbergMarquardt(projection=False, damping=1e-4, stage_iterations=200, patience=8, tolerance=1e-15)
STAGE = 1_000_000
"""The stage whose points a refit has: none of training."""


@dataclass(frozen=True)
class Refit:
    """A graph, the relative residual on held-out points before and after, and why it stopped."""

    graph: Graph
    before: float
    after: float
    iterations: int
    stopped: str


def relative_residual(network: Network | Graph, theta: Tensor, ansatz: Ansatz, seed: int = 0) -> float:
    """Return the root mean square of the residuals on held-out points, relative to those of a network that is zero."""
    collocation = Collocation(ansatz, Sampling(), seed, theta)
    return sqrt(2 * collocation.held_out(network, 0).loss(theta))


def refit(
    graph: Graph,
    ansatz: Ansatz,
    *,
    seed: int = 0,
    seconds: float = 60.0,
    sampling: Sampling | None = None,
    solver: LevenbergMarquardt = SOLVER,
) -> Refit:
    """Return the graph with the parameters that the residuals of the problem ask for, never with a larger residual.

    The points are other ones than those of training, and the residuals are compared on held-out points.
    Raises KanpdeError for a residual that is not finite to begin with.
    """
    collocation = Collocation(ansatz, sampling or Sampling(), seed, graph.lower)
    held_out = collocation.held_out(graph, 0)
    before = sqrt(2 * held_out.loss(graph.theta))
    if not isfinite(before):
        raise KanpdeError(
            "the residual of the network is not finite: a function on an edge is not defined, or has no derivative, in"
            " a part of the domain. Put another one there."
        )
    if not graph.parameters:
        return Refit(graph, before, before, 0, "nothing is trained")
    system = collocation.system(graph, graph.theta, STAGE, 0)
    begin, iterations = perf_counter(), 0
    state = solver.init(system, graph.theta)
    stopped = state.stopped
    while not stopped:
        state = solver.step(system, state)
        iterations += 1
        stopped = state.stopped
        if not stopped and iterations >= solver.stage_iterations:
            stopped = f"limit of {iterations} iterations"
        if not stopped and perf_counter() - begin > seconds:
            stopped = f"limit of {seconds:g} s"
    after = sqrt(2 * held_out.loss(state.theta))
    if not after < before:
        return Refit(graph, before, before, iterations, f"{stopped}; left as it was")
    return Refit(graph.at(state.theta), before, after, iterations, stopped)
