"""Separation: singular functions become product nodes, on as few knots and for as few parameters as they need."""

import pytest
import torch
from oracles import close, network_output, points_in, random

from kanpde import KAN
from kanpde.basis import BSpline
from kanpde.model.tensor import TensorSplines
from kanpde.multiindex import IndexSet
from kanpde.separate import Separation, orthonormal, removal

LOWER, UPPER = (-1.0, 0.5), (2.0, 3.0)
VALUE = IndexSet(("x", "t"))


def fitted(like: torch.Tensor, axes: tuple[int, int] = (0, 1)) -> tuple[TensorSplines, torch.Tensor]:
    """Return splines and coefficients of two functions: a smooth one of rank 2 on few knots, and one with a front."""
    one = like.new_ones(1)
    fast, slow = BSpline.uniform(5, 32, -one, one), BSpline.uniform(5, 12, -one, one)
    own = TensorSplines(fast, slow, axes, like.new_tensor(LOWER), like.new_tensor(UPPER), 2)
    z = torch.linspace(-1, 1, 400, dtype=torch.float64).to(like)
    of_fast, of_slow = (basis.taylor(z[:, None], 0)[0, :, 0] for basis in (fast, slow))
    x, t = z[None, :], z[:, None]
    functions = [torch.sin(2 * x) * t + torch.cos(x) * t**2, torch.tanh(6 * x + 2 * t)]
    found = [torch.linalg.pinv(of_slow) @ values @ torch.linalg.pinv(of_fast).T for values in functions]
    return own, torch.stack(found, dim=-1).reshape(-1)


def separation(like: torch.Tensor, parameters: int = 10_000, products: int = 40, grid: int = 99) -> Separation:
    return Separation(*fitted(like), parameters, products, grid)


@pytest.mark.parametrize("axes", [(0, 1), (1, 0)])
def test_a_network_of_the_nodes_is_the_function(axes: tuple[int, int], device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    own, theta = fitted(like, axes)
    nodes = Separation(own, theta, 10_000, 40, 99).nodes(1e-9)
    model = KAN((0,), 8, (5, 1), nodes.count, hidden_grid=1, start_grid=8)
    plain = model.network(own.lower, own.upper, 2)
    points = points_in(LOWER, UPPER, 300, like)
    network, parameters = nodes.network(plain, points)
    assert network.parameters == len(parameters)
    value, _ = own.forward(theta, VALUE, own.first(VALUE, points))
    assert close(network_output(network, parameters, points), value[0], 1e-8)


def test_errors_are_what_singular_functions_leave(device: torch.device) -> None:
    """The error that is stated is that of the network, and no sum of as many nodes has a smaller one."""
    like = torch.zeros((), dtype=torch.float64, device=device)
    own, theta = fitted(like)
    for tolerance in (1e-2, 1e-4, 1e-6):
        nodes = separation(like).nodes(tolerance)
        assert 0.3 * tolerance < nodes.error <= 1.2 * tolerance
        plain = KAN((0,), 8, (5, 1), nodes.count, hidden_grid=1, start_grid=8).network(own.lower, own.upper, 2)
        points = points_in(LOWER, UPPER, 20_000, like)
        network, parameters = nodes.network(plain, points[:100])
        wanted, _ = own.forward(theta, VALUE, own.first(VALUE, points))
        found, _ = network.forward(parameters, VALUE, network.first(VALUE, points), reverse=False)
        difference = ((found - wanted)[0].square().mean(dim=0) / wanted[0].square().mean(dim=0)).mean().sqrt()
        assert float(difference) == pytest.approx(nodes.error, rel=0.05)
    assert len(nodes.factors[0][0]) == 2  # the rank of the smooth function
    assert len(nodes.factors[1][0]) > 6


def test_few_knots_are_left_and_they_lie_where_they_are_needed(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    loose, tight = separation(like).nodes(1e-3), separation(like).nodes(1e-7)
    assert loose.fast.intervals < tight.fast.intervals <= 32
    assert loose.slow.intervals < tight.slow.intervals <= 12
    assert loose.error < 1.2e-3
    own, theta = fitted(like)
    front = theta.view(own.shape).clone()
    front[..., 0] = front[..., 1] = (own.fast.ramp()[0] > 0.1).to(like)  # a front at one place, at all times
    nodes = Separation(own, front.reshape(-1), 10_000, 40, 99).nodes(1e-2)
    shortest = nodes.fast.breaks[0, :-1][nodes.fast.breaks[0].diff() < 0.07]
    assert 0 < len(shortest) < 12
    assert bool(((shortest > -0.3) & (shortest < 0.5)).all())
    assert nodes.slow.intervals <= 2


@pytest.mark.parametrize("periodic", [False, True])
def test_knots_are_removed_in_the_order_of_what_they_cost(periodic: bool, device: torch.device) -> None:
    """The first one costs least of all, and errors are those of least-squares fits without the knots."""
    like = torch.zeros((), dtype=torch.float64, device=device)
    one = like.new_ones(1)
    basis = BSpline.uniform(4, 9, -one, one, periodic)
    marks = torch.zeros(9, dtype=torch.bool, device=device)
    marks[[2, 6]] = True
    basis, _ = basis.bisected(marks)
    q, triangle = orthonormal(basis, basis)
    functions = random(basis.size, 3, like=like)
    order, errors = removal(basis, triangle, functions)
    assert sorted(order) == list(range(basis.intervals - 1))
    assert errors == sorted(errors)

    def fitted_without(knots: list[int]) -> float:
        kept = torch.ones(basis.intervals + 1, dtype=torch.bool)
        kept[[1 + j for j in knots]] = False
        spanned, _ = orthonormal(basis, basis.with_breaks(basis.breaks[:, kept.to(device)]))
        return float((q @ functions - spanned @ (spanned.T @ (q @ functions))).norm())

    each = [fitted_without([j]) for j in range(basis.intervals - 1)]
    assert order[0] == each.index(min(each))
    for count in (1, 2, 5):
        assert errors[count - 1] == pytest.approx(fitted_without(order[:count]), rel=1e-6)


def test_limits_are_kept(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    wide, few, small, coarse = (
        separation(like),
        separation(like, products=5),
        separation(like, parameters=300),
        separation(like, grid=8),
    )
    assert few.nodes(0.0).count == 5
    nodes = small.nodes(0.0)
    assert nodes.count * (nodes.fast.size + nodes.slow.size + 4) <= 300
    assert coarse.nodes(0.0).fast.intervals == 8
    assert wide.least < min(few.least, small.least, coarse.least)


def test_a_function_that_vanishes_needs_no_nodes_of_its_own(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    own, theta = fitted(like)
    theta = theta.view(own.shape).clone()
    theta[..., 0] = 0.0
    nodes = Separation(own, theta.reshape(-1), 10_000, 40, 99).nodes(1e-5)
    assert len(nodes.factors[0][0]) == 0
    assert nodes.count > 0
