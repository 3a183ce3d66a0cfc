"""Van der Pol's oscillator, an ordinary differential equation: smooth by default, stiff for large mu.

u_tt - mu (1 - u^2) u_t + u = 0 on (0, end), u = 2, u_t = 0 at t = 0. Source: Hairer & Wanner 1996, Solving Ordinary
Differential Equations II, section IV.1; the stiff case is mu=1000 end=2000.
"""

from kanpde import Box, Problem, initial, initial_velocity
from kanpde.reference import collocation


def problem(mu: float = 1.0, end: float = 20.0) -> Problem:
    interval = Box(t=(0, end))

    def oscillator(u, at):
        return u.d("tt") - mu * (1 - u**2) * u.d("t") + u

    equations = {"oscillator": oscillator}
    conditions = {"start": initial(2.0), "velocity": initial_velocity(0.0)}
    return Problem(
        geometry=interval,
        equations=equations,
        conditions=conditions,
        reference=collocation(interval, equations, conditions),
    )
