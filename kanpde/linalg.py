"""Damped least squares that never returns a non-finite step."""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-300


def solve_damped(matrix: Tensor, right: Tensor, damping: Tensor) -> Tensor | None:
    """Return (A + diag(damping))^-1 b for a symmetric positive semidefinite A (P, P), or None if that fails.

    Cholesky after symmetric equilibration to a unit diagonal (van der Sluis 1969).
    """
    damped = matrix + torch.diag(damping)
    scale = damped.diagonal().clamp_min(TINY).rsqrt()
    factor, info = torch.linalg.cholesky_ex(damped * scale * scale[:, None])
    if int(info) != 0:
        return None
    step = scale * torch.cholesky_solve((scale * right)[:, None], factor)[:, 0]
    return step if bool(torch.isfinite(step).all()) else None


def solve_least_squares(matrix: Tensor, right: Tensor, ridge: float) -> Tensor | None:
    """Return x that minimises |A x - b|^2 + ridge |D x|^2, D the column norms of A (R, P); None if that fails.

    QR of the columns scaled to norm 1, with the ridge as extra rows, so that rank deficiency is harmless on every
    device. More accurate than the normal equations, whose error grows with the square of the condition number.
    """
    norms = matrix.norm(dim=0).clamp_min(TINY)
    size = matrix.shape[1]
    rows = torch.cat([matrix / norms, ridge**0.5 * torch.eye(size, dtype=matrix.dtype, device=matrix.device)])
    q, r = torch.linalg.qr(rows)
    x = torch.linalg.solve_triangular(r, (q[: len(right)].T @ right)[:, None], upper=True)[:, 0] / norms
    return x if bool(torch.isfinite(x).all()) else None
