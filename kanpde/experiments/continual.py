"""Continual learning: data that are shown part after part, and what a network still knows of the first ones.

Section 3.5 of the KAN paper (Liu et al. 2024). Splines are local: coefficients that data do not see are left alone by
damped least squares from the present ones. An MLP changes everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kanpde.check import most_parameters
from kanpde.compare import mlp_of_size
from kanpde.errors import KanpdeError
from kanpde.experiments.experiment import Experiment, require_positive
from kanpde.experiments.figures import draw_phases
from kanpde.experiments.job import Job, NetworkJob
from kanpde.experiments.outcome import Outcome, read_rows
from kanpde.experiments.tables import shown_error, shown_ratio, table
from kanpde.field import Points
from kanpde.library import load_problem
from kanpde.metrics import Method
from kanpde.model import KAN
from kanpde.multiindex import IndexSet
from kanpde.problem import Problem
from kanpde.record import RunDirectory, write_csv
from kanpde.run import Run, solve

PROBLEM = "continual"
PHASES = 5
POINTS = 1001
COLUMNS = ("phase", "x", "u", "reference")


@dataclass(frozen=True, kw_only=True)
class PhasesJob(NetworkJob):
    """A training on one phase after the other, each from the parameters before; its row is that of the last one."""

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "phases": PHASES}

    def compute(self, problem: Problem, folder: RunDirectory) -> Method:
        run, rows = None, []
        for phase in range(1, PHASES + 1):
            shown = load_problem(self.problem, **{**self.arguments, "phase": phase})
            run = self.trained(shown, run)
            rows += values(run, phase)
        assert run is not None
        write_csv(folder.path / "phases.csv", COLUMNS, rows)
        folder.write_history({run.method.name: run.history})
        return run.method

    def trained(self, problem: Problem, start: Run | None) -> Run:
        """Return the run on the data of a phase from the one before."""
        return solve(
            problem,
            self.model,
            self.solver,
            sampling=self.sampling,
            budget=self.budget,
            seed=self.seed,
            device=self.device,
            threads=self.threads,
            start=start,
        )


@dataclass(frozen=True)
class Continual(Experiment):
    """Settings of the experiment on continual learning. grid, degree: of the KAN, one spline of x."""

    grid: int = 100
    degree: int = 3

    name = "continual"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("grid", [self.grid])

    def jobs(self, base: NetworkJob, problem: Problem) -> list[Job]:
        if base.problem != PROBLEM:
            raise KanpdeError(f"experiment=continual is about problem={PROBLEM}, not '{problem.name}'.")
        spline = KAN(width=(), grid=self.grid, degree=self.degree, start_grid=self.grid, knots="uniform")
        networks = {"KAN": spline, "MLP": mlp_of_size(most_parameters(problem, spline), 1, 1)}
        settings = {name: getattr(base, name) for name in base.__dataclass_fields__}
        jobs = (PhasesJob(**{**settings, "model": model, "series": name}) for name, model in networks.items())
        return [job for network in jobs for job in self.each_seed(network)]

    def report(self, outcomes: Sequence[Outcome], folder: Path) -> list[str]:
        done = [outcome for outcome in outcomes if outcome.method is not None]
        curves = {outcome.job.series: rows_of(outcome) for outcome in reversed(done)}
        draw_phases({name: curves[name] for name in sorted(curves)}, folder / "continual", "five bumps, one by one")
        lines = []
        for name in dict.fromkeys(outcome.job.series for outcome in done):
            members = [outcome for outcome in done if outcome.job.series == name]
            found = [errors_of(rows_of(outcome)) for outcome in members]
            sizes = {outcome.method.parameters for outcome in members if outcome.method is not None}
            growth = [errors[-1, 0] / errors[0, 0] for errors in found]
            rows = [
                (f"after phase {n + 1}", *(shown_error(median(e[n, m] for e in found)) for m in range(PHASES)))
                for n in range(PHASES)
            ]
            lines += [
                f"{name}, {', '.join(map(str, sorted(sizes)))} parameters, {len(found)} seeds: relative L2 error on"
                " each bump, median. That on the first one after the last phase is"
                f" {shown_ratio(median(growth), 1.0)} times what it was, at most {shown_ratio(max(growth), 1.0)}.",
                "",
                *table(("", *(f"bump {n + 1}" for n in range(PHASES))), rows),
                "",
            ]
        return lines


def values(run: Run, phase: int) -> list[dict[str, float]]:
    """Return a row for each of many points with the values of a run and of the reference."""
    lower, upper = run.problem.geometry.lower[0], run.problem.geometry.upper[0]
    x = torch.linspace(lower, upper, POINTS, dtype=torch.float64)
    names = run.problem.geometry.names
    at, indices = Points.of(names, x[:, None]), IndexSet(names)
    assert run.problem.reference is not None
    found, wanted = (source.taylor(at, indices)[0, :, 0] for source in (run, run.problem.reference))
    columns: tuple[Tensor, ...] = (x, found.detach(), wanted)
    return [
        {"phase": phase, "x": a, "u": b, "reference": c} for a, b, c in zip(*(c.tolist() for c in columns), strict=True)
    ]


def rows_of(outcome: Outcome) -> list[Mapping[str, Any]]:
    """Return what a network was after each phase."""
    return list(read_rows(outcome.path / "phases.csv"))


def errors_of(rows: Sequence[Mapping[str, Any]]) -> np.ndarray[Any, Any]:
    """Return the relative L2 errors (phase, bump), each on its fifth of the line."""
    u, reference = (np.array([row[name] for row in rows]).reshape(PHASES, POINTS) for name in ("u", "reference"))
    found = np.empty((PHASES, PHASES))
    for bump, part in enumerate(np.array_split(np.arange(POINTS), PHASES)):
        difference = np.linalg.norm((u - reference)[:, part], axis=1)
        found[:, bump] = difference / np.linalg.norm(reference[:, part], axis=1)
    return found
