"""Poisson's equation in a cube with the solution sin(pi x) sin(pi y) sin(pi z) + x y z.

-(u_xx + u_yy + u_zz) = 3 pi^2 sin(pi x) sin(pi y) sin(pi z) on (0, 1)^3, u = x y z on the boundary. Source: the
standard manufactured solution, for example Mueller & Zeinhofer 2023, Achieving High Accuracy with PINNs via Energy
Natural Gradients, with a harmonic function added so that no face but three is at zero.
"""

from math import pi

from torch import sin

from kanpde import Box, Problem, dirichlet
from kanpde.reference import exact


def problem() -> Problem:
    def wave(at):
        return sin(pi * at.x) * sin(pi * at.y) * sin(pi * at.z)

    def harmonic(at):
        return at.x * at.y * at.z

    def poisson(u, at):
        return -(u.d("xx") + u.d("yy") + u.d("zz")) - 3 * pi**2 * wave(at)

    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1), z=(0, 1)),
        equations={"poisson": poisson},
        conditions={"walls": dirichlet("all", harmonic)},
        reference=exact(lambda at: wave(at) + harmonic(at)),
    )
