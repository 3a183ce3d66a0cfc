"""Meshes that follow a solution: solve, estimate, mark, divide (Dörfler 1996)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy import ndarray

from kanpde.geometry import Geometry, Mesh
from kanpde.reference.fem.divided import DividedGrid
from kanpde.reference.fem.grid import cells_of
from kanpde.reference.fem.linearise import StrongForm
from kanpde.reference.fem.meshing import triangles_to_divide
from kanpde.reference.fem.newton import newton
from kanpde.reference.fem.space import Space
from kanpde.reference.fem.weakform import WeakForm

FIRST = 4
"""Cells per side of the first mesh."""
SHARE = 0.7
"""The share of the sum of all indicators that the divided triangles have."""


def adapted(strong: StrongForm, domain: Geometry, order: int, cells: int) -> Iterator[tuple[WeakForm, ndarray, int]]:
    """Yield solutions (dof,) with their forms and Newton steps on finer and finer meshes of a plane domain.

    The last mesh has at least as many triangles as an even one with `cells` per side has of equal edges.
    """
    enough = domain.measure / (3**0.5 / 4 * (domain.size / cells) ** 2)
    grid = triangles_to_divide(domain, cells_of(domain) if isinstance(domain, Mesh) else FIRST)
    while True:
        form = WeakForm(strong, Space(domain, order, round(grid.cells), grid=grid), None)
        solution, steps = newton(form)
        yield form, solution, steps
        if grid.straight.nelements >= enough:
            return
        grid = grid.divided(marked(indicators(form, grid, solution)))


def indicators(form: WeakForm, grid: DividedGrid, solution: ndarray) -> ndarray:
    """Return the squares (T,) of what each triangle has of the error in energy, from the residual on halved triangles.

    They sum F_i^2 / D_i over the basis functions of the mesh with all triangles divided in four, D_i being the energy
    of one: the hierarchical estimator (Deuflhard, Leinen & Yserentant 1989), equivalent to the error in energy where
    division makes it smaller by a factor. Terms of lower order count in F only.
    """
    space = form.space
    finer = Space(space.domain, space.order, round(2 * grid.cells), grid=grid.divided(), intorder=2 * space.order)
    fine = WeakForm(form.strong, finer, None)
    parent = np.tile(np.arange(grid.straight.nelements), 4)  # the order in which scikit-fem divides all triangles
    element = np.repeat(parent, len(finer.element_dofs))
    unknowns = np.split(solution, form.unknowns)
    parts = [finer.interpolate(partial(space.values, part, element=element)) for part in unknowns]
    time = np.zeros(1)
    state = fine.with_essential(np.concatenate(parts)[None], time)
    residual, energies = fine.residual(state, np.zeros_like(state), time)[0], fine.energies(state[0])
    local, free = np.zeros(fine.size), fine.free[energies[fine.free] > 0]
    local[free] = residual[free] ** 2 / energies[free]
    shared = np.bincount(finer.element_dofs.ravel(), minlength=finer.size)
    each = (local.reshape(form.unknowns, -1).sum(axis=0) / shared)[finer.element_dofs].sum(axis=0)
    return np.bincount(parent, weights=each)


def marked(indicators: ndarray) -> ndarray:
    """Return the numbers of the fewest triangles whose indicators (T,) make up the share of the sum (Dörfler 1996).

    All are marked where the indicators are 0.
    """
    if not indicators.any():
        return np.arange(len(indicators))
    order = np.argsort(-indicators, kind="stable")
    sums = np.cumsum(indicators[order])
    return order[: np.searchsorted(sums, SHARE * sums[-1]) + 1]
