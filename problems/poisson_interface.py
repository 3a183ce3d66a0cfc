"""Heat conduction through two materials: the solution has a kink at the interface, where its flux is continuous.

-div(a grad w) = f on (-1, 1) x (0, 1), w = 0 on the boundary, a = a_left where x < 0 and a_right where x > 0. The
plane is folded along the interface, so that x is the distance from it: u = w(-x, y) and v = w(x, y) are two smooth
unknowns on (0, 1)^2 with u = v and a_left u_x + a_right v_x = 0 at x = 0. w = (sin(pi x) / a + cos(pi x / 2)) sin(pi
y). Source: manufactured; conditions at interfaces as in LeVeque & Li 1994, The Immersed Interface Method for Elliptic
Equations.
"""

from math import pi

from torch import cos, sin

from kanpde import Box, Problem, condition, dirichlet
from kanpde.reference import exact


def problem(a_left: float = 1.0, a_right: float = 100.0) -> Problem:
    def left(at):
        return (cos(pi * at.x / 2) - sin(pi * at.x) / a_left) * sin(pi * at.y)

    def right(at):
        return (cos(pi * at.x / 2) + sin(pi * at.x) / a_right) * sin(pi * at.y)

    def source(at, a, sign):
        return (1.25 * a * pi**2 * cos(pi * at.x / 2) + sign * 2 * pi**2 * sin(pi * at.x)) * sin(pi * at.y)

    def left_side(u, at):
        return -a_left * (u.d("xx") + u.d("yy")) - source(at, a_left, -1)

    def right_side(v, at):
        return -a_right * (v.d("xx") + v.d("yy")) - source(at, a_right, 1)

    walls = {
        f"{unknown} at {face}": dirichlet(face, 0.0, unknown=unknown) for unknown in ("u", "v") for face in ("x+", "y")
    }
    return Problem(
        geometry=Box(x=(0, 1), y=(0, 1)),
        equations={"left": left_side, "right": right_side},
        conditions={
            **walls,
            "no jump": condition("x-", lambda u, v, at: u - v),
            "flux": condition("x-", lambda u, v, at: a_left * u.d("x") + a_right * v.d("x")),
        },
        reference=exact(left, right),
    )
