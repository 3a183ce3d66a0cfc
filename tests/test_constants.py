"""Simple constants are found where the accuracy allows it, and accidents are not."""

from math import pi
from random import Random

import pytest
import sympy

from kanpde import KanpdeError
from kanpde.interpret.constants import recognised, simple, stated

PI, E, sqrt = sympy.pi, sympy.E, sympy.sqrt
R = sympy.Rational
SIMPLE = [
    *(sympy.Integer(0), sympy.Integer(7), sympy.Integer(-2), R(1, 3), R(5, 2), R(-22, 7), R(1, 100), R(3, 40000)),
    *(PI, -3 * PI / 4, PI**2, 2 / PI, 1 / (100 * PI), 4 * PI**4, E, sympy.log(2)),
    *(sqrt(2), sqrt(3) / 2, sqrt(PI), 1 / sqrt(2 * PI), sqrt(2 / PI), sqrt(13) * PI),
    *(1 - 17 * PI**2, R(1, 2) + sqrt(5) / 2, 20 - 2 * sqrt(100 + PI**2), 10 / PI - sqrt(100 + PI**2) / PI),
]


@pytest.mark.parametrize("constant", SIMPLE, ids=str)
def test_what_is_simple_is_found_from_its_double(constant: sympy.Expr) -> None:
    found = simple(float(constant), 1e-13 * abs(float(constant)))
    assert sympy.simplify(found[0] - constant) == 0
    assert sympy.simplify(stated(float(constant)) - constant) == 0
    assert sympy.simplify(stated(1.01 * float(constant)) - constant) != 0 or constant == 0


@pytest.mark.parametrize(
    ("value", "tolerance", "constant"),
    [
        (3.1416, 1e-3, PI),
        (0.2503, 1e-3, R(1, 4)),
        (2.498, 4e-3, R(5, 2)),
        (1.7321, 1e-4, sqrt(3)),
        (9.87, 1e-3, PI**2),
        (0.0100001, 1e-6, R(1, 100)),
        (1e-9, 1e-6, sympy.Integer(0)),
        (1000.001, 0.01, sympy.Integer(1000)),
    ],
)
def test_a_value_that_is_less_known_is_a_simpler_one(value: float, tolerance: float, constant: sympy.Expr) -> None:
    assert simple(value, tolerance)[0] == constant


@pytest.mark.parametrize(("value", "tolerance"), [(355 / 113, 1e-3), (0.6180339, 1e-2), (17.3, 0.5), (0.123, 1e-2)])
def test_a_value_that_is_hardly_known_is_no_complicated_one(value: float, tolerance: float) -> None:
    assert all(constant == sympy.pi for constant in simple(value, tolerance))


def test_the_simplest_comes_first_and_all_are_within_the_tolerance() -> None:
    found = simple(0.5, 2e-4)
    assert found[0] == sympy.Rational(1, 2)
    assert all(abs(float(constant) - 0.5) <= 2.1e-4 for constant in found)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-8])
def test_accidents_are_rare(tolerance: float) -> None:
    random = Random(0)
    values = [random.uniform(0.1, 10) for _ in range(40)]
    assert sum(bool(simple(value, tolerance * value)) for value in values) <= 5


def test_random_doubles_stay() -> None:
    random = Random(1)
    assert all(stated(random.uniform(0.1, 10)).is_Float for _ in range(30))


@pytest.mark.parametrize("value", [0.1, 0.0025, 100 / 16**4, 1e-150, 3.14159, 40.0, -1e22])
def test_what_was_written_as_a_decimal_is_that_decimal(value: float) -> None:
    assert stated(value) == sympy.Rational(repr(value))


def test_what_a_program_computed_is_what_it_meant() -> None:
    assert stated(0.01 / pi) == 1 / (100 * sympy.pi)
    assert stated((4 * pi) ** 2) == 16 * sympy.pi**2
    assert stated((500 * pi) ** -2) == 1 / (250000 * sympy.pi**2)
    assert stated(float(sqrt(2)) * pi) == sympy.sqrt(2) * sympy.pi
    assert stated(1 - pi**2 - (4 * pi) ** 2) == 1 - 17 * sympy.pi**2


def test_floats_of_an_expression_are_recognised_and_others_stay() -> None:
    x = sympy.Symbol("x")
    other = 0.7390851332151607
    expression = (
        3.141592653589793 * sympy.sin(6.283185307179587 * x) + x**2.0 + other * sympy.exp(-0.5000000000000001 * x)
    )
    wanted = sympy.pi * sympy.sin(2 * sympy.pi * x) + x**2 + sympy.Float(other) * sympy.exp(-x / 2)
    assert recognised(expression) == wanted
    assert recognised(sympy.Float(3.1415)) != sympy.pi
    assert recognised(sympy.Float(3.14159), 1e-5) == sympy.pi


@pytest.mark.parametrize("value", [5e-324, 1.7e308, -2.2e-308])
def test_numbers_at_the_ends_of_doubles_are_not_simple(value: float) -> None:
    assert simple(value, 0.0) == []


def test_bad_input_is_refused() -> None:
    for value, tolerance in ((float("nan"), 1.0), (1.0, -1.0), (float("inf"), 1.0)):
        with pytest.raises(KanpdeError, match="give a finite value"):
            simple(value, tolerance)
    with pytest.raises(sympy.SympifyError):
        recognised("x + 1")  # type: ignore[arg-type]
