"""Growth: knots where they promise most, nodes and later times that leave the function as it is."""

import pytest
import torch
from examples import small_kan
from oracles import close, front, points_in, random

from kanpde import KAN, Box, LevenbergMarquardt, Points, Problem
from kanpde.growth import continued, intervals, promising, widened
from kanpde.model import Ansatz, Network
from kanpde.multiindex import IndexSet
from kanpde.residual import System
from kanpde.sampling import PointSet

NAMES = ("x", "y", "t")


def network_of(model: KAN, like: torch.Tensor, dimension: int = 2) -> Network:
    lower, upper = like.new_zeros(dimension), like.new_ones(dimension)
    return model.network(lower, upper, 2)


@pytest.mark.parametrize(
    "model",
    [
        small_kan(width=(0,), products=2),
        small_kan(width=(2,), products=1, base=True),
        small_kan(width=(1, 3), products=2, grid=(4, 3)),
    ],
    ids=["products", "sums and products", "deep"],
)
@pytest.mark.parametrize("dimension", [2, 3])
def test_more_product_nodes_keep_the_function(model: KAN, dimension: int, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    network = network_of(model, like, dimension)
    theta = random(network.parameters, like=like)
    wider = network.with_products(3)
    assert wider.layers[0].products == network.layers[0].products + 3
    grown = widened(network, theta, wider, random(wider.parameters, like=like, seed=2))
    points = points_in((0.0,) * dimension, (1.0,) * dimension, 40, like)
    indices = IndexSet(NAMES[:dimension], [(2,) + (0,) * (dimension - 1), (1, 1, *(0,) * (dimension - 2))])
    before, _ = network.forward(theta, indices, network.first(indices, points))
    after, passed = wider.forward(grown, indices, wider.first(indices, points))
    assert close(after, before, 1e-11)
    # Every new node can still learn: the derivative by its factor that is 0 is not.
    nodes = wider.layers[0].nodes(indices, passed[0].sums)
    assert bool((nodes[0, :, -3:].abs().max() < 1e-12).item())
    sums = wider.layers[0]._split(passed[0].sums)[1:]
    zero = torch.stack([factor[0, :, -3:].abs().amax(dim=0) < 1e-14 for factor in sums])
    assert zero.sum(dim=0).tolist() == [1, 1, 1]


def test_functions_of_time_go_on_as_constants(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    network = network_of(small_kan(width=(0,), products=2, grid=20, degree=(3, 1)), like)
    theta = random(network.parameters, like=like)
    longer = continued(network, theta, 1, 0.4)
    value = IndexSet(("x", "t"))
    points = points_in((0.0, 0.0), (1.0, 1.0), 400, like)

    def outputs(parameters: torch.Tensor) -> torch.Tensor:
        return network.forward(parameters, value, network.first(value, points), reverse=False)[0][0]

    early, late = points[:, 1] < 0.4 - 2 / 20, points[:, 1] > 0.4 + 2 / 20
    assert torch.equal(outputs(longer)[early], outputs(theta)[early])
    assert not close(outputs(longer)[late], outputs(theta)[late], 1e-2)
    end = points.clone()
    end[:, 1] = 1.0
    points = torch.where(late[:, None], end, points)
    again = outputs(longer)
    points = points_in((0.0, 0.0), (1.0, 1.0), 400, like)
    assert close(again[late], outputs(longer)[late], 1e-12)


def test_knots_go_where_the_front_is(device: torch.device) -> None:
    problem = Problem(Box(x=(0, 1), y=(0, 1)), {"front": front}, {})
    like = torch.zeros((), dtype=torch.float64, device=device)
    model = small_kan(width=(0,), products=3, grid=10, degree=(3, 1))
    network = model.network(like.new_zeros(2), like.new_ones(2), 1)
    assert intervals(network) == 20
    theta = model.initial_parameters(network, torch.Generator().manual_seed(0)).to(like)
    at = Points.of(("x", "y"), points_in((0.0, 0.0), (1.0, 1.0), 1000, like))
    sets = {("front",): PointSet(at, like.new_full((1000,), 1e-3))}

    def system(network: Network, theta: torch.Tensor) -> System:
        return System(Ansatz(problem, "soft"), network, sets, {"front": 1.0})

    solver = LevenbergMarquardt()
    state = solver.init(system(network, theta), theta)
    for _ in range(8):
        state = solver.step(system(network, theta), state)
    theta = state.theta
    (along_x, along_y), promise = promising(network, theta, system, 2)
    assert (len(along_x), len(along_y)) == (10, 10)
    everywhere, more = promising(network, theta, system, 20)
    assert all(bool(mask.all()) for mask in everywhere)
    assert 0.1 < promise <= more
    assert set(along_x.nonzero()[:, 0].tolist()) <= {2, 3, 4}  # from 0.2 to 0.5
    assert not along_y.any()
