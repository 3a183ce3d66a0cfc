"""Points of a part of the time."""

import pytest
import torch
from examples import small_kan

from kanpde import Sampling
from kanpde.library import load_problem
from kanpde.model import Ansatz
from kanpde.training_points import Collocation


@pytest.mark.parametrize("adaptive", [0.0, 0.5])
@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_points_lie_before_the_horizon(mode: str, adaptive: float) -> None:
    problem = load_problem("burgers1d")
    like = torch.zeros((), dtype=torch.float64)
    collocation = Collocation(Ansatz(problem, mode), Sampling(points=200, adaptive=adaptive), 0, like)
    network = small_kan(width=(2,), grid=6).network(like.new_tensor([-1.0, 0.0]), like.new_tensor([1.0, 1.0]), 1)
    theta = torch.linspace(-1, 1, network.parameters, dtype=torch.float64)
    half = collocation.system(network, theta, 1, 0, horizon=0.5)
    assert all(float(batch.at.t.max()) <= 0.5 for batch in half.batches)
    assert float(half.batches[0].at.t.max()) > 0.49
    assert len(half.batches[0].at) == len(collocation.system(network, theta, 1, 0).batches[0].at)
    held_out = collocation.held_out(network, 0, horizon=0.5).batches[0].at
    assert float(held_out.t.max()) <= 0.5
    # A quarter of the points and of their weights lies in a quarter of the time.
    assert abs(float((held_out.t < 0.25).double().mean()) - 0.5) < 0.02
