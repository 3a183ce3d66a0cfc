"""Error against parameters and against seconds, for KANs, MLPs and finite elements, on any problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kanpde.errors import KanpdeError
from kanpde.experiments.experiment import Experiment, require_positive
from kanpde.experiments.figures import draw_errors, draw_fronts
from kanpde.experiments.job import FEMJob, Job, NetworkJob
from kanpde.experiments.outcome import Outcome
from kanpde.experiments.statistics import points_of
from kanpde.experiments.tables import equal_error_table, equal_time_table, points_table, slopes_table
from kanpde.geometry import Mesh, split
from kanpde.model import KAN, MLP
from kanpde.problem import Problem
from kanpde.reference.fem import Resolution, ladder
from kanpde.solver import LBFGS, Adam, Chain

FEWEST = 4
"""Meshes per degree of finite elements, at least, so that a slope says something."""
COARSEST = 4


@dataclass(frozen=True)
class AccuracyVsParameters(Experiment):
    """Settings of the experiment on accuracy against parameters.

    degrees, grids: of the KANs' first layer. Degrees that are too low for the equation are left out. products: KANs
    with so many product nodes per unknown. widths: KANs with so many sum nodes. mlp_widths: MLPs with two hidden layers
    so wide. adam_iterations: of the MLPs that are trained by Adam and then L-BFGS; others have the run's solver.
    fem: the degrees and meshes of a comparison, and coarser ones.
    """

    degrees: Sequence[int] = (3, 5, 9)
    grids: Sequence[int] = (4, 8, 16, 32)
    products: Sequence[int] = (3, 6)
    widths: Sequence[int] = (5,)
    mlp_widths: Sequence[int] = (6, 10, 16, 24)
    adam_iterations: int = 1000
    fem: bool = True

    name = "accuracy_vs_parameters"

    def __post_init__(self) -> None:
        super().__post_init__()
        for what in ("degrees", "grids", "products", "widths", "mlp_widths"):
            require_positive(what, getattr(self, what))
        require_positive("adam_iterations", [self.adam_iterations])

    def jobs(self, base: NetworkJob, problem: Problem) -> list[Job]:
        found: list[Job] = []
        for model, series in self.networks(base.model, problem):
            for grid in self.grids:
                sized = replace(model, grid=grid)
                found += self.each_seed(replace(base, model=sized, series=series, place={"grid": grid}))
        practice = Chain((Adam(stage_iterations=self.adam_iterations), LBFGS(stage_iterations=100_000)))
        for series, solver in (("MLP: same solver", base.solver), ("MLP: Adam, L-BFGS", practice)):
            for width in self.mlp_widths:
                mlp, place = MLP(width=(width, width)), {"width": width}
                found += self.each_seed(replace(base, model=mlp, solver=solver, series=series, place=place))
        return [*found, *(finite_elements(base, problem) if self.fem else ())]

    def networks(self, model: KAN | MLP, problem: Problem) -> list[tuple[KAN, str]]:
        """Return the KANs without their grids, and the names of their series."""
        given = model if isinstance(model, KAN) else KAN()
        given = replace(given, knots=given.knots or "uniform")
        nodes: list[tuple[KAN, str]] = []
        for count in self.products:
            several = replace(given, products=count * len(problem.unknowns), width=None)
            nodes.append((several, f"{count} product{'s' if count > 1 else ''}"))
        for count in self.widths:
            nodes.append((replace(given, products=None, width=(count,)), f"{count} sum{'s' if count > 1 else ''}"))
        found = []
        for degree in self.degrees:
            for network, what in nodes:
                outer = replace(network, degree=None).suited(problem).degree
                deeper = tuple(outer)[1:] if isinstance(outer, (tuple, list)) else ()
                if degree > problem.order:
                    found.append((replace(network, degree=(degree, *deeper)), f"KAN degree {degree}: {what}"))
        return found

    def report(self, outcomes: Sequence[Outcome], folder: Path) -> list[str]:
        points = points_of(outcomes)
        problem = outcomes[0].job.problem_name
        families = {
            name: members for name in ("KAN", "MLP", "FEM") if (members := [p for p in points if p.series[:3] == name])
        }
        floor = next((o.method.errors.floor for o in outcomes if o.method and o.method.errors), 0.0)
        shown = floor if floor > 1e-14 else 0.0
        norms = [("parameters", "rel_l2"), ("parameters", "rel_h1")]
        draw_errors(points, folder / "error_against_parameters", problem, norms, floor=shown)
        timed = [("seconds", "rel_l2"), ("seconds", "rel_h1")]
        draw_errors(points, folder / "work_precision", problem, timed, floor=shown)
        draw_fronts(points, families, folder / "fronts", problem)
        return [
            "Fitted exponents of the error in the number of parameters or degrees of freedom:",
            "",
            *slopes_table(points),
            "",
            "What is needed for an error (nothing is interpolated; in brackets relative to the first family):",
            "",
            *equal_error_table(families),
            "",
            "The least error within a time of set-up and training:",
            "",
            *equal_time_table(families),
            "",
            *points_table(points),
        ]


def finite_elements(base: NetworkJob, problem: Problem) -> list[Job]:
    """Return the solutions of a comparison, with coarser meshes where there are few of a degree; none if they fail."""
    try:
        steps = ladder(problem)
    except KanpdeError:
        return []
    found = split(problem.geometry)
    given = found is not None and isinstance(found[0], Mesh)  # such a mesh cannot be made coarser
    jobs: list[Job] = []
    for adaptive, order in sorted({(step.adaptive, step.order) for step in steps}):
        cells = sorted(step.cells for step in steps if (step.adaptive, step.order) == (adaptive, order))
        while not given and len(cells) < FEWEST and cells[0] >= 2 * COARSEST:
            cells.insert(0, cells[0] // 2)
        for count in cells:
            resolution = Resolution(order, count, adaptive)
            if problem.reference is not None and problem.reference.name == resolution.name:
                continue  # it is what the others are compared with
            jobs.append(
                FEMJob(
                    problem=base.problem,
                    arguments=base.arguments,
                    series=f"FEM degree {order}{': adaptive' if adaptive else ''}",
                    place={"cells": count},
                    resolution=resolution,
                )
            )
    return jobs
