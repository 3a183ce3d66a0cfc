"""Functions on edges add up to the network's nodes, and their importance is that of the definition."""

from itertools import pairwise

import pytest
import sympy
import torch
from examples import small_kan
from models import X, Y, model_of

from kanpde import KAN, MLP
from kanpde.edges import edge_functions, functions, has_edge_functions, importance
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet

PROBLEM = load_problem("poisson2d")
POINTS = PROBLEM.geometry.sample(500)


def network_of(model, seed=0):
    lower, upper = (
        torch.tensor(side, dtype=torch.float64) for side in (PROBLEM.geometry.lower, PROBLEM.geometry.upper)
    )
    network = model.network(lower, upper, 1)
    generator = torch.Generator().manual_seed(seed)
    return network, 0.3 * torch.randn(network.parameters, generator=generator, dtype=torch.float64)


MODELS = [
    small_kan(width=(3,), grid=4, degree=5, start_grid=4),
    small_kan(width=(3, 2), grid=4, degree=5, start_grid=4),
    small_kan(width=(0,), products=3, grid=4, degree=(5, 1), start_grid=4),
    small_kan(width=(2,), products=3, grid=4, degree=5, start_grid=4, base=True),
]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_functions_make_the_nodes(model: KAN) -> None:
    network, theta = network_of(model)
    value = IndexSet(("x", "y"))
    output, passed = network.forward(theta, value, network.first(value, POINTS), reverse=False)
    inputs = network.embed(value, POINTS)[0]
    for layer, w, step in zip(network.layers, network.weights(theta), passed, strict=True):
        found = functions(layer, w, inputs)
        nodes = torch.cat([found[..., : layer.sums].sum(dim=1), found[..., layer.sums :].prod(dim=1)], dim=1)
        assert torch.allclose(nodes, layer.nodes(value, step.sums)[0], rtol=1e-12, atol=1e-14)
        inputs = nodes
    assert torch.allclose(inputs, output[0], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_scores_are_handed_from_the_outputs_to_the_inputs(model: KAN) -> None:
    layers = edge_functions(*network_of(model), POINTS)
    assert torch.equal(layers[-1].nodes, torch.ones(1, dtype=torch.float64))
    for before, after in pairwise(layers):
        assert torch.allclose(before.nodes, after.edges.sum(dim=1))
    first = layers[0]
    assert bool((first.edges[:, first.sums :] == first.nodes[first.sums :]).all())


def test_a_sum_of_two_functions_has_the_ratios_of_their_deviations() -> None:
    network, theta = network_of(small_kan(width=(1,), grid=2, degree=5, start_grid=2))
    (first, second) = edge_functions(network, theta, POINTS)
    value = IndexSet(("x", "y"))
    adds = functions(network.layers[0], network.weights(theta)[0], network.embed(value, POINTS)[0])[..., 0]
    assert torch.allclose(first.edges[:, 0], adds.std(dim=0) / adds.sum(dim=1).std())
    assert float(second.edges[0, 0]) == pytest.approx(1.0)


def test_arguments_are_coordinates_and_knots_lie_in_them() -> None:
    (first, second) = edge_functions(*network_of(MODELS[2]), POINTS)
    assert first.arguments[0].tolist() == [-1, -1]
    assert first.arguments[-1].tolist() == [1, 1]
    assert all(torch.allclose(knots, torch.linspace(-1, 1, 5, dtype=torch.float64)) for knots in first.knots)
    assert bool(second.straight.all())
    assert not bool(first.straight.any())


def test_only_a_kan_has_functions_on_its_edges() -> None:
    assert has_edge_functions(network_of(MODELS[0])[0])
    assert not has_edge_functions(network_of(MLP(width=(3,)))[0])


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


def test_a_network_that_is_constant_has_no_importance() -> None:
    found = importance(model_of(0 * X + 2).graph, torch.rand(20, 2, dtype=torch.float64))
    assert bool(torch.isfinite(found.edges).all())
    assert float(found.edges.abs().max()) == 0.0
