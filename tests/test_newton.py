"""Gauss-Newton on tensor products of splines: normal equations against dense ones, and how it ends."""

from math import inf, nan

import pytest
import torch
from oracles import close, jacobian, random
from test_tensor import splines
from torch import Tensor

from kanpde import Box, Field, Points, Problem, dirichlet, mean, neumann
from kanpde.model import Ansatz
from kanpde.model.tensor import TensorSplines
from kanpde.newton import newton, normal_equations, shortened
from kanpde.problem import Equation
from kanpde.residual import Residuals
from kanpde.sampling import draw

BOX = Box(x=(-1, 2), t=(0.5, 3))


def heat(u: Field, v: Field, at: Points) -> Tensor:
    return u.d("t") - 0.1 * u.d("xx") + v * u.d("x") - at.x


def growth(u: Field, v: Field, at: Points) -> Tensor:
    return v.d("t") - v + 0.1 * v**3 - u


def linear(u: Field, v: Field, at: Points) -> Tensor:
    return u.d("t") + v - at.x


def other(u: Field, v: Field, at: Points) -> Tensor:
    return v.d("t") - u


def residuals_of(
    like: Tensor, first: Equation = heat, second: Equation = growth, constrained: bool = True
) -> tuple[Residuals, TensorSplines]:
    """Return residuals of two equations, a condition in the loss, and a mean on products of splines."""
    own = splines(like)
    conditions = {
        "start": dirichlet("t-", 0.5, unknown="u"),
        "begin": dirichlet("t-", 1.0, unknown="v"),
        "flux": neumann("x+", 0.2, unknown="u"),
    }
    constraints = {"mean": mean("v", 1.0)} if constrained else {}
    problem = Problem(BOX, {"first": first, "second": second}, conditions, constraints=constraints)
    sets = {tuple(problem.equations): draw((BOX.interior(),), BOX.names, "sobol", 220, 1, like)}
    sets[("flux",)] = draw(BOX.boundary("x+"), BOX.names, "sobol", 20, 2, like)
    labels = (*problem.equations, *problem.conditions, *problem.constraints)
    return Residuals(Ansatz(problem), own, sets, dict.fromkeys(labels, 2.0)), own


def test_normal_equations_are_those_of_autograd(device: torch.device) -> None:
    residuals, own = residuals_of(torch.zeros((), dtype=torch.float64, device=device))
    theta = random(own.parameters, like=own.lower)
    normal = normal_equations(residuals, own, theta)
    j = jacobian(residuals.residual, theta)
    r = residuals.residual(theta)
    assert normal.loss == pytest.approx(0.5 * float(r.square().sum()), rel=1e-12)
    assert close(normal.gradient, j.T @ r, 1e-11)
    assert normal.rows.shape == (len(r) - 460, own.parameters)
    dense = j.T @ j
    step = normal.band.solve(-normal.gradient, 1e-3, normal.rows)
    assert step is not None
    band = dense - normal.rows.T @ normal.rows
    damped = dense + 1e-3 * torch.diag(band.diagonal())
    assert close(damped @ step, -normal.gradient, 1e-8)


def test_affine_equations_are_solved_in_one_step(device: torch.device) -> None:
    residuals, own = residuals_of(torch.zeros((), dtype=torch.float64, device=device), linear, other)
    losses: list[float] = []

    def note(loss: float) -> bool:
        losses.append(loss)
        return False

    theta, loss = newton(residuals, own, own.lower.new_zeros(own.parameters), 10, 0.0, note)
    assert loss == losses[-1] == pytest.approx(residuals.loss(theta), rel=1e-9)
    assert len(losses) <= 3
    assert losses[0] <= 2 * loss
    dense = jacobian(residuals.residual, theta)
    best = torch.linalg.pinv(dense) @ residuals.residual(torch.zeros_like(theta))
    wanted = 0.5 * float((residuals.residual(torch.zeros_like(theta)) - dense @ best).square().sum())
    assert loss == pytest.approx(wanted, rel=0.5)


def test_it_ends_where_it_is_told_to(device: torch.device) -> None:
    residuals, own = residuals_of(torch.zeros((), dtype=torch.float64, device=device))
    zero = own.lower.new_zeros(own.parameters)
    begin = residuals.loss(zero)
    theta, loss = newton(residuals, own, zero, 1, 0.0, lambda _: False)
    assert loss < 0.95 * begin
    assert loss == residuals.loss(theta)
    _, final = newton(residuals, own, zero, 20, 0.0, lambda _: False)
    assert final < 0.9 * loss
    assert newton(residuals, own, zero, 20, 2 * begin, lambda _: False)[1] == loss
    assert newton(residuals, own, zero, 20, 0.0, lambda _: True)[1] == loss


def test_coefficients_that_are_fixed_stay(device: torch.device) -> None:
    """The others are those of the least-squares problem without their columns."""
    residuals, own = residuals_of(torch.zeros((), dtype=torch.float64, device=device), linear, other, constrained=False)
    begin = random(own.parameters, like=own.lower)
    theta, loss = newton(residuals, own, begin, 10, 0.0, lambda _: False, 20)
    assert torch.equal(theta[:20], begin[:20])
    dense, r = jacobian(residuals.residual, begin)[:, 20:], residuals.residual(begin)
    wanted = 0.5 * float((r - dense @ (torch.linalg.pinv(dense) @ r)).square().sum())
    assert loss == pytest.approx(wanted, rel=1e-3)


def test_steps_are_shortened_until_they_help(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    residuals, own = residuals_of(torch.zeros((), dtype=torch.float64, device=device))
    zero = own.lower.new_zeros(own.parameters)
    step, begin, true = random(own.parameters, like=own.lower), residuals.loss(zero), residuals.loss

    def steep(theta: Tensor) -> float:  # lower than at the start only near it
        return begin * (0.9 if 0 < float(theta.norm()) < 0.3 * float(step.norm()) else 1.1)

    monkeypatch.setattr(residuals, "loss", steep)
    assert shortened(residuals, zero, step, begin) == (0.25, 0.9 * begin)
    assert shortened(residuals, zero, 100 * step, begin) == (0.0, begin)
    monkeypatch.setattr(residuals, "loss", true)
    assert newton(residuals, own, zero, 3, 0.0, lambda _: False)[1] < begin


@pytest.mark.parametrize("bad", [nan, inf])
def test_what_is_not_finite_is_never_taken(bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    residuals, own = residuals_of(torch.zeros((), dtype=torch.float64))
    zero = own.lower.new_zeros(own.parameters)
    begin = residuals.loss(zero)
    monkeypatch.setattr(residuals, "loss", lambda theta: begin if theta is zero else bad)
    theta, loss = newton(residuals, own, zero, 5, 0.0, lambda _: False)
    assert theta is zero
    assert loss == begin
