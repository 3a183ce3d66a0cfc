"""The Lotka-Volterra equations: predators and their prey, which come and go in turn.

u_t = a u - b u v, v_t = c u v - d v on (0, end), u = v = 1 at t = 0. Source: Volterra 1926, Fluctuations in the
Abundance of a Species Considered Mathematically; a = 1.5, b = 1, c = 1, d = 3 are common in textbooks and solver tests.
"""

from kanpde import Box, Problem, initial
from kanpde.reference import collocation


def problem(a: float = 1.5, b: float = 1.0, c: float = 1.0, d: float = 3.0, end: float = 10.0) -> Problem:
    interval = Box(t=(0, end))

    def prey(u, v, at):
        return u.d("t") - a * u + b * u * v

    def predators(u, v, at):
        return v.d("t") - c * u * v + d * v

    equations = {"prey": prey, "predators": predators}
    conditions = {"start_prey": initial(1.0, unknown="u"), "start_predators": initial(1.0, unknown="v")}
    return Problem(
        geometry=interval,
        equations=equations,
        conditions=conditions,
        reference=collocation(interval, equations, conditions),
    )
