"""The line search meets the strong Wolfe conditions on hard functions of one variable, and takes only finite values."""

from collections.abc import Callable
from math import cos, inf, log, nan, pi, sin

import pytest
import torch

from kanpde.solver.line_search import Trial, interpolated, strong_wolfe


def kinked(a: float) -> tuple[float, float]:
    """Moré and Thuente 1994, section 5, the first function, with beta = 2."""
    return -a / (a * a + 2), (a * a - 2) / (a * a + 2) ** 2


def wavy(a: float) -> tuple[float, float]:
    """Of the third: a slope with oscillations of 39 periods."""
    slope = lambda a: (1 - 0.01) * (a - 1) + 0.01 * cos(39 * pi / 2 * a)  # noqa: E731
    return (1 - 0.01) * (a * a / 2 - a) + 0.01 * 2 / (39 * pi) * sin(39 * pi / 2 * a), slope(a)


def barrier(a: float) -> tuple[float, float]:
    """Not defined from 1 on."""
    return (-a - 0.01 * log(1 - a), -1 + 0.01 / (1 - a)) if a < 1 else (nan, nan)


def quartic(a: float) -> tuple[float, float]:
    return (a - 3) ** 4, 4 * (a - 3) ** 3


def trial(function: Callable[[float], tuple[float, float]], a: float) -> Trial:
    return Trial(a, *function(a), torch.zeros(1))


@pytest.mark.parametrize("curvature", [0.9, 0.1])
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("function", [kinked, wavy, barrier, quartic])
def test_the_strong_wolfe_conditions_hold(
    function: Callable[[float], tuple[float, float]], first: float, curvature: float
) -> None:
    start = trial(function, 0.0)
    found = strong_wolfe(lambda a: trial(function, a), start, first, curvature=curvature)
    assert found is not None
    assert found.loss <= start.loss + 1e-4 * found.length * start.slope
    assert abs(found.slope) <= curvature * abs(start.slope)


def test_the_first_length_is_taken_where_it_is_good_enough() -> None:
    lengths: list[float] = []

    def evaluate(a: float) -> Trial:
        lengths.append(a)
        return trial(lambda a: ((a - 1) ** 2, 2 * (a - 1)), a)

    found = strong_wolfe(evaluate, evaluate(0.0), 1.2)
    assert found is not None
    assert lengths == [0.0, 1.2]


def test_the_cubic_is_interpolated_exactly() -> None:
    def cubic(a: float) -> tuple[float, float]:
        return a**3 - 2 * a**2 - 1.5 * a, 3 * a * a - 4 * a - 1.5

    wanted = (4 + 34**0.5) / 6
    for low, high in ((1.0, 3.0), (3.0, 1.0), (0.0, 2.0)):
        assert interpolated(trial(cubic, low), trial(cubic, high)) == pytest.approx(wanted, rel=1e-12)
    assert interpolated(trial(cubic, 0.0), Trial(2.0, inf, nan, torch.zeros(1))) == 1.0


@pytest.mark.parametrize("value", [nan, inf, 1.0])
def test_without_a_decrease_there_is_no_step(value: float) -> None:
    start = Trial(0.0, 0.0, -1.0, torch.zeros(1))
    assert strong_wolfe(lambda a: Trial(a, value, 1.0, torch.zeros(1)), start, 1.0) is None


def test_a_decrease_without_an_end_is_taken_as_far_as_it_was_followed() -> None:
    found = strong_wolfe(lambda a: trial(lambda a: (-a, -1.0), a), trial(lambda a: (-a, -1.0), 0.0), 1.0)
    assert found is not None
    assert found.loss < -1e6
