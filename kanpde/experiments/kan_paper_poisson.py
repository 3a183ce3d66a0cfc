"""Section 3.4 of the KAN paper (Liu et al. 2024): Poisson's equation, error against parameters, and this solver beside.

The paper's loss is alpha <r^2> inside plus <u^2> on the boundary, alpha = 0.01, on 10,000 and 800 points, and splines
are cubic. Its networks are trained by L-BFGS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from kanpde.errors import KanpdeError
from kanpde.experiments.experiment import Experiment, require_positive
from kanpde.experiments.figures import Curve, Published, draw_errors, draw_trainings
from kanpde.experiments.job import Job, NetworkJob
from kanpde.experiments.outcome import Outcome
from kanpde.experiments.statistics import Point, points_of
from kanpde.experiments.tables import points_table, shown_error, shown_ratio, slopes_table, table
from kanpde.model import KAN, MLP
from kanpde.position import Budget
from kanpde.problem import Problem
from kanpde.sampling import Sampling
from kanpde.solver import LBFGS

PROBLEM = "poisson2d"
ALPHA = 0.01
POINTS = Sampling(points=10_000, boundary=8.0)
"""10,000 points inside and 8 sqrt(10,000) on the boundary."""
STEPS = 250 * 20
"""Iterations: the paper's 250 steps, each of up to 20 iterations of L-BFGS."""
DEGREE, SMOOTH = 3, 7
"""Degree of the paper's splines, and one for which a residual of second order is smooth."""

PUBLISHED = {
    5: {2: 7.0e-4, 4: 2.6e-5, 6: 1.1e-5, 8: 4.8e-6, 10: 2.1e-6},
    7: {2: 2.8e-4, 4: 6.0e-6, 6: 1.2e-6, 8: 4.5e-7, 10: 2.9e-7},
    10: {2: 4.1e-5, 4: 3.5e-6, 6: 4.7e-7, 8: 1.0e-7, 10: 5.4e-8},
}
"""Mean square errors of the paper's KANs by hidden nodes and grid, read off the curves of the figure in section 3.4."""
PUBLISHED_MLP = {5: 2.2e-3, 10: 2.5e-5, 20: 3.4e-6, 50: 2.0e-6, 100: 5.1e-6, 200: 5.6e-6}
"""The same of its MLPs of depth 4, by width."""
UNFINISHED = 0.9
"""A network with fewer parameters than this part of its own on the last grid has not come there."""
MEAN_SQUARE = 0.18898
"""Mean of u^2 over the square: what turns mean square errors into relative L2 errors."""

PAPER, SAME, SMOOTHER, OWN = (
    "KAN, paper's set-up",
    "KAN, our solver",
    "KAN, our solver, smoother splines",
    "KAN, defaults",
)
PERCEPTRON = "MLP, paper's set-up"


