"""`solve`: train networks on a problem and return what was found, with its errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, sqrt
from pathlib import Path
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kanpde import processes
from kanpde.check import fewest_rows, most_parameters
from kanpde.edges import edge_functions, has_edge_functions
from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Points
from kanpde.library import load_problem
from kanpde.march import March, Slabs, Solution, shown
from kanpde.metrics import ErrorMeasure, Errors, Method, evaluation_seconds
from kanpde.model import KAN, MLP
from kanpde.multiindex import IndexSet
from kanpde.plot import (
    Figure,
    can_render,
    draw_convergence,
    draw_network,
    draw_points,
    draw_slices,
    draw_solution,
    draw_volume,
    has_slices,
    has_volume,
    save,
)
from kanpde.position import Budget, Position, Progress
from kanpde.problem import Problem
from kanpde.record import Sample, digest, load_checkpoint, sample_solution, save_checkpoint
from kanpde.sampling import Sampling
from kanpde.solver import Auto, Solver
from kanpde.threads import default_threads
from kanpde.trace import Moment, Trace, each_of

if TYPE_CHECKING:
    from kanpde.interpret import Model, Simplified

DEVICES = ("auto", "cpu", "cuda")
PICTURES = ("solution", "volume", "slices", "convergence", "points", "network")
NETWORK_POINTS = 4096
"""Points at which the importance of edges is measured."""
CHECKPOINT_SECONDS = 2.0


@dataclass(frozen=True)
class Run:
    """Trained networks as the solution of a problem.

    Each unknown is a function of the coordinates, in the problem's order: `run.u(0.5, 0.2)`; floats, arrays and
    tensors of one shape (or that broadcast) give the same kind back. `solution` holds the networks of all slabs and
    corrections, `theta` their parameters. `method` is the row of the table, `history` holds a dict per iteration.
    `trace` holds the errors during training, if `solve` was asked for them.
    """

    problem: Problem
    solution: Solution
    method: Method
    history: tuple[dict[str, Any], ...]
    trace: tuple[Moment, ...] = ()

    @property
    def theta(self) -> Tensor:
        """The parameters of all networks (P,)."""
        return self.solution.theta

    @property
    def scalars(self) -> dict[str, float]:
        """The values that were found for the unknown scalars of an inverse problem, by their names."""
        return dict(self.method.scalars)

    @property
    def errors(self) -> Errors | None:
        """The errors against the problem's reference; None if it has none."""
        return self.method.errors

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return Taylor coefficients (channel, point, unknown), on the device of the points."""
        return self._complete(at, indices)[..., : len(self.problem.unknowns)]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        unknowns = self.__dict__["problem"].unknowns if "problem" in self.__dict__ else ()
        if name not in unknowns:
            raise AttributeError(f"'Run' has no attribute '{name}'; the unknowns are {', '.join(unknowns)}.")
        number = unknowns.index(name)
        return lambda *coordinates: self._values(number, coordinates)

    def _values(self, number: int, coordinates: tuple[Any, ...]) -> Any:
        names = self.problem.geometry.names
        if len(coordinates) != len(names):
            raise KanpdeError(
                f"{self.problem.unknowns[number]}({', '.join(names)}) takes {len(names)} coordinates,"
                f" {len(coordinates)} were given."
            )
        tensors = torch.broadcast_tensors(*(torch.as_tensor(x, dtype=torch.float64) for x in coordinates))
        points = torch.stack([x.reshape(-1) for x in tensors], dim=1)
        parts = [self.taylor(Points.of(names, part), IndexSet(names))[0, :, number] for part in points.split(8192)]
        values = torch.cat(parts).reshape(tensors[0].shape)
        if any(isinstance(x, Tensor) for x in coordinates):
            return values
        return values.numpy() if any(isinstance(x, (np.ndarray, list, tuple)) for x in coordinates) else float(values)

    @cached_property
    def sample(self) -> Sample:
        """The solution, the reference and the residuals on a uniform grid."""
        return sample_solution(self.taylor, self.problem, complete=self._complete if self.problem.equations else None)

    @property
    def points(self) -> Tensor:
        """The interior collocation points (N, d) of the last stage, in all slabs; of data alone theirs."""
        return torch.cat([pieces[0].collocation() for pieces in self.solution.slabs])

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of the pictures that this run has.

        A volume needs three coordinates of space and pyvista, slices need time, and only a KAN has functions on edges.
        Without equations there are no residuals to show points on.
        """
        missing = set() if has_slices(self.sample) else {"slices"}
        if not has_volume(self.sample) or not can_render():
            missing.add("volume")
        if not self.problem.equations:
            missing.add("points")  # they lie on the residuals of equations
        if not has_edge_functions(self.solution.slabs[0][0].network):
            missing.add("network")
        return tuple(name for name in PICTURES if name not in missing)

    def draw(self, what: str = "solution") -> Figure:
        """Return one of the `pictures` as a figure of matplotlib.

        Raises KanpdeError for any other name, and for a volume that cannot be rendered here.
        """
        if what == "volume" and has_volume(self.sample):
            return draw_volume(self.sample, self.method.name)
        if what not in self.pictures:
            raise unknown_name("picture of this run", what, self.pictures)
        if what == "slices":
            return draw_slices(self.sample, self.method.name)
        if what == "convergence":
            return draw_convergence({self.method.name: self.history})
        if what == "points":
            return draw_points(self.sample, self.points.cpu().numpy(), self.problem.geometry.names)
        if what == "network":
            piece, slabs = self.solution.slabs[0][0], len(self.solution.slabs)
            problem = piece.ansatz.problem
            edges = edge_functions(piece.network, piece.theta, problem.geometry.sample(NETWORK_POINTS).to(piece.theta))
            names, note = problem.geometry.names, f"slab 1 of {slabs}" if slabs > 1 else ""
            return draw_network(edges, names, problem.unknowns, problem.name, note)
        return draw_solution(self.sample, self.method.name, None if self.errors is None else self.errors.rel_l2)

    @cached_property
    def model(self) -> Model:
        """What is inside the network, to look at and to change: see `kanpde.interpret.Model`.

        Raises KanpdeError for several slabs or corrections, and for an MLP.
        """
        from kanpde.interpret import Model  # sympy takes a second to import

        pieces = [piece for slab in self.solution.slabs for piece in slab]
        if len(pieces) > 1:
            raise KanpdeError(f"the solution has {len(pieces)} networks: look inside one with slabs=1, corrections=0.")
        return Model.of(pieces[0].ansatz, pieces[0].network, pieces[0].theta)

    def simplify(self, seconds: float = 150.0, say: Callable[[str], None] = lambda line: None) -> Simplified:
        """Return a formula for the solution, fitted with the residuals; raise NoFormula if none is good enough.

        `run.simplify().model.formula()` has it. It is looked for in the solution (`kanpde.interpret.simplify`), and if
        there is none on the edges of the network (`kanpde.interpret.stepwise`) for as long again.
        """
        from kanpde.interpret import NoFormula, simplify, stepwise, sufficient

        names = self.problem.geometry.names

        def values(points: Tensor) -> Tensor:
            return self.taylor(Points.of(names, points), IndexSet(names))[0]

        try:
            return simplify(
                self.problem, values, self.residual, scalars=self.scalars, like=self.theta, seconds=seconds, say=say
            )
        except NoFormula as none:
            say(str(none))
            try:
                model = self.model
            except KanpdeError as error:  # an MLP, or several networks
                raise NoFormula(f"{none} Edge by edge: {error}") from None
            if model.hard:
                raise NoFormula(f"{none} Its edges are those of N in u = A + q N: use conditions=soft.") from None
            try:
                return stepwise(model, sufficient(self.problem, self.residual), seconds=seconds, say=say)
            except NoFormula as error:
                raise NoFormula(f"{none} {error}", error.model) from None

    @property
    def residual(self) -> float:
        """The least relative residual that the networks of all slabs had on held-out points."""
        least: dict[int, float] = {}
        for row in self.history:
            if row["held_out"] == row["held_out"]:
                least[row["slab"]] = min(row["held_out"], least.get(row["slab"], inf))
        if least:
            return sqrt(2 * max(least.values()))
        from kanpde.interpret.refit import relative_residual  # of a network that was converged to begin with

        pieces = [piece for slab in self.solution.slabs for piece in slab]
        return max(relative_residual(piece.network, piece.theta, piece.ansatz) for piece in pieces)

    def plot(self, path: str | Path = "solution.png", what: str = "solution") -> Path:
        """Draw one of the `pictures` to a .png, .pdf or .svg file and return its path."""
        save(self.draw(what), path)
        return Path(path)

    def _complete(self, at: Points, indices: IndexSet) -> Tensor:
        """Return Taylor coefficients of the unknowns and then of the scalars, on the device of the points."""
        points = at.array()
        return self.solution.taylor(Points.of(at.names, points.to(self.theta)), indices).to(points)


