"""Piecewise polynomials on meshes of simplices, with fast point evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy import ndarray
from scipy.sparse import csr_matrix

from kanpde.geometry import Geometry, Patch
from kanpde.reference.fem.grid import Grid
from kanpde.reference.fem.meshing import grid_of
from kanpde.reference.fem.quadrature import Quadrature

NEWTON_STEPS = 6


@dataclass(frozen=True)
class OnBoundary:
    """What fixes a function on a patch: its degrees of freedom (n,) there are `fit` (n, m) times values at m places.

    Places (d, m) that are the same have the same number in `nodes` (m,), on all patches; numbers are less than `size`.
    """

    dofs: ndarray
    places: ndarray
    nodes: ndarray
    fit: csr_matrix


class PolynomialSpace(ABC):
    """Continuous piecewise polynomials of degree `order` on a mesh of a domain with `cells` cells per longest side.

    `grid` is a mesh of the domain, by default an even one; raises KanpdeError for a domain that there is no mesh of.
    A kind of elements gives `element_dofs` (dof of the element, T), the degrees of freedom of every cell, and its
    basis functions at the points `_lattice` (P, d) of the reference cell, to `_use`.
    """

    element_dofs: ndarray

    def __init__(self, domain: Geometry, order: int, cells: int, grid: Grid | None) -> None:
        self.dimension, self.domain, self.order = domain.dimension, domain, order
        self.grid = grid or grid_of(domain, cells)
        self.cells = self.grid.cells
        self.mesh = self.grid.mesh
        self._exponents = np.array([e for e in product(range(order + 1), repeat=self.dimension) if sum(e) <= order])
        self._lattice = self._exponents / order

    def _use(self, local: ndarray) -> None:
        """Take the basis functions at the points of the lattice, as (P, basis function)."""
        self._local = local
        self._coefficients = np.linalg.solve(self._monomials(self._lattice), local)

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of degrees of freedom."""

    @abstractmethod
    def trace(self, patch: Patch | None = None) -> Quadrature:
        """Return the quadrature of all elements, or of a patch of the boundary."""

    @abstractmethod
    def on_boundary(self, patch: Patch) -> OnBoundary:
        """Return the degrees of freedom on a patch of the boundary and how they follow from values there."""

    @property
    def rate(self) -> int:
        """The order in which the L2 error falls for smooth solutions: at most 4 where sides are parabolas."""
        return self.order + 1 if self.grid.curved is None else min(self.order + 1, 4)

    def interpolate(self, function: Callable[[ndarray], ndarray]) -> ndarray:
        """Return the Lagrange interpolant of a function of points (d, N)."""
        at = self.mesh.mapping().F(self._lattice.T)
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


def quadratics(local: ndarray) -> tuple[ndarray, ndarray]:
    """Return the quadratic functions (N, 6) of a triangle's corners and middles of edges, and slopes (N, 6, 2)."""
    weights = np.column_stack([1 - local.sum(axis=1), local])
    slopes = np.array([[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
    pairs = ((0, 1), (1, 2), (0, 2))
    values = [w * (2 * w - 1) for w in weights.T] + [4 * weights[:, a] * weights[:, b] for a, b in pairs]
    corner = [(4 * w - 1)[:, None] * slope for w, slope in zip(weights.T, slopes, strict=True)]
    edge = [4 * (weights[:, [a]] * slopes[b] + weights[:, [b]] * slopes[a]) for a, b in pairs]
    return np.stack(values, axis=1), np.stack(corner + edge, axis=1)
