"""The importance of edges and nodes, against shares of the variance that are known."""

import pytest
import sympy
import torch
from models import X, Y, model_of
from test_graph import LOWER, NETWORKS, UPPER

from kanpde.edges import edge_functions
from kanpde.interpret import importance
from kanpde.model import Graph


def test_a_sum_shares_its_score_by_standard_deviations() -> None:
    model = model_of(3 * X + 4 * Y + 7)
    found, points = model.importance(), model.points
    spread = (3 * points[:, 0] + 4 * points[:, 1]).std()
    expected = [3 * points[:, 0].std() / spread, 4 * points[:, 1].std() / spread]
    for edge, score in zip(model.graph.edges, found.edges, strict=True):
        assert float(score) == pytest.approx(float(expected[edge.source]) if edge.chain[0].edges else 0.0, rel=1e-12)
    assert found.nodes.tolist() == pytest.approx([*map(float, expected), 1.0], rel=1e-12)


def test_factors_have_the_score_of_their_product_if_they_vary() -> None:
    model = model_of(sympy.sin(X) * sympy.exp(Y))
    assert torch.allclose(model.importance().edges, torch.ones(3, dtype=torch.float64))
    number = next(e for e, edge in enumerate(model.graph.edges) if edge.source == 0)
    flat = model.replace(number, "sin", a=0.0, b=1.0)
    assert flat.importance().edges[number] == 0.0


def test_ranges_are_those_of_the_functions() -> None:
    found = model_of(3 * X + 4 * Y + 7).importance()
    assert sorted(found.ranges.tolist()) == pytest.approx([0.0, 6.0, 8.0], abs=0.05)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_has_the_importance_of_its_network(name: str) -> None:
    network, theta = NETWORKS[name]()
    points = LOWER + (UPPER - LOWER) * torch.rand(300, 2, dtype=torch.float64)
    layers = edge_functions(network, theta, points)
    found = importance(Graph.of(network, theta), points)
    assert torch.allclose(torch.cat([layer.edges.T.flatten() for layer in layers]), found.edges, rtol=1e-8)


def test_a_network_that_is_constant_has_no_importance() -> None:
    found = importance(model_of(0 * X + 2).graph, torch.rand(20, 2, dtype=torch.float64))
    assert bool(torch.isfinite(found.edges).all())
    assert float(found.edges.abs().max()) == 0.0
