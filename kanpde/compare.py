"""The main job: solve a problem with a network, then with the baselines, and put them side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from kanpde import processes
from kanpde.check import Row, check, most_parameters
from kanpde.display import Display, shown_error
from kanpde.environment import environment
from kanpde.errors import KanpdeError, unknown_name
from kanpde.logger import TensorBoard, require_logger
from kanpde.march import check_corrections, shown, slab_problems
from kanpde.metrics import ErrorMeasure, Errors, Method, evaluation_seconds
from kanpde.model import KAN, MLP
from kanpde.plot import draw_convergence, save
from kanpde.position import Budget
from kanpde.problem import Problem
from kanpde.record import RunDirectory, results
from kanpde.reference.fem import Resolution, ladder
from kanpde.run import Run, choose_device, solve, suited_solver
from kanpde.sampling import Sampling
from kanpde.solver import LBFGS, Adam, Auto, Chain, Solver
from kanpde.threads import default_threads
from kanpde.trace import each_of

BASELINES = ("all", "fem", "mlp", "none")


@dataclass(frozen=True)
class Job:
    """Settings of a comparison besides the problem, the model, the solver and theirs.

    conditions: "hard" or "soft". slabs, corrections: see `March`; the baseline networks have them too. baseline: "all",
    "mlp", "fem" or "none". out: the run directory, by default runs/PROBLEM/DATE-TIME. threads: None takes every core.
    pictures: whether to draw them, which takes a few seconds. logger: "tensorboard" writes event files as well, None
    does not.
    """

    conditions: str = "hard"
    slabs: int | Sequence[float] = 1
    corrections: int = 0
    baseline: str = "all"
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    out: str | None = None
    pictures: bool = True
    logger: str | None = None

    def __post_init__(self) -> None:
        if self.baseline not in BASELINES:
            raise unknown_name("baseline", self.baseline, BASELINES)
        check_corrections(self.corrections)
        if self.threads is not None and self.threads < 1:
            raise KanpdeError(f"threads={self.threads}: give at least 1, or null for every core.")
        if self.logger is not None:
            require_logger(self.logger)
        if not 0 <= self.seed < 2**31:
            raise KanpdeError(f"seed={self.seed}: give an integer from 0 to {2**31 - 1}.")


@dataclass(frozen=True)
class Comparison:
    """The network's run, a row per method, and the directory that holds the files."""

    run: Run
    methods: tuple[Method, ...]
    directory: Path


