"""The formula of a graph."""

import pytest
import sympy
from models import SINES, X, Y, model_of, with_scalar
from test_graph import NETWORKS

from kanpde import KanpdeError
from kanpde.interpret import Model
from kanpde.interpret.build import with_scalars
from kanpde.interpret.formula import formulas
from kanpde.model import Graph


def test_simple_numbers_are_written_as_such() -> None:
    assert model_of(SINES).formula() == {"u": SINES}
    rough = model_of(SINES).formula(exact=False)["u"]
    assert rough.atoms(sympy.Float)
    assert float(rough.subs({X: 0.3, Y: 0.4})) == pytest.approx(float(SINES.subs({X: 0.3, Y: 0.4})), rel=1e-14)


def test_numbers_that_are_not_simple_stay_floats() -> None:
    found = model_of(sympy.Float("0.123456789123456") * X).formula()["u"]
    assert found.coeff(X) == pytest.approx(0.123456789123456, rel=1e-15)


def test_edges_with_splines_are_named() -> None:
    with pytest.raises(KanpdeError, match=r"2 of 3 edges are splines \(edges 0, 1\): fix an elementary function"):
        model_of(SINES).unfix(0).unfix(1).formula()
    model = Model(model_of().problem, model_of().ansatz, Graph.of(*NETWORKS["deep"]()))
    with pytest.raises(KanpdeError, match=r"edges 0, 1, 2, 3, 4, \.\.\.\)"):
        model.formula()


def test_scalars_come_after_the_unknowns() -> None:
    graph = with_scalars(model_of(X).graph, with_scalar(), {})
    assert formulas(graph, ("x", "y"), ("u", "k"), [0.25]) == {"u": X, "k": sympy.Rational(1, 4)}
    assert graph.parameters == model_of(X).graph.parameters + 1
