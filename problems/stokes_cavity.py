"""The lid-driven cavity without inertia: Stokes flow in a square box whose lid moves.

p_x = u_xx + u_yy, p_y = v_xx + v_yy, u_x + v_y = 0 on (0, 1)^2, u = 16 x^2 (1 - x)^2 at the lid y = 1, u = v = 0 on
the other walls, and the mean of p is 0. Source: the regularised cavity of Shen 1991, Hopf Bifurcation of the Unsteady
Regularized Driven Cavity Flow, in the limit of Reynolds number 0; eddies in the corners, Moffatt 1964, Viscous and
Resistive Eddies near a Sharp Corner.
"""

from kanpde import Box, Problem, dirichlet, mean
from kanpde.reference import taylor_hood


def problem() -> Problem:
    def momentum_x(u, p, at):
        return p.d("x") - (u.d("xx") + u.d("yy"))

    def momentum_y(v, p, at):
        return p.d("y") - (v.d("xx") + v.d("yy"))

    def continuity(u, v, at):
        return u.d("x") + v.d("y")

    box = Box(x=(0, 1), y=(0, 1))
    equations = {"momentum_x": momentum_x, "momentum_y": momentum_y, "continuity": continuity}
    conditions = {
        "lid": dirichlet("y+", lambda at: 16 * at.x**2 * (1 - at.x) ** 2, unknown="u"),
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
        reference=taylor_hood(
            box, equations, conditions, constraints, cells=24, towards=["y+", (0.0, 0.0), (1.0, 0.0)], reach=1.0
        ),
    )
