"""Find the viscosity of Burgers' equation from noisy observations of its solution.

u_t + u u_x = nu u_xx on (-1, 1) x (0, 1), u = -sin(pi x) at t = 0, u = 0 at the walls, nu unknown; u is observed at
random points with normal errors of a relative size `noise`. Source: Raissi, Perdikaris & Karniadakis 2019,
Physics-Informed Neural Networks, section 4.1 (2,000 observations, nu = 0.01 / pi, up to 1 % of noise), with the initial
and wall values known and a larger viscosity by default. Observations are drawn from the Cole-Hopf solution.
"""

from math import pi

import torch

from kanpde import Box, Points, Problem, dirichlet, initial, observe, scalar
from kanpde.multiindex import IndexSet
from kanpde.reference import burgers_cole_hopf


def problem(
    nu: float = 0.05, start: float = 0.2, observations: int = 2000, noise: float = 0.01, seed: int = 0
) -> Problem:
    box, reference = Box(x=(-1, 1), t=(0, 1)), burgers_cole_hopf(nu)
    unit = torch.quasirandom.SobolEngine(2, scramble=True, seed=seed).draw(observations, dtype=torch.float64)
    points = box.interior().place(unit)
    values = reference.taylor(Points.of(box.names, points), IndexSet(box.names))[0, :, 0]
    deviation = noise * float(values.std())
    errors = torch.randn(observations, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

    def momentum(u, nu, at):
        return u.d("t") + u * u.d("x") - nu * u.d("xx")

    return Problem(
        geometry=box,
        equations={"momentum": momentum},
        conditions={"start": initial(lambda at: -torch.sin(pi * at.x)), "walls": dirichlet("x", 0.0)},
        constraints={"sensors": observe(points, values + deviation * errors, noise=deviation)},
        scalars={"nu": scalar(start, exact=nu)},
        reference=reference,
    )
