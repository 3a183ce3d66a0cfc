"""Meshes of domains: uniform ones of boxes, triangulations of plane domains, and refined imported meshes.

Every grid names the facets on each patch of the domain's boundary and finds the cell of a point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from itertools import pairwise
from math import ceil, log2, sqrt

import numpy as np
import torch
from numpy import ndarray
from scipy.spatial import Delaunay, cKDTree
from skfem import Mesh as SkfemMesh
from skfem import MeshLine, MeshTet, MeshTri, MeshTri2

from kanpde.errors import KanpdeError
from kanpde.geometry import Box, Geometry, Mesh, Patch
from kanpde.geometry.base import distinct
from kanpde.geometry.simplices import Locator, Simplices
from kanpde.reference.fem.linearise import does_not_apply

BOXES = {1: MeshLine, 2: MeshTri, 3: MeshTet}
CLEARANCE = 0.7
"""Distance of inner points from points of the boundary, in units of the cells."""
ROUND = 8
"""Segments of a curve, at least."""
FLAT = 1e-6
"""Height over length of triangles that are on the hull by rounding only."""
ATTEMPTS = 5


class Grid(ABC):
    """A mesh of simplices with `cells` cells per longest side, or about so many.

    `curved` says which cells (T,) have a side that is a parabola, through three points of a curved boundary.
    """

    mesh: SkfemMesh
    cells: int
    curved: ndarray | None = None

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
        self.cells, self.dimension = cells, box.dimension
        self.lower, self.upper = np.array(box.lower), np.array(box.upper)
        self.names = box.names
        self.mesh = BOXES[box.dimension].init_tensor(
            *(np.linspace(a, b, cells + 1) for a, b in zip(box.lower, box.upper, strict=True))
        )
        centres = self.mesh.p[:, self.mesh.t].mean(axis=1)
        place = (centres.T - self.lower) / (self.upper - self.lower) * cells
        cell = np.ravel_multi_index(tuple(place.astype(np.int64).T), (cells,) * self.dimension)
        self._candidates = np.argsort(cell, kind="stable").reshape(cells**self.dimension, -1)

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
        self.cells, coarse = cells, cells_of(domain)
        times = round(log2(cells / coarse))
        if times < 0:
            raise KanpdeError(f"cells={cells}: {domain} has {coarse} cells per side already.")
        kind = {2: MeshTri, 3: MeshTet}[domain.dimension]
        self.mesh = kind(np.ascontiguousarray(domain.points.T), np.ascontiguousarray(domain.cells.T))
        self._facets = {name: domain.facets[which] for name, which in domain.groups.items()}
        for _ in range(times):
            finer = self.mesh.refined()
            self._facets = {name: self._cut(facets, finer) for name, facets in self._facets.items()}
            self.mesh = finer

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


class Triangulation(FreeGrid):
    """The Delaunay triangulation of points on the boundary and of a lattice inside a plane domain.

    Raises KanpdeError if edges of the boundary are missing in it after several attempts on finer ones.
    """

    def __init__(self, domain: Geometry, cells: int) -> None:
        self.cells, h = cells, domain.size / cells
        patches = distinct(domain)
        counts = [max(ceil(patch.measure / h - 1e-6), ROUND if callable(patch.normal) else 1) for patch in patches]
        for _ in range(ATTEMPTS):
            points, chains = boundary_points(domain, patches, counts)
            triangles, points = triangulated(domain, points, h)
            missing = self._missing(triangles, chains)
            if not any(missing):
                break
            counts = [2 * count if lost else count for count, lost in zip(counts, missing, strict=True)]
        else:
            raise does_not_apply(f"{domain} could not be meshed with {cells} cells per side")
        self.mesh = MeshTri(np.ascontiguousarray(points.T), np.ascontiguousarray(triangles.T))
        self._facets = {
            id(patch): numbers_of(self.mesh, np.stack([chain[:-1], chain[1:]], axis=1))
            for patch, chain in zip(patches, chains, strict=True)
        }
        if any(callable(patch.normal) for patch in patches):
            self._bend(patches)

    def facets(self, patch: Patch) -> ndarray:
        return self._facets[id(patch)]

    def _bend(self, patches: list[Patch]) -> None:
        """Move the middles of the edges on curves onto them; the cells there are the images of quadratic maps."""
        straight = self.mesh
        nodes = MeshTri2.from_mesh(straight).doflocs.copy()
        self.curved = np.zeros(straight.nelements, dtype=bool)
        for patch in patches:
            if callable(patch.normal):
                facets = self._facets[id(patch)]
                places = (torch.arange(len(facets), dtype=torch.float64) + 0.5) / len(facets)
                nodes[:, straight.nvertices + facets] = patch.place(places[:, None]).numpy().T
                self.curved[straight.f2t[0, facets]] = True
        self.mesh = MeshTri2(nodes, straight.t)

    @staticmethod
    def _missing(triangles: ndarray, chains: list[ndarray]) -> list[bool]:
        """Return for every chain of points whether its edges are not all edges of one triangle; all if others are."""
        sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
        edges, count = np.unique(sides, axis=0, return_counts=True)
        outer = {tuple(edge) for edge in edges[count == 1].tolist()}
        wanted = [set(edges_of(chain)) for chain in chains]
        missing = [not edges <= outer for edges in wanted]
        return missing if any(missing) or outer == set().union(*wanted) else [True] * len(chains)


def grid_of(domain: Geometry, cells: int) -> Grid:
    """Return the mesh of a domain in space; raise KanpdeError for one that there is no mesh of."""
    if isinstance(domain, Box) and domain.dimension in BOXES:
        return BoxGrid(domain, cells)
    if isinstance(domain, Mesh):
        return RefinedMesh(domain, cells)
    # The boundary of a mesh is no curve that points could follow.
    if domain.dimension == 2 and all(patch.surface is not None for patch in distinct(domain)):
        return Triangulation(domain, cells)
    raise does_not_apply(
        f"it meshes boxes, plane domains that have no mesh as a part, and imported meshes, and the domain is {domain}"
    )


def arrays_of(mesh: SkfemMesh) -> tuple[ndarray, ndarray]:
    """Return the points (V, d) of a mesh and the numbers of those of its cells (T, d + 1)."""
    return np.ascontiguousarray(mesh.p.T), mesh.t.T.astype(np.int64)


def numbers_of(mesh: SkfemMesh, facets: ndarray) -> ndarray:
    """Return the numbers in a mesh of facets (n, d) that are given by their points."""
    known = {tuple(facet): number for number, facet in enumerate(np.sort(mesh.facets.T, axis=1).tolist())}
    return np.array([known[tuple(facet)] for facet in np.sort(facets, axis=1).tolist()])


def cells_of(domain: Mesh) -> int:
    """Return the number of cells per longest side of an imported mesh, from the mean size of its cells."""
    simplices = domain.measure / len(domain.cells)
    edge = sqrt(4 / sqrt(3) * simplices) if domain.dimension == 2 else (6 * sqrt(2) * simplices) ** (1 / 3)
    return max(1, round(domain.size / edge))


def boundary_points(domain: Geometry, patches: list[Patch], counts: list[int]) -> tuple[ndarray, list[ndarray]]:
    """Return points on the boundary (N, 2), and for every patch the chain of their numbers."""
    placed = [
        patch.place(torch.linspace(0, 1, count + 1, dtype=torch.float64)[:, None]).numpy()
        for patch, count in zip(patches, counts, strict=True)
    ]
    points = np.concatenate(placed)
    pairs = cKDTree(points).query_pairs(1e-7 * domain.size, output_type="ndarray")
    same = np.arange(len(points))
    for a, b in pairs[np.lexsort(pairs.T[::-1])]:
        same[same == same[b]] = same[a]
    kept, number = np.unique(same, return_inverse=True)
    starts = np.cumsum([0, *(len(part) for part in placed)])
    return points[kept], [number[a:b] for a, b in pairwise(starts)]


def edges_of(chain: ndarray) -> list[tuple[int, int]]:
    """Return the edges of a chain of points, each with its smaller number first."""
    return [(min(a, b), max(a, b)) for a, b in pairwise(chain.tolist())]


def triangulated(domain: Geometry, boundary: ndarray, h: float) -> tuple[ndarray, ndarray]:
    """Return triangles (T, 3) and points (N, 2): those of the boundary, then a triangular lattice of width h inside."""
    lower, upper = np.array(domain.lower), np.array(domain.upper)
    rows = np.arange(lower[1] + h / 2, upper[1], h * sqrt(3) / 2)
    columns = np.arange(lower[0], upper[0] + h, h)
    x = columns + h / 2 * (np.arange(len(rows))[:, None] % 2)
    lattice = np.stack([x.ravel(), np.repeat(rows, len(columns))], axis=1)
    lattice = lattice[domain.contains(torch.from_numpy(lattice)).numpy()]
    far = cKDTree(boundary).query(lattice)[0] > CLEARANCE * h
    points = np.concatenate([boundary, lattice[far]])
    triangles = Delaunay(points).simplices.astype(np.int64)
    corners = points[triangles]
    inside = domain.contains(torch.from_numpy(corners.mean(axis=1))).numpy()
    edges = corners[:, 1:] - corners[:, :1]
    longest = np.linalg.norm(np.roll(corners, 1, axis=1) - corners, axis=2).max(axis=1)
    height = np.abs(np.linalg.det(edges)) / longest**2
    return triangles[inside & (height > FLAT)], points
