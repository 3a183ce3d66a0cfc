"""The Fourier reference: order in time, derivatives, an honest error, agreement with other codes and closed forms."""

from collections.abc import Callable
from math import log2, pi

import pytest
import torch
from oracles import close, points_in
from torch import Tensor

from kanpde import Box, Field, KanpdeError, Points, Problem
from kanpde.field import taylor_coefficients
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.reference import burgers_cole_hopf, fourier, solve_fem
from kanpde.reference.spectral import Fourier

BOX = Box(x=(-1, 1), t=(0, 1))
VALUE = IndexSet(BOX.names)


def somewhere(count: int = 300, box: Box = BOX) -> Points:
    return Points.of(box.names, points_in(box.lower, box.upper, count, torch.zeros((), dtype=torch.float64)))


def burgers(modes: int, steps: int, nu: float = 0.05) -> Fourier:
    return fourier(
        BOX,
        linear=lambda d: nu * d**2,
        nonlinear=lambda u, at: -u * u.d("x"),
        start=lambda at: -torch.sin(pi * at.x),
        modes=modes,
        steps=steps,
    )


def difference(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def test_burgers_agrees_with_cole_hopf_and_the_order_is_four() -> None:
    at = somewhere()
    wanted = burgers_cole_hopf(0.05).taylor(at, VALUE)
    errors = [difference(burgers(64, steps).taylor(at, VALUE), wanted) for steps in (20, 40, 80)]
    assert log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.5)
    assert log2(errors[1] / errors[2]) == pytest.approx(4, abs=0.5)
    fine = burgers(64, 400).taylor(at, VALUE)
    assert difference(fine, wanted) < 1e-9
    assert difference(1.01 * fine, wanted) > 5e-3


def test_all_derivatives_are_those_of_the_solution() -> None:
    indices = IndexSet(BOX.names, [(2, 1), (3, 0), (0, 2)])
    at = somewhere(60)
    found, wanted = (r.taylor(at, indices)[..., 0] for r in (burgers(64, 400), burgers_cole_hopf(0.05)))
    for channel in range(len(indices)):
        assert close(found[channel], wanted[channel], 1e-6)
        assert not close(1.01 * found[channel], wanted[channel], 1e-6)


@pytest.mark.parametrize(("modes", "steps"), [(32, 100), (64, 40), (64, 400)])
def test_the_stated_error_bounds_the_true_one(modes: int, steps: int) -> None:
    at, solution = somewhere(2000), burgers(modes, steps)
    true = difference(solution.taylor(at, VALUE), burgers_cole_hopf(0.05).taylor(at, VALUE))
    assert true <= solution.error
    assert solution.error <= max(3000 * true, 1e-10)


def test_a_travelling_wave_is_exact_in_any_box_and_order_of_coordinates() -> None:
    """The linear part needs no steps; the source and the lift, which is added, depend on the coordinates."""
    box = Box(t=(1, 3), x=(0, 5))
    k = 2 * pi / 5

    def wave(at: Points) -> Tensor:
        return torch.exp(-0.01 * k**2 * (at.t - 1)) * torch.sin(k * (at.x - 3 * (at.t - 1)))

    def lift(at: Points) -> Tensor:
        return at.t**2 * torch.cos(k * at.x)

    solution = fourier(
        box,
        linear=lambda d: -3 * d + 0.01 * d**2,
        nonlinear=lambda v, at: 2 * at.t + 0 * v,
        start=wave,
        modes=8,
        steps=100,
        lift=lift,
    )
    at = somewhere(50, box)
    wanted = wave(at) + at.t**2 - 1 + lift(at)
    assert close(solution.taylor(at, IndexSet(box.names))[0, :, 0], wanted, 1e-11)


def test_points_are_evaluated_in_any_order() -> None:
    at, solution = somewhere(5000), burgers(32, 40)
    order = torch.randperm(5000)
    shuffled = Points.of(BOX.names, at.array()[order])
    assert torch.allclose(solution.taylor(shuffled, VALUE)[0], solution.taylor(at, VALUE)[0, order], atol=1e-14)


def test_nothing_is_computed_before_it_is_used() -> None:
    def never(*arguments: object) -> Tensor:
        raise AssertionError("computed")

    solution = fourier(BOX, never, never, never, modes=64, steps=40)
    assert solution.name
    assert solution.error_source


