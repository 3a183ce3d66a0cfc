"""Band matrices: sums of blocks, and damped solutions against dense ones."""

import pytest
import torch
from oracles import close, random

from kanpde.banded import Band


def example(like: torch.Tensor) -> tuple[Band, torch.Tensor]:
    """Return the band of a positive definite matrix (24, 24), made of overlapping blocks, and the matrix itself."""
    stride, m, w = 4, 3, 3
    band = Band(24, m * stride - 1, like)
    dense = like.new_zeros(24, 24)
    for start in range(24 - (m - 1) * stride - w + 1):
        rows = random(20, m * w, like=like, seed=start)
        block = rows.T @ rows
        band.add(start, stride, block.view(m, w, m, w))
        where = (start + stride * torch.arange(m)[:, None] + torch.arange(w)).flatten()
        dense[where[:, None], where] += block
    return band, dense


def test_blocks_add_up(device: torch.device) -> None:
    band, dense = example(torch.zeros((), dtype=torch.float64, device=device))
    lower = band.lower()
    for j in range(24):
        for i in range(24):
            if 0 <= i - j <= band.bandwidth:
                assert float(lower[j, i - j]) == pytest.approx(float(dense[i, j]), rel=1e-14)
            elif i > j:
                assert float(dense[i, j]) == 0.0


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_solutions_are_those_of_the_dense_matrix(rows: int, damping: float, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    band, dense = example(like)
    v, right = random(rows, 24, like=like, seed=40), random(24, like=like, seed=41)
    found = band.solve(right, damping, v)
    assert found is not None
    wanted = torch.linalg.solve(dense + damping * torch.diag(dense.diagonal()) + v.T @ v, right)
    assert close(found, wanted, 1e-10)
    assert not close(1.01 * found, wanted, 1e-10)


def test_what_dense_rows_alone_determine_is_found(device: torch.device) -> None:
    """As the mean of a pressure, which equations leave open."""
    like = torch.zeros((), dtype=torch.float64, device=device)
    band = Band(6, 1, like)
    for start in range(5):
        band.add(start, 2, torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).to(like).view(1, 2, 1, 2))
    rows = like.new_ones(1, 6)
    wanted = random(6, like=like)
    laplace = torch.diag(like.new_tensor([1.0, 2, 2, 2, 2, 1])) - torch.diag(like.new_ones(5), 1)
    matrix = laplace - torch.diag(like.new_ones(5), -1) + rows.T @ rows
    x = like.new_zeros(6)
    for _ in range(3):
        step = band.solve(matrix @ (wanted - x), 1e-10, rows)
        assert step is not None
        x = x + step
    assert close(x, wanted, 1e-9)


def test_an_indefinite_matrix_has_no_solution(device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    band = Band(2, 1, like)
    band.add(0, 2, like.new_tensor([[1.0, 2.0], [2.0, 1.0]]).view(1, 2, 1, 2))
    assert band.solve(like.new_ones(2), 0.0, like.new_zeros(0, 2)) is None
    assert band.solve(like.new_tensor([float("nan"), 1.0]), 2.0, like.new_zeros(0, 2)) is None
