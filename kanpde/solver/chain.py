"""Several methods one after the other, for example Adam and then L-BFGS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.model import Change
from kanpde.residual import System
from kanpde.solver.base import Solver, State


@dataclass(frozen=True)
class Chain(Solver):
    """Each method takes over where the one before has stopped or reached its iterations; random starts use the first.

    Raises KanpdeError for an empty chain.
    """

    solvers: tuple[Solver, ...]

    name = "chain"

    def __post_init__(self) -> None:
        if not self.solvers:
            raise KanpdeError("a chain needs at least one solver.")

    @property
    def divides(self) -> bool:  # type: ignore[override]
        """Whether all methods let rows be divided."""
        return all(solver.divides for solver in self.solvers)

    @property
    def starts(self) -> int:  # type: ignore[override]
        """Those of the first method."""
        return self.solvers[0].starts

    @property
    def start_iterations(self) -> int:  # type: ignore[override]
        """Those of the first method."""
        return self.solvers[0].start_iterations

    @property
    def stage_iterations(self) -> int:  # type: ignore[override]
        """Those of all methods together."""
        return sum(solver.stage_iterations for solver in self.solvers)

    def init(self, system: System, theta: Tensor, memory: dict[str, Any] | None = None) -> State:
        place, inner = (memory["place"], memory["inner"]) if memory else (0, None)
        return self._outer(place, 0, self.solvers[place].init(system, theta, inner))

    def step(self, system: System, state: State) -> State:
        place, iteration = state.memory["place"], state.memory["iteration"] + 1
        solver = self.solvers[place]
        new = solver.step(system, self._inner(state))
        if place + 1 < len(self.solvers) and (new.stopped or iteration >= solver.stage_iterations):
            place, iteration = place + 1, 0
            new = self.solvers[place].init(system, new.theta)
        return self._outer(place, iteration, new)

    def kept(self, state: State) -> dict[str, Any]:
        return {**state.memory, "inner": self._current(state).kept(self._inner(state))}

    def saved(self, state: State) -> dict[str, Any]:
        return {**state.memory, "inner": self._current(state).saved(self._inner(state))}

    def restored(self, system: System, theta: Tensor, memory: dict[str, Any]) -> State:
        place = memory["place"]
        return self._outer(place, memory["iteration"], self.solvers[place].restored(system, theta, memory["inner"]))

    def transfer(self, memory: dict[str, Any], change: Change) -> dict[str, Any]:
        if not memory:
            return memory
        return {**memory, "inner": self.solvers[memory["place"]].transfer(memory["inner"], change)}

    def lasting(self, memory: dict[str, Any]) -> dict[str, Any]:
        return {**memory, "inner": self.solvers[memory["place"]].lasting(memory["inner"])} if memory else memory

    def _current(self, state: State) -> Solver:
        return self.solvers[state.memory["place"]]

    def _inner(self, state: State) -> State:
        return State(state.theta, state.loss, state.memory["inner"], state.stopped)

    def _outer(self, place: int, iteration: int, inner: State) -> State:
        memory = {"place": place, "iteration": iteration, "inner": inner.memory}
        return State(inner.theta, inner.loss, memory, inner.stopped)
