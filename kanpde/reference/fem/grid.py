"""Meshes of domains: uniform ones of boxes, and refined imported meshes.

Every grid names the facets on each patch of the domain's boundary and finds the cell of a point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from math import log2, sqrt

import numpy as np
from numpy import ndarray
from scipy.spatial import cKDTree
from skfem import Mesh as SkfemMesh
from skfem import MeshLine, MeshTet, MeshTri

from kanpde.errors import KanpdeError
from kanpde.geometry import Box, Mesh, Patch
from kanpde.geometry.simplices import Locator, Simplices

BOXES = {1: MeshLine, 2: MeshTri, 3: MeshTet}


class Grid(ABC):
    """A mesh of simplices with `cells` cells per longest side, or about so many.

    `curved` says which cells (T,) have a side that is a parabola, through three points of a curved boundary.
    `coarser` is the mesh that errors are estimated with, if there is one: with about half as many cells per side, and
    the same towards the places where solutions are not smooth, so that errors fall evenly from one to the other.
    """

    mesh: SkfemMesh
    cells: float
    curved: ndarray | None = None

    @property
    def coarser(self) -> Grid | None:
        return None

    @abstractmethod
    def facets(self, patch: Patch) -> ndarray:
        """Return the numbers of the facets on a patch of the boundary."""

    @cached_property
    def simplices(self) -> Simplices:
        """The cells with straight sides."""
        return Simplices(*arrays_of(self.mesh))

    @abstractmethod
    def locate(self, x: ndarray) -> tuple[ndarray, ndarray]:
        """Return for points x (N, d) the cell (N,) that they are deepest in and the place in the reference cell (N, d).

        The place is that in the cell with straight sides.
        """


class BoxGrid(Grid):
    """The uniform mesh of a box, with fast point location."""

    def __init__(self, box: Box, cells: int) -> None:
        self.box = box
        self.cells: int = cells
        self.dimension = box.dimension
        self.lower, self.upper = np.array(box.lower), np.array(box.upper)
        self.names = box.names
        self.mesh = BOXES[box.dimension].init_tensor(
            *(np.linspace(a, b, cells + 1) for a, b in zip(box.lower, box.upper, strict=True))
        )
        centres = self.mesh.p[:, self.mesh.t].mean(axis=1)
        place = (centres.T - self.lower) / (self.upper - self.lower) * cells
        cell = np.ravel_multi_index(tuple(place.astype(np.int64).T), (cells,) * self.dimension)
        self._candidates = np.argsort(cell, kind="stable").reshape(cells**self.dimension, -1)

    @property
    def coarser(self) -> BoxGrid | None:
        return BoxGrid(self.box, self.cells // 2) if self.cells > 1 else None

    def facets(self, patch: Patch) -> ndarray:
        axis, side = self.names.index(patch.name[:-1]), "-+".index(patch.name[-1])
        wall = (self.lower, self.upper)[side][axis]
        slack = 1e-6 * (self.upper - self.lower)[axis] / self.cells
        return self.mesh.facets_satisfying(lambda x: np.abs(x[axis] - wall) < slack, boundaries_only=True)

    def locate(self, x: ndarray) -> tuple[ndarray, ndarray]:
        place = (x - self.lower) / (self.upper - self.lower) * self.cells
        cell = np.clip(place.astype(np.int64), 0, self.cells - 1)
        candidates = self._candidates[np.ravel_multi_index(tuple(cell.T), (self.cells,) * self.dimension)]
        everywhere = np.arange(len(x))
        return self.simplices.deepest(x, ((everywhere, candidate) for candidate in candidates.T))


class FreeGrid(Grid):
    """A mesh without structure; facets are known by their sorted points."""

    @cached_property
    def simplices(self) -> Locator:
        return Locator(*arrays_of(self.mesh))

    @cached_property
    def _centres(self) -> cKDTree:
        return cKDTree(self.mesh.p[:, self.mesh.t].mean(axis=1).T)

    def locate(self, x: ndarray) -> tuple[ndarray, ndarray]:
        element, local = self.simplices(x)
        lost = element < 0
        if lost.any():  # beyond the polygon that stands for a curved boundary
            element[lost] = self._centres.query(x[lost])[1]
            local[lost] = self.simplices.place(element[lost], x[lost])
        return element, local


class RefinedMesh(FreeGrid):
    """An imported mesh, refined evenly until it has `cells` cells per longest side, or about so many.

    Raises KanpdeError where that is fewer than the mesh has.
    """

    def __init__(self, domain: Mesh, cells: int) -> None:
        self.domain, self.cells, coarse = domain, cells, cells_of(domain)
        times = round(log2(cells / coarse))
        if times < 0:
            raise KanpdeError(f"cells={cells}: {domain} has {coarse} cells per side already.")
        self.mesh = ascending(BOXES[domain.dimension](np.ascontiguousarray(domain.points.T), domain.cells.T))
        self._facets = {name: domain.facets[which] for name, which in domain.groups.items()}
        for _ in range(times):
            finer = ascending(self.mesh.refined())
            self._facets = {name: self._cut(facets, finer) for name, facets in self._facets.items()}
            self.mesh = finer
        self._times = times

    @property
    def coarser(self) -> RefinedMesh | None:
        return RefinedMesh(self.domain, round(self.cells / 2)) if self._times else None

    def facets(self, patch: Patch) -> ndarray:
        return numbers_of(self.mesh, self._facets[patch.name])

    def _cut(self, facets: ndarray, finer: SkfemMesh) -> ndarray:
        """Return the facets (n, d) of the refined mesh that facets become, cut at the middles of their edges."""
        points, places = cKDTree(finer.p.T), self.mesh.p.T

        def middle(i: int, j: int) -> ndarray:
            return points.query((places[facets[:, i]] + places[facets[:, j]]) / 2)[1]

        corners = points.query(places[facets.ravel()])[1].reshape(facets.shape)
        if facets.shape[1] == 2:
            half = middle(0, 1)
            pieces: list[tuple[ndarray, ...]] = [(corners[:, 0], half), (half, corners[:, 1])]
        else:
            ab, bc, ca = middle(0, 1), middle(1, 2), middle(2, 0)
            a, b, c = corners.T
            pieces = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
        return np.concatenate([np.stack(piece, axis=1) for piece in pieces])


def ascending(mesh: SkfemMesh) -> SkfemMesh:
    """Return a mesh whose cells have their corners in ascending order, as the meshes of boxes have."""
    return type(mesh)(mesh.p, np.ascontiguousarray(np.sort(mesh.t, axis=0)))


def arrays_of(mesh: SkfemMesh) -> tuple[ndarray, ndarray]:
    """Return the points (V, d) of a mesh and the numbers of those of its cells (T, d + 1)."""
    return np.ascontiguousarray(mesh.p.T), mesh.t.T.astype(np.int64)


def numbers_of(mesh: SkfemMesh, facets: ndarray) -> ndarray:
    """Return the numbers in a mesh of facets (n, d) that are given by their points, -1 for those that it has not."""
    count = int(max(mesh.t.max(), facets.max(initial=0))) + 1
    known, wanted = (codes_of(which, count) for which in (mesh.facets.T, facets))
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)
    return np.where(known[order[place]] == wanted, order[place], -1)


def codes_of(facets: ndarray, count: int) -> ndarray:
    """Return a number (n,) for each set of points, of `count` in all, that facets (n, d) have."""
    total = np.zeros(len(facets), dtype=np.int64)
    for column in np.sort(facets, axis=1).T.astype(np.int64):
        total = count * total + column
    return total


def cells_of(domain: Mesh) -> int:
    """Return the number of cells per longest side of an imported mesh, from the mean size of its cells."""
    simplices = domain.measure / len(domain.cells)
    edge = sqrt(4 / sqrt(3) * simplices) if domain.dimension == 2 else (6 * sqrt(2) * simplices) ** (1 / 3)
    return max(1, round(domain.size / edge))
