"""Steady incompressible flow by Taylor-Hood elements: velocities and pressure anywhere, forces, and the error."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from time import perf_counter

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from kanpde.field import Points
from kanpde.multiindex import IndexSet
from kanpde.problem import Problem, Reference
from kanpde.reference.fem.flowform import FlowForm, interpolated
from kanpde.reference.fem.grid import Grid
from kanpde.reference.fem.newton import NotConverged, iterate
from kanpde.reference.fem.solution import at_points, richardson

FIRST_THICKENING = 8.0
ATTEMPTS = 12


class Flow:
    """The flow that a state (dof,) of a form is: values and first derivatives anywhere, and forces."""

    def __init__(self, name: str, form: FlowForm, state: ndarray) -> None:
        self.name, self.form, self.state = name, form, state
        self.names = form.problem.geometry.names

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return values and first derivatives (channel, point, unknown); raise KanpdeError for higher derivatives."""
        return at_points(self.name, at, indices, self._evaluate)

    def force(self, where: str) -> tuple[float, ...]:
        """Return the force of the fluid, of density 1, on a part of the boundary with given velocities.

        Right for a part that is closed, as the boundary of an obstacle is: near the ends of an open one, what acts on
        the parts beside it is counted as well. Raises KanpdeError for an unknown name.
        """
        patches = self.form.problem.geometry.boundary(where)
        return tuple(self.form.force(self.state, patches).tolist())

    def _evaluate(self, points: ndarray, indices: IndexSet) -> ndarray:
        element, local = self.form.velocity.locate(points)
        result = np.empty((len(indices), len(points), len(self.form.problem.unknowns)))
        for space in (self.form.velocity, self.form.pressure):
            dofs = space.element_dofs[:, element].T
            mine = [u for u, s in enumerate(self.form.spaces) if s is space]
            for channel, index in enumerate(indices.indices):
                shapes = space.shapes(element, local, index.index(1) if any(index) else None)
                for u in mine:
                    result[channel, :, u] = np.einsum("nb,nb->n", shapes, self._parts[u][dofs])
        return result

    @cached_property
    def _parts(self) -> list[ndarray]:
        return self.form.split(self.state)


class SolvedFlow(Flow, Reference):
    """A flow with what its solution took: `dofs`, `seconds`, Newton's `iterations` and how these ended.

    `error` is that of `estimated` with the solution that `coarser` gives.
    """

    error_source = "two resolutions"

    def __init__(
        self,
        name: str,
        form: FlowForm,
        state: ndarray,
        *,
        seconds: dict[str, float],
        iterations: int,
        stopped: str,
        coarser: Callable[[], Flow],
    ) -> None:
        super().__init__(name, form, state)
        self.dofs, self.seconds, self.iterations, self.stopped = len(form.free), seconds, iterations, stopped
        self._coarser = coarser

    @cached_property
    def error(self) -> float:  # type: ignore[override]
        """The estimated relative L2 error."""
        return estimated(self, self._coarser())


def solve_flow(
    problem: Problem,
    order: int,
    cells: int,
    grid: Callable[[int], Grid] | None = None,
    start: Flow | None = None,
) -> SolvedFlow:
    """Return the flow with velocities of degree `order` on `cells` cells per side, from equations and conditions.

    `grid` makes another mesh than the even one for a number of cells. Newton's iteration begins at `start`, or at rest.
    Raises KanpdeError if the equations are not those of steady flow, and if Newton's iteration does not converge.
    """
    began = perf_counter()
    form = FlowForm(problem, order, cells, None if grid is None else grid(cells))
    ready = perf_counter()
    state, iterations, solved = continued(
        form, form.start() if start is None else interpolated(form, start.form, start.state)
    )
    stopped = f"converged in {iterations} Newton step{'s' if iterations > 1 else ''}"
    if solved > 1:
        stopped += f", from {solved - 1} larger viscosit{'ies' if solved > 2 else 'y'}"
    return SolvedFlow(
        f"fem-p{order}-{cells}",
        form,
        state,
        seconds={"setup": ready - began, "train": perf_counter() - ready},
        iterations=iterations,
        stopped=stopped,
        coarser=lambda: solve_flow(problem, order, cells // 2, grid),
    )


def continued(form: FlowForm, state: ndarray) -> tuple[ndarray, int, int]:
    """Return the solution, the number of all Newton steps and that of viscosities that were solved for.

    Where Newton's iteration fails from a state, it is tried with a larger viscosity, and goes on from what that gives.
    """
    factor, reached, iterations, solved = 1.0, 0.0, 0, 0
    for _ in range(ATTEMPTS):
        try:
            state, steps = iterate(
                state,
                form.free,
                lambda u: form.residual(u, factor),  # noqa: B023
                lambda u: form.jacobian(u, factor),  # noqa: B023
                ordering="NATURAL",
            )
        except NotConverged:
            factor = FIRST_THICKENING * factor if reached == 0 else (factor * reached) ** 0.5
            continue
        iterations, solved = iterations + steps, solved + 1
        if factor == 1:
            return form.shifted(state), iterations, solved
        factor, reached = 1.0, factor
    raise NotConverged(f"FEM: Newton's iteration did not converge for viscosities from {factor:g} times the one given.")


def estimated(fine: Flow, coarse: Flow) -> float:
    """Return the relative L2 error of the first of two solutions, all unknowns together.

    It is their difference divided by (ratio of cells)^k - 1 (Richardson 1911), k the degree of the velocities: of
    smooth flow the L2 error of the pressure, of degree k - 1, falls with this order, that of the velocities faster.
    """
    quadrature = fine.form.cells
    at = Points.of(fine.names, torch.tensor(quadrature.points.T))
    values = IndexSet(fine.names)
    flows = (fine, coarse)
    found = [flow.taylor(at, values)[0].numpy() for flow in flows]
    cells = [flow.form.velocity.cells for flow in flows]
    return richardson(found, cells, quadrature.weight, fine.form.velocity.order)
