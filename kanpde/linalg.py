"""Damped least squares that never returns a non-finite step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import hypot

import torch
from torch import Tensor

from kanpde import processes
from kanpde.floats import TINY

LINEAR = ("auto", "cholesky", "qr", "svd")
SINGULAR = 1e-13
"""Singular values below this share of the largest one are left out."""

Solve = Callable[[Tensor], Tensor | None]
Blocks = Callable[[], Iterable[tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class Cholesky:
    """A + diag(damping) = S^-1 L L^T S^-1, S diagonal such that L L^T has a unit diagonal (van der Sluis 1969)."""

    scale: Tensor
    lower: Tensor

    def solve(self, right: Tensor) -> Tensor | None:
        """Return (A + diag(damping))^-1 b (P,), or None if it is not finite."""
        return finite(self.scale * torch.cholesky_solve((self.scale * right)[:, None], self.lower)[:, 0])

    def whitened(self, z: Tensor) -> Tensor:
        """Return S L^-T z (P,), which has the covariance (A + diag(damping))^-1 for white z."""
        return self.scale * torch.linalg.solve_triangular(self.lower.T, z[:, None], upper=True)[:, 0]

    def transposed_whitened(self, p: Tensor) -> Tensor:
        """Return L^-1 S p (P,), the transpose of `whitened`."""
        return torch.linalg.solve_triangular(self.lower, (self.scale * p)[:, None], upper=False)[:, 0]


def cholesky(matrix: Tensor, damping: Tensor) -> Cholesky | None:
    """Return the equilibrated factor of A + diag(damping), A (P, P) positive semidefinite, or None if it fails."""
    diagonal = matrix.diagonal() + damping
    scale = diagonal.clamp_min(TINY).rsqrt()
    damped = (matrix * scale).mul_(scale[:, None])  # in place: passing over it takes time
    damped.diagonal().copy_(diagonal * scale.square())
    lower, info = torch.linalg.cholesky_ex(damped)
    return Cholesky(scale, lower) if int(info) == 0 else None


def solve_damped(matrix: Tensor, right: Tensor, damping: Tensor) -> Tensor | None:
    """Return (A + diag(damping))^-1 b for a symmetric positive semidefinite A (P, P), or None if that fails."""
    factor = cholesky(matrix, damping)
    return None if factor is None else factor.solve(right)


def damped_step(
    matrix: Tensor, gradient: Tensor, blocks: Blocks, damping: Tensor, linear: str
) -> tuple[Tensor | None, Solve]:
    """Return the p (P,) that minimises |J p + r|^2 + |diag(damping)^(1/2) p|^2, and b -> (J^T J + diag(damping))^-1 b.

    matrix: J^T J. gradient: J^T r. blocks: gives the rows of r and J, in pieces.
    linear: "cholesky" of the equilibrated normal equations; "qr" of [J; diag(damping)^(1/2)], a piece at a time, whose
    error grows with the condition number and not with its square; "svd" of the triangle of that, with small singular
    values left out. "auto" takes the first of them that does not fail. None stands for what failed.
    """
    if linear in ("auto", "cholesky"):
        factor = cholesky(matrix, damping)
        step = None if factor is None else factor.solve(-gradient)
        if factor is not None and step is not None:
            return step, factor.solve
        if linear == "cholesky":
            return None, failed
    r, c = triangle(blocks(), damping)
    if linear in ("auto", "qr"):
        step = finite(torch.linalg.solve_triangular(r, c[:, None], upper=True)[:, 0])
        if step is not None or linear == "qr":
            return step, lambda right: finite(torch.cholesky_solve(right[:, None], r, upper=True)[:, 0])
    norms = r.norm(dim=0)
    scale = torch.where(norms > TINY, 1 / norms, 0.0)
    if not bool(torch.isfinite(r).all()):
        return None, failed
    u, s, vt = torch.linalg.svd(r * scale)
    inverse = torch.where(s > SINGULAR * s[0], 1 / s, 0.0)
    return (
        finite(scale * (vt.T @ (inverse * (u.T @ c)))),
        lambda right: finite(scale * (vt.T @ (inverse.square() * (vt @ (scale * right))))),
    )


def failed(right: Tensor) -> None:
    """Stand for a solution that cannot be had."""


def triangle(blocks: Iterable[tuple[Tensor, Tensor]], damping: Tensor) -> tuple[Tensor, Tensor]:
    """Return R (P, P) and c = -Q^T [r; 0] (P,) of [J; diag(damping)^(1/2)] = Q R, J and r in pieces.

    One piece after the other is folded into the triangle, so no more than one is held (Demmel et al. 2012), and then
    the triangles of all processes into one.
    """
    size = len(damping)
    damping = damping if processes.is_first() else torch.zeros_like(damping)
    r = torch.cat([torch.diag(damping.sqrt()), damping.new_zeros(size, 1)], dim=1)
    for residual, rows in blocks:
        r = torch.linalg.qr(torch.cat([r, torch.cat([rows, -residual[:, None]], dim=1)]), mode="r").R
    if processes.count() > 1:
        r = torch.linalg.qr(processes.gathered(r), mode="r").R
    return r[:size, :size], r[:size, size]


def compressed(matrix: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return A and b with fewer rows and the same |A x - b| for all x, up to a constant, as the rows of all processes.

    They are the triangles of each process's [A, b]. The rows of one process stay what they are.
    """
    if processes.count() == 1:
        return matrix, right
    r = processes.gathered(torch.linalg.qr(torch.cat([matrix, right[:, None]], dim=1), mode="r").R)
    return r[:, :-1], r[:, -1]


