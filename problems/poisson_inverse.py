"""Find the conductivity of a plate from noisy observations of its temperature.

-div(a grad u) = f on (0, 1)^2 with the unknown field a, which is known on the boundary only; u is observed on a grid of
n by n points with normal errors of the size `noise`. u = sin(pi x) sin(pi y), a = 1 / (1 + x^2 + y^2 + (x - 1)^2 +
(y - 1)^2). Source: Hao et al. 2024, PINNacle: A Comprehensive Benchmark of Physics-Informed Neural Networks for Solving
PDEs (Poisson inverse, with n = 50 and noise = 0.1).
"""

from math import pi

import torch
from torch import cos, sin

from kanpde import Box, Problem, dirichlet, observe
from kanpde.reference import exact


def problem(n: int = 50, noise: float = 0.1, seed: int = 0) -> Problem:
    def temperature(at):
        return sin(pi * at.x) * sin(pi * at.y)

    def conductivity(at):
        return 1 / (1 + at.x**2 + at.y**2 + (at.x - 1) ** 2 + (at.y - 1) ** 2)

    def source(at):
        a = conductivity(at)
        a_x, a_y = (-(a**2) * (4 * z - 2) for z in (at.x, at.y))
        u_x, u_y = pi * cos(pi * at.x) * sin(pi * at.y), pi * sin(pi * at.x) * cos(pi * at.y)
        return 2 * pi**2 * a * temperature(at) - a_x * u_x - a_y * u_y

    def balance(u, a, at):
        flux = a.d("x") * u.d("x") + a.d("y") * u.d("y")
        return -a * (u.d("xx") + u.d("yy")) - flux - source(at)

    side = torch.linspace(0, 1, n, dtype=torch.float64)
    points = torch.cartesian_prod(side, side)
    errors = torch.randn(n * n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    values = sin(pi * points[:, 0]) * sin(pi * points[:, 1]) + noise * errors
    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1)),
        equations={"balance": balance},
        conditions={"conductivity": dirichlet("all", conductivity, unknown="a")},
        constraints={"sensors": observe(points, values, "u", noise=noise)},
        reference=exact(temperature, conductivity),
    )
