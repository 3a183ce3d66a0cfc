"""A line search for the strong Wolfe conditions (Nocedal & Wright 2006, algorithms 3.5 and 3.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, sqrt

from torch import Tensor

EVALUATIONS = 30
SAFEGUARD = 0.1
"""Interpolated steps stay this share of the interval away from its ends."""


@dataclass(frozen=True)
class Trial:
    """A step length with the loss, its slope along the direction, and the gradient (P,) there.

    Where one of them is not finite the loss counts as infinite.
    """

    length: float
    loss: float
    slope: float
    gradient: Tensor

    @property
    def finite(self) -> bool:
        """Whether loss and slope are numbers."""
        return isfinite(self.loss) and isfinite(self.slope)


def strong_wolfe(
    evaluate: Callable[[float], Trial], start: Trial, length: float, decrease: float = 1e-4, curvature: float = 0.9
) -> Trial | None:
    """Return a step from `start` (length 0, negative slope) that meets the strong Wolfe conditions.

    They are f(a) <= f(0) + decrease a f'(0) and |f'(a)| <= curvature |f'(0)|; `length` is tried first. Where they are
    not met in 30 evaluations the lowest trial with a sufficient decrease is returned, and None if there is none.
    Trials that are not finite are too long.
    """
    low, high = start, None
    trial = start
    for _ in range(EVALUATIONS):
        trial = evaluate(length)
        if not trial.finite or trial.loss > start.loss + decrease * length * start.slope or trial.loss >= low.loss:
            high = trial
        elif abs(trial.slope) <= -curvature * start.slope:
            return trial
        else:
            if trial.slope * ((high.length if high else inf) - low.length) >= 0:
                high = low
            low = trial
        length = 2 * low.length if high is None else interpolated(low, high)
        if length in (low.length, high.length if high else inf):
            break
    return low if low is not start else None


def interpolated(low: Trial, high: Trial) -> float:
    """Return the minimum of the cubic through both ends (equation 3.59), kept off them; the middle without one."""
    a, b = low.length, high.length
    middle = (a + b) / 2
    if not high.finite:
        return middle
    d = low.slope + high.slope - 3 * (low.loss - high.loss) / (a - b)
    square = d * d - low.slope * high.slope
    if square < 0:
        return middle
    root = sqrt(square) if b > a else -sqrt(square)
    bottom = high.slope - low.slope + 2 * root
    if bottom == 0:
        return middle
    found = b - (b - a) * (high.slope + root - d) / bottom
    least, most = sorted((a + SAFEGUARD * (b - a), b - SAFEGUARD * (b - a)))
    return min(max(found, least), most)
