"""Every basis gives the derivatives of one function; splines are B-splines, and change their grid exactly."""

from math import comb, factorial

import pytest
import torch
from oracles import basis_values, close, cox_de_boor, random
from scipy.interpolate import BSpline as ScipyBSpline
from torch import Tensor

from kanpde import KanpdeError
from kanpde.basis import Activation, Basis, BSpline, Chebyshev, Fourier, Learnable
from kanpde.basis.activation import FUNCTIONS

DEGREES = range(1, 12)
KINDS = [
    *[f"degree {k}" for k in DEGREES],
    "cut 3",
    "cut 7",
    "cut 11",
    "periodic 5",
    "periodic 8",
    "chebyshev",
    "fourier",
    *sorted(FUNCTIONS),
]
ORDER = 5


def spline(degree: int, device: torch.device, intervals: int = 5) -> BSpline:
    start, end = torch.tensor([[-1.0, 0.25], [1.0, 3.75]], dtype=torch.float64, device=device)
    return BSpline.uniform(degree, intervals, start, end)


def inputs(device: torch.device, overhang: float = 0.3) -> Tensor:
    """Points (N, 2) inside both grids and a little outside them; none is a knot."""
    s = torch.linspace(-overhang, 1 + overhang, 43, dtype=torch.float64, device=device)[:, None] + 1e-4
    start, length = s.new_tensor([-1.0, 0.25]), s.new_tensor([2.0, 3.5])
    return start + length * s


def slope(values: Tensor, z: Tensor) -> Tensor:
    """Return the derivative of values (N,) by their inputs (N,); functions that came to a constant have none."""
    if not values.requires_grad:
        return torch.zeros_like(values)
    return torch.autograd.grad(values.sum(), z, create_graph=True, materialize_grads=True)[0]


def named(kind: str, device: torch.device) -> Basis:
    start, end = torch.tensor([[-1.0, 0.25], [1.0, 3.75]], dtype=torch.float64, device=device)
    if kind == "chebyshev":
        return Chebyshev(7, start, end)
    if kind == "fourier":
        return Fourier(3, start, end)
    if " " not in kind:
        return Activation(kind)
    what, degree = kind.split()
    if what == "degree":
        return spline(int(degree), device)
    if what == "periodic":
        return BSpline.uniform(int(degree), 6, start, end, periodic=True)
    chosen = torch.tensor([False, True, False, False, True], device=device)
    once, _ = spline(int(degree), device).bisected(chosen)
    return once.bisected(torch.tensor([False, True, True, False, False, False, True], device=device))[0]


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_those_of_the_functions(kind: str, device: torch.device) -> None:
    basis, z = named(kind, device), inputs(device)
    found = basis.taylor(z, ORDER)
    assert found.shape == (ORDER + 1, len(z), 2, basis.size)
    assert found.dtype == torch.float64
    assert found.device.type == device.type
    mix = random(basis.size, 3, like=z)
    for i in range(2):
        x = z[:, i].clone().requires_grad_()
        for column, weights in zip((basis_values(basis, x, i) @ mix).unbind(dim=1), mix.unbind(dim=1), strict=True):
            wanted = column
            for m in range(ORDER + 1):
                scale = max(1.0, float(found[m].abs().max()))
                assert (
                    float((found[m, :, i] @ weights - wanted.detach() / factorial(m)).abs().max()) <= 1e-11 * scale
                ), m
                wanted = slope(wanted, x)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_agree_with_finite_differences(kind: str, device: torch.device) -> None:
    basis, z, h = named(kind, device), inputs(device), 1e-6
    both = basis.taylor(torch.cat([z - h, z + h]), 2)
    first, second = both.chunk(2, dim=1)
    slopes = (second - first) / (2 * h)
    found = basis.taylor(z, 3)
    for m in range(2):
        error = ((m + 1) * found[m + 1] - slopes[m]).abs().max()
        assert float(error) <= 1e-7 * max(1.0, float(slopes[m].abs().max()))
    assert not close(1.01 * found[1], slopes[0], 1e-7)


def test_unknown_activations_are_refused() -> None:
    with pytest.raises(KanpdeError, match=r"unknown activation 'tan': did you mean 'tanh'\? Known: identity, silu"):
        Activation("tan")


@pytest.mark.parametrize("degree", DEGREES)
def test_splines_sum_to_one_everywhere(degree: int, device: torch.device) -> None:
    values = spline(degree, device).taylor(inputs(device), 1)
    assert close(values[0].sum(dim=-1), torch.ones_like(values[0, ..., 0]), 1e-11)
    assert float(values[1].sum(dim=-1).abs().max()) < 1e-10


