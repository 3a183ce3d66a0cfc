"""Formulas as graphs: the same values, and back to the same formula."""

import numpy as np
import pytest
import sympy
import torch
from models import SINES, X, Y, model_of, values

from kanpde import Box, KanpdeError, Problem
from kanpde.basis.elementary import ELEMENTARY
from kanpde.interpret import Model

T = sympy.Symbol("t")
RATIONAL = sympy.Rational

FORMULAS = [
    SINES,
    sympy.Integer(0),
    sympy.pi,
    X,
    -X,
    X * Y,
    2 * X * Y - 3,
    X**5 * Y + X**8 + X**7 / 3,
    (X + 3) ** 6 * (Y + 2) ** -3,
    (X + 2) ** RATIONAL(3, 2),
    (X + 2) ** Y,
    2**X,
    sympy.exp(-(X**2) - Y**2) * sympy.cos(X - Y),
    1 / (1 + X**2 * sympy.exp(Y)),
    sympy.sqrt(X**2 + Y**2 + 1),
    sympy.tanh(2 * (X + Y) + 1) ** 3,
    sympy.sin(2 * X * Y + RATIONAL(1, 3)) + sympy.sin(2 * X * Y + RATIONAL(1, 3)) ** 2,
    sympy.log(3 + X + sympy.sin(Y)) * sympy.sqrt(2),
    (X + Y) * (X - Y) * sympy.erf(X),
    sympy.besselj(0, 3 * X + 1),
    sympy.Abs(X - 3) * sympy.atan(Y) + sympy.sech(X) + sympy.asin(X / 2) + sympy.atanh(Y / 3),
]


@pytest.mark.parametrize("formula", FORMULAS, ids=str)
def test_a_graph_has_the_values_of_its_formula(formula: sympy.Expr) -> None:
    model = model_of(formula)
    points = model.points[:50]
    x, y = points.T.numpy()
    expected = np.array([float(formula.subs({X: a, Y: b})) for a, b in zip(x[:9], y[:9], strict=True)])
    assert values(model, points)[:9, 0].numpy() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    back = model_of(model.formula()["u"])
    assert torch.allclose(values(back, points), values(model, points), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_every_function_comes_back_as_itself(name: str) -> None:
    model = model_of((X + 2) / 4).replace(0, "x", a=0.2, b=0.5)
    edge = next(e for e, own in enumerate(model.graph.edges) if own.source == 0 and own.chain[0].edges)
    model = model.replace(edge, name, a=0.25, b=0.5, c=2.0)
    back = model_of(model.formula(exact=False)["u"])
    assert torch.allclose(values(back, model.points), values(model, model.points), rtol=1e-12, atol=1e-13)


def test_symbols_of_the_user_need_no_assumptions() -> None:
    x, y = sympy.symbols("x y")
    model = model_of(sympy.sin(sympy.pi * x) * sympy.sin(sympy.pi * y))
    assert model.residual < 1e-13
    assert model.formula() == {"u": SINES}


def test_constants_of_formulas_are_trained() -> None:
    model = model_of(3 * sympy.sin(2 * X + 1) + 4)
    assert sorted(model.graph.theta.tolist()) == [1.0, 2.0, 3.0, 4.0]
    assert model_of(sympy.sin(X)).graph.theta.tolist() == [1.0]


def test_a_part_that_is_used_twice_is_one_node() -> None:
    graph = model_of(sympy.sin(X + Y) + sympy.exp(X + Y)).graph
    assert graph.nodes == ("input", "input", "sum", "sum")


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (T + X, "the formula of 'u' has the symbol 't': the coordinates are x, y"),
        (sympy.gamma(X + 3), "no edge can have the function 'gamma': use exp, log, sin"),
        (sympy.I * X, "has the constant I: constants have to be finite real numbers"),
        (X + sympy.zoo, "finite real numbers|symbol|no edge"),
        (X / sympy.Float("inf") + sympy.oo, "finite real numbers"),
        (sympy.log(X), r"function 'log' is not defined on \[-1, 1\]"),
        (1 / X, r"'1/x' is not defined on \[-1, 1\]"),
        (sympy.sqrt(X + Y), "'sqrt' is not defined"),
        (1 / (X + 1), r"'1/x' is not defined on \[0, 2\]"),
    ],
    ids=str,
)
def test_formulas_that_are_no_networks(formula: sympy.Expr, message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        model_of(formula)


def test_text_is_not_executed() -> None:
    with pytest.raises((KanpdeError, sympy.SympifyError)):
        model_of("x + y")  # type: ignore[arg-type]


def test_every_unknown_has_a_formula() -> None:
    problem = Problem(
        Box(x=(0, 1), y=(0, 1)),
        {"first": lambda u, v, at: u.d("x") - v, "second": lambda v, at: v.d("y") - 1.0},
        {},
    )
    model = Model.from_formula(problem, {"v": Y + X, "u": X * Y + X**2 / 2})
    assert list(model.formula()) == ["u", "v"]
    assert model.formula()["v"] == X + Y
    assert model.residual < 1e-13
    for wrong in ({"u": X}, {"u": X, "v": Y, "w": X}, {}):
        with pytest.raises(KanpdeError, match="give one for each unknown, u, v"):
            Model.from_formula(problem, wrong)
