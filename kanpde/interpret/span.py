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
class Constants:
    """Constants a, b (M,) of M functions f(a t + b)."""

    a: Tensor
    b: Tensor


def fitted(
    function: Elementary,
    t: Tensor,
    start: Constants,
    free: Tensor,
    limits: Tensor,
    span: Span,
    iterations: int = 30,
) -> tuple[Constants, Tensor]:
    """Return the constants near `start` with which f(a t + b), t (M, n), are nearest to the span, and the distances.

    Variable projection (Golub & Pereyra 1973): distances depend on a and b alone, of which those are changed that are
    `free` (M, 2). Gauss-Newton steps are damped as by Levenberg and Marquardt; one is taken if the distance gets
    smaller and |a|, where it changes, stays within `limits` (M, 2).
    """

    def evaluate(p: Tensor) -> tuple[Tensor, Tensor]:
        y, slope = function.taylor(p[:, :1] * t + p[:, 1:], 1)
        part = span.independent(y)
        size = torch.linalg.vector_norm(part, dim=1)[:, None, None]
        whole = torch.linalg.vector_norm(span.root * y, dim=1)[:, None, None]
        unit = part[:, None] / torch.where(size > INDEPENDENT * whole, size, torch.nan)
        r = span.outside(unit)
        change = span.independent(torch.stack([slope * t, slope], dim=1)) / size * free[..., None]  # (M, 2, n)
        return r, span.outside(change) - (change @ unit.mT) * r

    p = torch.stack([start.a, start.b], dim=1)
    r, jacobian = evaluate(p)
    rho = r.square().sum(dim=(1, 2))
    damping, growth, failures = (torch.full_like(rho, v) for v in (1e-2, 2.0, 0.0))
    eye = torch.eye(2, dtype=t.dtype, device=t.device)
    for _ in range(iterations):
        active = failures < 6
        if not bool(active.any()):
            break
        normal = torch.nan_to_num(jacobian @ jacobian.mT)
        gradient = torch.nan_to_num(jacobian @ r.mT)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        scale = torch.where(diagonal > 0, diagonal, 1.0) * damping[:, None]
        step = torch.linalg.solve_ex(normal + eye * scale[:, None], -gradient)[0][..., 0]
        new = p + step
        new_r, new_jacobian = evaluate(new)
        new_rho = new_r.square().sum(dim=(1, 2))
        size = new[:, 0].abs()
        allowed = ~free[:, 0] | ((size >= limits[:, 0]) & (size <= limits[:, 1]))
        better = active & allowed & (new_rho < rho)
        failures = torch.where(better & (new_rho < 0.99 * rho), 0.0, failures + 1)
        p = torch.where(better[:, None], new, p)
        rho = torch.where(better, new_rho, rho)
        r = torch.where(better[:, None, None], new_r, r)
        jacobian = torch.where(better[:, None, None], new_jacobian, jacobian)
        damping = torch.where(better, damping / 5, damping * growth).clamp(min=1e-14)
        growth = torch.where(better, 2.0, growth * 2)
    return Constants(p[:, 0], p[:, 1]), rho.sqrt()
