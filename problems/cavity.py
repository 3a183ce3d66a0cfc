"""The lid-driven cavity: steady flow of a viscous fluid in a square box whose lid moves.

u u_x + v u_y + p_x = (u_xx + u_yy) / Re, u v_x + v v_y + p_y = (v_xx + v_yy) / Re, u_x + v_y = 0 on (0, 1)^2, u the
lid's velocity at y = 1, u = v = 0 otherwise on the walls, and the mean of p is 0. Source: Ghia, Ghia & Shin 1982,
High-Re Solutions for Incompressible Flow; lid="smooth", 16 x^2 (1 - x)^2, is the regularised cavity of Shen 1991, Hopf
Bifurcation of the Unsteady Regularized Driven Cavity Flow.

lid="parabola" is 4 x (1 - x), for which p has logarithms in the upper corners, and lid="flat" is 1, for which the
velocity jumps there, and p and its mean square are infinite: errors of u and v, each by itself, are what counts then.
"""

from math import pi

from torch import atan2, ones_like

from kanpde import Box, KanpdeError, Problem, dirichlet, mean
from kanpde.reference import taylor_hood

LIDS = {
    "smooth": lambda at: 16 * at.x**2 * (1 - at.x) ** 2,
    "parabola": lambda at: 4 * at.x * (1 - at.x),
    "flat": lambda at: ones_like(at.x),
}
CORNERS = ((0.0, 1.0), (1.0, 1.0))
MESHES = {
    "smooth": {"cells": 24, "towards": ["y+", "x+", (0.0, 0.0)], "reach": 1.0},
    "parabola": {"cells": 32, "towards": CORNERS, "levels": 8},
    "flat": {"cells": 32, "towards": CORNERS, "levels": 12},
}


def problem(reynolds: float = 100.0, lid: str = "smooth") -> Problem:
    if lid not in LIDS:
        raise KanpdeError(f"lid='{lid}': the lids are {', '.join(LIDS)}.")

    def momentum_x(u, v, p, at):
        return u * u.d("x") + v * u.d("y") + p.d("x") - (u.d("xx") + u.d("yy")) / reynolds

    def momentum_y(u, v, p, at):
        return u * v.d("x") + v * v.d("y") + p.d("y") - (v.d("xx") + v.d("yy")) / reynolds

    def continuity(u, v, at):
        return u.d("x") + v.d("y")

    def jumps(at):  # 1 on the lid and 0 on the other walls, with a jump in both upper corners
        return at.y * atan2(at.x, 1 - at.y) * atan2(1 - at.x, 1 - at.y) * 4 / pi**2

    box = Box(x=(0, 1), y=(0, 1))
    equations = {"momentum_x": momentum_x, "momentum_y": momentum_y, "continuity": continuity}
    conditions = {
        "lid": dirichlet("y+", LIDS[lid], unknown="u", lift=jumps if lid == "flat" else None),
        "bottom": dirichlet("y-", 0.0, unknown="u"),
        "sides": dirichlet("x", 0.0, unknown="u"),
        "walls": dirichlet("all", 0.0, unknown="v"),
    }
    constraints = {"pressure": mean("p")}
    return Problem(
        geometry=box,
        equations=equations,
        conditions=conditions,
        constraints=constraints,
        reference=taylor_hood(box, equations, conditions, constraints, **MESHES[lid]),
    )
