"""Torsion of a square bar: Poisson's equation with a constant source, whose solution is not smooth in the corners.

-(u_xx + u_yy) = 1 on (-1, 1)^2, u = 0 on the boundary. Source: Timoshenko & Goodier 1970, Theory of Elasticity,
section 109.
"""

from kanpde import Box, Problem, dirichlet
from kanpde.reference import torsion_square


def problem() -> Problem:
    def poisson(u, at):
        return -(u.d("xx") + u.d("yy")) - 1

    return Problem(
        geometry=Box(x=(-1, 1), y=(-1, 1)),
        equations={"poisson": poisson},
        conditions={"walls": dirichlet("all", 0.0)},
        reference=torsion_square(),
    )
