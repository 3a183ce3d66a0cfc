"""Tensor products of splines: values, derivatives and Jacobians against plain ones, knots that keep the functions."""

import pytest
import torch
from oracles import basis_values, close, points_in, random, taylor
from torch import Tensor

from kanpde.basis import BSpline
from kanpde.model.tensor import TensorSplines, constant
from kanpde.multiindex import IndexSet

LOWER, UPPER = (-1.0, 0.5), (2.0, 3.0)
INDICES = IndexSet(("x", "t"), [(2, 0), (1, 1), (0, 1)])


def splines(
    like: Tensor, axes: tuple[int, int] = (0, 1), periodic: bool = False, outputs: int = 2, uneven: bool = True
) -> TensorSplines:
    """Return products of splines of degree 4 and 3, by default on uneven knots."""
    one = like.new_ones(1)
    fast, slow = BSpline.uniform(4, 11, -one, one, periodic), BSpline.uniform(3, 5, -one, one)
    if uneven:
        marks = torch.zeros(11, dtype=torch.bool, device=like.device)
        marks[[2, 3, 7]] = True
        fast, _ = fast.bisected(marks)
        slow, _ = slow.bisected(marks[2:7])
    return TensorSplines(fast, slow, axes, like.new_tensor(LOWER), like.new_tensor(UPPER), outputs)


def plain(own: TensorSplines, theta: Tensor, points: Tensor) -> Tensor:
    """Return the outputs (N, O) by dense splines."""
    z = 2 * (points - own.lower) / (own.upper - own.lower) - 1
    fast, slow = (basis_values(own.basis(axis), z[:, axis], 0) for axis in own.axes)
    return torch.einsum("nf,ns,sfo->no", fast, slow, theta.view(own.shape))


CASES = {"plain": {}, "periodic": {"periodic": True}, "swapped": {"axes": (1, 0)}, "uniform": {"uneven": False}}


