"""The Fisher-KPP equation: a population spreads from a corner as a travelling front.

u_t = d u_xx + r u (1 - u) on (0, 5) x (0, 2), walls that nobody crosses, u = exp(-4 x^2) / 2 at t = 0. Source: Fisher
1937, The Wave of Advance of Advantageous Genes; Kolmogorov, Petrovsky & Piskunov 1937.
"""

from torch import exp

from kanpde import Box, Problem, initial, neumann
from kanpde.reference import collocation


def problem(d: float = 0.1, r: float = 5.0) -> Problem:
    box = Box(x=(0, 5), t=(0, 2))

    def growth(u, at):
        return u.d("t") - d * u.d("xx") - r * u * (1 - u)

    equations = {"growth": growth}
    conditions = {"start": initial(lambda at: 0.5 * exp(-4 * at.x**2)), "walls": neumann("x", 0.0)}
    return Problem(
        geometry=box,
        equations=equations,
        conditions=conditions,
        reference=collocation(box, equations, conditions, nodes=72, degree=12),
    )