def choose_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is a GPU if there is one. Raise KanpdeError if it is not there."""
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise KanpdeError("device=cuda: no CUDA device is there: use device=cpu or device=auto.")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def solve(
    problem: Problem | str,
    model: KAN | MLP | None = None,
    solver: Solver | Auto | None = None,
    *,
    sampling: Sampling | None = None,
    conditions: str = "hard",
    slabs: Slabs = 1,
    corrections: int = 0,
    budget: Budget | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
    trace: bool = False,
    measured: bool = True,
    start: Run | None = None,
) -> Run:
    """Train `model` on `problem` (or the name or path of one) and return the run with its errors.

    solver: None chooses one by the numbers of parameters and points, see `Auto`.
    slabs: number of equal slabs of time that are solved one after the other, or the times between them. corrections:
    networks that are trained one after the other on what the first one leaves, see `March`.
    threads: of PyTorch on the CPU; None takes one for small networks and every core for large ones. checkpoint: a file
    that is written while training goes on; if it is there already, training goes on from it and ends as if never
    interrupted. trace: measure errors of what had been found during training too, after it; of a training that goes on
    from a checkpoint since then. It is for one slab without corrections.
    measured: whether errors and the time of an evaluation are measured after training.
    start: a run of the same model on the same domain whose network is trained on, in its last stage, instead of random
    starts: on other data, or on a problem with other numbers. It is for one slab without corrections.
    In a block of `processes.together` the points are divided among processes. All return the solution; the first one
    alone writes the checkpoint and measures errors.
    Raises KanpdeError for bad input and for a checkpoint that is damaged or of another run.
    """
    problem = load_problem(problem) if isinstance(problem, str) else problem
    problem.require_complete()
    model, sampling, budget = (model or KAN()).suited(problem), sampling or Sampling(), budget or Budget()
    solver = suited_solver(solver or Auto(), problem, model, sampling)
    begin = perf_counter()
    if problem.scalars and slabs != 1:
        raise KanpdeError(f"slabs={shown(slabs)}: unknown scalars are the same in all of them: use slabs=1.")
    if threads is not None and threads < 1:
        raise KanpdeError(f"threads={threads}: give at least 1, or None to let the size of the network decide.")
    if trace and (problem.reference is None or slabs != 1 or corrections):
        raise KanpdeError("trace=True: errors during training need a reference, one slab and no corrections.")
    if start is not None and (slabs != 1 or corrections or sum(map(len, start.solution.slabs)) > 1):
        raise KanpdeError("start=...: a training goes on from one network: use one slab and no corrections.")
    torch.set_num_threads(threads or default_threads(most_parameters(problem, model), processes.count_here()))
    march = March(problem, model, solver, sampling, conditions, budget, seed, choose_device(device), slabs, corrections)
    setup = perf_counter() - begin
    identity = fingerprint(problem, model, solver, sampling, conditions, seed, slabs, corrections)
    if start is not None:
        identity["start"] = digest([start.theta.tolist()])
    positions = processes.first(lambda: [dict(vars(p)) for p in read_positions(checkpoint, identity)])
    saver = Saver(checkpoint, identity) if checkpoint is not None and processes.is_first() else None
    moments = Trace()
    given = [Position(**position) for position in positions]
    if start is not None and not given:
        given = [march.following(start.solution.slabs[0][0].network, start.theta)]
    solution = march.run(given, progress, each_of(saver, moments) if trace else saver)
    untold = Method(
        model.name, len(solution.theta), None, {}, march.iterations, march.stopped, found_scalars(problem, solution)
    )
    run = Run(problem, solution, untold, tuple(march.history))
    if not (measured and processes.is_first()):
        return run
    seconds = {"setup": setup, "train": march.seconds, "evaluate_1e5": evaluation_seconds(run.taylor, problem)}
    method = replace(untold, seconds=seconds)
    if problem.reference is None:
        return replace(run, method=method)
    measure = ErrorMeasure(problem)
    method = replace(method, errors=measure.of(run.taylor))
    return replace(run, method=method, trace=moments.moments(march, measure) if trace else ())


def found_scalars(problem: Problem, solution: Solution) -> dict[str, float]:
    """Return the values of the unknown scalars in a solution, which are the same everywhere."""
    if not problem.scalars:
        return {}
    at, names = problem.middle(), problem.geometry.names
    there = Points.of(names, at.array().to(solution.theta))
    found = solution.taylor(there, IndexSet(names))[0, 0, len(problem.unknowns) :]
    return dict(zip(problem.scalars, found.tolist(), strict=True))


def suited_solver(solver: Solver | Auto, problem: Problem, model: KAN | MLP, sampling: Sampling) -> Solver:
    """Return a solver, or the one that suits the sizes of the last stage if it is to be chosen.

    Raises KanpdeError for one whose rows cannot be divided among several processes.
    """
    if isinstance(solver, Auto):
        parameters = most_parameters(problem, model)
        solver = solver.suited(parameters, fewest_rows(problem, parameters, sampling))
    if processes.count() > 1 and not solver.divides:
        raise KanpdeError(
            f"the method {solver.name} needs all residual rows in one process, and here are {processes.count()}: use"
            " solver=levenberg_marquardt, self_scaled_broyden, lbfgs, adam or soap, or one process."
        )
    return solver


def fingerprint(
    problem: Problem,
    model: KAN | MLP,
    solver: Solver,
    sampling: Sampling,
    conditions: str,
    seed: int,
    slabs: Slabs = 1,
    corrections: int = 0,
) -> dict[str, str]:
    """Return what a checkpoint must agree in; budgets may differ, so a run can be prolonged."""
    return {
        "problem": f"{problem.name} {dict(problem.arguments)} on {problem.geometry}",
        "model": repr(model),
        "solver": repr(solver),
        "sampling": repr(sampling),
        "conditions": conditions,
        "seed": str(seed),
        "slabs": shown(slabs),
        "corrections": str(corrections),
    }


def read_positions(checkpoint: Path | None, identity: dict[str, str]) -> list[Position]:
    """Return the positions in a checkpoint file, none if there is no file; raise KanpdeError if of another run."""
    if checkpoint is None or not checkpoint.is_file():
        return []
    state = load_checkpoint(checkpoint)
    try:
        saved, positions = state["identity"], [Position(**position) for position in state["positions"]]
    except (KeyError, TypeError):
        raise KanpdeError(f"'{checkpoint}' is not a checkpoint of a training: give another one.") from None
    for what, value in identity.items():
        if saved.get(what) != value:
            raise KanpdeError(
                f"'{checkpoint}' belongs to another run: {what} is {saved.get(what)}, here {value}. Start a new run"
                " or resume with the settings it has."
            )
    return positions


class Saver:
    """Writes a checkpoint atomically, at most every two seconds and at each change of training, phase or stage."""

    def __init__(self, path: Path, identity: dict[str, str]) -> None:
        self.path, self.identity = path, identity
        self._last = monotonic()
        self._place: tuple[Any, ...] = ()

    def __call__(self, state: dict[str, Any]) -> None:
        *ended, position = state["positions"]
        place = (len(ended), position["phase"], position["stage"], position["start"], position["stopped"])
        if place != self._place or monotonic() - self._last >= CHECKPOINT_SECONDS:
            save_checkpoint(self.path, {"identity": self.identity, **state})
            self._last, self._place = monotonic(), place
