"""A simply supported square plate under a sinusoidal load: the biharmonic equation, of fourth order.

u_xxxx + 2 u_xxyy + u_yyyy = q sin(m pi x) sin(n pi y) on (0, 1)^2; on the boundary u = 0, and no bending moment: u_xx
+ u_yy = 0. Source: Navier's solution, Timoshenko & Woinowsky-Krieger 1959, Theory of Plates and Shells, section 27;
as a benchmark in Guo, Zhuang & Rabczuk 2019, A Deep Collocation Method for the Bending Analysis of Kirchhoff Plate.

The load is scaled so that the largest deflection is 1.
"""

from math import pi

from torch import sin

from kanpde import Box, Problem, condition, dirichlet
from kanpde.reference import exact


def problem(m: int = 1, n: int = 1) -> Problem:
    def solution(at):
        return sin(m * pi * at.x) * sin(n * pi * at.y)

    def plate(u, at):
        load = ((m**2 + n**2) * pi**2) ** 2 * solution(at)
        return u.d("xxxx") + 2 * u.d("xxyy") + u.d("yyyy") - load

    def moment(u, at):
        return u.d("xx") + u.d("yy")

    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1)),
        equations={"plate": plate},
        conditions={"supported": dirichlet("all", 0.0), "no moment": condition("all", moment)},
        reference=exact(solution),
    )
