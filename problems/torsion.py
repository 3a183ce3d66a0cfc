"""Torsion of a square bar: Poisson's equation with a constant source, whose solution is not smooth in the corners.

-(u_xx + u_yy) = 1 on (-1, 1)^2, u = 0 on the boundary. Source: Timoshenko & Goodier 1970, Theory of Elasticity,
section 109.

With distances a, b from the two walls of a corner, w = -b^2 / 2 - (2 a b log r + theta (a^2 - b^2)) / pi satisfies the
equation and both walls' conditions (Grisvard 1985, Elliptic Problems in Nonsmooth Domains: the first singular
function), and what else there is in a corner is smooth. The lift is that of the four corners, each faded out.
"""

from math import pi

from torch import atan2, log

from kanpde import Box, Problem, dirichlet
from kanpde.reference import torsion_square

TINY = 1e-150
"""A distance from a corner at which logarithms are finite, too small to be seen elsewhere."""


def problem() -> Problem:
    def poisson(u, at):
        return -(u.d("xx") + u.d("yy")) - 1

    def fading(s):  # from 1 to 0 with four derivatives that vanish at both ends
        return 1 - s**5 * (126 - 420 * s + 540 * s**2 - 315 * s**3 + 70 * s**4)

    def corner(a, b):
        w = -(b**2) / 2 - (a * b * log(a**2 + b**2 + TINY**2) + atan2(b, a) * (a**2 - b**2)) / pi
        return fading(a / 2) * fading(b / 2) * w

    def corners(at):
        return sum(corner(1 - i * at.x, 1 - j * at.y) for i in (-1, 1) for j in (-1, 1))

    return Problem(
        geometry=Box(x=(-1, 1), y=(-1, 1)),
        equations={"poisson": poisson},
        conditions={"walls": dirichlet("all", 0.0, lift=corners)},
        reference=torsion_square(),
    )
