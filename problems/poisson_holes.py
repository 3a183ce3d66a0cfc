"""Laplace's equation on a square with four round holes: steady heat between a warm wall and cold pipes.

u_xx + u_yy = 0 on (-1/2, 1/2)^2 without the disks of the radius 0.1 around (+-0.3, +-0.3), u = 1 on the square and 0 on
the circles. Source: Hao et al. 2024, PINNacle: A Comprehensive Benchmark of Physics-Informed Neural Networks for
Solving PDEs (Poisson 2D-C).
"""

from kanpde import Box, Disk, Problem, dirichlet
from kanpde.reference import harmonic


def problem(radius: float = 0.1) -> Problem:
    centres = [(x, y) for x in (-0.3, 0.3) for y in (-0.3, 0.3)]
    # Reflected in the walls, where u is constant, the holes go on outside.
    images = [(x, y) for x in (-0.7, -0.3, 0.3, 0.7) for y in (-0.7, -0.3, 0.3, 0.7) if max(abs(x), abs(y)) > 0.5]
    domain = Box(x=(-0.5, 0.5), y=(-0.5, 0.5)).named("square")
    for centre in centres:
        domain = domain - Disk(centre, radius).named("holes")

    def laplace(u, at):
        return u.d("xx") + u.d("yy")

    conditions = {"warm": dirichlet("square", 1.0), "cold": dirichlet("holes", 0.0)}
    return Problem(
        geometry=domain,
        equations={"laplace": laplace},
        conditions=conditions,
        reference=harmonic(domain, conditions, degree=50, poles=[*centres, *images]),
    )