@dataclass(frozen=True)
class KANPaperPoisson(Experiment):
    """Settings of the experiment of section 3.4 of the KAN paper.

    widths, grids: of the KANs [2, width, 1]. depths, mlp_widths: layers of the MLPs, the last one included, and the
    width of the others. seconds, mlp_seconds: the budget of each training in the paper's way; `budget` is that of
    ours. start_grid: in the paper's way too a network begins on a coarser grid, if possible of so many intervals.
    effort: iterations on each of the grids, at most, times the parameters of the network, so that large networks too
    come to their last grid.
    """

    seeds: int = 1
    widths: Sequence[int] = (5, 7, 10)
    grids: Sequence[int] = (2, 4, 6, 8, 10)
    depths: Sequence[int] = (2, 3, 4, 5)
    mlp_widths: Sequence[int] = (5, 10, 20, 50, 100, 200)
    seconds: float = 75.0
    mlp_seconds: float = 15.0
    start_grid: int = 2
    effort: int = 60_000

    name = "kan_paper_poisson"

    def __post_init__(self) -> None:
        super().__post_init__()
        for what in ("widths", "grids", "depths", "mlp_widths"):
            require_positive(what, getattr(self, what))
        require_positive("start_grid", [self.start_grid])
        require_positive("effort", [self.effort])
        if any(depth < 2 for depth in self.depths):
            raise KanpdeError(f"experiment.depths={list(self.depths)}: an MLP has at least 2 layers.")
        for what in ("seconds", "mlp_seconds"):
            if not getattr(self, what) > 0:
                raise KanpdeError(f"experiment.{what}={getattr(self, what)}: give a positive number.")

    def jobs(self, base: NetworkJob, problem: Problem) -> list[Job]:
        if base.problem != PROBLEM:
            raise KanpdeError(f"experiment=kan_paper_poisson is about problem={PROBLEM}, not '{problem.name}'.")
        paper = replace(
            base,
            solver=LBFGS(stage_iterations=STEPS),
            sampling=POINTS,
            conditions="soft",
            alpha=ALPHA,
            budget=Budget(STEPS, self.seconds),
        )
        found: list[Job] = []

        def add(job: NetworkJob, model: KAN | MLP, series: str, place: dict[str, Any], traced: bool) -> None:
            found.extend(self.each_seed(replace(job, model=model, series=series, place=place, trace=traced)))

        for width in self.widths:
            for grid in self.grids:
                network, place = f"[2,{width},1]", {"grid": grid}
                traced = (width, grid) == (max(self.widths), max(self.grids))
                cubic = KAN(width=(width,), grid=(grid, grid), degree=DEGREE, base=True)
                steps = max(1, self.effort // kan_size(width, grid))
                staged = replace(paper, solver=LBFGS(stage_iterations=steps))
                add(staged, replace(cubic, start_grid=self.start_grid), f"{PAPER}: {network}", place, traced)
                add(base, cubic, f"{SAME}: {network}", place, traced)
                add(base, smoother(width, grid), f"{SMOOTHER}: {network}", place, traced)
        for grid in self.grids:
            add(base, KAN(grid=2 * grid), OWN, {"grid": 2 * grid}, grid == max(self.grids))
        paper = replace(paper, budget=Budget(STEPS, self.mlp_seconds))
        for depth in self.depths:
            for width in self.mlp_widths:
                series = f"{PERCEPTRON}: depth {depth}"
                add(paper, MLP(width=(width,) * (depth - 1)), series, {"width": width}, (depth, width) == (4, 50))
        return found

    def report(self, outcomes: Sequence[Outcome], folder: Path) -> list[str]:
        points = points_of(outcomes)
        published = published_curves(points)
        title = "poisson2d, section 3.4 of the KAN paper"
        norms = [("parameters", "rel_l2"), ("parameters", "rel_h1")]
        draw_errors(points, folder / "error_against_parameters", title, norms, published)
        timed = [("seconds", "rel_l2"), ("seconds", "rel_h1")]
        draw_errors(points, folder / "work_precision", title, timed)
        curves = [Curve(o.job.series, o.history(), trace) for o in outcomes if (trace := o.trace())]
        draw_trainings(curves, folder / "training_curves", title, ("rel_l2", "rel_h1"))
        return [
            "The paper's numbers are mean square errors, read off its curves, and here relative L2 errors. A star",
            "marks trainings whose budget ended on a coarser grid than the last one.",
            "",
            *compared(points),
            "",
            "Fitted exponents of the error in the number of parameters:",
            "",
            *slopes_table(points),
            "",
            *points_table(points),
        ]


def smoother(width: int, grid: int) -> KAN:
    """Return a KAN [2, width, 1] with at most as many coefficients as one of cubic splines on `grid` intervals has.

    Its splines have degree 7 where there are enough of them. Outer functions are single cubics, which can multiply;
    the other coefficients are those of the inputs.
    """
    per_edge = (3 * (grid + DEGREE) - (1 + DEGREE)) // 2
    degree = min(SMOOTH, per_edge - 1)
    return KAN(width=(width,), grid=(per_edge - degree, 1), degree=(degree, DEGREE))


def kan_size(width: int, grid: int) -> int:
    """Return the parameters of the paper's KAN [2, width, 1]: splines and a silu on each edge."""
    return 3 * width * (grid + DEGREE + 1)


def mlp_size(depth: int, width: int) -> int:
    """Return the parameters of an MLP with so many layers, with biases."""
    return 3 * width + (depth - 2) * (width + 1) * width + width + 1


def relative(mean_square: float) -> float:
    """Return the relative L2 error of a mean square error."""
    return (mean_square / MEAN_SQUARE) ** 0.5


def published_curves(points: Sequence[Point]) -> list[Published]:
    """Return the paper's numbers at the parameters that its networks have here."""
    drawn = {point.series for point in points}
    found = []
    for width, errors in PUBLISHED.items():
        like = f"{PAPER}: [2,{width},1]"
        values = [(float(kan_size(width, grid)), relative(error)) for grid, error in errors.items()]
        if like in drawn:
            found.append(Published(f"KAN [2,{width},1], read off the paper's figure", like, values))
    like = f"{PERCEPTRON}: depth 4"
    values = [(float(mlp_size(4, width)), relative(error)) for width, error in PUBLISHED_MLP.items()]
    if like in drawn:
        found.append(Published("MLP of depth 4, read off the paper's figure", like, values))
    return found


def compared(points: Sequence[Point]) -> list[str]:
    """Return a table of the paper's errors beside those measured here, for the networks that it has."""
    median = {(p.series, p.place.get("grid")): p.rel_l2.median for p in points}
    sizes = {(p.series, p.place.get("grid")): p.parameters for p in points}
    own = [(p.parameters, p.rel_l2.median) for p in points if p.series == OWN]
    rows = []
    for width, errors in PUBLISHED.items():
        for grid, mean_square in errors.items():
            network, theirs = f"[2,{width},1]", relative(mean_square)
            again = median.get((f"{PAPER}: {network}", grid))
            if again is None:
                continue
            room = kan_size(width, grid)
            best = min((error for size, error in own if size <= room), default=inf)
            ours = [median.get((f"{name}: {network}", grid), inf) for name in (SAME, SMOOTHER)]
            cells = [f"{shown_error(e)} ({shown_ratio(theirs, e)})" for e in (*ours, best)]
            star = "*" if sizes[f"{PAPER}: {network}", grid] < UNFINISHED * room else ""
            again_cell = f"{shown_error(again)}{star} ({shown_ratio(again, theirs)})"
            rows.append((f"{network}, grid {grid}", f"{room:,}", shown_error(theirs), again_cell, *cells))
    header = (
        "network",
        "parameters",
        "paper",
        "its set-up again (ratio to the paper)",
        "our solver, same network (times below)",
        "smoother splines (times below)",
        "defaults with no more parameters (times below)",
    )
    return table(header, rows)