@pytest.mark.parametrize("degree", DEGREES)
def test_splines_reproduce_polynomials(degree: int, device: torch.device) -> None:
    """Marsden's identity: the coefficients of z^p are the p-th elementary means of the inner knots."""
    basis, z = spline(degree, device), inputs(device)
    values = basis.taylor(z, 0)[0]
    knots = basis.knots
    assert close((values * basis.ramp()).sum(dim=-1), z, 1e-11)
    for p in range(degree + 1):
        means = []
        for g in range(basis.size):
            symmetric = [torch.ones_like(knots[:, 0])] + [torch.zeros_like(knots[:, 0])] * degree
            for knot in knots[:, g + 1 : g + degree + 1].unbind(dim=1):
                symmetric = [symmetric[0], *(symmetric[q] + knot * symmetric[q - 1] for q in range(1, degree + 1))]
            means.append(symmetric[p] / comb(degree, p))
        assert close((values * torch.stack(means, dim=1)).sum(dim=-1), z**p, 1e-10)


@pytest.mark.parametrize("degree", DEGREES)
def test_splines_are_those_of_scipy(degree: int) -> None:
    basis, z = spline(degree, torch.device("cpu")), inputs(torch.device("cpu"), overhang=-1e-3)
    found = basis.taylor(z, min(degree, 3))
    for i in range(2):
        knots = basis.knots[i]
        for m in range(len(found)):
            wanted = torch.stack(
                [
                    torch.as_tensor(ScipyBSpline(knots.numpy(), row.numpy(), degree)(z[:, i].numpy(), nu=m))
                    for row in torch.eye(basis.size, dtype=torch.float64)
                ],
                dim=1,
            )
            assert close(factorial(m) * found[m, :, i], wanted, 1e-11)
            assert not close(1.01 * factorial(m) * found[m, :, i], wanted, 1e-11)


@pytest.mark.parametrize("degree", DEGREES)
def test_end_polynomials_continue_outside_the_grid(degree: int, device: torch.device) -> None:
    """Points outside continue what polynomial interpolation of the end interval says."""
    basis = spline(degree, device, intervals=3)
    start, h = basis.breaks[:, 0], basis.step
    assert h is not None
    nodes = torch.cos(torch.pi * (torch.arange(degree + 1, dtype=torch.float64, device=device) + 0.5) / (degree + 1))
    outside = start - 0.4 * h
    inside = start + h * (nodes[:, None] + 1) / 2
    values, wanted = basis.taylor(inside, 0)[0], basis.taylor(outside[None], 0)[0, 0]
    lagrange = torch.ones(degree + 1, 2, dtype=torch.float64, device=device)
    for j in range(degree + 1):
        for k in range(degree + 1):
            if k != j:
                lagrange[j] *= (outside - inside[k]) / (inside[j] - inside[k])
    continued = (lagrange[:, :, None] * values).sum(dim=0)
    assert close(continued, wanted, 1e-9)
    assert bool((basis.taylor(outside[None], 0)[0].abs().sum(dim=-1) > 0.5).all())


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("degree", DEGREES)
def test_refinement_is_exact(degree: int, factor: int, device: torch.device) -> None:
    basis, z = spline(degree, device), inputs(device, overhang=0.05)
    finer, change = basis.refined(factor)
    assert finer.intervals == 5 * factor
    assert torch.equal(finer.breaks[:, [0, -1]], basis.breaks[:, [0, -1]])
    c = random(2, basis.size, like=z)
    order = degree
    before = (basis.taylor(z, order) * c).sum(dim=-1)
    after = (finer.taylor(z, order) * (change @ c[..., None])[..., 0]).sum(dim=-1)
    for m in range(order + 1):
        # Rounding of the values is divided by the new step m times.
        assert close(after[m], before[m], 1e-12 * factor ** max(0, m - 4)), m
    assert not close(1.01 * after, before, 1e-12)


LEARNABLE = [kind for kind in KINDS if kind not in FUNCTIONS]


def learnable(kind: str, device: torch.device) -> Learnable:
    basis = named(kind, device)
    assert isinstance(basis, Learnable)
    return basis