class Interrupted(KeyboardInterrupt):
    """An interrupt of a run that can be continued from its directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory


def compare(
    problem: Problem,
    model: KAN | MLP,
    solver: Solver | Auto,
    *,
    sampling: Sampling,
    budget: Budget,
    job: Job,
    config: Mapping[str, Any],
    directory: Path | None = None,
) -> Comparison:
    """Solve `problem` with `model` and the baselines, print the table and leave a run directory.

    `config` is written there for a later resume; `directory` is that of an interrupted run, which then goes on.
    Several processes train the networks together; the first one does all else.
    Raises KanpdeError for bad input, Interrupted after an interrupt.
    """
    rows = check(problem, model, sampling=sampling, conditions=job.conditions, seed=job.seed)
    device = choose_device(job.device)
    slab_problems(problem, job.slabs)  # refuses what does not fit before there is a directory
    chosen = suited_solver(solver, problem, model, sampling)

    def opened() -> str:
        if directory is not None:
            return str(RunDirectory.open(directory).path)
        folder = RunDirectory.create(problem.name, job.out)
        folder.write_config(config)
        return str(folder.path)

    folder = RunDirectory(Path(processes.first(opened)))
    display = Display(folder.log if processes.is_first() else lambda line: None)
    for line in introduction(problem, model, chosen, rows, job, device):
        display.say(line)
    try:
        return _Comparison(problem, sampling, budget, job, folder, display).run(model, solver)
    except KeyboardInterrupt:
        raise Interrupted(folder.path) from None


class _Comparison:
    """One comparison as it goes on; every finished row is in results.json at once, and is not computed again."""

    def __init__(
        self, problem: Problem, sampling: Sampling, budget: Budget, job: Job, folder: RunDirectory, display: Display
    ) -> None:
        self.sampling, self.budget, self.job, self.folder, self.display = sampling, budget, job, folder, display
        self.ladder: Sequence[Resolution] = ()
        fem_wanted = job.baseline in ("fem", "all")
        if processes.is_first() and (fem_wanted or problem.reference is None):
            try:
                self.ladder = ladder(problem)
            except KanpdeError as error:
                display.say(str(error))
        if problem.reference is None and self.ladder:
            *coarser, finest = self.ladder
            self.ladder = coarser
            problem = replace(problem, reference=finest.solve(problem))
        if not fem_wanted:
            self.ladder = ()
        self.problem = problem
        self.measure = ErrorMeasure(problem) if problem.reference is not None and processes.is_first() else None
        self.environment = {**environment(choose_device(job.device)), "threads": job.threads or "auto"}
        if processes.count() > 1:
            self.environment["processes"] = processes.count()
        self.methods = {method.name: method for method in finished_methods(folder)}
        self.histories: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.logger: TensorBoard | None = None
        if job.logger is not None and processes.is_first():
            self.logger = TensorBoard(folder.path / job.logger, folder.configuration)

    def run(self, model: KAN | MLP, solver: Solver | Auto) -> Comparison:
        """Do all that is not done, and close the files of the logger whatever happens."""
        try:
            return self._run(model, solver)
        finally:
            if self.logger:
                self.logger.close()

    def _run(self, model: KAN | MLP, solver: Solver | Auto) -> Comparison:
        run = self._train(model.name, model, solver, self.folder.checkpoint)
        if self.job.baseline in ("mlp", "all"):
            geometry, unknowns = self.problem.geometry, self.problem.unknowns
            networks = sum(map(len, run.solution.slabs))
            mlp = mlp_of_size(len(run.theta) // networks, geometry.dimension, len(unknowns))
            if model.name != mlp.name:
                self._train(mlp.name, mlp, solver)
            self._train(f"{mlp.name}-adam-lbfgs", mlp, Chain((Adam(), LBFGS())))
        for resolution in self.ladder:
            self._finite_elements(resolution)
        if processes.is_first():
            with processes.alone():  # the others have nothing to add
                self._leave(run)
        return Comparison(run, tuple(self.methods.values()), self.folder.path)

    def _train(self, name: str, model: KAN | MLP, solver: Solver | Auto, checkpoint: Path | None = None) -> Run:
        """Train a network, or load it if its training was finished before."""
        with self.display.progress(name) as display:
            run = solve(
                self.problem,
                model,
                solver,
                sampling=self.sampling,
                conditions=self.job.conditions,
                slabs=self.job.slabs,
                corrections=self.job.corrections,
                budget=self.budget,
                seed=self.job.seed,
                device=self.job.device,
                threads=self.job.threads,
                progress=each_of(display, self.logger.progress(name)) if self.logger else display,
                checkpoint=checkpoint or self.folder.path / f"checkpoint-{name}.pt",
            )
        self.histories[name] = run.history
        if name not in self.methods and processes.is_first():
            self._add(replace(run.method, name=name))
            if run.errors is not None and run.errors.at_values:
                found = run.errors.at_values.items()
                parts = [f"{error:.1e} at {values}" for values, error in found if not math.isnan(error)]
                self.display.say(f"  relative L2 error {', '.join(parts)}")
        return run

    def _finite_elements(self, resolution: Resolution) -> None:
        name = resolution.name
        if name in self.methods:
            return
        try:
            fem = resolution.solve(self.problem)
        except KanpdeError as error:
            self.display.say(f"{name} left out: {error}")
            return
        seconds = {**fem.seconds, "evaluate_1e5": evaluation_seconds(fem.taylor, self.problem)}
        errors = self.measure.of(fem.taylor) if self.measure else None
        self._add(Method(name, fem.dofs, errors, seconds, fem.iterations, fem.stopped))

    def _add(self, method: Method) -> None:
        self.methods[method.name] = method
        self.folder.write_results(results(self.problem, list(self.methods.values()), environment=self.environment))
        error = "" if method.errors is None else f" {shown_error(method.errors)},"
        self.display.say(f"{method.name}:{error} {method.seconds['train']:.2f} s, {method.stopped}")
        if self.logger:
            self.logger.finished(method)
        for name, value in method.scalars.items():
            exact = self.problem.scalars[name].exact
            known = "" if exact is None else f", exactly {exact:.6g}, off by {abs(value - exact):.1e}"
            self.display.say(f"  {name} = {value:.10g}{known}")

    def _leave(self, run: Run) -> None:
        """Write the files that show the network's solution and how all trainings went, and print the table."""
        finished_before = self.folder.finished
        self.folder.write_history(self.histories)
        self.folder.write_solution(run.sample)
        for name in run.pictures if self.job.pictures else ():
            try:
                figure = draw_convergence(self.histories) if name == "convergence" else run.draw(name)
            except KanpdeError as error:
                self.display.say(f"picture {name} left out: {error}")
                continue
            png, pdf = self.folder.picture(name)
            save(figure, png, pdf)
            if self.logger and not finished_before:
                self.logger.picture(run.method.name, name, png, run.method.iterations)
        document = results(self.problem, list(self.methods.values()), environment=self.environment)
        self.folder.write_results({**document, "finished": True})
        self.display.table(list(self.methods.values()), self.problem.reference)
        self.display.say(f"run directory: {self.folder.path}")


