"""Solve a problem with finite elements, and choose the resolutions that a comparison shows."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import numpy as np

from kanpde.errors import KanpdeError, unknown_name
from kanpde.geometry import Box, Geometry, Mesh, split, values_of
from kanpde.problem import Problem
from kanpde.reference.family import Family
from kanpde.reference.fem.adaptive import adapted
from kanpde.reference.fem.flow import SolvedFlow, solve_flow
from kanpde.reference.fem.grid import Grid, cells_of
from kanpde.reference.fem.linearise import StrongForm, does_not_apply
from kanpde.reference.fem.meshing import coarser_of
from kanpde.reference.fem.momentum import FlowEquations, is_flow
from kanpde.reference.fem.newton import newton
from kanpde.reference.fem.polynomials import PolynomialSpace
from kanpde.reference.fem.radau import integrate
from kanpde.reference.fem.solution import FEM
from kanpde.reference.fem.space import Space
from kanpde.reference.fem.tetrahedra import NGSolveSpace, installed
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
ADAPTIVE = ((2, 32), (4, 16), (4, 32))
NGSOLVE = ((3, 4), (3, 8), (4, 4), (5, 4), (4, 8))
SPACES: dict[str, Callable[..., PolynomialSpace]] = {"scikit-fem": Space, "ngsolve": NGSolveSpace}
# Bounds of the tolerance of a time step, and the accuracy of the stages where the steps are given.
TIGHTEST, LOOSEST, FIXED = 1e-9, 1e-4, 1e-9
RATIO = 1.8
"""By how much cells per side differ, at least, of adaptive meshes that errors are estimated from."""


class Resolution(NamedTuple):
    """Degree, cells per side, whether the mesh follows the solution, and whose elements they are; see `solve_fem`."""

    order: int
    cells: int
    adaptive: bool = False
    library: str = "scikit-fem"

    @property
    def name(self) -> str:
        """The name of the solution."""
        elements = "fem" if self.library == "scikit-fem" else self.library
        return f"{elements}-p{self.order}-{self.cells}{'-adaptive' if self.adaptive else ''}"

    def solve(self, problem: Problem) -> FEM | SolvedFlow | FEMFamily:
        """Return the solution of a problem, see `solve_fem`."""
        return solve_fem(problem, self.order, self.cells, adaptive=self.adaptive, library=self.library)


def solve_fem(
    problem: Problem,
    order: int,
    cells: int,
    steps: int | None = None,
    *,
    adaptive: bool = False,
    library: str = "scikit-fem",
) -> FEM | SolvedFlow | FEMFamily:
    """Return the solution with elements of degree `order` on `cells` cells per side, from the equation and conditions.

    With time, `steps` equal Radau steps are taken, or, without it, steps chosen by their estimated error: at most a
    tenth of cells^-(order + 1), which is what a solution that varies on the scale of the domain leaves in space.
    Of steady flow, velocities have this degree and the pressure one less. With parameters there is a solution for each
    value at which errors are measured. `adaptive`: the mesh of a plane domain follows a steady solution that is no
    flow, and has at least as many triangles as the even one. `library`: whose elements; "ngsolve" has degree 1 to 6
    for steady problems on boxes and imported meshes in three dimensions, where "scikit-fem" has degree 1 and 2.
    Raises KanpdeError if finite elements, adaptive meshes or the library do not apply to the problem or are not there,
    for an order that there is no element for, for fewer than 2 cells or 1 step, and if Newton's iteration or the time
    steps do not converge.
    """
    if cells < 2:
        raise KanpdeError(f"cells={cells}: FEM needs at least 2 cells per side.")
    if steps is not None and steps < 1:
        raise KanpdeError(f"steps={steps}: FEM needs at least 1 time step.")
    if library not in SPACES:
        raise unknown_name("library", library, SPACES)
    resolution = Resolution(order, cells, adaptive, library)
    if problem.geometry.parameters:
        return FEMFamily(problem, resolution, steps)
    if library != "scikit-fem" and (adaptive or is_flow(problem) or problem.geometry.time is not None):
        raise does_not_apply(f"'{library}' solves steady problems that are no flow, on meshes that follow no solution")
    if adaptive:
        return _adapted(problem, order, cells)
    if is_flow(problem):
        return solve_flow(problem, order, cells)
    tolerance = min(max(0.1 * float(cells) ** -(order + 1), TIGHTEST), LOOSEST)
    return _solve(problem, resolution, steps, tolerance)


class FEMFamily(Family):
    """Finite element solutions of a problem with parameters, one for each value at which errors are measured.

    `dofs` are those of all of them together, as are the seconds and iterations.
    """

    def __init__(self, problem: Problem, resolution: Resolution, steps: int | None) -> None:
        def solved(**values: float) -> FEM | SolvedFlow:
            order, cells, adaptive, library = resolution
            solution = solve_fem(problem.fixed(**values), order, cells, steps, adaptive=adaptive, library=library)
            assert not isinstance(solution, FEMFamily)
            return solution

        super().__init__(problem.geometry, solved, resolution.name)
        solutions = [solved(**values) for values, _ in values_of(problem.geometry)]
        self._members = {
            tuple(values.values()): solution
            for (values, _), solution in zip(values_of(problem.geometry), solutions, strict=True)
        }
        self.dofs = sum(solution.dofs for solution in solutions)
        self.iterations = sum(solution.iterations for solution in solutions)
        self.seconds = {key: sum(s.seconds[key] for s in solutions) for key in solutions[0].seconds}
        self.stopped = f"{len(solutions)} values, the last: {solutions[-1].stopped}"


def ladder(problem: Problem) -> tuple[Resolution, ...]:
    """Return what to compare with: a few resolutions per order, a few seconds in total.

    Off boxes there are meshes that follow steady solutions too, since these are seldom smooth in corners.

    Raises KanpdeError if finite elements do not apply to the problem.
    """
    problem = problem.fixed(**values_of(problem.geometry)[0][0])
    if flow := is_flow(problem):
        FlowEquations(problem)
    else:
        StrongForm(problem)
    space, time = meshable(problem.geometry)
    steps = FLOWS[space.dimension] if flow else LADDERS[space.dimension, time is not None]
    steps = fitted(space, steps)
    if not flow:
        weak_form(problem, *steps[0])
    even = tuple(Resolution(*step) for step in steps)
    if flow or time is not None:
        return even
    if space.dimension == 3 and installed() and not problem.periodic:
        return (*even, *(Resolution(*step, library="ngsolve") for step in fitted(space, NGSOLVE)))
    if space.dimension != 2 or isinstance(space, Box):
        return even
    following = (Resolution(order, cells, adaptive=True) for order, cells in ADAPTIVE)
    return (*even, *(row for row in following if not isinstance(space, Mesh) or row.cells >= 2 * cells_of(space)))


def fitted(space: Geometry, steps: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Return degrees and cells per side, those of an imported mesh being its own ones.

    It is refined as it is; the first mesh has a coarser one, and only the first may have more than the most dofs.
    """
    if not isinstance(space, Mesh):
        return steps
    own = cells_of(space)
    most = max(dofs_of(order, cells) for order, cells in steps)
    found = ((order, own * 2**times) for order in sorted({o for o, _ in steps}) for times in range(1, 8))
    return tuple(step for step in found if step[1] == 2 * own or dofs_of(*step) <= most)


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


