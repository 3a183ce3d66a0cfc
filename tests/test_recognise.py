"""Elementary functions are recognised in spaces of functions and in samples, with and without noise."""

from collections.abc import Callable
from math import pi

import pytest
import sympy
import torch
from oracles import close
from torch import Tensor

from kanpde import KanpdeError
from kanpde.basis import ELEMENTARY, Elementary, elementary
from kanpde.basis.elementary import library
from kanpde.interpret.recognise import Candidate, fit, in_span, suggest

N = 60
X = torch.linspace(-1, 1, N, dtype=torch.float64)
"""The points (n,) on (-1, 1)."""
P = torch.linspace(0.02, 0.9, N, dtype=torch.float64)
"""Points on (0, 1)."""
ONE = torch.ones(N, 1, dtype=torch.float64)

# The points, the function, and what it is: outer function, inner function, a, b (None: not unique).
Truth = tuple[Tensor, Callable[[Tensor], Tensor], str, str | None, float, float]
TRUTHS: dict[str, Truth] = {
    "sin(pi x)": (X, lambda x: torch.sin(pi * x), "sin", None, pi, 0.0),
    "cos(3 pi x)": (P, lambda x: torch.cos(3 * pi * x), "cos", None, 3 * pi, 0.0),
    "sin(pi x^2)": (X, lambda x: torch.sin(pi * x**2), "sin", "x^2", pi, 0.0),
    "exp(-1.7 x)": (P, lambda x: torch.exp(-1.7 * x), "exp", None, -1.7, 0.0),
    "exp(-0.02 x)": (P, lambda x: torch.exp(-0.02 * x), "exp", None, -0.02, 0.0),
    "exp(-x^2/2)": (3 * X, lambda x: torch.exp(-(x**2) / 2), "gauss", None, 0.5**0.5, 0.0),
    "1/sqrt(1-x^2)": (P, lambda x: (1 - x**2) ** -0.5, "1/sqrt", "x^2", -1.0, 1.0),
    "front": (X, lambda x: torch.tanh((x - 0.3) / 0.05), "tanh", None, 20.0, -6.0),
    "soliton": (10 * X, lambda x: torch.cosh(0.5 * x - 1) ** -2, "sech^2", None, 0.5, -1.0),
    "log(x)": (P, torch.log, "log", None, 1.0, 0.0),
    "1/(1+x)": (P, lambda x: 1 / (1 + x), "1/x", None, 1.0, 1.0),
    "1/(1+25x^2)": (X, lambda x: 1 / (1 + 25 * x**2), "1/x", "x^2", 1.0, 0.04),
    "log(1+exp(x))": (4 * X, lambda x: torch.log(1 + torch.exp(x)), "log", "exp", 1.0, 1.0),
    "J_0(20 x)": (P, lambda x: ELEMENTARY["bessel_j0"](20 * x), "bessel_j0", None, 20.0, 0.0),
    "tan(1.3 x)": (X, lambda x: torch.tan(1.3 * x), "tan", None, 1.3, 0.0),
    "artanh(0.95 x)": (X, lambda x: torch.atanh(0.95 * x), "artanh", None, 0.95, 0.0),
    "x^3": (X, lambda x: x**3, "x^3", None, 1.0, 0.0),
    "|x - 0.2|": (X, lambda x: (x - 0.2).abs(), "abs", None, 1.0, -0.2),
}


def is_truth(c: Candidate, truth: Truth) -> bool:
    return c.outer.name == truth[2] and (c.inner.name if c.inner else None) == truth[3]


def inner_of(truth: Truth) -> tuple[Elementary, ...]:
    """Return inner functions to try, few of them: to try all takes a second."""
    return () if truth[3] is None else (ELEMENTARY[truth[3]], ELEMENTARY["sin"])


def mixed(*columns: Tensor) -> Tensor:
    """Return the columns (n, R) after a random invertible mixing."""
    modes = torch.stack(columns, dim=1)
    return modes @ torch.randn(modes.shape[1], modes.shape[1], dtype=torch.float64)


def names(found: list[Candidate]) -> list[str]:
    return [c.outer.name for c in found]


