"""Damped and ridged least squares agree with dense solutions, and fail with None, never with garbage."""

import pytest
import torch
from oracles import close, random

from kanpde.linalg import solve_damped, solve_least_squares


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


def test_least_squares_of_what_is_not_finite_gives_none(device: torch.device) -> None:
    a = torch.ones(3, 1, dtype=torch.float64, device=device)
    assert solve_least_squares(a, a[:, 0] * float("nan"), 1e-14) is None
