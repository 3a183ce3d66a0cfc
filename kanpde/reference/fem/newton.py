"""Steady problems: Newton's iteration with a sparse direct solver."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from kanpde.errors import KanpdeError
from kanpde.reference.fem.linearise import NotFinite
from kanpde.reference.fem.weakform import WeakForm, factorise

ROUNDING = 1e-13
ITERATIONS = 50
HALVINGS = 12


def newton(form: WeakForm) -> tuple[ndarray, int]:
    """Return the solution and the number of Newton steps (one for a linear equation).

    Damped by halving the step until the residual falls; it ends when the residual is at rounding, measured against
    the sizes of the terms that cancel in it.
    Raises KanpdeError if it does not converge, or if the problem leaves a constant undetermined.
    """
    free = form.free
    rate = np.zeros((1, form.space.size))
    time = np.zeros(1)
    constant = form.space.interpolate(lambda x: np.ones(x.shape[1]))
    u = form.with_essential(rate, time)[0]
    residual = form.residual(u[None], rate, time)[0, free]
    for iteration in range(1, ITERATIONS + 1):
        jacobian = form.jacobian(u, rate[0], 0.0)
        if not len(form.essential):
            _check_constant(jacobian @ constant, abs(jacobian) @ abs(constant))
        step = np.zeros_like(u)
        step[free] = factorise(jacobian[free][:, free]).solve(-residual)
        for halving in range(HALVINGS):
            damped = u + 0.5**halving * step
            try:
                after = form.residual(damped[None], rate, time)[0, free]
            except NotFinite:
                continue
            converged = np.linalg.norm(after) <= ROUNDING * np.linalg.norm((abs(jacobian) @ abs(damped))[free])
            if converged or np.linalg.norm(after) < np.linalg.norm(residual):
                break
        else:
            break
        u, residual = damped, after
        if converged:
            return u, iteration
    raise KanpdeError(f"FEM: Newton's iteration did not converge ({iteration} steps). Leave it out with baseline=none.")


def _check_constant(image: ndarray, terms: ndarray) -> None:
    if np.linalg.norm(image) <= ROUNDING * np.linalg.norm(terms):
        raise KanpdeError(
            "the solution is fixed only up to a constant: give a Dirichlet or Robin condition on some boundary."
        )
