"""The functions of problems on symbols are those on tensors."""

import operator
from math import pi
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from examples import WITHOUT_FILE
from torch import Tensor

from kanpde import Box, Disk, KanpdeError, Problem, dirichlet, neumann, robin
from kanpde.field import Field, Points, evaluate
from kanpde.interpret.exact import values
from kanpde.interpret.symbolic import ONE_TO_ONE, Symbolic
from kanpde.interpret.tracing import (
    coordinates,
    derivative,
    derivative_symbol,
    symbolic_points,
    trace,
    trace_equation,
    trace_solution,
)
from kanpde.library import load_problem, problem_files
from kanpde.multiindex import MultiIndex, parse
from kanpde.reference import exact

NAMES = [name for name in problem_files() if name not in WITHOUT_FILE and load_problem(name).equations]
X = {name: sympy.Symbol(name, positive=True) for name in ("x", "y")}


def both(function: Any, low: float = 0.1, high: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Return a function at random points, on tensors and as a formula."""
    generator = torch.Generator().manual_seed(3)
    columns = {name: low + (high - low) * torch.rand(7, generator=generator, dtype=torch.float64) for name in X}
    expected = evaluate(function, Points(("x", "y"), columns)).numpy()
    expression = trace(function, symbolic_points(X))
    (found,) = values([expression], {X[name]: column.numpy() for name, column in columns.items()})
    return expected, found


UNARY = """
    sin cos tan asin acos atan sinh cosh tanh asinh atanh exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square abs sign
    neg reciprocal sigmoid erf erfc erfinv floor ceil frac sinc relu lgamma digamma deg2rad arcsin arctan special.i0
    special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1 special.modified_bessel_i0 special.gammaln
    special.modified_bessel_k1 special.expit special.psi
"""


@pytest.mark.parametrize("name", UNARY.split())
def test_functions_of_torch_are_those_of_formulas(name: str) -> None:
    function = operator.attrgetter(name)(torch)
    expected, found = both(lambda at: function(at.x))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not np.allclose(1.01 * found, expected, rtol=1e-3) or name == "floor"


@pytest.mark.parametrize(
    "function",
    [
        lambda at: torch.atan2(at.y, at.x) + torch.hypot(at.x, at.y),
        lambda at: torch.where(at.x > at.y, at.x, at.y**2) + torch.maximum(at.x, at.y),
        lambda at: torch.where((at.x > 0.5) & ~(at.y > 0.5), at.x, 2.0),
        lambda at: at.x.clamp_min(0.4) + torch.clip(at.y, 0.3, max=0.6) - at.x.clamp(max=0.5),
        lambda at: torch.stack([at.x, at.y, at.x * at.y], dim=1).sum(dim=1),
        lambda at: (at.array() ** 2).sum(dim=1).sqrt() + at.array()[:, 1],
        lambda at: (torch.sin(at.x[:, None] * torch.tensor([1.0, 2.0])) * torch.tensor([0.5, 0.25])).sum(dim=1),
        lambda at: torch.zeros_like(at.x) + torch.ones_like(at.x) * torch.full_like(at.y, 0.3),
        lambda at: 2 / at.x - 3**at.y + at.x**at.y - (1 - at.x) + (-at.x) + abs(at.x - 0.5),
        lambda at: torch.tensor(2.0) * at.x + at.y * np.float64(0.1) + np.float64(0.1) * at.y,
        lambda at: torch.nn.functional.softplus(at.x) + torch.softmax(at.array(), dim=1)[:, 0],
        lambda at: sum(torch.cos(k * pi * getattr(at, n)) for k, n in ((1, "x"), (2, "y"))),
        lambda at: torch.linspace(0, 1, 3, dtype=torch.float64) @ torch.stack([at.x, at.y, at.x]),
        lambda at: 0.25,
    ],
)
def test_functions_of_points_are_formulas(function: Any) -> None:
    expected, found = both(function)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda at: torch.special.zeta(at.x, at.y), "the torch function 'zeta' has no formula"),
        (lambda at: torch.linspace(0, 1, 1000) * at.x, "a table of 1000 numbers"),
        (lambda at: at.x if bool(at.x > 0.5) else at.y, "whether x > 1/2 cannot be said"),
        (lambda at: at.x[at.x > 0.5], "indexing by a condition"),
        (lambda at: float(at.x), "a number was asked for where there is the expression x"),
        (lambda at: at.array(), "2 values per point"),
        (lambda at: at.z, "unknown coordinate 'z'"),
        (lambda at: at.x + "1", "str has no place in a formula"),
    ],
)
def test_what_has_no_formula_is_named(function: Any, message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        trace(function, symbolic_points(X))


def test_numbers_are_exact() -> None:
    x = X["x"]
    assert trace(lambda at: torch.sin(2 * pi * at.x) / 40 + 0.1, symbolic_points(X)) == sympy.sin(
        2 * sympy.pi * x
    ) / 40 + sympy.Rational(1, 10)
    assert trace(lambda at: torch.log(at.x**2 + 1e-300), symbolic_points(X)) == sympy.log(x**2)


def test_fields_have_exact_derivatives() -> None:
    formula = sympy.sin(sympy.pi * X["x"]) * X["y"] ** 3

    def field(name: str, index: MultiIndex) -> sympy.Expr:
        return derivative(formula, index, ("x", "y"))

    def equation(u: Field, at: Points) -> Tensor:
        assert u.gradient(("x", "y")).shape == (1, 2)
        return u.d("xyy") * torch.exp(u) + at.x * u**2 - 2 * u / at.y

    problem = Problem(geometry=Box(x=(0, 1), y=(1, 2)), equations={"e": equation})
    found = trace_equation(problem, "e", symbolic_points(X), field)
    x, y = X["x"], X["y"]
    assert sympy.expand(found - (formula.diff(x, y, y) * sympy.exp(formula) + x * formula**2 - 2 * formula / y)) == 0


def test_conditions_have_the_normal() -> None:
    """Only what a normal has a component along is differentiated, as on tensors."""
    asked = []

    def field(name: str, index: MultiIndex) -> sympy.Expr:
        asked.append(index)
        return derivative_symbol(name, index, ("x", "y"))

    problem = Problem(
        geometry=Box(x=(0, 1), y=(0, 1)),
        equations={"e": lambda u, at: u.d("xx")},
        conditions={"n": neumann("x+", lambda at: at.y), "r": robin("y-", 1.0, coefficient=0.5), "d": dirichlet("x-")},
    )
    u, u_x, u_y = (derivative_symbol("u", index, ("x", "y")) for index in ((0, 0), (1, 0), (0, 1)))
    right = symbolic_points(X, (sympy.Integer(1), sympy.Integer(0)))
    assert trace_equation(problem, "n", right, field) == u_x - X["y"]
    assert asked == [(0, 0), (1, 0)]
    down = symbolic_points(X, (sympy.Integer(0), sympy.Integer(-1)))
    assert trace_equation(problem, "r", down, field) == u / 2 - u_y - 1
    n = sympy.symbols("n_x n_y", real=True)
    assert trace_equation(problem, "n", symbolic_points(X, n), field) == n[0] * u_x + n[1] * u_y - X["y"]


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_has_formulas(name: str) -> None:
    """Equations on symbols have the values that they have on tensors."""
    problem = load_problem(name)
    names, indices = problem.geometry.names, problem.indices
    symbols = coordinates(problem.geometry)
    points = problem.geometry.sample(5)
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(len(indices), 5, len(problem.names), generator=generator, dtype=torch.float64)
    for label in problem.equations:
        expected = problem.residual_function(label)(*problem.fields(indices, u), Points.of(names, points))
        expression = trace_equation(
            problem, label, symbolic_points(symbols), lambda u, a: derivative_symbol(u, a, names)
        )
        columns = {symbols[x]: points[:, i].numpy() for i, x in enumerate(names)}
        for field, channels in zip(problem.names, u.unbind(2), strict=True):
            for a, factorial, column in zip(indices.indices, indices.factorials, channels, strict=True):
                columns[derivative_symbol(field, a, names)] = (column * factorial).numpy()
        (found,) = values([expression], columns)
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-10, atol=1e-10)
        assert np.abs(found).max() > 1e-3


def test_the_closed_form_of_a_problem_is_a_formula() -> None:
    x, y = (sympy.Symbol(name, real=True) for name in "xy")
    assert trace_solution(load_problem("poisson2d")) == {"u": sympy.sin(sympy.pi * x) * sympy.sin(sympy.pi * y**2)}
    with pytest.raises(KanpdeError, match="Cole-Hopf"):
        trace_solution(load_problem("burgers1d"))


def test_a_table_in_a_problem_is_named() -> None:
    table = torch.rand(500, dtype=torch.float64)
    problem = Problem(
        geometry=Disk(), equations={"e": lambda u, at: u.d("xx")}, reference=exact(lambda at: at.x * table)
    )
    with pytest.raises(KanpdeError, match="a table of 500 numbers"):
        trace_solution(problem)


def test_a_derivative_along_what_does_not_enter_is_zero() -> None:
    assert derivative(X["x"] ** 2, parse("y", ("x", "y")), ("x", "y")) == 0
    assert derivative(X["x"] ** 2, parse("xx", ("x", "y")), ("x", "y")) == 2


def test_symbols_are_what_equations_expect_of_tensors() -> None:
    x = Symbolic([X["x"]])
    assert x.shape == (1,)
    assert x.dim() == len(x) == 1
    assert not bool(x != x)
    assert "sin" in ONE_TO_ONE
