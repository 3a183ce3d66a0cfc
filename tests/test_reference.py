"""References: a closed form with its derivatives, and Cole-Hopf for any viscosity."""

from math import exp, pi

import pytest
import torch
from oracles import close, points_in
from torch import Tensor

from kanpde import KanpdeError, Points
from kanpde.multiindex import IndexSet
from kanpde.reference import burgers_cole_hopf, exact
from kanpde.reference.cole_hopf import ColeHopf

XT = ("x", "t")


def grid(device: torch.device, times: list[float]) -> Points:
    x = torch.linspace(-1, 1, 41, dtype=torch.float64, device=device)
    return Points.of(XT, torch.cartesian_prod(x, x.new_tensor(times)))


def test_exact_solutions_have_all_derivatives(device: torch.device) -> None:
    reference = exact(lambda at: torch.sin(at.x) * at.t**2, lambda at: at.x * at.t)
    assert reference.smooth
    at = Points.of(XT, points_in((-1.0, 0.0), (1.0, 1.0), 7, torch.zeros((), dtype=torch.float64, device=device)))
    indices = IndexSet(XT, [(2, 1)])
    found = reference.taylor(at, indices)
    assert found.shape == (6, 7, 2)
    wanted = -torch.sin(at.x) * 2 * at.t / 2
    assert close(found[indices.position[2, 1], :, 0], wanted, 1e-14)
    assert not close(1.01 * found[indices.position[2, 1], :, 0], wanted, 1e-14)
    assert torch.equal(found[0, :, 1], at.x * at.t)
    assert not found[indices.position[2, 1], :, 1].any()


@pytest.mark.parametrize("nu", [1e-5, 1e-4, 0.01 / pi, 0.1, 1.0])
def test_cole_hopf_is_finite_odd_and_bounded(nu: float, device: torch.device) -> None:
    at = grid(device, [0.0, 1e-6, 0.3, 0.5, 1.0])
    u = burgers_cole_hopf(nu).value(at).reshape(41, 5)
    assert bool(torch.isfinite(u).all())
    assert float(u.abs().max()) <= 1 + 1e-12
    assert torch.allclose(u, -u.flip(0), atol=1e-9)
    assert float(u[[0, 20, 40]].abs().max()) < 1e-9
    assert torch.allclose(u[:, 0], -torch.sin(pi * at.x.reshape(41, 5)[:, 0]), atol=1e-12)


@pytest.mark.parametrize("nu", [0.01 / pi, 0.05, 1.0])
def test_two_resolutions_agree(nu: float, device: torch.device) -> None:
    at = grid(device, [0.1, 0.5, 1.0])
    first, second = ColeHopf(nu, 0.05).value(at), ColeHopf(nu, 0.03).value(at)
    assert close(first, second, 1e-11)
    assert not close(1.01 * first, second, 1e-11)
    assert ColeHopf(nu).error <= 1e-9


def test_a_coarse_rule_says_that_its_error_is_large() -> None:
    assert ColeHopf(0.01 / pi, spacing=0.6).error > 1e-6


def residual(nu: float, u: Tensor, indices: IndexSet) -> Tensor:
    d = {index: u[c] * indices.factorials[c] for c, index in enumerate(indices.indices)}
    return d[0, 1] + d[0, 0] * d[1, 0] - nu * d[2, 0]


@pytest.mark.parametrize("nu", [0.01 / pi, 0.1])
def test_cole_hopf_solves_burgers(nu: float, device: torch.device) -> None:
    at, indices = grid(device, [0.2, 0.6, 0.9]), IndexSet(XT, [(2, 0), (0, 1)])
    u = burgers_cole_hopf(nu).taylor(at, indices)[..., 0]
    size = float((nu * 2 * u[indices.position[2, 0]]).abs().max())
    assert float(residual(nu, u, indices).abs().max()) <= 1e-10 * size
    assert float(residual(nu, 1.01 * u, indices).abs().max()) > 1e-4 * size


def test_cole_hopf_decays_like_heat_for_large_viscosity() -> None:
    at = Points.of(XT, torch.tensor([[0.5, 0.1]], dtype=torch.float64))
    for nu in (5.0, 20.0):  # nonlinear terms enter with the square of 1 / nu
        found = float(burgers_cole_hopf(nu).value(at))
        assert found == pytest.approx(-exp(-nu * pi**2 * 0.1), rel=1e-2 / nu)


@pytest.mark.parametrize("nu", [0.0, -1.0, float("nan")])
def test_a_viscosity_is_positive(nu: float) -> None:
    with pytest.raises(KanpdeError, match="the viscosity must be positive"):
        burgers_cole_hopf(nu)
