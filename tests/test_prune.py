"""Pruning: what is left is the same function where only dead parts go, and constants take the place of edges."""

import warnings
from dataclasses import replace
from math import exp, pi

import pytest
import sympy
import torch
from models import SINES, X, Y, model_of, values
from test_graph import LOWER, NETWORKS, POINTS, UPPER

from kanpde import KAN, Box, KanpdeError, Problem, dirichlet
from kanpde.interpret import Model, Worse
from kanpde.interpret.prune import trimmed, without
from kanpde.model import Ansatz, Graph
from kanpde.model.chain import CONSTANT, elementary, is_constant
from kanpde.model.graph import Edge

SMALL = 1e-3 * sympy.exp(X)


def graph(nodes: str, edges: list[tuple[int, int, str, list[float]]], outputs: tuple[int, ...]) -> Graph:
    """Return a graph of two inputs; an edge without a name is a constant."""
    kinds = {"s": "sum", "p": "product"}
    found = [Edge(source, target, elementary(name) if name else (CONSTANT,)) for source, target, name, _ in edges]
    numbers = torch.tensor([w for *_, own in edges for w in own], dtype=torch.float64)
    kind = ("input", "input", *(kinds[k] for k in nodes))
    return Graph(kind, tuple(found), outputs, LOWER, UPPER, numbers, torch.ones(len(numbers)) > 0)


def outputs(of: Graph) -> torch.Tensor:
    return of.evaluated(POINTS)[0][:, list(of.outputs)]


# Nodes 2, 3 (dead), 4 (of constants alone), 5 (product), 6 (output): 6 = sin(x) + 5 + 4, 5 = 3 * 2 * (y^2) * 0.5.
DEAD = graph(
    "sssps",
    [
        (0, 2, "sin", [1.0, 0.0, 1.0, 0.0]),
        (1, 3, "exp", [1.0, 0.0, 1.0, 0.0]),
        (2, 3, "x", [1.0, 0.0, 1.0, 0.0]),
        (0, 4, "", [1.5]),
        (1, 4, "", [0.5]),
        (4, 5, "x", [1.0, 0.0, 1.0, 1.0]),
        (0, 5, "", [2.0]),
        (1, 5, "x^2", [1.0, 0.0, 1.0, 0.0]),
        (0, 5, "", [0.5]),
        (2, 6, "x", [1.0, 0.0, 1.0, 0.0]),
        (5, 6, "x", [1.0, 0.0, 1.0, 0.0]),
        (4, 6, "exp", [1.0, 0.0, 1.0, 0.0]),
        (1, 6, "", [0.25]),
        (1, 6, "", [0.75]),
    ],
    (6,),
)


def test_dead_parts_go_and_constants_are_merged() -> None:
    small = trimmed(DEAD, POINTS)
    x, y = POINTS.T
    expected = torch.sin(x) + 3 * y**2 + exp(2) + 1
    assert torch.allclose(outputs(small)[:, 0], expected, rtol=1e-13)
    assert torch.allclose(outputs(DEAD), outputs(small), rtol=1e-13)
    assert small.nodes == ("input", "input", "sum", "product", "sum")
    constants = [small.values[small.spans[e]].item() for e, edge in enumerate(small.edges) if is_constant(edge.chain)]
    assert sorted(constants) == pytest.approx(sorted([3.0, 1 + exp(2)]))
    again = trimmed(small, POINTS)
    assert (again.nodes, len(again.edges)) == (small.nodes, len(small.edges))
    assert torch.equal(again.values, small.values)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_trimmed_from_a_network_that_is_all_alive(name: str) -> None:
    whole = Graph.of(*NETWORKS[name]())
    small = trimmed(whole, POINTS)
    assert small.nodes == whole.nodes
    assert torch.allclose(outputs(small), outputs(whole), rtol=1e-12, atol=1e-13)


def test_constants_stay_locked_when_they_are_merged() -> None:
    for trained in (True, False):
        mask = DEAD.trained.clone()
        mask[DEAD.spans[12]], mask[DEAD.spans[13]] = trained, False
        kept = replace(DEAD, trained=mask).kept(range(7), [0, 9, 12, 13])
        small = trimmed(kept, POINTS)
        place = next(e for e, edge in enumerate(small.edges) if is_constant(edge.chain))
        assert bool(small.trained[small.spans[place]]) is trained


