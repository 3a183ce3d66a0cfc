"""The problem that every package solves, and the watch that times it: -(u_xx + u_yy) = f on (-1, 1)^2.

The solution is u = sin(pi x) sin(pi y^2) (Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, section 3.4). All networks
N train in double precision on u = (1 - x^2)(1 - y^2) N, which is zero on the boundary.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from math import inf, isfinite, pi
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

POINTS = 2048
"""Training points of every package that does not choose their number by itself."""
TARGETS = (1e-3, 1e-4, 1e-6)
"""Relative L2 errors; a trial ends at the smallest."""
EVERY = 1.05
"""The error is measured whenever the training time has grown by this factor."""

Array = NDArray[np.float64]


def solution(x: Array, y: Array) -> Array:
    """Return the exact solution."""
    return np.sin(pi * x) * np.sin(pi * y**2)


def source(x: Any, y: Any, sin: Callable[[Any], Any], cos: Callable[[Any], Any]) -> Any:
    """Return f at arrays of any library, with its sine and cosine."""
    s = pi * y**2
    return sin(pi * x) * ((pi**2 + 4 * pi * s) * sin(s) - 2 * pi * cos(s))


def walls(x: Any, y: Any) -> Any:
    """Return the factor that is zero on the boundary."""
    return (1 - x**2) * (1 - y**2)


class Watch:
    """A clock for the training that stands still while the error is measured, and a record of both.

    The relative L2 error is computed by Gauss quadrature on 64 x 64 nodes. A record is a line of JSON in `report`.
    """

    def __init__(self, report: Path, limit: float) -> None:
        self.report, self.limit = report, limit
        nodes, weights = np.polynomial.legendre.leggauss(64)
        self.points = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
        self._weights = np.outer(weights, weights).ravel()
        self._expected = solution(*self.points.T)
        self._next = self._away = 0.0
        self._begin = perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the start without those spent on measuring."""
        return perf_counter() - self._begin - self._away

    def says(self, **line: Any) -> None:
        """Record something."""
        begin = perf_counter()
        with self.report.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._away += perf_counter() - begin

    def error(self, values: Array) -> float:
        """Return the relative L2 error of values at the points; infinite if they are not finite."""
        if values.shape != self._expected.shape:
            raise ValueError(f"values have the shape {values.shape}: return {self._expected.shape}.")
        squares = self._weights @ np.stack([(values - self._expected) ** 2, self._expected**2], axis=1)
        error = float(np.sqrt(squares[0] / squares[1]))
        return error if isfinite(error) else inf

    def __call__(self, values: Callable[[Array], Array], seconds: float | None = None) -> bool:
        """Measure the error of a solution if it is due, and return whether to stop.

        values: gives the solution (N,) at points (N, 2). seconds: the training time by another clock, if that counts.
        The first call must come after one iteration at most: its time is that of building and compiling.
        """
        now = self.seconds if seconds is None else seconds
        stop = now >= self.limit
        if now >= self._next or stop:
            begin = perf_counter()
            error = self.error(np.asarray(values(self.points), dtype=float))
            self._away += perf_counter() - begin
            self.says(seconds=now, error=error if isfinite(error) else None)
            self._next = EVERY * now
            stop = stop or error <= min(TARGETS)
        return stop


def main(train: Callable[[Watch, int], None]) -> None:
    """Run one trial in this process, on one core where the system lets a process choose."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--limit", type=float, required=True)
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    train(Watch(options.report, options.limit), options.seed)