def lsmr(
    times: Callable[[Tensor], Tensor],
    transposed_times: Callable[[Tensor], Tensor],
    right: Tensor,
    accuracy: float,
    limit: int,
) -> tuple[Tensor, int]:
    """Return an x that minimises |A x - b|, and the iterations taken (Fong & Saunders 2011, algorithm LSMR).

    A is given by its products A v and A^T u. It ends when |A^T (A x - b)|, which falls in each iteration, is `accuracy`
    of what it was for x = 0, or after `limit` iterations.
    """
    beta = right.norm()
    u = right / beta.clamp_min(TINY)
    v = transposed_times(u)
    alpha = v.norm()
    v = v / alpha.clamp_min(TINY)
    x, h, h_bar = torch.zeros_like(v), v, torch.zeros_like(v)
    zeta_bar, alpha_bar = float(alpha * beta), float(alpha)
    rho = rho_bar = c_bar = 1.0
    s_bar, goal, iteration = 0.0, accuracy * zeta_bar, 0
    while abs(zeta_bar) > goal and iteration < limit:
        iteration += 1
        u = times(v) - alpha * u
        beta = u.norm()
        u = u / beta.clamp_min(TINY)
        v = transposed_times(u) - beta * v
        alpha = v.norm()
        v = v / alpha.clamp_min(TINY)
        rho_old, rho_bar_old = rho, rho_bar
        rho = max(hypot(alpha_bar, float(beta)), TINY)
        c, s = alpha_bar / rho, float(beta) / rho
        theta, alpha_bar = s * float(alpha), c * float(alpha)
        theta_bar = s_bar * rho
        rho_bar = max(hypot(c_bar * rho, theta), TINY)
        c_bar, s_bar = c_bar * rho / rho_bar, theta / rho_bar
        zeta, zeta_bar = c_bar * zeta_bar, -s_bar * zeta_bar
        h_bar = h - (theta_bar * rho / (rho_old * rho_bar_old)) * h_bar
        x = x + (zeta / (rho * rho_bar)) * h_bar
        h = v - (theta / rho) * h
    return x, iteration


def finite(x: Tensor) -> Tensor | None:
    """Return x, or None if an entry is not finite."""
    return x if bool(torch.isfinite(x).all()) else None


def solve_least_squares(matrix: Tensor, right: Tensor, ridge: float) -> Tensor | None:
    """Return x that minimises |A x - b|^2 + ridge |D x|^2, D the column norms of A (R, P); None if that fails.

    QR of the columns scaled to norm 1, with the ridge as extra rows, so that rank deficiency is harmless on every
    device. More accurate than the normal equations, whose error grows with the square of the condition number. What
    belongs to columns that vanish, up to rounding of the largest one, is 0: it could be anything. x is for
    the rows of all processes.
    """
    matrix, right = compressed(matrix, right)
    norms = matrix.norm(dim=0)
    scale = torch.where(norms > SINGULAR * norms.max(), 1 / norms, 0.0)
    size = matrix.shape[1]
    rows = torch.cat([matrix * scale, ridge**0.5 * torch.eye(size, dtype=matrix.dtype, device=matrix.device)])
    q, r = torch.linalg.qr(rows)
    x = torch.linalg.solve_triangular(r, (q[: len(right)].T @ right)[:, None], upper=True)[:, 0]
    return finite(scale * x)