def check_same_functions(old: Learnable, new: Learnable, change: Tensor, z: Tensor, order: int, loss: float) -> None:
    """Check values and derivatives of random functions; those of a finer basis lose `loss` more digits each."""
    assert change.shape == (z.shape[1], new.size, old.size)
    c = random(z.shape[1], old.size, like=z)
    before = (old.taylor(z, order) * c).sum(dim=-1)
    after = (new.taylor(z, order) * (change @ c[..., None])[..., 0]).sum(dim=-1)
    for m in range(order + 1):
        assert close(after[m], before[m], 1e-12 * loss**m), m
    assert not close(1.01 * after, before, 1e-6)


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("kind", LEARNABLE)
def test_every_refinement_is_exact(kind: str, factor: int, device: torch.device) -> None:
    basis = learnable(kind, device)
    finer, change = basis.refined(factor)
    assert finer.intervals == factor * basis.intervals
    check_same_functions(basis, finer, change, inputs(device, overhang=0.05), 3, 2.0 * factor)


@pytest.mark.parametrize("kind", [kind for kind in LEARNABLE if " " in kind])
def test_cutting_some_intervals_again_and_again_is_exact(kind: str, device: torch.device) -> None:
    first = learnable(kind, device)
    assert isinstance(first, BSpline)
    basis, total = first, torch.eye(first.size, dtype=torch.float64, device=device).expand(2, -1, -1)
    for _ in range(5):  # at both ends, and in geometric sequence towards the middle
        chosen = torch.zeros(basis.intervals, dtype=torch.bool, device=device)
        chosen[[0, basis.intervals // 2, -1]] = True
        finer, change = basis.bisected(chosen)
        assert finer.intervals == basis.intervals + 3
        assert bool((finer.knots.diff(dim=1) > 0).all())
        assert torch.equal(finer.breaks[:, [0, -1]], basis.breaks[:, [0, -1]])
        basis, total = finer, change @ total
    check_same_functions(first, basis, total, inputs(device, overhang=0.0), 3, 40.0)


def test_cutting_nothing_changes_nothing(device: torch.device) -> None:
    basis = learnable("cut 7", device)
    assert isinstance(basis, BSpline)
    same, change = basis.bisected(torch.zeros(basis.intervals, dtype=torch.bool, device=device))
    assert torch.equal(same.breaks, basis.breaks)
    assert close(change, torch.eye(basis.size, dtype=torch.float64, device=device).expand(2, -1, -1), 1e-12)


@pytest.mark.parametrize(("degree", "intervals"), [(3, 1), (7, 2), (5, 9), (11, 4)])
def test_periodic_splines_repeat_with_their_derivatives(degree: int, intervals: int, device: torch.device) -> None:
    start, end = torch.tensor([[-1.0, 0.25], [1.0, 3.75]], dtype=torch.float64, device=device)
    basis = BSpline.uniform(degree, intervals, start, end, periodic=True)
    chosen = torch.arange(intervals, device=device) == 0
    for spline in (basis, basis.bisected(chosen)[0]):
        assert spline.size == spline.intervals
        gap = 1e-13
        left, right = spline.taylor(torch.stack([start, end - gap * (end - start)]), degree - 1).unbind(dim=1)
        for m in range(degree):
            assert close(left[m], right[m], 1e-9) or float(left[m].abs().max()) < 1e-9, m
        z = inputs(device)
        assert close(spline.taylor(z + 3 * (end - start), 2), spline.taylor(z, 2), 1e-11)
        assert close(spline.taylor(z, 0)[0].sum(dim=-1), torch.ones_like(z), 1e-11)


@pytest.mark.parametrize("kind", LEARNABLE)
def test_a_basis_comes_back_from_what_is_saved(kind: str, device: torch.device) -> None:
    basis, z = learnable(kind, device), inputs(device)
    finer, _ = basis.refined(2)
    if isinstance(finer, BSpline):
        finer, _ = finer.bisected(torch.arange(finer.intervals, device=device) % 2 == 0)
    finer, _ = finer.covering(*torch.tensor([[-0.5, 0.5], [0.7, 3.0]], dtype=torch.float64, device=device))
    again = basis.restored(finer.saved())
    assert again.size == finer.size
    assert torch.equal(again.taylor(z, 2), finer.taylor(z, 2))


@pytest.mark.parametrize("range_", [(-0.4, 0.3), (-1.6, 1.2), (0.0, 0.0)], ids=["inside", "beyond", "one value"])
def test_chebyshev_polynomials_cover_any_range(range_: tuple[float, float], device: torch.device) -> None:
    start, end = torch.tensor([[-1.0, 0.25], [1.0, 3.75]], dtype=torch.float64, device=device)
    basis, middle, half = Chebyshev(7, start, end), (start + end) / 2, (end - start) / 2
    low, high = middle + range_[0] * half, middle + range_[1] * half
    covering, change = basis.covering(low, high)
    assert torch.equal(covering.start, low)
    assert close(covering.end, high, 1e-11)
    if range_[0] < range_[1]:
        z = low + (high - low) * torch.linspace(0, 1, 21, dtype=torch.float64, device=device)[:, None]
        check_same_functions(basis, covering, change, z, 3, 20.0)
    else:
        assert bool(torch.isfinite(change).all())


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ([-1.7, 0.25], [0.9, 3.75]),
        ([-0.5, 0.0], [0.5, 5.0]),
        ([-0.1, 2.0], [0.1, 2.1]),
        ([-0.7, 0.7], [0.7, 3.3]),
        ([-0.9, 0.5], [3.5, 9.0]),
    ],
    ids=["one side out", "one in, one out", "both far in", "in by more than half an interval", "too far out"],
)
@pytest.mark.parametrize("degree", DEGREES)
def test_covering_is_exact(degree: int, lower: list[float], upper: list[float], device: torch.device) -> None:
    basis = spline(degree, device)
    low, high = torch.tensor([lower, upper], dtype=torch.float64, device=device)
    covering, change = basis.covering(low, high)
    assert close(covering.step, basis.step, 1e-14)
    z = low + (high - low) * torch.linspace(0, 1, 41, dtype=torch.float64, device=device)[:, None] + 1e-9
    c = random(2, basis.size, like=z)
    order = min(degree, 3)
    before = (basis.taylor(z, order) * c).sum(dim=-1)
    after = (covering.taylor(z, order) * (change @ c[..., None])[..., 0]).sum(dim=-1)
    for m in range(order + 1):
        assert close(after[m], before[m], 1e-11), m
    assert not close(1.01 * after, before, 1e-11)


