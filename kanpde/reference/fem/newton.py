"""Steady problems: Newton's iteration with a sparse direct solver."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray
from scipy.sparse import csc_matrix

from kanpde.errors import KanpdeError
from kanpde.reference.fem.linearise import NotFinite
from kanpde.reference.fem.weakform import WeakForm, factorise

ROUNDING = 1e-13
ITERATIONS = 50
HALVINGS = 12


class NotConverged(KanpdeError):
    """Newton's iteration did not converge."""


def newton(form: WeakForm) -> tuple[ndarray, int]:
    """Return the solution and the number of Newton steps (one for a linear equation).

    Raises KanpdeError if it does not converge, or if the problem leaves a constant undetermined.
    """
    rate = np.zeros((1, form.size))
    time = np.zeros(1)

    def jacobian(u: ndarray) -> csc_matrix:
        matrix = form.jacobian(u, rate[0], 0.0)
        if free := form.undetermined(matrix):
            raise KanpdeError(
                f"the solution is fixed only up to a constant{f' in {free}' if form.unknowns > 1 else ''}: give a"
                " Dirichlet or Robin condition on some boundary."
            )
        return matrix

    start = form.with_essential(rate, time)[0]
    free, ordering = form.eliminated()
    return iterate(start, free, lambda u: form.residual(u[None], rate, time)[0], jacobian, ordering)


def iterate(
    u: ndarray,
    free: ndarray,
    residual_of: Callable[[ndarray], ndarray],
    jacobian_of: Callable[[ndarray], csc_matrix],
    ordering: str = "MMD_AT_PLUS_A",
) -> tuple[ndarray, int]:
    """Return the zero (dof,) of a residual (dof,) in the free degrees of freedom, and the number of steps from u.

    Damped by halving the step until the residual falls; it ends when the residual is at rounding, measured against
    the sizes of the terms that cancel in it. `ordering` is that of `factorise`. Raises NotConverged.
    """
    residual = residual_of(u)[free]
    for iteration in range(1, ITERATIONS + 1):
        jacobian = jacobian_of(u)
        step = np.zeros_like(u)
        step[free] = factorise(jacobian[free][:, free], ordering).solve(-residual)
        for halving in range(HALVINGS):
            damped = u + 0.5**halving * step
            try:
                after = residual_of(damped)[free]
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
    raise NotConverged(
        f"FEM: Newton's iteration did not converge ({iteration} steps). Leave it out with baseline=none."
    )
