"""What is said of measured results: medians and spreads over seeds, fitted slopes, fronts, and ratios of costs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, nan
from statistics import median
from typing import Any

import numpy as np

from kanpde.experiments.outcome import Outcome

LEAST_DIGITS = 1e-13
"""Relative errors below this are rounding, and no part of a slope."""


@dataclass(frozen=True)
class Spread:
    """The median of what seeds gave, with the least and the largest of it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return the spread of values; those that are not finite count as infinite, and of none all is nan."""
        known = [value if math.isfinite(value) else inf for value in values]
        return cls(median(known), min(known), max(known)) if known else cls(nan, nan, nan)


@dataclass(frozen=True)
class Point:
    """What all seeds of one setting gave. `seconds` are set-up and training together; `failed` seeds are counted."""

    series: str
    place: Mapping[str, Any]
    parameters: float
    seconds: Spread
    rel_l2: Spread
    rel_h1: Spread
    seeds: int
    failed: int
    at_floor: bool

    def cost(self, of: str) -> float:
        """Return the parameters, the median of the "seconds", or what varies along the series by its name."""
        costs = {"parameters": self.parameters, "seconds": self.seconds.median}
        return costs[of] if of in costs else float(self.place[of])


@dataclass(frozen=True)
class Slope:
    """The exponent p of error = c * cost^p from a least-squares line through logarithms, with its standard error."""

    exponent: float
    error: float
    points: int
    line: tuple[tuple[float, float], tuple[float, float]] = field(default=((nan, nan), (nan, nan)), compare=False)

    def __str__(self) -> str:
        return f"{self.exponent:.2f} ± {self.error:.2f}"


def points_of(outcomes: Sequence[Outcome]) -> list[Point]:
    """Return a point per series and place, in the order in which they come."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.job.series, repr(sorted(outcome.job.place.items()))), []).append(outcome)
    return [point for group in groups.values() if (point := point_of(group)) is not None]


def point_of(outcomes: Sequence[Outcome]) -> Point | None:
    """Return the point of one setting; None if every seed failed."""
    methods = [outcome.method for outcome in outcomes if outcome.method is not None]
    measured = [method.errors for method in methods if method.errors is not None]
    if not measured:
        return None
    failed = len(outcomes) - len(measured)
    return Point(
        outcomes[0].job.series,
        outcomes[0].job.place,
        float(median(method.parameters for method in methods)),
        Spread.of(method.seconds["setup"] + method.seconds["train"] for method in methods),
        Spread.of([*(errors.rel_l2 for errors in measured), *[inf] * failed]),
        Spread.of([*(errors.rel_h1 for errors in measured), *[inf] * failed]),
        len(outcomes),
        failed,
        sum(errors.at_floor for errors in measured) > len(measured) / 2,
    )


def slope_of(points: Sequence[Point], norm: str = "rel_l2", cost: str = "parameters") -> Slope | None:
    """Return the fitted slope of the median errors of one series, None for fewer than three points that tell it.

    Points at the reference's own error, at rounding and without an error tell nothing.
    """
    pairs = [
        (point.cost(cost), getattr(point, norm).median)
        for point in points
        if not point.at_floor and LEAST_DIGITS < getattr(point, norm).median < inf
    ]
    if len({x for x, _ in pairs}) < 3:
        return None
    x, y = np.log([x for x, _ in pairs]), np.log([y for _, y in pairs])
    centred = x - x.mean()
    exponent = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - exponent * centred
    error = float(np.sqrt(rest @ rest / ((len(x) - 2) * (centred @ centred)))) if len(x) > 2 else nan
    ends = (float(np.exp(x.min())), float(np.exp(x.max())))
    a, b = (float(np.exp(y.mean() + exponent * (np.log(end) - x.mean()))) for end in ends)
    return Slope(exponent, error, len(x), ((ends[0], a), (ends[1], b)))


def series_of(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the points of every series, by increasing parameters."""
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.series, []).append(point)
    return {name: sorted(group, key=lambda p: p.parameters) for name, group in found.items()}


def front(points: Sequence[Point], cost: str) -> list[Point]:
    """Return the points that no other one beats in both cost and median error, by increasing cost (Pareto front)."""
    best, found = inf, []
    for point in sorted(points, key=lambda p: (p.cost(cost), p.rel_l2.median)):
        if point.rel_l2.median < best:
            best = point.rel_l2.median
            found.append(point)
    return found


def cost_at_error(points: Sequence[Point], error: float, cost: str) -> float:
    """Return the least cost at which an error was reached, inf if it was not; nothing is interpolated."""
    return min((point.cost(cost) for point in points if point.rel_l2.median <= error), default=inf)


def error_at_cost(points: Sequence[Point], limit: float, cost: str) -> float:
    """Return the least median error within a cost, inf if nothing costs so little."""
    return min((point.rel_l2.median for point in points if point.cost(cost) <= limit), default=inf)