def weak_form(
    problem: Problem, order: int, cells: int, grid: Grid | None = None, library: str = "scikit-fem"
) -> tuple[WeakForm, Box | None]:
    """Return the Galerkin form of a problem with its interval of time; raise KanpdeError if it has none."""
    geometry = problem.geometry
    domain, time = meshable(geometry)
    strong = StrongForm(problem)
    periodic = tuple(domain.names.index(name) for name in problem.periodic if name != geometry.time)
    return WeakForm(strong, SPACES[library](domain, order, cells, periodic, grid), time), time


def _solve(
    problem: Problem, resolution: Resolution, steps: int | None, tolerance: float, grid: Grid | None = None
) -> FEM:
    began = perf_counter()
    order = resolution.order
    form, time = weak_form(problem, order, resolution.cells, grid, resolution.library)
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

    def coarser() -> FEM | None:
        grid = coarser_of(form.space.domain, form.space.grid)
        if grid is None:
            return None
        looser = tolerance * (form.space.cells / grid.cells) ** min(order + 1, 4)
        fewer = resolution._replace(cells=round(grid.cells))
        return _solve(problem, fewer, max(1, steps // 2) if steps else None, looser, grid)

    return FEM(
        resolution.name,
        form.space,
        problem.geometry,
        states.reshape(*states.shape[:2], form.unknowns, -1),
        times,
        dofs=dofs,
        seconds={"setup": ready - began, "train": perf_counter() - ready},
        iterations=iterations,
        stopped=stopped,
        coarser=coarser,
    )


def _adapted(problem: Problem, order: int, cells: int) -> FEM:
    began = perf_counter()
    domain, time = meshable(problem.geometry)
    if is_flow(problem) or time is not None or domain.dimension != 2 or problem.periodic:
        raise does_not_apply("meshes follow steady solutions in the plane that are no flow and have no periodic faces")
    path = list(adapted(StrongForm(problem), domain, order, cells))
    seconds = {"setup": 0.0, "train": perf_counter() - began}
    name = Resolution(order, cells, adaptive=True).name

    def solution(last: int) -> FEM:
        form, state, _ = path[last]
        return FEM(
            name,
            form.space,
            problem.geometry,
            state.reshape(1, 1, form.unknowns, -1),
            None,
            dofs=len(form.free),
            seconds=seconds,
            iterations=sum(steps for _, _, steps in path[: last + 1]),
            stopped=f"{last + 1} meshes, the last one with {form.space.mesh.nelements} triangles",
            coarser=lambda: coarser(last),
        )

    def coarser(last: int) -> FEM | None:
        """The finest one with at most half as many cells per side, or nearly."""
        most = path[last][0].space.cells / RATIO
        found = [i for i, (form, _, _) in enumerate(path) if form.space.cells <= most]
        return solution(found[-1]) if found else None

    return solution(len(path) - 1)
