"""Graphs from structures: the same values, shared functions once, and only what matters is trained."""

from math import pi

import pytest
import torch

from kanpde.basis.elementary import ELEMENTARY
from kanpde.interpret.build import graph_of, of_candidate
from kanpde.interpret.recognise import Candidate
from kanpde.interpret.structure import Structure, Term
from kanpde.model import Graph
from kanpde.model.graph import Edge

LOWER, UPPER = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
POINTS = torch.rand(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def candidate(outer: str, a: float = 1.0, b: float = 0.0, inner: str | None = None) -> Candidate:
    return Candidate(ELEMENTARY[outer], a, b, ELEMENTARY[inner] if inner else None, 0.0, 1.0)


SINE, SQUARE, DAMPED = candidate("sin", pi, 0.25), candidate("x^2"), candidate("exp", -2.0, 0.0, "x^2")


def structure(*terms: Term, outer: str = "x", sign: float = 1.0) -> Structure:
    return Structure(ELEMENTARY[outer], sign, ((SINE, SQUARE), (DAMPED,)), terms, 0.0, 1e-9)


def outputs(graph: Graph) -> torch.Tensor:
    return graph.evaluated(POINTS)[0][:, list(graph.outputs)]


def test_terms_are_products_and_functions() -> None:
    graph = graph_of([structure(Term(3.0, ((0, 0), (1, 0))), Term(-1.5, ((0, 1),)), Term(0.5, ()))], LOWER, UPPER)
    x, y = POINTS.T
    expected = 3 * torch.sin(pi * x + 0.25) * torch.exp(-2 * y**2) - 1.5 * x**2 + 0.5
    assert torch.allclose(outputs(graph)[:, 0], expected, rtol=1e-13)
    assert graph.theta.abs().sort().values.tolist() == pytest.approx([0.25, 0.5, 1.5, 2.0, 3.0, pi])


def test_functions_that_are_used_twice_are_one_node() -> None:
    graph = graph_of([structure(Term(1.0, ((0, 0), (1, 0))), Term(2.0, ((0, 0),)))], LOWER, UPPER)
    x, y = POINTS.T
    sine = torch.sin(pi * x + 0.25)
    assert torch.allclose(outputs(graph)[:, 0], sine * torch.exp(-2 * y**2) + 2 * sine, rtol=1e-13)
    assert sorted(graph.nodes) == ["input", "input", "product", "sum", "sum"]
    assert graph.parameters == 5


def test_outer_functions_and_several_unknowns() -> None:
    terms = Term(1.0, ((0, 1),)), Term(1.0, ())
    graph = graph_of([structure(*terms, outer="sqrt", sign=-1.0), structure(*terms)], LOWER, UPPER)
    x = POINTS[:, 0]
    assert torch.allclose(outputs(graph), torch.stack([-torch.sqrt(x**2 + 1), x**2 + 1], dim=1), rtol=1e-13)


@pytest.mark.parametrize(
    "found",
    [candidate("x"), candidate("x", 2.0, 3.0), candidate("x", 2.0, 0.5, "exp"), SINE, SQUARE, DAMPED],
    ids=["z", "line", "line of exp", "sine", "square", "damped"],
)
@pytest.mark.parametrize("coefficient", [None, -2.5])
def test_edges_of_candidates(found: Candidate, coefficient: float | None) -> None:
    chain, weights, trained = of_candidate(found, coefficient)
    values = torch.tensor(weights, dtype=torch.float64)
    graph = Graph(("input", "input", "sum"), (Edge(0, 2, chain),), (2,), LOWER, UPPER, values, torch.tensor(trained))
    expected = (1.0 if coefficient is None else coefficient) * found.values(POINTS[:, 0])
    assert torch.allclose(outputs(graph)[:, 0], expected, rtol=1e-13)
    if coefficient is None:
        assert not any(w == 1 and t for w, t in zip(weights, trained, strict=True))
