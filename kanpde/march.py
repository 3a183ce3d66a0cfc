"""Several trainings that make one solution: slabs of time one after the other, and corrections of what was found.

A slab goes on from the frozen solution of the slab before. A correction is one more network around a frozen solution
(Wang & Lai 2024, Multi-stage neural networks). Each training is that of a `Trainer`; this module says which there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite, sqrt
from typing import Any

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.full import RESOLVED
from kanpde.geometry import Box
from kanpde.model import KAN, MLP, Ansatz, Network
from kanpde.multiindex import IndexSet
from kanpde.position import Budget, Checkpoint, Position, Progress, Row
from kanpde.problem import Dirichlet, InitialVelocity, Problem
from kanpde.sampling import Sampling
from kanpde.solver import Solver
from kanpde.training import Trainer

Slabs = int | Sequence[float]
SEED_STEP = 15_485_863
"""Between the seeds of two trainings, so that none has the points of another."""


@dataclass(frozen=True)
class Piece:
    """A trained network in its ansatz; `collocation` gives the interior points (N, d) of its last stage."""

    ansatz: Ansatz
    network: Network
    theta: Tensor
    collocation: Callable[[], Tensor]

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return Taylor coefficients (channel, point, unknown)."""
        return self.ansatz.taylor(self.network, self.theta, at, indices)


