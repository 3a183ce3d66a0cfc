"""The degree of the splines: error against parameters over grids, one curve per degree, with the rates in the grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kanpde.experiments.experiment import Experiment, require_positive
from kanpde.experiments.figures import draw_errors
from kanpde.experiments.grid_extension import uniform
from kanpde.experiments.job import Job, NetworkJob
from kanpde.experiments.outcome import Outcome
from kanpde.experiments.statistics import points_of
from kanpde.experiments.tables import points_table, slopes_table
from kanpde.problem import Problem


@dataclass(frozen=True)
class Degree(Experiment):
    """Settings of the experiment on degrees.

    degrees, grids: of the first layer. Degrees that are too low for the equation are left out.
    """

    degrees: Sequence[int] = (3, 4, 5, 7, 9, 11)
    grids: Sequence[int] = (4, 8, 16, 32)

    name = "degree"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("degrees", self.degrees)
        require_positive("grids", self.grids)

    def jobs(self, base: NetworkJob, problem: Problem) -> list[Job]:
        network = uniform(base, problem)
        outer = replace(network, degree=None).suited(problem).degree
        deeper = tuple(outer)[1:] if isinstance(outer, (tuple, list)) else ()
        found: list[Job] = []
        for degree in self.degrees:
            for grid in self.grids:
                if degree > problem.order:
                    model = replace(network, degree=(degree, *deeper), grid=grid)
                    job = replace(base, model=model, series=f"KAN degree {degree}", place={"grid": grid})
                    found += self.each_seed(job)
        return found

    def report(self, outcomes: Sequence[Outcome], folder: Path) -> list[str]:
        points = points_of(outcomes)
        norms = [("parameters", "rel_l2"), ("parameters", "rel_h1")]
        draw_errors(points, folder / "degree", outcomes[0].job.problem_name, norms)
        timed = [("seconds", "rel_l2"), ("seconds", "rel_h1")]
        draw_errors(points, folder / "work_precision", outcomes[0].job.problem_name, timed)
        return [
            "Fitted exponents of the error in the number of intervals (for smooth functions, splines of degree k have",
            "-(k + 1), and -k for gradients):",
            "",
            *slopes_table(points, "grid"),
            "",
            *points_table(points),
        ]
