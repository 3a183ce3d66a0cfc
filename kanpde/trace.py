"""The errors of what a training had found, moment by moment.

A training knows no reference. It hands over its positions at the moments when it would write a checkpoint, and these
are measured after its end, so neither its course nor its time is another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from kanpde.march import March
from kanpde.metrics import ErrorMeasure
from kanpde.position import Position

Told = TypeVar("Told")
APART = 1.15
"""Ratio of the iterations, or of the seconds, of two moments, at least, unless a stage begins or training ends."""


@dataclass(frozen=True)
class Moment:
    """What had been found after so many iterations and seconds of training: the best network by the held-out loss."""

    stage: int
    iteration: int
    seconds: float
    parameters: int
    rel_l2: float
    rel_h1: float
    max_error: float


class Trace:
    """Keeps positions of a training in one slab, as a checkpoint callback, and measures them."""

    def __init__(self) -> None:
        self._kept: list[dict[str, Any]] = []
        self._last: dict[str, Any] | None = None

    def __call__(self, state: dict[str, Any]) -> None:
        """Keep the position of a checkpoint's state if it is another moment than the last one that was kept."""
        (position,) = state["positions"]
        if position["best"] is None:
            return
        # What a position holds is replaced as training goes on, never changed; only its history grows.
        self._last = {**position, "history": []}
        before = self._kept[-1] if self._kept else None
        if (
            before is None
            or position["stage"] != before["stage"]
            or position["total"] >= APART * before["total"]
            or position["elapsed"] >= APART * before["elapsed"]
        ):
            self._kept.append(self._last)

    def moments(self, march: March, measure: ErrorMeasure) -> tuple[Moment, ...]:
        """Return the moments with their errors, after the training of `march` has ended."""
        kept = self._kept if self._last is None or self._last is self._kept[-1] else [*self._kept, self._last]
        return tuple(self._moment(march, Position(**state), measure) for state in kept)

    def _moment(self, march: March, position: Position, measure: ErrorMeasure) -> Moment:
        solution = march.found(position)
        errors = measure.of(solution.taylor)
        return Moment(
            position.stage,
            position.total,
            position.elapsed,
            len(solution.theta),
            errors.rel_l2,
            errors.rel_h1,
            errors.max_error,
        )


def each_of(*callbacks: Callable[[Told], None] | None) -> Callable[[Told], None]:
    """Return a callback that calls all that are given."""

    def call(told: Told) -> None:
        for callback in callbacks:
            if callback is not None:
                callback(told)

    return call
