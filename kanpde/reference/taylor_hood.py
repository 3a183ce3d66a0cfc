"""Steady incompressible flow by Taylor-Hood elements as a reference that is kept on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256

import numpy as np
from torch import Tensor

from kanpde.constraint import Constraint
from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.geometry import Geometry, refuse_parameters
from kanpde.multiindex import IndexSet
from kanpde.problem import Condition, Equation, Problem
from kanpde.reference.cache import Arrays, Computed
from kanpde.reference.fem import Flow, FlowForm, GradedGrid, estimated, solve_flow


class TaylorHood(Computed):
    """Velocities of degree `order` and a pressure of one less on a mesh that is finer towards places.

    `cells`, `towards`, `levels` and `reach` are those of `GradedGrid`. The array is the state (dof,) of the form.
    """

    name = "finite elements, Taylor-Hood"
    error_source = "two resolutions"

    def __init__(
        self,
        problem: Problem,
        *,
        order: int,
        cells: int,
        towards: Sequence[str | tuple[float, ...]],
        levels: int,
        reach: float,
    ) -> None:
        self.problem, self.order, self.cells = problem, order, cells
        self.towards, self.levels, self.reach = tuple(towards), levels, reach

    @property
    def settings(self) -> str:
        # The mesh is made anew whenever it is needed, and a state is of use on the same mesh only.
        mesh = self._form.velocity.mesh
        digest = sha256(mesh.doflocs.tobytes() + mesh.t.tobytes()).hexdigest()
        return f"{self.problem.geometry} order={self.order} mesh={digest}"

    def compute(self) -> Arrays:
        coarse = solve_flow(self.problem, self.order, self.cells // 2, self._grid)
        fine = solve_flow(self.problem, self.order, self.cells, self._grid, coarse)
        return {"error": np.float64(estimated(fine, coarse)), "state": fine.state}

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return values and first derivatives (channel, point, unknown); raise KanpdeError for higher derivatives."""
        return self._flow.taylor(at, indices)

    def force(self, where: str) -> tuple[float, ...]:
        """Return the force of the fluid on a part of the boundary, see `Flow.force`."""
        return self._flow.force(where)

    def _grid(self, cells: int) -> GradedGrid:
        return GradedGrid(self.problem.geometry, cells, self.towards, self.levels, self.reach)

    @cached_property
    def _form(self) -> FlowForm:
        return FlowForm(self.problem, self.order, self.cells, self._grid(self.cells))

    @cached_property
    def _flow(self) -> Flow:
        return Flow(self.name, self._form, self.arrays["state"])


def taylor_hood(
    geometry: Geometry,
    equations: Mapping[str, Equation],
    conditions: Mapping[str, Condition],
    constraints: Mapping[str, Constraint] | None = None,
    *,
    order: int = 4,
    cells: int = 16,
    towards: Sequence[str | tuple[float, ...]] = (),
    levels: int = 2,
    reach: float = 1.5,
) -> TaylorHood:
    """Return the steady flow that a problem's momentum equations, continuity equation and conditions describe.

    In the plane, with velocities of degree `order` and a pressure of one less on `cells` cells per longest side. The
    mesh is up to 2^levels times finer near `towards`: points, and names of parts of the boundary. Where conditions give
    different values to a velocity in one place, the one that is stated last holds.
    Raises KanpdeError for numbers out of range; when it is used, if the equations are not those of steady flow, if a
    condition is neither a value nor the flux nu du/dn - p n, and if Newton's iteration does not converge.
    """
    refuse_parameters(geometry, "the Taylor-Hood reference")
    if order not in (2, 3, 4) or cells < 4 or levels < 0 or not reach > 0:
        raise KanpdeError(
            f"order={order}, cells={cells}, levels={levels}, reach={reach}: give an order of 2, 3 or 4, at least 4"
            " cells and 0 levels, and a positive reach."
        )
    problem = Problem(geometry, equations, conditions, constraints=constraints or {})
    return TaylorHood(problem, order=order, cells=cells, towards=towards, levels=levels, reach=reach)
