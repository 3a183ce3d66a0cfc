"""Where a training stands, the limits that it ends at, and its history: plain data, no method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.floats import TINY


@dataclass(frozen=True)
class Budget:
    """Limits of a training: iterations in all stages together, and seconds; the first one reached stops it."""

    iterations: int = 100_000
    seconds: float = 300.0

    def __post_init__(self) -> None:
        for name in ("iterations", "seconds"):
            if not getattr(self, name) > 0:
                raise KanpdeError(f"budget.{name}={getattr(self, name)}: give a positive number.")

    def share(self, iterations: int, seconds: float, trainings: int) -> Budget:
        """Return an equal share of what is left, for the next of so many trainings; at least one iteration."""
        left = self.seconds - seconds
        return Budget(max(1, (self.iterations - iterations) // trainings), max(TINY, left / trainings))


@dataclass(frozen=True)
class Row:
    """One iteration in the history; stage 0 holds the random starts.

    Slabs are counted from 1. `correction` is 0 for the first network of a slab.
    """

    stage: int
    iteration: int
    seconds: float
    loss: float
    held_out: float
    parameters: int
    slab: int = 1
    correction: int = 0


Progress = Callable[[Row], None]
Checkpoint = Callable[[dict[str, Any]], None]


@dataclass
class Position:
    """Where a training stands, as plain data.

    phase: "starts", "full", "stages" or "done". `search` is how far solving with all products of splines has got, and
    has ended where it found nothing. `drawn` are the parameters from which a stage's adaptive points were drawn, at
    the `redraws`-th time. `bases` are what the network's bases became (`Network.saved`). `horizon` is the part of the
    time interval that points lie in; in it a network grew `growths` times, last in `grew` ("knots" or "products") and
    from a relative `residual`. Of data, `least` is the lowest held-out loss at the end of a stage, and `vain` stages on
    end have not lowered it. `chosen` is the best random start.
    """

    phase: str = "starts"
    attempt: int = 0
    search: dict[str, Any] | None = None
    start: int = 0
    stage: int = 1
    draws: int = 0
    redraws: int = 0
    drawn: Tensor | None = None
    eased: int = 0
    since: int = 0
    horizon: float = 1.0
    growths: int = 0
    grew: str = "knots"
    residual: float = inf
    least: float = inf
    vain: int = 0
    iteration: int = 0
    total: int = 0
    elapsed: float = 0.0
    bases: dict[str, Any] = field(default_factory=dict)
    theta: Tensor | None = None
    memory: dict[str, Any] | None = None
    chosen: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    stopped: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
