"""How far functions are from the space that given ones span, by samples, and how this changes with their constants."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpde.basis.elementary import Elementary

INDEPENDENT = 1e-3
"""A function that differs from what is known by less than this part of its size is not counted as another one."""

LOST = 1e-12
"""Singular values below this part of the largest are rounding."""


@dataclass(frozen=True)
class Span:
    """The span of modes sampled at n points, and of the part of it that is known, in a weighted L2 product.

    `root` (n,) holds the square roots of the weights, whose sum is 1; the columns of `basis` (n, R) and `found` (n, K)
    are orthonormal.
    """

    root: Tensor
    basis: Tensor
    found: Tensor

    @staticmethod
    def of(modes: Tensor, known: Tensor, weights: Tensor) -> Span:
        """Return the span of the columns of modes (n, R), known (n, K), with weights (n,)."""
        root = torch.sqrt(weights / weights.sum())
        return Span(root, orthonormal(root[:, None] * modes), orthonormal(root[:, None] * known))

    def independent(self, values: Tensor) -> Tensor:
        """Return weighted values (..., n) less their part in what is known."""
        weighted = self.root * values
        return weighted - (weighted @ self.found) @ self.found.T

    def outside(self, part: Tensor) -> Tensor:
        """Return the part of weighted values (..., n) that is outside the span."""
        return part - (part @ self.basis) @ self.basis.T

    def holds_one(self) -> bool:
        """Return whether the constant 1 is in the span of what is known."""
        return float(torch.linalg.vector_norm(self.independent(torch.ones_like(self.root)))) < INDEPENDENT

    def coarse(self, values: Tensor) -> Tensor:
        """Return the squared distances (...,) of values (..., n), to few digits; infinite where meaningless.

        It is for grids of many functions, with values of single precision.
        """
        basis, found, weighted = self.basis.to(values), self.found.to(values), self.root.to(values) * values
        size = weighted.square().sum(dim=-1)
        part = weighted - (weighted @ found) @ found.T
        left = part.square().sum(dim=-1)
        distance = 1 - (part @ basis).square().sum(dim=-1) / left
        usable = torch.isfinite(distance) & (left > INDEPENDENT**2 * size)
        return torch.where(usable, distance.clamp(min=0), torch.inf)


def orthonormal(columns: Tensor) -> Tensor:
    """Return an orthonormal basis (n, r) of the span of columns (n, R)."""
    if columns.shape[1] == 0:
        return columns
    sizes = torch.linalg.vector_norm(columns, dim=0)
    u, s, _ = torch.linalg.svd(columns / torch.where(sizes > 0, sizes, torch.ones_like(sizes)), full_matrices=False)
    return u[:, s > LOST * s[0]] if s[0] > 0 else u[:, :0]


@dataclass(frozen=True)
class Fitted:
    """Constants (M,) of M functions f(a t + b), and their distances from the span."""

    a: Tensor
    b: Tensor
    distance: Tensor


def fitted(
    function: Elementary,
    t: Tensor,
    start: tuple[Tensor, Tensor],
    free: tuple[bool, bool],
    limits: tuple[Tensor, Tensor],
    span: Span,
    iterations: int = 30,
) -> Fitted:
    """Return the constants near `start` (M,), (M,) with which f(a t + b), t (M, n), is nearest to the span.

    Variable projection (Golub & Pereyra 1973): the distance depends on a and b alone, where `free`. Gauss-Newton steps
    damped as by Levenberg and Marquardt; a step is taken if the distance gets smaller, and |a| stays within limits.
    """
    a, b = start
    columns = [i for i in range(2) if free[i]]

    def evaluate(a: Tensor, b: Tensor, slopes: bool) -> tuple[Tensor, Tensor | None]:
        y = function.taylor(a[:, None] * t + b[:, None], 1 if slopes else 0)
        part = span.independent(y[0])
        size = torch.linalg.vector_norm(part, dim=1, keepdim=True)
        whole = torch.linalg.vector_norm(span.root * y[0], dim=1, keepdim=True)
        r = span.outside(part) / torch.where(size > INDEPENDENT * whole, size, torch.nan)
        if not slopes:
            return r, None
        change = span.independent(torch.stack([(y[1] * t, y[1])[i] for i in columns], dim=1))  # (M, free, n)
        along = (change @ (part / size)[..., None]) / size[..., None]
        return r, span.outside(change) / size[..., None] - along * r[:, None]

    r, jacobian = evaluate(a, b, bool(columns))
    rho = r.square().sum(dim=1)
    if jacobian is None:
        return Fitted(a, b, rho.sqrt())
    damping, growth, failures = torch.full_like(a, 1e-2), torch.full_like(a, 2.0), torch.zeros_like(a)
    eye = torch.eye(len(columns), dtype=t.dtype, device=t.device)
    for _ in range(iterations):
        active = failures < 6
        if not bool(active.any()):
            break
        normal = jacobian @ jacobian.mT
        diagonal = normal.diagonal(dim1=1, dim2=2)
        scale = torch.where(diagonal > 0, diagonal, 1.0)
        gradient = (jacobian @ r[..., None])[..., 0]
        damped = torch.nan_to_num(normal) + eye * torch.nan_to_num(damping[:, None] * scale, nan=1.0)[:, None]
        step = torch.linalg.solve_ex(damped, -torch.nan_to_num(gradient)[..., None])[0][..., 0]
        moves = [torch.zeros_like(a), torch.zeros_like(a)]
        for i, column in enumerate(columns):
            moves[column] = step[:, i]
        new_a, new_b = a + moves[0], b + moves[1]
        new_r, new_jacobian = evaluate(new_a, new_b, True)
        assert new_jacobian is not None
        new_rho = new_r.square().sum(dim=1)
        size = new_a.abs()
        better = active & (new_rho < rho) & ((moves[0] == 0) | ((size >= limits[0]) & (size <= limits[1])))
        a, b = torch.where(better, new_a, a), torch.where(better, new_b, b)
        little = better & (new_rho > 0.99 * rho)
        rho = torch.where(better, new_rho, rho)
        r = torch.where(better[:, None], new_r, r)
        jacobian = torch.where(better[:, None, None], new_jacobian, jacobian)
        failures = torch.where(better & ~little, torch.zeros_like(failures), failures + 1)
        damping = torch.where(better, damping / 5, damping * growth).clamp(min=1e-14)
        growth = torch.where(better, 2.0, growth * 2)
    return Fitted(a, b, rho.sqrt())