def test_edges_become_their_means() -> None:
    model = model_of(SINES + SMALL + Y**2)
    number = next(e for e, edge in enumerate(model.graph.edges) if edge.source == 1 and edge.target == 3)
    points = model.points
    small = without(model.graph, points, [number])
    change = values(model, points)[:, 0] - small.evaluated(points)[0][:, small.outputs[0]]
    assert torch.allclose(change, points[:, 1] ** 2 - (points[:, 1] ** 2).mean(), atol=1e-12)


def test_a_threshold_takes_what_matters_less() -> None:
    model = model_of(SINES + SMALL)
    small = model.prune(threshold=0.01)
    assert small.simple_constants().formula() == {"u": SINES}
    assert small.residual < 1e-13
    assert len(model.graph.edges) == 4
    assert len(model.prune(threshold=1e-6, refit=False).graph.edges) == 4


def test_a_number_of_edges() -> None:
    model = model_of(SINES + SMALL)
    small = model.prune(edges=3)
    assert small.residual < 1e-13
    assert sum(not is_constant(edge.chain) for edge in small.graph.edges) == 3


def test_a_number_of_nodes() -> None:
    model = model_of(SINES + 1e-3 * X * sympy.exp(Y))
    assert model.graph.nodes.count("product") == 2
    small = model.prune(nodes=1)
    assert small.graph.nodes.count("product") == 1
    assert small.residual < 1e-13


def test_inputs_that_are_not_wanted() -> None:
    problem = Problem(
        Box(x=(0, 1), y=(0, 1)),
        {"line": lambda u, at: u.d("xx") + pi**2 * u},
        {"ends": dirichlet("x", 0.0), "slope": dirichlet("y-", lambda at: torch.sin(pi * at.x))},
        name="line",
    )
    model = Model.from_formula(problem, {"u": sympy.sin(sympy.pi * X) + 1e-4 * sympy.exp(Y) * sympy.cos(X)})
    small = model.prune(inputs=[0])
    assert all(edge.source != 1 for edge in small.graph.edges)
    assert small.residual < 1e-12
    assert bool(torch.isfinite(small.graph.values).all())


def test_a_worse_network_is_not_left_silently() -> None:
    model = model_of(SINES + SMALL)
    with pytest.warns(Worse, match="prune left a relative residual of"):
        model.prune(inputs=[0])
    with pytest.warns(Worse, match="disconnect left"):
        model.disconnect(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.prune(threshold=0.01)
        model.disconnect(0, refit=False)


def test_pruning_a_trained_network_keeps_the_residual() -> None:
    model = Model.of(*trained())
    for smaller in (model.prune(edges=9, refit=False), model.prune(threshold=0.3, refit=False)):
        assert sum(not is_constant(edge.chain) for edge in smaller.graph.edges) < len(model.graph.edges)
        assert bool(torch.isfinite(smaller.graph.values).all())
        assert smaller.residual < float("inf")


def trained() -> tuple[Ansatz, object, torch.Tensor]:

    problem = model_of().problem
    model = KAN((2,), 2, (3, 3), products=2, hidden_grid=1, start_grid=2, noise=0.1)
    lower, upper = torch.tensor([-1.0, -1.0]).double(), torch.tensor([1.0, 1.0]).double()
    network = model.network(lower, upper, 1)
    weights = torch.randn(network.parameters, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Ansatz(problem), network, weights


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "give one of threshold, edges, nodes and inputs"),
        ({"threshold": 0.1, "edges": 2}, "give one of"),
        ({"threshold": 1.0}, r"threshold=1\.0.*from 0 to 1"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"edges": 0}, "keep at least 1"),
        ({"nodes": -1}, "not negative"),
        ({"inputs": [2]}, r"the inputs are \[0, 1\]"),
        ({"inputs": []}, "no output would depend on any input"),
        ({"nodes": 0}, "no output would depend on any input"),
    ],
)
def test_what_cannot_be_pruned(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        model_of().prune(**wrong)  # type: ignore[arg-type]


def test_all_edges_or_one_that_is_not_there() -> None:
    with pytest.raises(KanpdeError, match="no output would depend on any input"):
        model_of().disconnect(0, 1, 2)
    with pytest.raises(KanpdeError, match="edge 9: the edges are 0 to 2"):
        model_of().disconnect(9)
