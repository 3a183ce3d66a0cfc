"""Burgers' equation by the Cole-Hopf transform."""

from __future__ import annotations

from functools import cached_property
from math import ceil, pi, sqrt

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points, taylor_coefficients
from kanpde.multiindex import IndexSet
from kanpde.problem import Reference

CHUNK = 4096


class ColeHopf(Reference):
    """u_t + u u_x = nu u_xx on the line with u(x, 0) = -sin(pi x) (Basdevant et al. 1986, equation 2.5).

    With eta = sqrt(4 nu t) s both integrals are over exp(-s^2 - cos(pi (x - eta)) / (2 pi nu)) and the trapezoid rule
    converges geometrically; the exponent is normalised by its maximum, so that no viscosity overflows.
    """

    name = "Cole-Hopf"
    error_source = "two quadrature resolutions"
    smooth = True

    def __init__(self, nu: float, spacing: float = 0.05) -> None:
        if not nu > 0:
            raise KanpdeError(f"nu={nu}: the viscosity must be positive.")
        self.nu = nu
        self.spacing = spacing
        self.reach = sqrt(1 / (pi * nu) + 40)

    @cached_property
    def error(self) -> float:  # type: ignore[override]
        """Relative L2 difference to the rule with half the spacing, on a grid that follows the front."""
        x = torch.sinh(torch.linspace(-6, 6, 81, dtype=torch.float64)) / torch.sinh(torch.tensor(6.0))
        t = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)
        at = Points.of(("x", "t"), torch.cartesian_prod(x, t))
        coarse, fine = self.value(at), ColeHopf(self.nu, self.spacing / 2).value(at)
        return max(float((coarse - fine).norm() / fine.norm()), 1e-15)

    def value(self, at: Points) -> Tensor:
        """Return u at the points (N,)."""
        steps = ceil(self.reach / self.spacing)
        s = torch.arange(-steps, steps + 1, dtype=at.x.dtype, device=at.x.device) * self.spacing
        y = pi * (at.x[:, None] - torch.sqrt(4 * self.nu * at.t)[:, None] * s)
        weights = torch.softmax(-(s**2) - torch.cos(y) / (2 * pi * self.nu), dim=1)
        return -(weights * torch.sin(y)).sum(dim=1)

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        chunks = [Points.of(at.names, part) for part in at.array().split(CHUNK)]
        return torch.cat([taylor_coefficients(self.value, part, indices) for part in chunks], dim=1)[..., None]


def burgers_cole_hopf(nu: float) -> ColeHopf:
    """Return the exact solution of viscous Burgers with u(x, 0) = -sin(pi x); raise KanpdeError for nu <= 0."""
    return ColeHopf(nu)
