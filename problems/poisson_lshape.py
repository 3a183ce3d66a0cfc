"""Poisson's equation with a constant source on the L-shaped domain, whose solution has no bounded gradient.

-(u_xx + u_yy) = 1 on the square (-1, 1)^2 without its lower right quarter, u = 0 on the boundary; at the inner corner u
is like r^(2/3). Source: Lu, Meng, Mao & Karniadakis 2021, DeepXDE: A Deep Learning Library for Solving Differential
Equations, section 4.1 (mirrored).
"""

from kanpde import LShape, Problem, dirichlet
from kanpde.reference import harmonic


def problem() -> Problem:
    domain = LShape()

    def poisson(u, at):
        return -(u.d("xx") + u.d("yy")) - 1

    conditions = {"walls": dirichlet("all", 0.0)}
    return Problem(
        geometry=domain,
        equations={"poisson": poisson},
        conditions=conditions,
        reference=harmonic(domain, conditions, particular=lambda at: -(at.x**2 + at.y**2) / 4, corners=60),
    )
