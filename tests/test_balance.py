"""Balancing product nodes: the same function, factors of equal size, and singular functions where there are any."""

import pytest
import torch
from examples import small_kan
from oracles import close, points_in, random

from kanpde import KAN
from kanpde.balance import balanced, bilinear
from kanpde.model import Network
from kanpde.multiindex import IndexSet

NAMES = ("x", "y", "t")


def case(model: KAN, like: torch.Tensor, dimension: int, outputs: int) -> tuple[Network, torch.Tensor, torch.Tensor]:
    """Return a network, random parameters with factors of different sizes, and points."""
    network = model.network(like.new_zeros(dimension), like.new_ones(dimension), outputs)
    theta = random(network.parameters, like=like)
    layer = network.layers[0]
    for i, rows in layer.groups():
        network.weights(theta)[0][rows, layer.sums :] *= 100.0**i
    return network, theta, points_in((0.0,) * dimension, (1.0,) * dimension, 500, like)


def factors(network: Network, theta: torch.Tensor, points: torch.Tensor) -> list[torch.Tensor]:
    """Return the factors (N, M) of the product nodes, one for each input."""
    value = IndexSet(NAMES[: points.shape[1]])
    _, passed = network.forward(theta, value, network.first(value, points))
    return list(network.layers[0]._split(passed[0].sums[0])[1:])


CASES = {
    "singular": (small_kan(width=(0,), products=3, grid=5, degree=(4, 1), hidden_grid=1), 2, 1),
    "two outputs": (small_kan(width=(0,), products=3, grid=5, degree=(4, 1), hidden_grid=1), 2, 2),
    "three inputs": (small_kan(width=(0,), products=2), 3, 1),
    "sums and products": (small_kan(width=(2,), products=1, base=True), 2, 1),
    "deep": (small_kan(width=(1, 3), products=2, grid=(4, 3)), 2, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_the_function_stays_and_factors_get_one_size(name: str, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    model, dimension, outputs = CASES[name]
    network, theta, points = case(model, like, dimension, outputs)
    even = balanced(network, theta, points)
    second = IndexSet(NAMES[:dimension], [(2,) + (0,) * (dimension - 1), (1, 1, *(0,) * (dimension - 2))])
    first = network.first(second, points)
    before, after = (network.forward(x, second, first)[0] for x in (theta, even))
    assert close(after, before, 1e-10)
    sizes = torch.stack([factor.norm(dim=0) for factor in factors(network, even, points)])
    assert close(sizes, sizes[:1].expand_as(sizes), 1e-10)
    assert not close(theta, even, 1e-2)


def test_nodes_become_singular_functions(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    network, theta, points = case(CASES["singular"][0], like, 2, 1)
    assert bilinear(network)
    f, g = factors(network, balanced(network, theta, points), points)
    for gram in (f.T @ f, g.T @ g):
        assert float((gram - torch.diag(gram.diagonal())).abs().max()) < 1e-9 * float(gram.max())


@pytest.mark.parametrize("name", ["singular", "three inputs"])
def test_a_node_that_is_zero_stays(name: str, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    model, dimension, outputs = CASES[name]
    network, theta, points = case(model, like, dimension, outputs)
    rows = network.layers[0].groups()[0][1]
    network.weights(theta)[0][rows, 0] = 0.0
    even = balanced(network, theta, points)
    assert bool(torch.isfinite(even).all())
    value = IndexSet(NAMES[:dimension])
    before, after = (network.forward(x, value, network.first(value, points))[0] for x in (theta, even))
    assert close(after, before, 1e-11)


def test_networks_without_product_nodes_stay(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    network = small_kan(width=(2,)).network(like.new_zeros(2), like.new_ones(2), 1)
    theta = random(network.parameters, like=like)
    assert balanced(network, theta, points_in((0.0, 0.0), (1.0, 1.0), 20, like)) is theta
