"""Solve a problem with finite elements, and choose the resolutions that a comparison shows."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from kanpde.errors import KanpdeError
from kanpde.geometry import Box
from kanpde.problem import Problem
from kanpde.reference.fem.linearise import StrongForm, does_not_apply
from kanpde.reference.fem.newton import newton
from kanpde.reference.fem.radau import integrate
from kanpde.reference.fem.solution import FEM
from kanpde.reference.fem.space import Space
from kanpde.reference.fem.weakform import WeakForm

LADDERS = {
    (1, False): ((1, 64), (1, 256), (1, 1024), (2, 64), (2, 256), (4, 16), (4, 64)),
    (2, False): ((1, 32), (1, 64), (1, 128), (2, 32), (2, 64), (4, 8), (4, 16), (4, 32), (4, 64)),
    (3, False): ((1, 8), (1, 16), (2, 4), (2, 8)),
    (1, True): ((1, 64), (1, 256), (2, 64), (2, 256), (4, 32), (4, 128), (4, 512)),
    (2, True): ((1, 16), (1, 32), (2, 16), (4, 8)),
    (3, True): ((1, 8), (2, 4)),
}
# Bounds of the tolerance of a time step, and the accuracy of the stages where the steps are given.
TIGHTEST, LOOSEST, FIXED = 1e-9, 1e-4, 1e-9


def solve_fem(problem: Problem, order: int, cells: int, steps: int | None = None) -> FEM:
    """Return the solution with elements of degree `order` on `cells` cells per side, from the equation and conditions.

    With time, `steps` equal Radau steps are taken, or, without it, steps chosen by their estimated error: at most a
    tenth of cells^-(order + 1), which is what a solution that varies on the scale of the domain leaves in space.
    Raises KanpdeError if finite elements do not apply to the problem, for an order that there is no element for, for
    fewer than 2 cells or 1 step, and if Newton's iteration or the time steps do not converge.
    """
    if cells < 2:
        raise KanpdeError(f"cells={cells}: FEM needs at least 2 cells per side.")
    if steps is not None and steps < 1:
        raise KanpdeError(f"steps={steps}: FEM needs at least 1 time step.")
    tolerance = min(max(0.1 * float(cells) ** -(order + 1), TIGHTEST), LOOSEST)
    return _solve(problem, order, cells, steps, tolerance)


def ladder(problem: Problem) -> tuple[tuple[int, int], ...]:
    """Return the (order, cells) to compare with: a few per order, a few seconds in total.

    Raises KanpdeError if finite elements do not apply to the problem.
    """
    StrongForm(problem)
    geometry = box(problem)
    return LADDERS[len(geometry.space), geometry.time is not None]


def box(problem: Problem) -> Box:
    """Return the geometry of a problem if it is a box that can be meshed."""
    geometry = problem.geometry
    if not isinstance(geometry, Box):
        raise does_not_apply(f"it meshes boxes, and the domain is a {type(geometry).__name__}")
    if not 1 <= len(geometry.space) <= 3:
        raise does_not_apply(f"it covers 1 to 3 space dimensions, and the problem has {len(geometry.space)}")
    return geometry


def _solve(problem: Problem, order: int, cells: int, steps: int | None, tolerance: float) -> FEM:
    began = perf_counter()
    geometry = box(problem)
    strong = StrongForm(problem)
    interval = {name: (a, b) for name, a, b in zip(geometry.names, geometry.lower, geometry.upper, strict=True)}
    lower, upper = zip(*(interval[name] for name in geometry.space), strict=True)
    periodic = tuple(geometry.space.index(name) for name in problem.periodic if name != geometry.time)
    space = Space(lower, upper, order, cells, periodic)
    form = WeakForm(strong, space, geometry, problem.conditions)
    ready = perf_counter()
    free = len(form.free)
    times = None
    if geometry.time is None:
        solution, iterations = newton(form)
        states, dofs = solution[None, None], free
        stopped = f"converged in {iterations} Newton step{'s' if iterations > 1 else ''}"
    else:
        path = integrate(form, interval[geometry.time], steps, FIXED if steps else tolerance)
        states, times = np.stack(path.states), np.array(path.times)
        iterations, dofs = len(states), 3 * len(states) * free
        stopped = f"reached the end in {iterations} Radau steps of {free} dofs, {path.rejected} rejected"

    def coarser() -> FEM:
        ratio = cells / (cells // 2)
        looser = tolerance * ratio ** min(order + 1, 4)
        return _solve(problem, order, cells // 2, max(1, steps // 2) if steps else None, looser)

    return FEM(
        f"fem-p{order}-{cells}",
        space,
        geometry,
        states,
        times,
        dofs=dofs,
        seconds={"setup": ready - began, "train": perf_counter() - ready},
        iterations=iterations,
        stopped=stopped,
        coarser=coarser,
    )
