"""Lagrange elements on meshes of intervals, triangles or tetrahedra, by scikit-fem."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy import ndarray
from scipy.sparse import identity
from skfem import (
    Basis,
    ElementLineP1,
    ElementLineP2,
    ElementLinePp,
    ElementTetP1,
    ElementTetP2,
    ElementTriP1,
    ElementTriP2,
    ElementTriP3,
    ElementTriP4,
    FacetBasis,
)
from skfem.element import Element

from kanpde.errors import KanpdeError
from kanpde.geometry import Geometry, Patch
from kanpde.reference.fem.grid import Grid
from kanpde.reference.fem.polynomials import OnBoundary, PolynomialSpace
from kanpde.reference.fem.quadrature import Trace

ELEMENTS: dict[int, dict[int, Callable[[], Element]]] = {
    1: {1: ElementLineP1, 2: ElementLineP2, **{p: partial(ElementLinePp, p) for p in range(3, 9)}},
    2: {1: ElementTriP1, 2: ElementTriP2, 3: ElementTriP3, 4: ElementTriP4},
    3: {1: ElementTetP1, 2: ElementTetP2},
}


class Space(PolynomialSpace):
    """Lagrange elements, whose degrees of freedom are values at points.

    Along the axes in `periodic`, of a box, the two faces share their degrees of freedom. `intorder` is the degree of
    polynomials that are integrated exactly. Raises KanpdeError for an order that there is no element for.
    """

    def __init__(
        self,
        domain: Geometry,
        order: int,
        cells: int,
        periodic: tuple[int, ...] = (),
        grid: Grid | None = None,
        intorder: int | None = None,
    ) -> None:
        known = ELEMENTS.get(domain.dimension, {})
        if order not in known:
            orders = ", ".join(map(str, known)) or "none"
            raise KanpdeError(
                f"order={order}: there is no such finite element in {domain.dimension} dimensions. Known: {orders}."
            )
        super().__init__(domain, order, cells, grid)
        # An element object caches what it evaluated last (ElementLinePp), so every use has its own.
        self.element = known[order]
        self.intorder = intorder or 2 * order + 2
        self.basis = Basis(self.mesh, self.element(), intorder=self.intorder)
        self._number = self._numbers(periodic)
        self.element_dofs = self._number[self.basis.element_dofs]
        functions = range(self.basis.Nbfun)
        self._use(np.stack([self.element().lbasis(self._lattice.T, i)[0] for i in functions], axis=1))

    @property
    def size(self) -> int:
        """The number of degrees of freedom."""
        return int(self._number.max()) + 1

    def trace(self, patch: Patch | None = None) -> Trace:
        """Return the quadrature of all elements, or of a patch of the boundary."""
        if patch is None:
            return Trace.of(self.basis, self._number)
        basis = FacetBasis(self.mesh, self.element(), intorder=self.intorder, facets=self.grid.facets(patch))
        return Trace.of(basis, self._number)

    def boundary_dofs(self, patch: Patch) -> tuple[ndarray, ndarray]:
        """Return the degrees of freedom (n,) on a patch of the boundary and their places (d, n)."""
        dofs = self.basis.get_dofs(self.grid.facets(patch)).all()
        return self._number[dofs], self.basis.doflocs[:, dofs]

    def on_boundary(self, patch: Patch) -> OnBoundary:
        dofs, places = self.boundary_dofs(patch)
        return OnBoundary(dofs, places, dofs, identity(len(dofs), format="csr"))

    def _numbers(self, periodic: tuple[int, ...]) -> ndarray:
        """Return the number of the unknown that each degree of freedom of the basis stands for."""
        number = np.arange(self.basis.N)
        lower, upper = np.array(self.domain.lower)[:, None], np.array(self.domain.upper)[:, None]
        for axis in periodic:
            faces = [
                self.basis.get_dofs(self.grid.facets(patch)).all()
                for patch in self.domain.boundary(self.domain.names[axis])
            ]
            places = (self.basis.doflocs - lower) / (upper - lower)
            places[axis] = 0.0
            below, above = (dofs[np.lexsort(places[:, dofs].round(9))] for dofs in faces)
            number[above] = number[below]
        return np.unique(number, return_inverse=True)[1]
