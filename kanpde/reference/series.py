"""Torsion of a square bar, from its Fourier series summed to rounding everywhere, corners included."""

from __future__ import annotations

from functools import cached_property
from math import log, pi

import torch
from scipy.special import zeta
from torch import Tensor

from kanpde.field import Points, taylor_coefficients
from kanpde.multiindex import IndexSet
from kanpde.problem import Reference

CHUNK = 4096


class Torsion(Reference):
    """-Lap u = 1 on (-1, 1)^2, u = 0 on the boundary (Timoshenko & Goodier 1970, Theory of Elasticity, section 109).

    With xi = pi (1 - |x|) / 2, eta = pi (1 - |y|) / 2 and the odd n

        u = (1 - x^2) / 2 - 16 / pi^3 sum_n sin(n xi) / n^3 (e^{-n eta} + e^{-n (pi - eta)}) / (1 + e^{-n pi}),

    where all exponents are negative. Only sin(n xi) e^{-n eta} / n^3 converges slowly, near y = +-1. Its sum is the
    imaginary part of Legendre's function chi_3(e^mu), mu = -eta + i xi, whose expansion at mu = 0 is known (Lewin 1981,
    Polylogarithms and Associated Functions, chapter 7), has the logarithm of the corners in it, and converges for
    |mu| < pi, faster than 2^-n on the square. `terms` are those of both sums.
    """

    name = "series"
    error_source = "twice as many terms"
    smooth = True

    def __init__(self, terms: int = 32) -> None:
        self.terms = terms

    @cached_property
    def error(self) -> float:  # type: ignore[override]
        """Relative L2 difference to twice as many terms, on a grid with the walls and corners."""
        x = torch.linspace(-1, 1, 81, dtype=torch.float64)
        at = Points.of(("x", "y"), torch.cartesian_prod(x, x))
        u, other = self.value(at), Torsion(2 * self.terms).value(at)
        return max(float((u - other).norm() / other.norm()), 1e-15)

    def value(self, at: Points) -> Tensor:
        """Return u at the points (N,)."""
        # The tiny number keeps logarithm and angle finite in the corners; elsewhere it is lost in rounding.
        xi, eta = (pi * (1 - torch.where(z < 0, -z, z)) / 2 + 1e-150 for z in (at.x, at.y))
        n = 2 * torch.arange(self.terms, dtype=xi.dtype, device=xi.device) + 1
        g = torch.exp(-n * pi) / (1 + torch.exp(-n * pi))
        fast = torch.exp(-n * (pi - eta[:, None])) * (1 - g) - torch.exp(-n * eta[:, None]) * g
        rest = (torch.sin(n * xi[:, None]) / n**3 * fast).sum(dim=1)
        return (1 - at.x**2) / 2 - 16 / pi**3 * (self._slow(xi, eta) + rest)

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        chunks = [Points.of(at.names, part) for part in at.array().split(CHUNK)]
        return torch.cat([taylor_coefficients(self.value, part, indices) for part in chunks], dim=1)[..., None]

    def _slow(self, xi: Tensor, eta: Tensor) -> Tensor:
        """Return the sum of sin(n xi) e^{-n eta} / n^3 over the odd n, the imaginary part of chi_3(e^mu).

        chi_3(e^mu) = 7 zeta(3) / 8 + pi^2 mu / 8 + mu^2 / 4 (3/2 + log 2 - log(-mu)) + sum_j c_j mu^(2 j + 2).
        """
        square = torch.complex(eta**2 - xi**2, -2 * xi * eta)
        power_series = torch.zeros_like(square)
        for j in range(self.terms, 0, -1):
            # zeta(1 - 2 j) (1 - 2^(2 j - 1)) / (2 j + 2)!, by the functional equation of zeta.
            c = (
                (-1) ** j
                * float(zeta(2 * j))
                * (2.0 ** (1 - 2 * j) - 1)
                / (pi ** (2 * j) * (2 * j) * (2 * j + 1) * (2 * j + 2))
            )
            power_series = square * (power_series + c)
        radius = 0.5 * torch.log(eta**2 + xi**2)
        angle = torch.atan2(xi, eta)
        corner = (eta**2 - xi**2) * angle - 2 * xi * eta * (1.5 + log(2) - radius)
        return pi**2 / 8 * xi + corner / 4 + (square * power_series).imag


def torsion_square() -> Torsion:
    """Return the solution of -Lap u = 1 on (-1, 1)^2 with u = 0 on the boundary."""
    return Torsion()
