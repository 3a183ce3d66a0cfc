"""Solve a problem with finite elements, and choose the resolutions that a comparison shows."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from kanpde.errors import KanpdeError
from kanpde.geometry import Box, Geometry, Mesh, split, values_of
from kanpde.problem import Problem
from kanpde.reference.family import Family
from kanpde.reference.fem.flow import SolvedFlow, solve_flow
from kanpde.reference.fem.grid import cells_of
from kanpde.reference.fem.linearise import StrongForm, does_not_apply
from kanpde.reference.fem.momentum import FlowEquations, several
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
FLOWS = {2: ((2, 16), (2, 32), (2, 64), (3, 16), (3, 32), (4, 8), (4, 16), (4, 32)), 3: ((2, 4), (2, 8))}
# Bounds of the tolerance of a time step, and the accuracy of the stages where the steps are given.
TIGHTEST, LOOSEST, FIXED = 1e-9, 1e-4, 1e-9


def solve_fem(problem: Problem, order: int, cells: int, steps: int | None = None) -> FEM | SolvedFlow | FEMFamily:
    """Return the solution with elements of degree `order` on `cells` cells per side, from the equation and conditions.

    With time, `steps` equal Radau steps are taken, or, without it, steps chosen by their estimated error: at most a
    tenth of cells^-(order + 1), which is what a solution that varies on the scale of the domain leaves in space.
    Of steady flow, velocities have this degree and the pressure one less. With parameters there is a solution for each
    value at which errors are measured.
    Raises KanpdeError if finite elements do not apply to the problem, for an order that there is no element for, for
    fewer than 2 cells or 1 step, and if Newton's iteration or the time steps do not converge.
    """
    if cells < 2:
        raise KanpdeError(f"cells={cells}: FEM needs at least 2 cells per side.")
    if steps is not None and steps < 1:
        raise KanpdeError(f"steps={steps}: FEM needs at least 1 time step.")
    if problem.geometry.parameters:
        return FEMFamily(problem, order, cells, steps)
    if several(problem):
        return solve_flow(problem, order, cells)
    tolerance = min(max(0.1 * float(cells) ** -(order + 1), TIGHTEST), LOOSEST)
    return _solve(problem, order, cells, steps, tolerance)


class FEMFamily(Family):
    """Finite element solutions of a problem with parameters, one for each value at which errors are measured.

    `dofs` are those of all of them together, as are the seconds and iterations.
    """

    def __init__(self, problem: Problem, order: int, cells: int, steps: int | None) -> None:
        def solved(**values: float) -> FEM | SolvedFlow:
            solution = solve_fem(problem.fixed(**values), order, cells, steps)
            assert not isinstance(solution, FEMFamily)
            return solution

        super().__init__(problem.geometry, solved, f"fem-p{order}-{cells}")
        solutions = [solved(**values) for values, _ in values_of(problem.geometry)]
        self._members = {
            tuple(values.values()): solution
            for (values, _), solution in zip(values_of(problem.geometry), solutions, strict=True)
        }
        self.dofs = sum(solution.dofs for solution in solutions)
        self.iterations = sum(solution.iterations for solution in solutions)
        self.seconds = {key: sum(s.seconds[key] for s in solutions) for key in solutions[0].seconds}
        self.stopped = f"{len(solutions)} values, the last: {solutions[-1].stopped}"


def ladder(problem: Problem) -> tuple[tuple[int, int], ...]:
    """Return the (order, cells) to compare with: a few per order, a few seconds in total.

    Raises KanpdeError if finite elements do not apply to the problem.
    """
    problem = problem.fixed(**values_of(problem.geometry)[0][0])
    if several(problem):
        FlowEquations(problem)
    else:
        StrongForm(problem)
    space, time = meshable(problem.geometry)
    steps = FLOWS[space.dimension] if several(problem) else LADDERS[space.dimension, time is not None]
    if not isinstance(space, Mesh):
        return steps
    # An imported mesh is refined as it is, so that its own cells give the resolutions; the first has a coarser one.
    own = cells_of(space)
    most = max(dofs_of(order, cells) for order, cells in steps)
    steps = tuple((order, own * 2**times) for order in sorted({o for o, _ in steps}) for times in range(1, 8))
    return tuple(step for step in steps if step[1] == 2 * own or dofs_of(*step) <= most)


def dofs_of(order: int, cells: int) -> int:
    """Return the degrees of freedom per side."""
    return order * cells


def meshable(geometry: Geometry) -> tuple[Geometry, Box | None]:
    """Return the domain in space and the interval of time of a geometry that can be meshed, None without time.

    Raises KanpdeError for a domain in space and time that is not their product, and for other dimensions than 1 to 3.
    """
    found = split(geometry)
    if found is None or (geometry.time is not None and geometry.label):
        raise does_not_apply(f"the domain {geometry} is not one in space times an interval of time")
    space, time = found
    if not 1 <= space.dimension <= 3:
        raise does_not_apply(f"it covers 1 to 3 space dimensions, and the problem has {space.dimension}")
    return space, time


def _solve(problem: Problem, order: int, cells: int, steps: int | None, tolerance: float) -> FEM:
    began = perf_counter()
    geometry = problem.geometry
    domain, time = meshable(geometry)
    strong = StrongForm(problem)
    periodic = tuple(domain.names.index(name) for name in problem.periodic if name != geometry.time)
    space = Space(domain, order, cells, periodic)
    form = WeakForm(strong, space, time, problem.conditions)
    ready = perf_counter()
    free = len(form.free)
    times = None
    if time is None:
        solution, iterations = newton(form)
        states, dofs = solution[None, None], free
        stopped = f"converged in {iterations} Newton step{'s' if iterations > 1 else ''}"
    else:
        path = integrate(form, (time.lower[0], time.upper[0]), steps, FIXED if steps else tolerance)
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