def test_wrong_settings_are_refused() -> None:
    def zero(v: Field, at: Points) -> Tensor:
        return 0 * v

    with pytest.raises(KanpdeError, match="needs one or two space coordinates and the time t"):
        fourier(Box(x=(0, 1), y=(0, 1)), lambda d: d, zero, 0.0, modes=8, steps=40)
    with pytest.raises(
        KanpdeError, match="modes=8, steps=2, snapshots=400: give at least 4 modes and 18 of the others"
    ):
        fourier(BOX, lambda d: d, zero, 0.0, modes=8, steps=2)
    with pytest.raises(KanpdeError, match="did not stay finite: give more than 20 steps"):
        fourier(BOX, lambda d: d**2, lambda v, at: 100 * (v + 1) ** 3, 1.0, modes=8, steps=20).taylor(
            somewhere(), VALUE
        )
    with pytest.raises(KanpdeError, match="no derivatives in time"):
        fourier(BOX, lambda d: d, lambda v, at: v.d("t"), 0.0, modes=8, steps=20).taylor(somewhere(), VALUE)


def test_solitons_keep_their_shape() -> None:
    """A single soliton of u_t + u u_x + d u_xxx = 0, so narrow that the sides do not matter."""
    d, c = 0.0005, 0.5

    def soliton(at: Points) -> Tensor:
        return 3 * c / torch.cosh(0.5 * (c / d) ** 0.5 * (at.x + 0.25 - c * at.t)) ** 2

    found = fourier(BOX, lambda x: -d * x**3, lambda u, at: -u * u.d("x"), soliton, modes=192, steps=1000)
    at = somewhere()
    assert difference(found.taylor(at, VALUE)[0, :, 0], soliton(at)) < 1e-6


@pytest.fixture(scope="module")
def allen_cahn() -> Problem:
    return load_problem("allen_cahn")


def test_allen_cahn_agrees_with_finite_elements(allen_cahn: Problem) -> None:
    problem = allen_cahn
    assert problem.reference is not None
    at, fem = somewhere(), solve_fem(problem, 4, 256)
    assert difference(fem.taylor(at, VALUE), problem.reference.taylor(at, VALUE)) < 2e-6


def cole_hopf(x: Tensor, y: Tensor, t: Tensor, nu: float, n: int = 48) -> Tensor:
    """Burgers' velocity (2, N) on the unit square from the potential -cos(2 pi x) cos(2 pi y) / (2 pi).

    The heat equation of exp(-potential / (2 nu)) (Fletcher 1983) is solved in Fourier modes.
    """
    side = torch.arange(n, dtype=torch.float64) / n
    potential = -torch.cos(2 * pi * side)[:, None] * torch.cos(2 * pi * side) / (2 * pi)
    modes = torch.fft.fft2(torch.exp(-potential / (2 * nu)), norm="forward")
    k = 2 * pi * torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    ex, ey = torch.exp(1j * x[:, None] * k), torch.exp(1j * y[:, None] * k)
    decay = torch.exp(-nu * t[:, None, None] * (k[:, None] ** 2 + k**2))
    phi, phi_x, phi_y = (
        torch.einsum("nk,nkl,nl->n", ex, factor * decay * modes, ey).real
        for factor in (torch.ones(1, dtype=torch.complex128), 1j * k[:, None], 1j * k)
    )
    return -2 * nu * torch.stack([phi_x, phi_y]) / phi


def test_two_dimensions_and_two_unknowns_agree_with_cole_hopf() -> None:
    box, nu = Box(y=(0, 1), t=(0, 0.3), x=(0, 1)), 0.05

    def start(shift: float) -> Callable[[Points], Tensor]:
        return lambda at: torch.sin(2 * pi * (at.x + shift)) * torch.cos(2 * pi * (at.y + shift))

    solution = fourier(
        box,
        lambda dy, dx: nu * (dx**2 + dy**2),
        lambda u, v, at: [-u * u.d("x") - v * u.d("y"), -u * v.d("x") - v * v.d("y")],
        [start(0), lambda at: torch.cos(2 * pi * at.x) * torch.sin(2 * pi * at.y)],
        modes=24,
        steps=100,
    )
    at = somewhere(24, box)
    indices = IndexSet(box.names, [(1, 0, 0), (0, 1, 1)])
    found = solution.taylor(at, indices)

    def wanted(number: int) -> Tensor:
        return taylor_coefficients(lambda p: cole_hopf(p.x, p.y, p.t, nu)[number], at, indices)

    for number in (0, 1):
        for channel in range(len(indices)):
            assert close(found[channel, :, number], wanted(number)[channel], 1e-6)
            assert not close(1.01 * found[channel, :, number], wanted(number)[channel], 1e-6)
    true = difference(found[0], torch.stack([wanted(0)[0], wanted(1)[0]], dim=1))
    assert true <= solution.error <= 1e-5


def test_numbers_of_unknowns_agree() -> None:
    with pytest.raises(KanpdeError, match="got 1 linear parts, 2 initial values and 2 lifts"):
        fourier(BOX, [lambda d: d], lambda u, v, at: [u, v], [0.0, 0.0], modes=8, steps=40)
