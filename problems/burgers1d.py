"""Viscous Burgers' equation, which forms a steep front at x = 0.

u_t + u u_x = nu u_xx on (-1, 1) x (0, 1), u = -sin(pi x) at t = 0, u = 0 at the walls. Source: Basdevant et al.
1986, Spectral and Finite Difference Solutions of the Burgers Equation.
"""

from math import pi

from torch import sin

from kanpde import Box, Problem, dirichlet, initial
from kanpde.reference import burgers_cole_hopf


def problem(nu: float = 0.01 / pi) -> Problem:
    def momentum(u, at):
        return u.d("t") + u * u.d("x") - nu * u.d("xx")

    return Problem(
        geometry=Box(x=(-1, 1), t=(0, 1)),
        equations={"momentum": momentum},
        conditions={"start": initial(lambda at: -sin(pi * at.x)), "walls": dirichlet("x", 0.0)},
        reference=burgers_cole_hopf(nu),
    )
