"""Elements of degree 1 to 6 on tetrahedra by NGSolve (Schöberl 2014), which is optional."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray
from scipy.sparse import block_diag, coo_matrix, csr_matrix
from skfem import ElementTetP1, FacetBasis

from kanpde.errors import KanpdeError
from kanpde.geometry import Geometry, Patch
from kanpde.reference.fem.grid import Grid
from kanpde.reference.fem.linearise import does_not_apply
from kanpde.reference.fem.polynomials import OnBoundary, PolynomialSpace
from kanpde.reference.fem.quadrature import Quadrature, Trace

ORDERS = range(1, 7)
ROUNDING = 1e-11
"""Largest value of basis functions on sides of the reference cell where they vanish; their sizes are about 1."""


def installed() -> bool:
    """Return whether NGSolve is installed."""
    return find_spec("ngsolve") is not None


def library() -> Any:
    """Return NGSolve; raise KanpdeError if it cannot be imported."""
    try:
        import ngsolve
    except ImportError as error:
        raise KanpdeError(f"NGSolve cannot be imported ({error}): pip install 'kanpde[fem]'.") from None
    return ngsolve


class Sides(NamedTuple):
    """Facets of the boundary (F,), the corners of cells opposite to them (F,), and what fixes functions there.

    The degrees of freedom (F, m) are `fits` (corner, m, m) times values at the places (F, m, 3), numbered by `nodes`.
    """

    facets: ndarray
    kinds: ndarray
    dofs: ndarray
    places: ndarray
    nodes: ndarray
    fits: ndarray


class NGSolveSpace(PolynomialSpace):
    """NGSolve's H1: hierarchical elements on tetrahedra with plane sides.

    Edges and sides are oriented by the numbers of their corners. Since the meshes list the corners of every cell in
    ascending order, all cells have the same basis functions on the reference cell.
    Raises KanpdeError without NGSolve, for other degrees and dimensions, and for periodic faces.
    """

    def __init__(
        self, domain: Geometry, order: int, cells: int, periodic: tuple[int, ...] = (), grid: Grid | None = None
    ) -> None:
        if domain.dimension != 3 or periodic:
            raise does_not_apply("NGSolve's elements are for three space dimensions without periodic faces")
        if order not in ORDERS:
            raise KanpdeError(f"order={order}: NGSolve's elements have degrees {ORDERS[0]} to {ORDERS[-1]} here.")
        self.ngsolve = library()
        super().__init__(domain, order, cells, grid)
        self.h1 = self.ngsolve.H1(self._mesh(), order=order)
        volume = self.ngsolve.VOL
        every = (self.h1.GetDofNrs(self.ngsolve.ElementId(volume, n)) for n in range(self.mesh.nelements))
        self.element_dofs = np.array(list(every)).T
        # The first three barycentric coordinates are NGSolve's places, the last three are those of this package.
        first = self.h1.GetFE(self.ngsolve.ElementId(volume, 0))
        self._use(np.array([list(first.CalcShape(1 - sum(place), *place[:2])) for place in self._lattice.tolist()]))

    @property
    def size(self) -> int:
        return int(self.h1.ndof)

    def trace(self, patch: Patch | None = None) -> Quadrature:
        return self._cells if patch is None else self._facets(patch)

    @cached_property
    def _cells(self) -> Cells:
        return Cells(self)

    def _facets(self, patch: Patch) -> Trace:
        basis = FacetBasis(self.mesh, ElementTetP1(), intorder=2 * self.order + 2, facets=self.grid.facets(patch))
        points = np.asarray(basis.global_coordinates()).reshape(3, -1)
        element = np.repeat(basis.tind, basis.dx.shape[1])
        local = self.grid.simplices.place(element, points.T)
        columns = self.element_dofs[:, element].T
        rows = np.arange(len(columns) + 1) * columns.shape[1]

        def matrix(axis: int | None) -> csr_matrix:
            entries = self.shapes(element, local, axis)
            return csr_matrix((entries.ravel(), columns.ravel(), rows), shape=(len(columns), self.size))

        normals = np.asarray(basis.normals).reshape(3, -1)
        return Trace(points, basis.dx.ravel(), matrix(None), tuple(matrix(i) for i in range(3)), normals)

    def on_boundary(self, patch: Patch) -> OnBoundary:
        """Return the degrees of freedom on a patch, which Lagrange interpolation gives on each of its facets."""
        sides = self._sides
        here = np.flatnonzero(np.isin(sides.facets, self.grid.facets(patch)))
        fit = block_diag([sides.fits[kind] for kind in sides.kinds[here]], format="csr")
        dofs, first = np.unique(sides.dofs[here], return_index=True)
        return OnBoundary(dofs, sides.places[here].reshape(-1, 3).T, sides.nodes[here].ravel(), fit[first])

    @cached_property
    def _sides(self) -> Sides:
        facets = self.mesh.boundary_facets()
        cells = self.mesh.f2t[0, facets]
        opposite = (self.mesh.t[:, None, cells] != self.mesh.facets[None, :, facets]).all(axis=1)
        kinds = opposite.argmax(axis=0)
        barycentric = np.column_stack([1 - self._lattice.sum(axis=1), self._lattice])
        nodes = np.array([np.flatnonzero(np.abs(along) < ROUNDING) for along in barycentric.T])
        shapes = np.array([np.flatnonzero(np.abs(self._local[on]).max(axis=0) > ROUNDING) for on in nodes])
        fits = np.array([np.linalg.inv(self._local[np.ix_(*both)]) for both in zip(nodes, shapes, strict=True)])
        dofs = self.element_dofs[shapes[kinds], cells[:, None]]
        at = self.mesh.mapping().F(self._lattice.T, tind=cells).transpose(1, 2, 0)
        places = np.take_along_axis(at, nodes[kinds][:, :, None], axis=1)
        rounded = (places / self.domain.size).round(9).reshape(-1, 3) + 0.0  # without negative zeros
        number = np.unique(rounded, axis=0, return_inverse=True)[1].reshape(dofs.shape)
        return Sides(facets, kinds, dofs, places, number, fits)

    def _mesh(self) -> Any:
        """Return the mesh in NGSolve, without its boundary, of which no form has an integral."""
        from netgen import meshing

        mesh = meshing.Mesh(dim=3)
        mesh.AddPoints(np.ascontiguousarray(self.mesh.p.T))
        mesh.Add(meshing.FaceDescriptor(surfnr=1, domin=1, domout=0, bc=1))
        mesh.AddElements(dim=3, index=1, data=np.ascontiguousarray(self.mesh.t.T, dtype=np.int32), base=0)
        return self.ngsolve.Mesh(mesh)

    def on_reference(self, local: ndarray) -> ndarray:
        """Return the basis functions and their three slopes at places (P, 3) in the reference cell, (4, P, dof)."""
        return np.stack([self._monomials(local, axis) @ self._coefficients for axis in (None, 0, 1, 2)])


class Cells(Quadrature):
    """Quadrature on all cells, cell by cell, with a rule of NGSolve's.

    Integrals are products of small dense matrices for every cell: bilinear forms of NGSolve 6.2.2608 are wrong, or
    crash, with coefficients at the points of a rule (its IntegrationRuleSpace) of 343 points, which degree 5 has.
    """

    def __init__(self, space: NGSolveSpace) -> None:
        self.space = space
        rule = space.ngsolve.IntegrationRule(space.ngsolve.ET.TET, 2 * space.order + 2)
        first = np.array(list(rule.points))
        local = np.column_stack([first[:, 1:], 1 - first.sum(axis=1)])
        self._basis = space.on_reference(local)
        self._rule = np.array(list(rule.weights))
        mapping = space.mesh.mapping()
        self._volume = np.abs(mapping.detDF(local.T)[:, 0])
        self._cells = len(self._volume)
        self._dofs = space.element_dofs.T
        self.points = mapping.F(local.T).reshape(3, -1)
        self.weight = np.outer(self._volume, self._rule).ravel()
        # u and its gradient are these combinations (T, 4, 4) of u and its slopes in the reference cell.
        self._frame = np.zeros((self._cells, 4, 4))
        self._frame[:, 0, 0] = 1
        self._frame[:, 1:, 1:] = space.grid.simplices.inverse.transpose(0, 2, 1)

    def values(self, u: ndarray) -> ndarray:
        return (u[:, self._dofs] @ self._basis[0].T).reshape(len(u), -1)

    def gradients(self, u: ndarray) -> ndarray:
        slopes = np.stack([u[:, self._dofs] @ slope.T for slope in self._basis[1:]])
        return np.einsum("tji,intp->njtp", self._frame[:, 1:, 1:], slopes).reshape(len(u), 3, -1)

    def tested(self, source: ndarray, flux: ndarray | None = None) -> ndarray:
        def local(values: ndarray) -> ndarray:
            return (self.weight * values).reshape(len(source), self._cells, -1)

        total = local(source) @ self._basis[0]
        if flux is not None:
            weighted = np.stack([local(flux[:, i]) for i in range(3)])
            for slopes, along in zip(self._basis[1:], self._frame[:, 1:, 1:].T, strict=True):
                total += np.einsum("jt,jntp->ntp", along, weighted) @ slopes
        size = self.space.size
        return np.stack([np.bincount(self._dofs.ravel(), part.ravel(), minlength=size) for part in total])

    def matrix(
        self, reaction: ndarray | None = None, drift: ndarray | None = None, diffusion: ndarray | None = None
    ) -> csr_matrix:
        # The coefficients (i, j, N) of u_j v_i, where the index 0 stands for the function itself.
        whole = np.zeros((4, 4, self.weight.size))
        if reaction is not None:
            whole[0, 0] = reaction
        if drift is not None:
            whole[0, 1:] = drift
        if diffusion is not None:
            whole[1:, 1:] = diffusion.transpose(1, 0, 2)
        blocks = self._constant(whole[:, :, 0]) if (whole == whole[:, :, :1]).all() else self._varying(whole)
        rows, columns = np.broadcast_arrays(self._dofs[:, :, None], self._dofs[:, None])
        entries = (blocks.ravel(), (rows.ravel(), columns.ravel()))
        return coo_matrix(entries, shape=(self.space.size,) * 2).tocsr()

    def diagonal(self, diffusion: ndarray) -> ndarray:
        return self.matrix(diffusion=diffusion).diagonal()

    def _constant(self, whole: ndarray) -> ndarray:
        """Return the matrices of the cells (T, dof, dof) for constant coefficients (4, 4)."""
        weighted = self._rule[:, None] * self._basis
        products = np.einsum("apk,bpl->abkl", weighted, self._basis, optimize=True)
        here = np.einsum("tia,ij,tjb,t->tab", self._frame, whole, self._frame, self._volume, optimize=True)
        return np.tensordot(here, products, axes=2)

    def _varying(self, whole: ndarray) -> ndarray:
        """Return the matrices of the cells (T, dof, dof) for coefficients (4, 4, N)."""
        points, dofs = self._basis.shape[1:]
        tests = np.ascontiguousarray(self._basis.reshape(-1, dofs).T)
        weighted = (whole * self.weight).reshape(16, self._cells, points)
        result = np.empty((self._cells, dofs, dofs))
        for cell, frame in enumerate(self._frame):
            by_test = frame.T @ weighted[:, cell].reshape(4, -1)
            here = frame.T @ by_test.reshape(4, 4, points)
            result[cell] = tests @ np.einsum("abp,bpk->apk", here, self._basis).reshape(-1, dofs)
        return result
