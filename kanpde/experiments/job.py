"""Jobs of an experiment: one training or one finite element solution each, as data, and the directory each leaves."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from kanpde.environment import environment
from kanpde.errors import KanpdeError
from kanpde.library import load_problem
from kanpde.metrics import ErrorMeasure, Method, evaluation_seconds
from kanpde.model import KAN, MLP, Ansatz
from kanpde.position import Budget
from kanpde.problem import Problem
from kanpde.record import RunDirectory, digest, results
from kanpde.reference.fem import Resolution, ladder
from kanpde.run import choose_device, solve
from kanpde.sampling import Sampling
from kanpde.solver import Auto, Solver
from kanpde.training_points import Collocation


@dataclass(frozen=True, kw_only=True)
class Job(ABC):
    """One thing to compute. What is computed is in `config`; `series` and `place` say where its result is drawn.

    problem: name or path of a problem file, and the `arguments` it gets. series: the line of a figure. place: what
    varies along that line besides the seed, by name.
    """

    problem: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    series: str = ""
    place: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"
    threads: int | None = 1

    @property
    @abstractmethod
    def kind(self) -> str:
        """What is computed, in a word: the beginning of the directory's name."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return all that the result depends on besides the problem, as config.yaml holds it."""

    @abstractmethod
    def compute(self, problem: Problem, folder: RunDirectory) -> Method:
        """Return the row of the table, having left the other files of a run in its directory."""

    def config(self) -> dict[str, Any]:
        """Return the configuration of the job, as the run directory keeps it."""
        loading = {"_target_": "kanpde.library.load_problem", "name": self.problem, **self.arguments}
        return {"problem": plain(loading), **self.settings()}

    @property
    def directory(self) -> str:
        """The name of the job's directory: the same job has the same one, and another has another."""
        origin = load_problem(self.problem, **self.arguments).origin
        return f"{self.kind}-{digest([self.config(), origin])}"

    @property
    def problem_name(self) -> str:
        """The name of the problem, with the arguments that were given."""
        given = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return Path(self.problem).stem + (f" ({given})" if given else "")

    @property
    def label(self) -> str:
        """The job in a few words."""
        place = "".join(f", {name} {value}" for name, value in self.place.items())
        return f"{self.series or self.kind}{place}, seed {self.seed}"

    def do(self, root: Path) -> None:
        """Compute the job in its directory under `root`, unless it is there; wait if another process does it.

        A job that is refused is recorded as a failure with its message.
        """
        path = root / self.directory
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path / ".lock"):
            folder = RunDirectory(path)
            if folder.finished:
                return
            folder.write_config(self.config())
            problem = load_problem(self.problem, **self.arguments)
            try:
                problem = with_reference(self.problem, json.dumps(plain(self.arguments)))
                method = self.compute(problem, folder)
                where = {**environment(choose_device(self.device)), "threads": self.threads or "auto"}
                document = results(problem, [method], environment=where)
            except KanpdeError as error:
                document = {**results(problem, []), "failed": str(error)}
            folder.write_results({**document, "finished": True})


@dataclass(frozen=True, kw_only=True)
class NetworkJob(Job):
    """A training through `kanpde.solve`.

    alpha: weight of the mean square residual of the equations relative to that of soft conditions, both in their own
    units; None leaves residuals in units of their sizes. trace: measure errors during training as well; such a job
    does not continue from a checkpoint, it begins anew.
    """

    model: KAN | MLP = field(default_factory=KAN)
    solver: Solver | Auto = field(default_factory=Auto)
    sampling: Sampling = field(default_factory=Sampling)
    budget: Budget = field(default_factory=Budget)
    conditions: str = "hard"
    slabs: int | tuple[float, ...] = 1
    corrections: int = 0
    device: str = "auto"
    threads: int | None = None  # the number of parameters decides
    alpha: float | None = None
    trace: bool = False

    @property
    def kind(self) -> str:
        return self.model.name

    def settings(self) -> dict[str, Any]:
        named = ("model", "solver", "sampling", "budget", "conditions", "slabs", "corrections", "device", "threads")
        parts = {name: described(getattr(self, name)) for name in named}
        own = {name: getattr(self, name) for name in ("alpha", "trace") if getattr(self, name)}
        return {**parts, "baseline": "none", "seed": self.seed, **own}

    def compute(self, problem: Problem, folder: RunDirectory) -> Method:
        if self.alpha is not None:
            problem = weighted(problem, self.alpha, self.sampling, self.seed, choose_device(self.device))
        run = solve(
            problem,
            self.model,
            self.solver,
            sampling=self.sampling,
            conditions=self.conditions,
            slabs=self.slabs,
            corrections=self.corrections,
            budget=self.budget,
            seed=self.seed,
            device=self.device,
            threads=self.threads,
            checkpoint=None if self.trace else folder.checkpoint,
            trace=self.trace,
        )
        folder.write_history({run.method.name: run.history})
        if self.trace:
            folder.write_trace([asdict(moment) for moment in run.trace])
        return run.method


@dataclass(frozen=True, kw_only=True)
class FEMJob(Job):
    """A finite element solution, built from the problem's equations."""

    resolution: Resolution

    @property
    def kind(self) -> str:
        return "fem"

    def settings(self) -> dict[str, Any]:
        return {"fem": self.resolution._asdict()}

    def compute(self, problem: Problem, folder: RunDirectory) -> Method:
        torch.set_num_threads(1)  # as the sparse solver has it
        fem = self.resolution.solve(problem)
        seconds = {**fem.seconds, "evaluate_1e5": evaluation_seconds(fem.taylor, problem)}
        errors = None if problem.reference is None else ErrorMeasure(problem).of(fem.taylor)
        return Method(self.resolution.name, fem.dofs, errors, seconds, fem.iterations, fem.stopped)


@cache
def with_reference(name: str, arguments: str) -> Problem:
    """Return a problem with a reference, its own or the finest of the finite element solutions that are compared with.

    `arguments` are JSON. Raises KanpdeError if finite elements do not apply to a problem without a reference.
    """
    problem = load_problem(name, **json.loads(arguments))
    if problem.reference is None:
        problem = replace(problem, reference=ladder(problem)[-1].solve(problem))
    return problem


def weighted(problem: Problem, alpha: float, sampling: Sampling, seed: int, device: torch.device) -> Problem:
    """Return a problem whose loss with soft conditions is a multiple of alpha <r^2> + sum <g^2> over its conditions g.

    Without this the residuals r and g are divided by their sizes. Raises KanpdeError for several equations.
    """
    like = torch.zeros((), dtype=torch.float64, device=device)
    scales = Collocation(Ansatz(problem, "soft"), sampling, seed, like).scales
    if len(problem.equations) != 1:
        raise KanpdeError(f"alpha={alpha}: a problem with {len(problem.equations)} equations has no such weight.")
    (equation,) = problem.equations
    conditions = {
        label: replace(condition, weight=(scales.get(label, 1.0) / scales[equation]) ** 2 / alpha)
        for label, condition in problem.conditions.items()
    }
    return replace(problem, conditions=conditions)


def described(value: Any) -> Any:
    """Return settings as a configuration holds them: a class by its name, with its fields."""
    if is_dataclass(value) and not isinstance(value, type):
        entries = {entry.name: described(getattr(value, entry.name)) for entry in fields(value)}
        return {"_target_": f"kanpde.{type(value).__name__}", **entries}
    return [described(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as JSON has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
