"""Identities are proved, and what is nearly zero is not."""

import pytest
import sympy
from sympy import E, Rational, cos, cosh, erf, exp, log, pi, sech, sin, sqrt, tan, tanh

from kanpde.interpret.zero import proved_zero, refuted

x, y = sympy.symbols("x y", real=True)
t = sympy.Symbol("t", positive=True)
J0, Y0, I0, K0 = (f(0, t) for f in (sympy.besselj, sympy.bessely, sympy.besseli, sympy.besselk))

IDENTITIES = [
    sin(x) ** 2 + cos(x) ** 2 - 1,
    sin(2 * pi * x) - 2 * sin(pi * x) * cos(pi * x),
    sin(x + pi / 3) - sin(x) / 2 - sqrt(3) / 2 * cos(x),
    sin(x + y) * sin(x - y) - sin(x) ** 2 + sin(y) ** 2,
    tan(x) - sin(x) / cos(x),
    tanh(x) - (exp(2 * x) - 1) / (exp(2 * x) + 1),
    sech(x) ** 2 + tanh(x) ** 2 - 1,
    cosh(3 * x) - 4 * cosh(x) ** 3 + 3 * cosh(x),
    exp(x + y) - exp(x) * exp(y),
    2**x - exp(x * log(2)),
    (1 + E) ** 2 - 1 - 2 * E - E**2,
    (x + y) ** 5 - sympy.expand((x + y) ** 5),
    1 / (x**2 + 1) - (x**2 + 1) / (x**4 + 2 * x**2 + 1),
    1 / (sqrt(x**2 + 1) - x) - sqrt(x**2 + 1) - x,
    (sqrt(t) + 1) * (sqrt(t) - 1) - t + 1,
    sqrt(1 + sqrt(t)) ** 4 - 1 - 2 * sqrt(t) - t,
    (x + t ** Rational(1, 3)) ** 3 - sympy.expand((x + t ** Rational(1, 3)) ** 3),
    sqrt(1 + 1 / t**2) - sqrt(t**2 + 1) / t,
    sqrt(8 + 8 * t) - 2 * sqrt(2) * sqrt(1 + t),
    cos(3 * sympy.atan2(y, x)) * (x**2 + y**2) ** Rational(3, 2) - x**3 + 3 * x * y**2,
    cos(2 * sympy.atan(x)) - (1 - x**2) / (1 + x**2),
    erf(x).diff(x, 2) + 2 * x * erf(x).diff(x),
    J0.diff(t, 2) + J0.diff(t) / t + J0,
    Y0.diff(t, 2) + Y0.diff(t) / t + Y0,
    I0.diff(t, 2) + I0.diff(t) / t - I0,
    K0.diff(t, 2) + K0.diff(t) / t - K0,
    sympy.Piecewise(((x + 1) ** 2 - x**2, x > 0), (2 * x + 1, True)) - 1 - 2 * x,
]


@pytest.mark.parametrize("expression", IDENTITIES, ids=lambda e: str(e)[:40])
def test_identities_are_proved(expression: sympy.Expr) -> None:
    assert proved_zero(expression, search=False)
    assert not proved_zero(expression + Rational(1, 10**12) * x * cos(x), search=False)
    assert not proved_zero(expression + Rational(1, 10**12), search=False)


@pytest.mark.parametrize(
    "expression",
    [
        sin(x) - x,
        sqrt(x**2 + 1) - x,
        sqrt(1 + 1 / x**2) * x - sqrt(x**2 + 1),  # wrong where x < 0
        sympy.sqrt(x**2) - x,
        sympy.Piecewise((sympy.Integer(0), x > 0), (x, True)),
        0.1 * x - 0.1 * x * 1.0000000000000002,
        sympy.nan,
    ],
    ids=str,
)
def test_what_is_no_identity_is_not_proved(expression: sympy.Expr) -> None:
    assert not proved_zero(expression)


def test_sympy_searches_where_generators_are_related() -> None:
    expression = sympy.gamma(t + 1) - t * sympy.gamma(t)
    assert not proved_zero(expression, search=False)
    assert proved_zero(expression)


def test_a_singular_place_refutes_nothing() -> None:
    assert not refuted(sympy.nan * x)
    assert not refuted(sympy.zoo + 0 * x)
    assert not refuted(sin(x) ** 2 + cos(x) ** 2 - 1)
    assert refuted(sin(x) ** 2 + cos(x) - 1)
