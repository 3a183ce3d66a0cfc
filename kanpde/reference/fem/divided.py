"""Triangulations of plane domains whose triangles can be divided, all or some, with curves followed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import torch
from numpy import ndarray
from scipy.spatial import cKDTree
from skfem import MeshTri, MeshTri2

from kanpde.geometry import Geometry, Patch
from kanpde.geometry.base import distinct
from kanpde.reference.fem.grid import FreeGrid, Grid, numbers_of
from kanpde.reference.fem.linearise import does_not_apply
from kanpde.reference.fem.triangulation import triangles_of


class DividedGrid(FreeGrid):
    """Triangles with straight sides, of which those on curves get the middles of their sides onto them.

    `sides` are the edges on each patch of the boundary. `coarser` is that of `Grid`.
    """

    def __init__(self, cells: float, straight: MeshTri, sides: dict[Patch, Side], coarser: Grid | None = None) -> None:
        self.cells, self.straight, self.sides, self._coarser = cells, straight, sides, coarser
        self.mesh = straight
        curves = [side for side in sides.values() if side.curved]
        if curves:
            # The cells there are the images of quadratic maps.
            nodes = MeshTri2.from_mesh(straight).doflocs.copy()
            self.curved = np.zeros(straight.nelements, dtype=bool)
            for side in curves:
                facets = numbers_of(straight, side.edges)
                nodes[:, straight.nvertices + facets] = side.place(side.parameters.mean(axis=1))
                self.curved[straight.f2t[0, facets]] = True
            self.mesh = MeshTri2(nodes, straight.t)

    @classmethod
    def triangulated(cls, domain: Geometry, cells: int) -> DividedGrid:
        """Return the Delaunay triangulation of a plane domain, see `triangles_of`."""
        found = triangles_of(domain, cells)
        mesh = MeshTri(np.ascontiguousarray(found.points.T), np.ascontiguousarray(found.triangles.T))
        chains = zip(distinct(domain), found.chains, strict=True)
        return cls(cells, mesh, {patch: Side.of(patch, chain) for patch, chain in chains})

    @classmethod
    def of(cls, grid: Grid, domain: Geometry) -> DividedGrid:
        """Return the triangles of another mesh of a plane domain."""
        if isinstance(grid, DividedGrid):
            return grid
        mesh = MeshTri(grid.mesh.p, grid.mesh.t)
        edges = {patch: mesh.facets[:, grid.facets(patch)].T for patch in distinct(domain)}
        return cls(grid.cells, mesh, {patch: Side(patch, side, np.zeros(side.shape)) for patch, side in edges.items()})

    @property
    def coarser(self) -> Grid | None:
        return self._coarser

    def facets(self, patch: Patch) -> ndarray:
        return numbers_of(self.straight, self.sides[patch].edges)

    def divided(self, which: ndarray | None = None) -> DividedGrid:
        """Return the mesh with all triangles divided in four, or with those that are numbered (n,) divided.

        Their neighbours are divided as far as the mesh needs it (red, green and blue refinement: Carstensen 2004). New
        points on curves are moved onto them. `coarser` is this mesh, if all are divided.
        Raises KanpdeError if a triangle is turned over by that, where the mesh is too coarse for a curve.
        """
        finer = self.straight.refined() if which is None else self.straight.refined(which)
        points = finer.p.copy()
        sides = {patch: side.divided(finer, points) for patch, side in self.sides.items()}
        if bool((areas(points, finer.t) * areas(finer.p, finer.t) <= 0).any()):
            raise does_not_apply(f"the mesh with {self.cells:.0f} cells per side is too coarse for its curves")
        cells = self.cells * sqrt(finer.nelements / self.straight.nelements)
        return DividedGrid(cells, MeshTri(points, finer.t), sides, self if which is None else None)

    @property
    def longest_edges(self) -> ndarray:
        """The length of the longest edge of each triangle (T,)."""
        corners = self.straight.p[:, self.straight.t]
        return np.linalg.norm(np.roll(corners, 1, axis=1) - corners, axis=0).max(axis=0)


def areas(points: ndarray, triangles: ndarray) -> ndarray:
    """Return twice the areas (T,) of triangles (3, T) on points (2, V), negative for those that turn clockwise."""
    a, b, c = (points[:, corner] for corner in triangles)
    (ax, ay), (bx, by) = b - a, c - a
    return ax * by - ay * bx


@dataclass(frozen=True)
class Side:
    """The edges (n, 2) of a mesh on one patch of the boundary, on a curve with the parameters (n, 2) of their ends."""

    patch: Patch
    edges: ndarray
    parameters: ndarray

    @classmethod
    def of(cls, patch: Patch, chain: ndarray) -> Side:
        """Return the edges of a chain of points, at equal distances of the parameter."""
        ends = np.linspace(0, 1, len(chain))
        return cls(patch, np.stack([chain[:-1], chain[1:]], axis=1), np.stack([ends[:-1], ends[1:]], axis=1))

    @property
    def curved(self) -> bool:
        """Whether the patch is a curve; the boundary of an imported mesh is not, where its facets are flat."""
        return callable(self.patch.normal) and self.patch.surface is not None

    def place(self, parameters: ndarray) -> ndarray:
        """Return the points (2, N) of the curve at parameters (N,)."""
        unit = torch.from_numpy(np.ascontiguousarray(parameters))[:, None]
        return self.patch.place(unit).numpy().T

    def divided(self, finer: MeshTri, points: ndarray) -> Side:
        """Return the edges in a finer mesh, halves where it divides them; on a curve, move new points in `points`."""
        cut = numbers_of(finer, self.edges) < 0
        if not cut.any():
            return self
        # A new point lies in the middle of an edge before it is moved.
        middle = cKDTree(finer.p.T).query(finer.p.T[self.edges[cut]].mean(axis=1))[1]
        parameter = self.parameters[cut].mean(axis=1)
        if self.curved:
            points[:, middle] = self.place(parameter)

        def halves(whole: ndarray, between: ndarray) -> ndarray:
            first, second = np.stack([whole[:, 0], between], axis=1), np.stack([between, whole[:, 1]], axis=1)
            return np.concatenate([first, second])

        edges = np.concatenate([self.edges[~cut], halves(self.edges[cut], middle)])
        parameters = np.concatenate([self.parameters[~cut], halves(self.parameters[cut], parameter)])
        return replace(self, edges=edges, parameters=parameters)
