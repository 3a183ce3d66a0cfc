"""Loss and error over the stages of a grid that is refined exactly, and beside it training on the last grid alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kanpde.errors import KanpdeError
from kanpde.experiments.experiment import Experiment
from kanpde.experiments.figures import Curve, draw_trainings
from kanpde.experiments.job import Job, NetworkJob
from kanpde.experiments.outcome import Outcome
from kanpde.experiments.statistics import Spread, points_of
from kanpde.experiments.tables import points_table, shown_cost, shown_error, table
from kanpde.model import KAN
from kanpde.problem import Problem


@dataclass(frozen=True)
class GridExtension(Experiment):
    """Settings of the experiment on grid extension.

    start_grid, grid: intervals of the first and of the last stage; the number is doubled, or multiplied by the smallest
    possible factor, in between.
    """

    start_grid: int = 5
    grid: int = 40

    name = "grid_extension"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.start_grid < self.grid:
            raise KanpdeError(
                f"experiment.start_grid={self.start_grid}, grid={self.grid}: begin with fewer than at the end."
            )

    def jobs(self, base: NetworkJob, problem: Problem) -> list[Job]:
        network = uniform(base, problem)
        found: list[Job] = []
        for series, start in (("in stages", self.start_grid), ("on the last grid alone", self.grid)):
            model = replace(network, grid=self.grid, start_grid=start)
            found += self.each_seed(replace(base, model=model, series=series, trace=True))
        return found

    def report(self, outcomes: Sequence[Outcome], folder: Path) -> list[str]:
        curves = [Curve(o.job.series, o.history(), o.trace()) for o in outcomes if o.method is not None]
        first = [curve for curve in curves if curve.series == "in stages"][:1]
        direct = [curve for curve in curves if curve.series != "in stages"][:1]
        title = f"{outcomes[0].job.problem_name}: grid extension, {self.start_grid} to {self.grid} intervals"
        draw_trainings([*first, *direct], folder / "staircase", f"{title}, one seed", ("rel_l2", "loss"), stages=True)
        draw_trainings(curves, folder / "training_curves", f"{title}, every seed")
        rows = []
        ends: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
        for outcome in outcomes:
            if outcome.job.series != "in stages":
                continue
            last = {int(row["stage"]): row for row in outcome.trace() if row["stage"] > 0}
            for stage, row in last.items():
                place = (stage, int(row["parameters"]))
                ends.setdefault(place, []).append((row["rel_l2"], row["iteration"], row["seconds"]))
        for (stage, parameters), values in sorted(ends.items()):
            errors, iterations, seconds = (Spread.of(column) for column in zip(*values, strict=True))
            rows.append(
                (
                    str(stage),
                    f"{parameters:,}",
                    shown_error(errors.median),
                    f"{shown_error(errors.low)} to {shown_error(errors.high)}",
                    f"{iterations.median:.0f}",
                    shown_cost(seconds.median),
                )
            )
        header = ("stage", "parameters", "L2 at its end, median", "range", "iterations so far", "seconds so far")
        return [
            "Errors at the end of each stage of the grid extension:",
            "",
            *table(header, rows),
            "",
            *points_table(points_of(outcomes)),
        ]


def uniform(base: NetworkJob, problem: Problem) -> KAN:
    """Return the run's KAN with even knots and a fixed number of nodes; raise KanpdeError for another network."""
    if not isinstance(base.model, KAN):
        raise KanpdeError("this experiment is about KANs: use model=kan.")
    model = replace(base.model, knots="uniform")
    if model.products is None and model.width is None:
        few = model.suited(problem)
        model = replace(model, products=few.start_products or few.products, start_products=None)
    return model
