"""Damped and ridged least squares agree with dense solutions, and fail with None, never with garbage."""

import pytest
import torch
from oracles import close, random
from torch import Tensor

from kanpde.linalg import LINEAR, Blocks, damped_step, lsmr, solve_damped, solve_least_squares


def test_damped_systems_are_solved_whatever_their_scale(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    a, b = random(9, 5, like=like), random(5, like=like, seed=2)
    scale = 10.0 ** torch.arange(-4, 6, 2, dtype=torch.float64, device=device)
    matrix = scale * (a.T @ a) * scale[:, None]
    damping = 1e-3 * matrix.diagonal()
    found = solve_damped(matrix, b, damping)
    assert found is not None
    wanted = torch.linalg.solve(matrix + torch.diag(damping), b)
    assert close(found * scale, wanted * scale, 1e-10)
    assert not close(1.01 * found * scale, wanted * scale, 1e-10)


@pytest.mark.parametrize("entry", [float("nan"), float("inf"), -1.0])
def test_impossible_systems_give_none(entry: float, device: torch.device) -> None:
    matrix = torch.eye(3, dtype=torch.float64, device=device)
    matrix[1, 1] = entry
    assert solve_damped(matrix, torch.ones_like(matrix[0]), torch.zeros_like(matrix[0])) is None


def test_least_squares(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    a, b = random(20, 6, like=like), random(20, like=like, seed=2)
    found = solve_least_squares(a, b, 1e-16)
    assert found is not None
    assert close(found, torch.linalg.lstsq(a, b[:, None]).solution[:, 0], 1e-12)
    ridge = solve_least_squares(a, b, 0.5)
    assert ridge is not None
    d = torch.diag(a.square().sum(dim=0))
    assert close(ridge, torch.linalg.solve(a.T @ a + 0.5 * d, a.T @ b), 1e-12)


def test_rank_deficiency_is_harmless(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    a = random(20, 4, like=like)
    a = torch.cat([a, a[:, :2], torch.zeros_like(a[:, :1])], dim=1)
    b = a[:, 0] + 2 * a[:, 3]
    found = solve_least_squares(a, b, 1e-14)
    assert found is not None
    assert close(a @ found, b, 1e-6)
    assert float(found.norm()) < 10


def test_columns_that_vanish_have_no_coefficients(device: torch.device) -> None:
    """Rounding over the norm of such a column would be anything up to 1e290."""
    like = torch.zeros((), dtype=torch.float64, device=device)
    a, b = random(20, 6, like=like), random(20, like=like, seed=2)
    a[:, 1], a[:, 4] = 0.0, 1e-18 * a[:, 4]
    found = solve_least_squares(a, b, 1e-14)
    assert found is not None
    assert found[[1, 4]].tolist() == [0.0, 0.0]
    kept = [0, 2, 3, 5]
    assert close(found[kept], torch.linalg.lstsq(a[:, kept], b[:, None]).solution[:, 0], 1e-12)
    zero = solve_least_squares(0 * a, b, 1e-14)
    assert zero is not None
    assert not zero.any()


def test_least_squares_of_what_is_not_finite_gives_none(device: torch.device) -> None:
    a = torch.ones(3, 1, dtype=torch.float64, device=device)
    assert solve_least_squares(a, a[:, 0] * float("nan"), 1e-14) is None


def ill_conditioned(rows: int, size: int, condition: float, like: Tensor) -> Tensor:
    """Return a matrix with columns of equal size whose condition number is not one of scale."""
    u, v = (torch.linalg.qr(random(n, size, like=like, seed=n)).Q for n in (rows, size))
    return u * condition ** -torch.linspace(0, 1, size).to(like) @ v.T


def pieces(j: Tensor, r: Tensor) -> Blocks:
    """Return rows in pieces of unequal length, shorter and longer than wide."""
    places = (slice(0, 3), slice(3, 4), slice(4, None))
    return lambda: ((r[part], j[part]) for part in places)


@pytest.mark.parametrize("linear", LINEAR)
def test_damped_steps_are_those_of_dense_rows(linear: str, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    j, r, b = random(30, 8, like=like), random(30, like=like, seed=2), random(8, like=like, seed=3)
    damping = torch.linspace(0.1, 2, 8).to(like)
    step, solve = damped_step(j.T @ j, j.T @ r, pieces(j, r), damping, linear)
    rows = torch.cat([j, torch.diag(damping.sqrt())])
    wanted = torch.linalg.lstsq(rows, torch.cat([-r, like.new_zeros(8)])[:, None]).solution[:, 0]
    assert step is not None
    assert close(step, wanted, 1e-12)
    assert not close(1.01 * step, wanted, 1e-12)
    other = solve(b)
    assert other is not None
    assert close(other, torch.linalg.solve(rows.T @ rows, b), 1e-12)


def test_orthogonal_factors_lose_fewer_digits_than_normal_equations(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    j, wanted = ill_conditioned(30, 6, 1e6, like), random(6, like=like, seed=4)
    r, damping = -j @ wanted, like.new_full((6,), 1e-30)
    errors = {}
    for linear in ("cholesky", "qr", "svd"):
        step, _ = damped_step(j.T @ j, j.T @ r, pieces(j, r), damping, linear)
        assert step is not None
        errors[linear] = float((step - wanted).norm())
    assert errors["qr"] < 1e-9
    assert errors["svd"] < 1e-9
    assert errors["cholesky"] > 100 * errors["qr"]


def test_auto_goes_on_where_a_factorisation_fails(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    j, none = ill_conditioned(30, 6, 1e10, like), like.new_zeros(6)
    r = -j @ torch.ones_like(none)
    assert damped_step(j.T @ j, j.T @ r, pieces(j, r), none, "cholesky")[0] is None
    step, solve = damped_step(j.T @ j, j.T @ r, pieces(j, r), none, "auto")
    assert step is not None
    assert close(step, torch.ones_like(step), 1e-4)
    j[:, 2] = 0
    r = -j @ torch.ones_like(none)
    assert damped_step(j.T @ j, j.T @ r, pieces(j, r), none, "qr")[0] is None
    step, solve = damped_step(j.T @ j, j.T @ r, pieces(j, r), none, "auto")
    assert step is not None
    assert float(step[2]) == 0
    assert close(j @ step, -r, 1e-9)
    assert solve(j.T @ r) is not None


@pytest.mark.parametrize("linear", LINEAR)
def test_rows_that_are_not_finite_give_no_step(linear: str, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    j, r = random(9, 3, like=like), random(9, like=like)
    j[4, 1] = float("nan")
    step, solve = damped_step(j.T @ j, j.T @ r, pieces(j, r), like.new_ones(3), linear)
    assert step is None
    assert solve(r[:3]) is None


def test_lsmr_minimises_and_lowers_the_normal_residual(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    a, b = ill_conditioned(40, 12, 100.0, like), random(40, like=like, seed=2)
    wanted = torch.linalg.lstsq(a, b[:, None]).solution[:, 0]
    x, iterations = lsmr(lambda v: a @ v, lambda u: a.T @ u, b, 1e-13, 200)
    assert close(x, wanted, 1e-9)
    assert not close(1.01 * x, wanted, 1e-9)
    assert iterations < 60
    sizes = []
    for limit in range(12):
        x, iterations = lsmr(lambda v: a @ v, lambda u: a.T @ u, b, 1e-13, limit)
        assert iterations == limit
        sizes.append(float((a.T @ (a @ x - b)).norm()))
    assert sizes == sorted(sizes, reverse=True)
    x, iterations = lsmr(lambda v: a @ v, lambda u: a.T @ u, b, 1e-2, 200)
    assert float((a.T @ (a @ x - b)).norm()) <= 1.001e-2 * float((a.T @ b).norm())
    x, iterations = lsmr(lambda v: a @ v, lambda u: a.T @ u, 0 * b, 1e-2, 200)
    assert iterations == 0
    assert not x.any()
