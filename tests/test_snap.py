"""Simple constants: found where the residuals allow it, and left alone where they do not."""

import math

import pytest
import sympy
import torch
from models import PERTURBED, SINES, X, model_of

from kanpde import Box, Problem, dirichlet
from kanpde.interpret import Model
from kanpde.interpret.snap import nearest, snapped, standard_errors


def test_constants_become_simple_and_are_then_no_parameters() -> None:
    lines: list[str] = []
    found = model_of(PERTURBED).refit().simple_constants(lines.append)
    assert found.formula() == {"u": SINES}
    assert found.graph.parameters == 0
    assert "5 of 5 constants are simple numbers" in lines[-1]


def test_constants_that_are_not_simple_stay() -> None:
    rate = 1.2345678987654321
    problem = Problem(
        Box(x=(0, 1), y=(0, 1)),
        {"decay": lambda u, at: u.d("x") + rate * u},
        {"start": dirichlet("x-", 1.0)},
        name="decay",
    )
    model = Model.from_formula(problem, {"u": sympy.Float(0.99) * sympy.exp(sympy.Float(-1.2) * X)}).refit()
    found = model.simple_constants()
    assert found.graph.theta.tolist() == pytest.approx([-rate], rel=1e-12)
    assert found.formula()["u"].subs(X, 0) == 1
    assert found.residual < 1e-13


def test_what_is_undetermined_has_an_infinite_error() -> None:
    model = model_of(SINES)
    edge = len(model.graph.edges) - 1
    both = model.replace(edge, "x", a=2.0, c=0.5)
    errors = standard_errors(both.graph, both.ansatz, 1e-6, 0)
    assert int(torch.isinf(errors).sum()) == 4  # a and c, b and d
    assert bool((errors > 0).all())
    found = nearest(both.graph, both.ansatz, 1e-6, 0)
    assert bool(torch.isfinite(torch.tensor([value for _, value in found])).all())


def test_errors_are_those_of_the_residuals() -> None:
    """A constant that is off by its standard error changes the residual by about as much as there is."""
    model = model_of(SINES)
    (error, *_) = standard_errors(model.graph, model.ansatz, 1e-3, 0).tolist()
    other = model.graph.theta.clone()
    other[0] += error
    changed = Model(model.problem, model.ansatz, model.graph.at(other))
    assert 5e-4 < changed.residual < 5e-3


def test_values_are_held_where_they_are_put() -> None:
    model = model_of(SINES)
    place = int(model.graph.trained.nonzero()[0, 0])
    graph = snapped(model.graph, [(place, math.pi)])
    assert float(graph.values[place]) == math.pi
    assert graph.parameters == model.graph.parameters - 1