def introduction(
    problem: Problem, model: KAN | MLP, solver: Solver, rows: Sequence[Row], job: Job, device: torch.device
) -> Iterator[str]:
    """Yield the lines that say what is solved, with what, on what."""
    yield f"{problem.name}: {problem.description}"
    yield f"{problem.geometry}, unknowns {', '.join(problem.names)}"
    for row in rows:
        yield f"  {row.label}: {row.kind}, " + ("imposed exactly" if row.hard else f"{row.points} points")
    yield f"{model.suited(problem)}, at most {most_parameters(problem, model)} parameters"
    yield f"{solver}"
    if job.slabs != 1 or job.corrections:
        yield f"slabs {shown(job.slabs)}, corrections {job.corrections}: as many networks, one after the other"
    threads = job.threads or default_threads(most_parameters(problem, model), processes.count_here())
    apart = f", {processes.count()} processes" if processes.count() > 1 else ""
    yield f"device {device}, float64, {threads} thread{'s' if threads > 1 else ''}{apart}, seed {job.seed}"
    yield ", ".join(f"{name} {version}" for name, version in environment(device)["versions"].items())


def mlp_of_size(parameters: int, inputs: int, outputs: int) -> MLP:
    """Return the MLP with two equal hidden layers whose number of parameters is nearest to `parameters`."""

    def size(width: int) -> int:
        return (inputs + 1) * width + (width + 1) * width + (width + 1) * outputs

    width = min(range(1, parameters + 2), key=lambda w: abs(size(w) - parameters))
    return MLP(width=(width, width))


def finished_methods(folder: RunDirectory) -> list[Method]:
    """Return the rows of results.json; raise KanpdeError if it is damaged."""
    path = folder.path / "results.json"
    if not path.is_file():
        return []
    document = folder.read_results()
    try:
        floor = 0.0 if document["reference"] is None else document["reference"]["error"]
        return [
            Method(
                name=row["name"],
                parameters=row["parameters"],
                errors=None
                if row["rel_l2"] is None
                else Errors(
                    row["rel_l2"],
                    math.nan if row["rel_h1"] is None else row["rel_h1"],
                    row["max_error"],
                    floor=floor,
                    at_values={
                        values: math.nan if error is None else error
                        for values, error in row.get("rel_l2_at_values", {}).items()
                    },
                    verdict=row.get("verdict", ""),
                ),
                seconds=row["seconds"],
                iterations=row["iterations"],
                stopped=row["stopped"],
                scalars=row.get("scalars", {}),
            )
            for row in document["methods"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise KanpdeError(f"'{path}' cannot be read ({type(error).__name__}: {error}): start the run anew.") from error
