"""Lagrange elements on meshes of intervals, triangles or tetrahedra, with fast point evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from numpy import ndarray
from scipy.sparse import csr_matrix, diags
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
from skfem.assembly.basis.abstract_basis import AbstractBasis
from skfem.element import Element

from kanpde.errors import KanpdeError
from kanpde.geometry import Geometry, Patch
from kanpde.reference.fem.grid import Grid
from kanpde.reference.fem.meshing import grid_of

ELEMENTS: dict[int, dict[int, Callable[[], Element]]] = {
    1: {1: ElementLineP1, 2: ElementLineP2, **{p: partial(ElementLinePp, p) for p in range(3, 9)}},
    2: {1: ElementTriP1, 2: ElementTriP2, 3: ElementTriP3, 4: ElementTriP4},
    3: {1: ElementTetP1, 2: ElementTetP2},
}
NEWTON_STEPS = 6


@dataclass(frozen=True)
class Trace:
    """Quadrature on elements or facets: points (d, N), weights (N,), and u and u_i there as matrices (N, dof).

    On facets also the outward unit normals (d, N).
    """

    points: ndarray
    weight: ndarray
    value: csr_matrix
    slopes: tuple[csr_matrix, ...]
    normals: ndarray | None = None

    @classmethod
    def of(cls, basis: AbstractBasis, number: ndarray) -> Trace:
        """Return the operators of a basis; `number` (dof of the basis,) numbers the unknowns."""
        shape = basis.dx.shape
        columns = np.repeat(number[basis.element_dofs].T[:, None, :], shape[1], axis=1).ravel()
        rows = np.arange(basis.dx.size + 1) * basis.Nbfun
        fields = [functions[0] for functions in basis.basis]

        def matrix(values: list[ndarray]) -> csr_matrix:
            entries = np.stack([np.broadcast_to(v, shape) for v in values], axis=-1).ravel()
            return csr_matrix((entries, columns, rows), shape=(basis.dx.size, number.max() + 1))

        points = np.asarray(basis.global_coordinates())
        slopes = tuple(matrix([f.grad[i] for f in fields]) for i in range(len(points)))
        normals = np.asarray(basis.normals).reshape(len(points), -1) if isinstance(basis, FacetBasis) else None
        return cls(points.reshape(len(points), -1), basis.dx.ravel(), matrix(fields), slopes, normals)

    def integrate(self, test: csr_matrix, coefficient: ndarray, trial: csr_matrix) -> csr_matrix:
        """Return the matrix of the integrals of test coefficient (N,) trial."""
        if not coefficient.any():
            return csr_matrix((test.shape[1], trial.shape[1]))
        return test.T @ (diags(self.weight * coefficient) @ trial)


class Space:
    """Continuous piecewise polynomials of degree `order` on a mesh of a domain with `cells` cells per longest side.

    Along the axes in `periodic`, of a box, the two faces share their degrees of freedom. `grid` is a mesh of the
    domain, by default an even one. `intorder` is the degree of polynomials that are integrated exactly.
    Raises KanpdeError for an order that there is no element for and a domain that there is no mesh of.
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
        self.dimension, self.domain = domain.dimension, domain
        known = ELEMENTS.get(self.dimension, {})
        if order not in known:
            orders = ", ".join(map(str, known)) or "none"
            raise KanpdeError(
                f"order={order}: there is no such finite element in {self.dimension} dimensions. Known: {orders}."
            )
        self.order = order
        self.grid = grid or grid_of(domain, cells)
        self.cells = self.grid.cells
        self.mesh = self.grid.mesh
        # An element object caches what it evaluated last (ElementLinePp), so every use has its own.
        self.element = known[order]
        self.intorder = intorder or 2 * order + 2
        self.basis = Basis(self.mesh, self.element(), intorder=self.intorder)
        self._number = self._numbers(periodic)
        self.element_dofs = self._number[self.basis.element_dofs]
        self._exponents = np.array([e for e in product(range(order + 1), repeat=self.dimension) if sum(e) <= order])
        self._lattice = self._exponents / order
        self._local = np.stack([known[order]().lbasis(self._lattice.T, i)[0] for i in range(self.basis.Nbfun)], axis=1)
        self._coefficients = np.linalg.solve(self._monomials(self._lattice), self._local)

    @property
    def size(self) -> int:
        """The number of degrees of freedom."""
        return int(self._number.max()) + 1

    @property
    def rate(self) -> int:
        """The order in which the L2 error falls for smooth solutions: at most 4 where sides are parabolas."""
        return self.order + 1 if self.grid.curved is None else min(self.order + 1, 4)

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

    def interpolate(self, function: Callable[[ndarray], ndarray]) -> ndarray:
        """Return the Lagrange interpolant of a function of points (d, N)."""
        at = self.basis.mapping.F(self._lattice.T)
        values = function(at.reshape(self.dimension, -1)).reshape(at.shape[1:])
        result = np.zeros(self.size)
        result[self.element_dofs] = np.linalg.solve(self._local, values.T)
        return result

    def values(self, dofs: ndarray, x: ndarray, element: ndarray | None = None) -> ndarray:
        """Return the values (N,) of a function with degrees of freedom (dof,) at points x (d, N).

        `element` (N,) are the elements that they are in, if that is known.
        """
        if element is None:
            element, local = self.locate(x.T)
        else:
            local = self._bent(element, self.grid.simplices.place(element, x.T), x.T)
        return np.einsum("nb,nb->n", self.shapes(element, local), dofs[self.element_dofs[:, element].T])

    def locate(self, x: ndarray) -> tuple[ndarray, ndarray]:
        """Return for points x (N, d) the element (N,) and the place in the reference element (N, d)."""
        element, local = self.grid.locate(x)
        return element, self._bent(element, local, x)

    def _bent(self, element: ndarray, local: ndarray, x: ndarray) -> ndarray:
        """Return the places of points x (N, d) in the reference element from those in elements with straight sides."""
        if self.grid.curved is not None:
            bent = self.grid.curved[element]
            local[bent] = self._unbent(element[bent], local[bent], x[bent])
        return local

    def _unbent(self, element: ndarray, local: ndarray, x: ndarray) -> ndarray:
        """Return the places in curved elements that are mapped to points x (N, d), by Newton's iteration."""
        nodes = self._nodes(element)
        for _ in range(NEWTON_STEPS):
            values, slopes = quadratics(local)
            offset = x - np.einsum("nb,nbd->nd", values, nodes)
            local = local + np.linalg.solve(np.einsum("nbi,nbd->ndi", slopes, nodes), offset[..., None])[..., 0]
        return local

    def _nodes(self, element: ndarray) -> ndarray:
        """Return the corners of curved elements, then the middles of the edges 01, 12 and 02 (N, 6, 2)."""
        numbers = np.concatenate([self.mesh.t, self.mesh.nvertices + self.mesh.t2f])[:, element]
        return self.mesh.doflocs[:, numbers].transpose(2, 1, 0)

    def _slopes_of_place(self, element: ndarray, local: ndarray) -> ndarray:
        """Return the derivatives of the place in the reference element (N, place, space)."""
        inverse = self.grid.simplices.inverse[element]
        if self.grid.curved is not None:
            bent = self.grid.curved[element]
            _, slopes = quadratics(local[bent])
            inverse[bent] = np.linalg.inv(np.einsum("nbi,nbd->ndi", slopes, self._nodes(element[bent])))
        return inverse

    def shapes(self, element: ndarray, local: ndarray, axis: int | None = None) -> ndarray:
        """Return the basis functions of the elements (N, basis function), or their derivative along a space axis."""
        if axis is None:
            return self._monomials(local) @ self._coefficients
        inverse = self._slopes_of_place(element, local)
        return sum(
            inverse[:, i, axis][:, None] * (self._monomials(local, i) @ self._coefficients)
            for i in range(self.dimension)
        )

    def _monomials(self, local: ndarray, axis: int | None = None) -> ndarray:
        """Return monomials in 2 x - 1 of the reference place x (N, basis function), or a derivative along an axis."""
        result = np.ones((len(local), len(self._exponents)))
        for i, column in enumerate(2 * local.T - 1):
            powers = np.vander(column, self.order + 1, increasing=True)
            if i == axis:
                powers = np.concatenate([np.zeros_like(powers[:, :1]), powers[:, :-1]], axis=1)
                powers *= 2 * np.arange(self.order + 1)
            result *= powers[:, self._exponents[:, i]]
        return result

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


def quadratics(local: ndarray) -> tuple[ndarray, ndarray]:
    """Return the quadratic functions (N, 6) of a triangle's corners and middles of edges, and slopes (N, 6, 2)."""
    weights = np.column_stack([1 - local.sum(axis=1), local])
    slopes = np.array([[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
    pairs = ((0, 1), (1, 2), (0, 2))
    values = [w * (2 * w - 1) for w in weights.T] + [4 * weights[:, a] * weights[:, b] for a, b in pairs]
    corner = [(4 * w - 1)[:, None] * slope for w, slope in zip(weights.T, slopes, strict=True)]
    edge = [4 * (weights[:, [a]] * slopes[b] + weights[:, [b]] * slopes[a]) for a, b in pairs]
    return np.stack(values, axis=1), np.stack(corner + edge, axis=1)