@pytest.mark.parametrize("name", TRUTHS)
def test_a_function_up_to_affine_is_recognised(name: str) -> None:
    truth = TRUTHS[name]
    x, values = truth[0], truth[1](truth[0])
    found = in_span(x, torch.stack([3.7 * values - 2, torch.ones_like(x)], dim=1), known=ONE, inner=inner_of(truth))
    best = found[0]
    assert is_truth(best, truth)
    assert best.distance < 1e-12
    assert best.a == pytest.approx(truth[4], rel=1e-8)
    assert best.b == pytest.approx(truth[5], rel=1e-8, abs=1e-8)
    part = torch.stack([best.values(x), torch.ones_like(x)], dim=1)
    assert close(part @ torch.linalg.lstsq(part, values[:, None]).solution, values[:, None], 1e-10)
    symbol = sympy.Symbol("x", real=True)
    at = float(x[N // 3])
    assert float(best.expression(symbol).subs(symbol, at)) == pytest.approx(float(best.values(x)[N // 3]), rel=1e-9)
    assert all(c.distance > 1e-8 for c in found if not is_truth(c, truth))


@pytest.mark.parametrize("noise", [1e-3, 1e-2])
@pytest.mark.parametrize("name", ["sin(pi x^2)", "exp(-x^2/2)", "front", "1/sqrt(1-x^2)"])
def test_noise_leaves_the_truth_among_the_first(name: str, noise: float) -> None:
    truth = TRUTHS[name]
    x, values = truth[0], truth[1](truth[0])
    values = values + noise * values.std() * torch.randn(N, dtype=torch.float64)
    found = in_span(x, torch.stack([values, torch.ones_like(x)], dim=1), known=ONE, inner=inner_of(truth))
    place, best = next((i, c) for i, c in enumerate(found) if is_truth(c, truth))
    assert place < 8
    assert 0.2 * noise < best.distance < 2 * noise
    assert min(c.distance for c in found) > 0.2 * noise


def test_functions_are_found_in_mixed_modes() -> None:
    y, one = P, ONE[:, 0]
    found = in_span(y, mixed(torch.cos(2 * pi * y), torch.sin(2 * pi * y), one), known=ONE, inner=())
    assert set(names(found[:2])) == {"sin", "cos"}
    assert all(c.b == 0 and c.a == pytest.approx(2 * pi, rel=1e-10) and c.distance < 1e-12 for c in found[:2])
    assert all(c.distance > 1e-6 for c in found[2:])  # no other phases: they are sums of these two

    found = in_span(y, mixed(torch.exp(3 * y), torch.exp(-3 * y), one), known=ONE, inner=())
    assert names(found[:2]) == ["exp", "exp"]
    assert sorted(c.a for c in found[:2]) == pytest.approx([-3, 3], rel=1e-8)

    found = in_span(y, mixed(y, 1 + y**2, one), known=ONE, inner=())
    assert names(found[:2]) == ["x", "x^2"]
    assert all((c.a, c.b) == (1, 0) and c.distance < 1e-12 for c in found[:2])

    waves = [torch.sin(k * pi * y) for k in (1, 2, 3)]
    found = in_span(y, mixed(*waves), inner=())
    assert names(found[:3]) == ["sin"] * 3
    assert sorted(c.a / pi for c in found[:3]) == pytest.approx([1, 2, 3], rel=1e-10)


def test_known_functions_are_not_found_again() -> None:
    modes = mixed(torch.sin(pi * X), torch.exp(X), X**2, ONE[:, 0])
    known = torch.stack([ONE[:, 0], torch.sin(pi * X), X**2], dim=1)
    found = in_span(X, modes, known=known, inner=())
    assert names(found[:1]) == ["exp"]
    assert found[0].distance < 1e-11
    assert found[1].distance > 1e-6
    assert in_span(X, known, known=known) == []


def test_weights_leave_points_out() -> None:
    values, weights = torch.sin(pi * X), torch.ones_like(X)
    values[7], weights[7] = 5.0, 0.0
    best = in_span(X, values[:, None], weights, inner=())[0]
    assert (best.outer.name, best.b) == ("sin", 0)
    assert best.distance < 1e-12
    assert in_span(X, values[:, None], inner=())[0].distance > 0.1


def test_what_is_in_no_library_stays_far() -> None:
    found = in_span(X, (torch.sin(3 * X) * torch.exp(-(X**2)) + X**5)[:, None], inner=(ELEMENTARY["x^2"],))
    assert min(c.distance for c in found) > 1e-2


def test_functions_of_ones_own_are_recognised() -> None:
    own = elementary("x exp", lambda z: z * torch.exp(z), lambda x: x * sympy.exp(x))
    values = (2 * X + 0.3) * torch.exp(2 * X + 0.3)
    best = in_span(X, torch.stack([values, ONE[:, 0]], dim=1), known=ONE, library=library("exp", "sin", own))[0]
    assert best.outer is own
    assert (best.a, best.b, best.distance) == pytest.approx((2, 0.3, 0), abs=1e-7)


def test_recognition_is_deterministic() -> None:
    x = torch.linspace(-1, 1, 100, dtype=torch.float64)
    modes = torch.stack([torch.sin(4 * x), torch.exp(x), torch.ones_like(x)], dim=1)
    found = in_span(x, modes, known=torch.ones(100, 1, dtype=torch.float64))
    few = library("sin", "exp", "tanh")
    again = [in_span(x, modes, known=torch.ones(100, 1, dtype=torch.float64), library=few) for _ in range(2)]
    assert again[0] == again[1]
    assert {c.outer.name for c in found[:2]} == {"sin", "exp"}


@pytest.mark.parametrize("name", ["exp", "sin", "tanh", "gauss", "1/x", "log", "x^2", "arctan", "bessel_j0"])
def test_fits_recover_constants(name: str) -> None:
    function, a, b = ELEMENTARY[name], 1.7, 0.6
    x = P if name in ("1/x", "log") else X
    y = 2.5 * function(a * x + b) - 0.7
    found = fit(x, y, function)
    assert found.error < 1e-9
    assert close(found.values(x), y, 1e-8)
    symbol = sympy.Symbol("x", real=True)
    assert float(found.expression(symbol).subs(symbol, float(x[5]))) == pytest.approx(float(y[5]), rel=1e-7)
    assert not close(found.values(x), 1.01 * y, 1e-8)


def test_fits_ignore_outliers() -> None:
    y = 2 * torch.exp(-((3 * X - 1) ** 2)) + 1
    y[::13] += 3
    found = fit(X, y, ELEMENTARY["gauss"])
    assert (abs(found.a), found.c, found.d) == pytest.approx((3, 2, 1), rel=1e-5)


def test_suggestions_weigh_error_and_complexity() -> None:
    chosen = library("x", "x^2", "exp", "sin", "tanh", "erf")
    assert suggest(X, 2 * torch.tanh(3 * X - 1) + 1, chosen, most=1)[0].function.name == "tanh"
    noise = 1e-2 * torch.randn(N, dtype=torch.float64)
    found = suggest(X, 3 * X + noise, chosen)
    assert found[0].function.name == "x"
    assert len(found) == len(chosen)
    assert found[0].error >= min(f.error for f in found)
    assert suggest(X, torch.exp(2 * X) + noise, chosen, most=2)[0].function.name == "exp"


def test_functions_that_cannot_be_defined_are_left_out() -> None:
    own = elementary("narrow", torch.sin, sympy.sin, domain=(1.0, 1.01))
    with pytest.raises(KanpdeError, match=r"no 'narrow'.* is defined there"):
        fit(X, torch.exp(X), own)
    assert [f.function.name for f in suggest(X, torch.exp(X), library(own, "exp"))] == ["exp"]


def test_trials_that_overflow_are_not_taken() -> None:
    """A fit of functions that grow fast, far from where they were sampled: warnings are errors in tests."""
    z = torch.linspace(-6, 1, 200, dtype=torch.float64)
    y = 1.8 * torch.exp(-1.4 * z) - 1e5
    found = suggest(z, y, library("exp", "cosh", "sech", "sech^2", "gauss"), 5)
    assert {"exp", "cosh"} >= {found[0].function.name}
    assert all(float(torch.isfinite(each.values(z)).all()) for each in found)
    assert found[0].error < 1e-6


def test_bad_data_are_refused() -> None:
    sine = torch.sin(X)
    with pytest.raises(KanpdeError, match="the data are constant, 2"):
        fit(X, torch.full_like(X, 2.0), ELEMENTARY["sin"])
    with pytest.raises(KanpdeError, match="the data are constant, 0"):
        suggest(X, torch.zeros_like(X))
    with pytest.raises(KanpdeError, match="4 points are too few for the four constants"):
        fit(X[:4], sine[:4], ELEMENTARY["sin"])
    with pytest.raises(KanpdeError, match="the data: some values are not finite"):
        fit(X, sine / 0, ELEMENTARY["sin"])
    with pytest.raises(KanpdeError, match="Give one row for each of the 60 points"):
        fit(X, sine[:-1], ELEMENTARY["sin"])
    with pytest.raises(KanpdeError, match="modes: some values are not finite"):
        in_span(X, sine[:, None] / 0)
    with pytest.raises(KanpdeError, match="modes: the shape is"):
        in_span(X, sine)
    with pytest.raises(KanpdeError, match="3 points are too few for 1 modes"):
        in_span(X[:3], sine[:3, None])
    with pytest.raises(KanpdeError, match="without an extent"):
        in_span(torch.zeros_like(X), sine[:, None])
    with pytest.raises(KanpdeError, match="weights: give one number >= 0"):
        in_span(X, sine[:, None], -torch.ones_like(X))
