"""What the training loop needs of a method: frozen settings, an explicit state, `init`, `step`, `transfer`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from kanpde.model import Change
from kanpde.residual import System


@dataclass
class State:
    """Parameters theta (P,), their loss, the method's own memory, and why it stopped ("" while it goes on).

    `memory` holds tensors, numbers, strings and lists and dicts of them only, so that a checkpoint is plain data.
    """

    theta: Tensor
    loss: float
    memory: dict[str, Any] = field(default_factory=dict)
    stopped: str = ""


class Solver(ABC):
    """A training method. Parameters that would give a non-finite loss are never taken."""

    name: ClassVar[str]
    divides: ClassVar[bool] = True
    """Whether residual rows may be divided among processes, or else must all be in one."""
    starts: int = 1
    """Random starts, of which the one with the lowest held-out residual goes on."""
    start_iterations: int = 0
    """Iterations of each random start."""
    stage_iterations: int
    """At most so many iterations in a stage."""

    @abstractmethod
    def init(self, system: System, theta: Tensor, memory: dict[str, Any] | None = None) -> State:
        """Return the state at `theta`; `memory` is kept from an earlier stage or a checkpoint."""

    @abstractmethod
    def step(self, system: System, state: State) -> State:
        """Return the state after one iteration; the loss does not become non-finite."""

    def kept(self, state: State) -> dict[str, Any]:
        """Return the memory that outlives new points, for `init`."""
        return state.memory

    def saved(self, state: State) -> dict[str, Any]:
        """Return the memory that a checkpoint needs, for `restored`."""
        return state.memory

    @abstractmethod
    def restored(self, system: System, theta: Tensor, memory: dict[str, Any]) -> State:
        """Return the state that a checkpoint saved, exactly."""

    @abstractmethod
    def transfer(self, memory: dict[str, Any], change: Change) -> dict[str, Any]:
        """Return the memory after an exact change of the network's bases."""

    def lasting(self, memory: dict[str, Any]) -> dict[str, Any]:
        """Return the memory that outlives parameters, or points, that are partly new."""
        return {}