@dataclass(frozen=True)
class Solution:
    """The pieces of every slab; the last one is the solution there, and each but the first corrects the one before.

    `time` is the coordinate of the `breaks` between the slabs. At a break the slab that ends there answers.
    """

    time: str | None
    breaks: tuple[float, ...]
    slabs: tuple[tuple[Piece, ...], ...]

    @property
    def theta(self) -> Tensor:
        """The parameters of all pieces (P,)."""
        return torch.cat([piece.theta for pieces in self.slabs for piece in pieces])

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return Taylor coefficients (channel, point, unknown)."""
        if not self.breaks:
            return self.slabs[0][-1].taylor(at, indices)
        t = getattr(at, str(self.time)).contiguous()
        slab = torch.bucketize(t, t.new_tensor(self.breaks))
        found = t.new_empty(len(indices), len(t), len(self.slabs[0][0].ansatz.problem.unknowns))
        for number, pieces in enumerate(self.slabs):
            where = (slab == number).nonzero()[:, 0]
            if len(where):
                found[:, where] = pieces[-1].taylor(at.part(where), indices)
        return found


class March:
    """Trains the networks of all slabs and corrections; `run` does it all, from a checkpoint's positions if given.

    slabs: a number of equal slabs, or the times between them. corrections: of each slab; one is kept if it lowers the
    held-out residual. Every training has an equal share of the budget that those before it have left.
    Raises KanpdeError for what `slab_problems` and `Trainer` refuse, and for a negative number of corrections.
    """

    def __init__(
        self,
        problem: Problem,
        model: KAN | MLP,
        solver: Solver,
        sampling: Sampling,
        conditions: str,
        budget: Budget,
        seed: int,
        device: torch.device,
        slabs: Slabs = 1,
        corrections: int = 0,
    ) -> None:
        check_corrections(corrections)
        self.problems = slab_problems(problem, slabs)
        self.corrections, self.budget = corrections, budget
        self._settings = model, solver, sampling, conditions
        self._seed, self._device = seed, device
        self.positions: list[Position] = []
        self.history: list[dict[str, Any]] = []
        self._reasons: list[str] = []
        self._first = self._trainer(Ansatz(self.problems[0], conditions), 1, 0)

    @property
    def iterations(self) -> int:
        """The iterations of all trainings so far."""
        return sum(position.total for position in self.positions)

    @property
    def seconds(self) -> float:
        """The seconds of all trainings so far."""
        return sum(position.elapsed for position in self.positions)

    @property
    def stopped(self) -> str:
        """Why the trainings ended."""
        return "; ".join(dict.fromkeys(self._reasons))

    def run(
        self,
        positions: Sequence[Position] = (),
        progress: Progress | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Solution:
        """Return the solution; of given positions all but the last one are of trainings that have ended."""
        self._given, self._progress, self._checkpoint = positions, progress, checkpoint
        self.positions, self.history, self._reasons = [], [], []
        conditions = self._settings[-1]
        slabs: list[tuple[Piece, ...]] = []
        for number, problem in enumerate(self.problems, start=1):
            before = slabs[-1][-1].taylor if slabs else None
            first = self._trainer(Ansatz(problem, conditions, before), number, 0) if slabs else self._first
            slabs.append(tuple(self._pieces(first, number)))
        time = self.problems[0].geometry.time
        breaks = tuple(p.geometry.lower[p.geometry.names.index(str(time))] for p in self.problems[1:])
        return Solution(time, breaks, tuple(slabs))

    def following(self, network: Network, theta: Tensor) -> Position:
        """Return the position at which the first training goes on from parameters (P,) of a network of its model."""
        return self._first.following(network, theta)

    def found(self, position: Position) -> Solution:
        """Return what the first training had found at a position; for one slab without corrections, after `run`."""
        network, theta = self._first.found(position)
        piece = Piece(self._first.ansatz, network, theta, lambda: self._first.points(position))
        return Solution(None, (), ((piece,),))

    def _pieces(self, first: Trainer, slab: int) -> Iterator[Piece]:
        """Yield the first piece of a slab, and each correction that lowers the held-out residual of the one before."""
        trainer, size = first, 1.0
        for correction in range(self.corrections + 1):
            piece, position = self._trained(trainer, slab, correction, size)
            held_out = trainer.collocation.held_out(piece.network, position.draws)
            loss = held_out.loss(piece.theta)
            if correction and not loss < held_out.loss(torch.zeros_like(piece.theta)):
                self._reasons.append(f"correction {correction} left out, as it lowers no residual")
                return
            yield piece
            if correction == self.corrections:
                return
            # The new network is of order one, and the first loss of its training is about 1/2.
            size *= sqrt(2 * loss)
            if size <= RESOLVED:
                self._reasons.append("no correction of a residual that is resolved")
                return
            scales = {label: size * scale for label, scale in first.collocation.scales.items()}
            trainer = self._trainer(first.ansatz.corrected(piece.taylor, size), slab, correction + 1, scales)

    def _trainer(
        self, ansatz: Ansatz, slab: int, correction: int, scales: Mapping[str, float] | None = None
    ) -> Trainer:
        left = (len(self.problems) - slab) * (self.corrections + 1) + self.corrections - correction + 1
        budget = self.budget.share(self.iterations, self.seconds, left)
        seed = self._seed + SEED_STEP * len(self.positions)
        return Trainer(ansatz.problem, *self._settings, budget, seed, self._device, ansatz, scales)

    def _trained(self, trainer: Trainer, slab: int, correction: int, size: float) -> tuple[Piece, Position]:
        """Return what a training finds, and its position; losses in the history are in units of the first network."""
        done, before, seconds = list(self.positions), self.iterations, self.seconds

        def placed(row: Mapping[str, Any]) -> dict[str, Any]:
            return {
                **row,
                "iteration": row["iteration"] + before,
                "seconds": row["seconds"] + seconds,
                "loss": row["loss"] * size**2,
                "held_out": row["held_out"] * size**2,
                "slab": slab,
                "correction": correction,
            }

        def progress(row: Row) -> None:
            if self._progress:
                self._progress(Row(**placed(vars(row))))

        def checkpoint(state: dict[str, Any]) -> None:
            if self._checkpoint:
                self._checkpoint({"positions": [*(dict(vars(p)) for p in done), state["position"]]})

        if len(done) + 1 < len(self._given):
            position = self._given[len(done)]
            network, theta = trainer.found(position)
        else:
            position = self._given[len(done)] if len(done) < len(self._given) else Position()
            network, theta, position = trainer.run(position, progress, checkpoint)
        self.history += map(placed, position.history)
        shared = len(self.problems) * (self.corrections + 1) > 1
        self._reasons.append(
            position.stopped.replace("budget of", "its share of the budget,") if shared else position.stopped
        )
        self.positions.append(position)
        return Piece(trainer.ansatz, network, theta, lambda: trainer.points(position)), position


def check_corrections(corrections: int) -> None:
    """Raise KanpdeError for a negative number of corrections."""
    if corrections < 0:
        raise KanpdeError(f"corrections={corrections}: give a number of corrections, 0 for none.")


def slab_problems(problem: Problem, slabs: Slabs) -> tuple[Problem, ...]:
    """Return a problem on each of its slabs of time; the problem itself if there is one slab.

    Raises KanpdeError for fewer than one slab, times that do not ascend inside the interval, a problem without time,
    without initial values to hand over, or with conditions that tie times together.
    """
    if slabs == 1:
        return (problem,)
    geometry, time = problem.geometry, problem.geometry.time
    if time is None or not isinstance(geometry, Box):
        raise KanpdeError(f"slabs={shown(slabs)}: problem '{problem.name}' has no time on a box: use slabs=1.")
    axis = geometry.names.index(time)
    start, end = geometry.lower[axis], geometry.upper[axis]
    if isinstance(slabs, int):
        if slabs < 1:
            raise KanpdeError(f"slabs={slabs}: give at least 1 slab.")
        times = [start + (end - start) * number / slabs for number in range(slabs)] + [end]
    else:
        times = [start, *map(float, slabs), end]
    if not all(map(isfinite, times)) or any(not a < b for a, b in pairwise(times)):
        raise KanpdeError(f"slabs={shown(slabs)}: give times that ascend inside ({start:g}, {end:g}).")
    check_initial(problem, geometry, axis, slabs)
    return tuple(replace(problem, geometry=geometry.part(**{time: interval})) for interval in pairwise(times))


def check_initial(problem: Problem, geometry: Box, axis: int, slabs: Slabs) -> None:
    """Raise KanpdeError unless a problem can go on from its own solution at a later time."""
    valued: set[int] = set()
    moving: dict[int, str] = {}
    for label, condition in problem.conditions.items():
        faces = geometry.faces(condition.where)
        if all(face[0] != axis for face in faces):
            continue
        if not isinstance(condition, Dirichlet | InitialVelocity) or faces != ((axis, 0),):
            raise KanpdeError(
                f"slabs={shown(slabs)}: condition '{label}' is not one of values or velocities at the initial time:"
                " use slabs=1."
            )
        u = problem.unknown_of(label, condition)
        if isinstance(condition, Dirichlet):
            valued.add(u)
        else:
            moving[u] = label
    for u, label in moving.items():
        if u not in valued:
            raise KanpdeError(
                f"slabs={shown(slabs)}: '{label}' is a velocity without an initial value: add one, or use slabs=1."
            )
    if not valued:
        raise KanpdeError(f"slabs={shown(slabs)}: problem '{problem.name}' has no initial value: use slabs=1.")


def shown(slabs: Slabs) -> str:
    """Return slabs as the command line takes them."""
    return str(slabs) if isinstance(slabs, int) else "[" + ",".join(f"{t:g}" for t in slabs) + "]"