@pytest.mark.parametrize("name", CASES)
def test_channels_are_those_of_autograd(name: str, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    own = splines(like, **CASES[name])
    theta, points = random(own.parameters, like=like), points_in(LOWER, UPPER, 60, like)
    found, _ = own.forward(theta, INDICES, own.first(INDICES, points))
    assert close(found, taylor(lambda at: plain(own, theta, at), points, INDICES).detach(), 1e-11)


@pytest.mark.parametrize("name", CASES)
def test_blocks_make_up_the_jacobian(name: str, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    own = splines(like, **CASES[name])
    points = points_in(LOWER, UPPER, 300, like)
    order, parts = own.neighbours(points)
    assert sorted(order.tolist()) == list(range(300))
    assert sum(part.stop - part.start for part in parts) == 300
    points = points[order]
    first, adjoint = own.first(INDICES, points), random(len(INDICES), 300, own.outputs, like=like)
    one = torch.eye(own.parameters, dtype=torch.float64, device=device)
    channels = torch.stack([own.forward(row, INDICES, first)[0] for row in one], dim=-1)
    wanted = torch.einsum("cno,cnop->np", adjoint, channels)
    dense = wanted.new_zeros(300, *own.shape)
    for part in parts:
        block, slow, fast = own.block(INDICES, first, adjoint, part)
        dense[part, slow : slow + block.shape[1], fast : fast + block.shape[2]] += block
    assert close(dense.flatten(1), wanted, 1e-12)
    assert close(own.rows(INDICES, first, adjoint, 3), wanted.view(100, 3, -1).sum(dim=1), 1e-12)
    entries = (wanted != 0).sum(dim=1)
    assert int(entries.max()) <= own.row_entries
    i, j = (wanted.T @ wanted).nonzero().unbind(dim=1)
    assert int((i - j).abs().max()) <= own.bandwidth


@pytest.mark.parametrize("periodic", [False, True])
def test_finer_knots_keep_the_functions(periodic: bool, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    own = splines(like, periodic=periodic)
    theta, points = random(own.parameters, like=like), points_in(LOWER, UPPER, 60, like)
    marks = torch.zeros(20, dtype=torch.bool, device=device)
    marks[[0, 4]] = True
    finer, same = own.bisected(marks[: own.fast.intervals], marks[: own.slow.intervals], theta)
    assert (finer.fast.intervals, finer.slow.intervals) == (own.fast.intervals + 2, own.slow.intervals + 2)
    assert close(plain(finer, same, points), plain(own, theta, points), 1e-12)


def test_a_part_of_the_slow_coordinate_has_the_first_coefficients(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    own = splines(like)
    theta, points = random(own.parameters, like=like), points_in(LOWER, UPPER, 200, like)
    assert own.span == (0.0, 1.0)
    for first, last in ((0, 3), (2, 5)):
        part, where = own.part(first, last)
        (start, end), passed = part.span, (points[:, 1] - LOWER[1]) / (UPPER[1] - LOWER[1])
        inside = (start <= passed) & (passed <= end)
        assert 20 < int(inside.sum()) < 180
        assert part.slow.intervals == last - first
        assert len(theta[where]) == part.parameters
        assert close(plain(part, theta[where], points[inside]), plain(own, theta, points[inside]), 1e-13)
        assert (float(part.grids()[1][0]), float(part.grids()[1][-1])) == (0.0, 1.0)
    longer, (_, where) = own.continued(theta, 3), own.part(0, 3)
    assert torch.equal(longer[where], theta[where])
    end, middle = points.clone(), points.clone()
    end[:, 1], middle[:, 1] = UPPER[1], LOWER[1] + 0.95 * (UPPER[1] - LOWER[1])
    assert close(plain(own, longer, end), plain(own, longer, middle), 1e-12)


def test_grids_are_in_the_order_of_coordinates(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    own, swapped = splines(like), splines(like, axes=(1, 0))
    assert [len(breaks) for breaks in own.grids()] == [15, 8]
    assert [len(breaks) for breaks in swapped.grids()] == [8, 15]
    for breaks in own.grids():
        assert (float(breaks[0]), float(breaks[-1])) == (0.0, 1.0)


def test_derivatives_are_taylor_coefficients(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    own = splines(like, outputs=1, uneven=False)
    z = own.fast.ramp()[0]
    theta = (torch.ones(own.slow.size, 1).to(like) * z).reshape(-1)  # x, mapped to [-1, 1]
    points = points_in(LOWER, UPPER, 5, like)
    found, _ = own.forward(theta, INDICES, own.first(INDICES, points))
    slope = 2 / (UPPER[0] - LOWER[0])
    wanted = [2 * (points[:, 0] - LOWER[0]) / (UPPER[0] - LOWER[0]) - 1, torch.full_like(points[:, 0], slope)]
    assert INDICES.indices[1] == (1, 0)
    for channel, expected in zip(found[:2, :, 0], wanted, strict=True):
        assert close(channel, expected, 1e-12)
    assert float(found[2:].abs().max()) < 1e-12


def test_one_coordinate_has_a_constant_second_factor(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    one = like.new_ones(1)
    own = TensorSplines(
        constant(like), BSpline.uniform(4, 7, -one, one), (None, 0), like.new_zeros(1), like.new_full((1,), 3.0), 2
    )
    assert own.shape == (11, 1, 2)
    assert len(own.grids()) == 1
    theta, points = random(own.parameters, like=like), points_in((0.0,), (3.0,), 50, like)
    order, parts = own.neighbours(points)
    points, indices = points[order], IndexSet(("t",), [(2,), (1,)])
    first = own.first(indices, points)

    def output(at: Tensor) -> Tensor:
        return basis_values(own.slow, 2 * at[:, 0] / 3 - 1, 0) @ theta.view(11, 2)

    found, _ = own.forward(theta, indices, first)
    assert close(found, taylor(output, points, indices).detach(), 1e-11)
    adjoint = random(*found.shape, like=like)
    dense = like.new_zeros(50, own.parameters)
    for part in parts:
        block, slow, fast = own.block(indices, first, adjoint, part)
        assert fast == 0
        dense[part, 2 * slow : 2 * slow + 10] = block.reshape(len(block), -1)
    assert close(dense @ theta, (adjoint * found).sum(dim=(0, 2)), 1e-12)
