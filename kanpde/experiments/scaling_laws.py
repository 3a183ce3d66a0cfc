"""Scaling laws: test error against parameters when functions are fitted, KANs over grids beside MLPs over widths.

Section 3.1 of the KAN paper (Liu et al. 2024): networks whose nodes follow how a function is composed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kanpde.errors import KanpdeError, unknown_name
from kanpde.experiments.experiment import Experiment, require_positive
from kanpde.experiments.figures import draw_errors
from kanpde.experiments.job import Job, NetworkJob
from kanpde.experiments.outcome import Outcome
from kanpde.experiments.statistics import points_of
from kanpde.experiments.tables import points_table, slopes_table
from kanpde.model import KAN, MLP
from kanpde.problem import Problem

PROBLEM = "fit_function"
SHAPES: dict[str, tuple[int, ...]] = {
    "bessel": (),
    "product": (2,),
    "exponential": (1,),
    "mean": (1,),
    "nested": (4, 2),
}
"""Numbers of hidden sum nodes, with which each function is one of sums; "nested" as in the paper, where 2 and 1 do."""
COARSEST = 4
"""Intervals of the first stage. On fewer, false minima leave errors as small as the true one, and may be chosen."""
FINER = {"bessel": 4}
"""Functions that need so many times more intervals: it has six waves."""


@dataclass(frozen=True)
class ScalingLaws(Experiment):
    """Settings of the experiment on scaling laws.

    functions: those of `fit_function`. degree: of all splines. grids: intervals of all layers, times 4 for "bessel".
    Each is refined exactly from the one with 4 intervals, so that all of a seed begin in the same minimum.
    mlp_widths: MLPs with two hidden layers so wide.
    """

    functions: Sequence[str] = tuple(SHAPES)
    degree: int = 3
    grids: Sequence[int] = (4, 8, 16)
    mlp_widths: Sequence[int] = (3, 5, 8, 12, 18)

    name = "scaling_laws"

    def __post_init__(self) -> None:
        super().__post_init__()
        for function in self.functions:
            if function not in SHAPES:
                raise unknown_name("function in experiment.functions:", function, SHAPES)
        require_positive("degree", [self.degree])
        require_positive("grids", self.grids)
        require_positive("mlp_widths", self.mlp_widths)

    def jobs(self, base: NetworkJob, problem: Problem) -> list[Job]:
        if base.problem != PROBLEM:
            raise KanpdeError(f"experiment=scaling_laws is about problem={PROBLEM}, not '{problem.name}'.")
        found: list[Job] = []
        for function in self.functions:
            fitted = replace(base, arguments={**base.arguments, "function": function})
            for grid in self.grids:
                model = self.network(function, grid)
                found += self.each_seed(replace(fitted, model=model, series=f"KAN {function}", place={"grid": grid}))
            for width in self.mlp_widths:
                mlp = MLP(width=(width, width))
                found += self.each_seed(replace(fitted, model=mlp, series=f"MLP {function}", place={"width": width}))
        return found

    def network(self, function: str, grid: int) -> KAN:
        """Return the KAN of a function whose layers all have splines of one degree on so many intervals."""
        width, finer = SHAPES[function], FINER.get(function, 1)
        grids = (finer * grid,) * (len(width) + 1)
        return KAN(width=width, degree=self.degree, grid=grids, start_grid=finer * min(COARSEST, grid), knots="uniform")

    def report(self, outcomes: Sequence[Outcome], folder: Path) -> list[str]:
        points = points_of(outcomes)
        draw_errors(points, folder / "scaling_laws", "scaling laws", [("parameters", "rel_l2")])
        return [
            "Test errors are relative L2 errors over the box; the data have no errors unless `problem.noise` gives",
            "them some. Fitted exponents of the error in the number of parameters:",
            "",
            *slopes_table(points),
            "",
            *points_table(points),
        ]
