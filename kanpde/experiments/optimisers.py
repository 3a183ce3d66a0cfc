"""Training methods on one network: error against time and against iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kanpde.experiments.experiment import Experiment, require_positive
from kanpde.experiments.figures import Curve, draw_trainings
from kanpde.experiments.grid_extension import uniform
from kanpde.experiments.job import Job, NetworkJob
from kanpde.experiments.outcome import Outcome
from kanpde.experiments.statistics import Spread, points_of
from kanpde.experiments.tables import points_table, shown_cost, table
from kanpde.model import KAN
from kanpde.problem import Problem
from kanpde.solver import LBFGS, Adam, Chain, LevenbergMarquardt, SelfScaledBroyden, Solver

ENDLESS = 10**9
"""Iterations of a stage that the budget ends, not this number."""


@dataclass(frozen=True)
class Optimisers(Experiment):
    """Settings of the experiment on optimisers.

    grid: intervals of a KAN, in one stage, so that all methods train the same parameters from the same start.
    adam_iterations: of Adam before L-BFGS takes over. learning_rate: of Adam.
    """

    grid: int = 10
    adam_iterations: int = 1000
    learning_rate: float = 1e-3

    name = "optimisers"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("grid", [self.grid])
        require_positive("adam_iterations", [self.adam_iterations])

    def jobs(self, base: NetworkJob, problem: Problem) -> list[Job]:
        model = base.model
        if isinstance(model, KAN):
            model = replace(uniform(base, problem), grid=self.grid, start_grid=self.grid)
        found: list[Job] = []
        for series, solver in self.solvers().items():
            found += self.each_seed(replace(base, model=model, solver=solver, series=series, trace=True))
        return found

    def solvers(self) -> dict[str, Solver]:
        """Return the methods by their names."""
        adam = Adam(learning_rate=self.learning_rate, stage_iterations=ENDLESS)
        first = replace(adam, stage_iterations=self.adam_iterations)
        lbfgs = LBFGS(stage_iterations=ENDLESS)
        return {
            "Levenberg-Marquardt": LevenbergMarquardt(starts=1, start_iterations=0, stage_iterations=ENDLESS),
            "self-scaled Broyden": SelfScaledBroyden(stage_iterations=ENDLESS),
            "L-BFGS": lbfgs,
            "Adam": adam,
            "Adam, then L-BFGS": Chain((first, lbfgs)),
        }

    def report(self, outcomes: Sequence[Outcome], folder: Path) -> list[str]:
        curves = [Curve(o.job.series, o.history(), o.trace()) for o in outcomes if o.method is not None]
        title = f"{outcomes[0].job.problem_name}: training methods on one network"
        draw_trainings(curves, folder / "optimisers", title)
        rows = []
        for series in dict.fromkeys(outcome.job.series for outcome in outcomes):
            group = [o for o in outcomes if o.job.series == series]
            reached = [
                shown_cost(Spread.of(seconds_to(outcome.trace(), 10.0**-digit) for outcome in group).median)
                for digit in (2, 4, 6, 8)
            ]
            iterations = Spread.of(float(o.method.iterations) for o in group if o.method is not None)
            stopped = dict.fromkeys(o.method.stopped for o in group if o.method is not None)
            rows.append((series, *reached, shown_cost(iterations.median), "; ".join(stopped)))
        header = ("method", "s to 1e-2", "s to 1e-4", "s to 1e-6", "s to 1e-8", "iterations", "why it stopped")
        return [
            "Medians over the seeds of the seconds of training until the L2 error was reached:",
            "",
            *table(header, rows),
            "",
            *points_table(points_of(outcomes)),
        ]


def seconds_to(trace: Sequence[dict[str, float]], error: float) -> float:
    """Return the seconds until an error was reached, inf if it was not."""
    return next((row["seconds"] for row in trace if row["rel_l2"] <= error), float("inf"))