@pytest.mark.parametrize("degree", [1, 3])
def test_covering_moves_a_single_interval(degree: int, device: torch.device) -> None:
    """A polynomial stays one: pieces of low degree would have kinks that no residual at points sees."""
    like = torch.ones(2, dtype=torch.float64, device=device)
    basis = BSpline.uniform(degree, 1, -like, like)
    low, high = torch.tensor([[-1.7, 0.25], [0.9, 0.25]], dtype=torch.float64, device=device)
    covering, change = basis.covering(low, high)
    assert covering.intervals == 1
    assert close(covering.breaks, like.new_tensor([[-1.7, 0.9], [0.24, 0.26]]), 1e-14)
    z = low + (high - low) * torch.linspace(0, 1, 9, dtype=torch.float64, device=device)[:, None]
    c = random(2, basis.size, like=z)
    before = (basis.taylor(z, 1) * c).sum(dim=-1)
    after = (covering.taylor(z, 1) * (change @ c[..., None])[..., 0]).sum(dim=-1)
    assert close(after, before, 1e-11)


def test_covering_covers(device: torch.device) -> None:
    basis = spline(5, device)
    start, end = basis.breaks[:, 0], basis.breaks[:, -1]
    for seed in range(100):
        low, high = start + (end - start) * random(2, 2, like=start, seed=seed).sort(dim=0)[0] / 3
        covering, _ = basis.covering(low, high)
        slack = 0.5 * basis.step + 1e-12
        assert bool((covering.breaks[:, 0] <= torch.where(low < start, low + slack, low)).all())
        assert bool((covering.breaks[:, -1] >= torch.where(high > end, high - slack, high)).all())


def test_covering_far_ranges_stays_bounded(device: torch.device) -> None:
    basis = spline(3, device)
    low, high = torch.tensor([[-1e6, -1e6], [1e6, 1e6]], dtype=torch.float64, device=device)
    covering, change = basis.covering(low, high)
    assert covering.intervals == 10
    assert bool(torch.isfinite(change).all())


def test_the_oracle_can_disagree() -> None:
    z = torch.linspace(0, 1, 7, dtype=torch.float64)
    knots = torch.arange(-3, 8, dtype=torch.float64) / 4
    assert close(cox_de_boor(z, 3, knots).sum(dim=1), torch.ones_like(z), 1e-14)
    assert not close(cox_de_boor(z, 3, knots), cox_de_boor(z, 3, 1.01 * knots), 1e-6)
