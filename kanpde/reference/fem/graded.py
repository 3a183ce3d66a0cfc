"""Triangulations that are finer towards points, as corners are, or towards parts of the boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy import ndarray
from scipy.spatial import cKDTree
from skfem import MeshTri, MeshTri2

from kanpde.geometry import Geometry, Patch
from kanpde.geometry.base import distinct
from kanpde.reference.fem.grid import FreeGrid, grid_of, numbers_of
from kanpde.reference.fem.linearise import does_not_apply

PLACES = 1000
"""Points that stand for a part of the boundary."""


class GradedGrid(FreeGrid):
    """The mesh of a plane domain with `cells` per longest side, refined `levels` times towards places.

    Places are points (x, y) or names of parts of the boundary. Each time triangles that are nearer to one than `reach`
    times their own longest edge are divided, and their neighbours as far as the mesh needs it (red, green and blue
    refinement: Carstensen 2004), so that sizes are about the distance over `reach`, down to 2^-levels of the others.
    New points on curves are moved onto them.
    Raises KanpdeError for a domain that is not in the plane, for one that there is no mesh of, and for unknown names.
    """

    def __init__(
        self,
        domain: Geometry,
        cells: int,
        towards: Sequence[str | tuple[float, ...]],
        levels: int,
        reach: float = 1.0,
    ) -> None:
        if domain.dimension != 2:
            raise does_not_apply(f"graded meshes are of plane domains, and the domain is {domain}")
        base, self.cells = grid_of(domain, cells), cells
        triangles = base.mesh.t
        mesh = MeshTri(np.ascontiguousarray(base.mesh.p[:, : triangles.max() + 1]), triangles)
        self._sides = {id(patch): Side(patch, mesh, base.facets(patch)) for patch in distinct(domain)}
        places = cKDTree(np.concatenate([np.zeros((0, 2)), *(points_of(domain, where) for where in towards)]))
        longest = longest_edges(mesh).max()
        for level in range(levels):
            edges = longest_edges(mesh)
            near = places.query(mesh.p.T)[0][mesh.t].min(axis=0) < reach * edges
            finer = mesh.refined(np.flatnonzero(near & (edges > 1.01 * longest / 2 ** (level + 1))))
            points = finer.p.copy()
            for side in self._sides.values():
                side.divide(finer, points)
            mesh = MeshTri(points, finer.t)
        self.mesh = mesh
        curves = [side for side in self._sides.values() if side.curved]
        if curves:
            nodes = MeshTri2.from_mesh(mesh).doflocs.copy()
            self.curved = np.zeros(mesh.nelements, dtype=bool)
            for side in curves:
                facets = numbers_of(mesh, side.edges)
                nodes[:, mesh.nvertices + facets] = side.place(side.parameters.mean(axis=1))
                self.curved[mesh.f2t[0, facets]] = True
            self.mesh = MeshTri2(nodes, mesh.t)
        self._straight = mesh

    def facets(self, patch: Patch) -> ndarray:
        return numbers_of(self._straight, self._sides[id(patch)].edges)


class Side:
    """The edges (n, 2) of a mesh on one patch of the boundary, on a curve with the parameters (n, 2) of their ends."""

    def __init__(self, patch: Patch, mesh: MeshTri, facets: ndarray) -> None:
        self.patch, self.curved = patch, callable(patch.normal)
        self.edges = mesh.facets[:, facets].T
        # The facets of a curve come in its order, and their ends are at equal distances of the parameter.
        ends = np.linspace(0, 1, len(facets) + 1)
        self.parameters = np.stack([ends[:-1], ends[1:]], axis=1)
        if self.curved:
            first = self.place(ends[:-1]).T
            away = np.linalg.norm(mesh.p.T[self.edges] - first[:, None], axis=2)
            swapped = away[:, 1] < away[:, 0]
            self.edges[swapped] = self.edges[swapped, ::-1]

    def place(self, parameters: ndarray) -> ndarray:
        """Return the points (2, N) of the curve at parameters (N,)."""
        unit = torch.from_numpy(np.ascontiguousarray(parameters))[:, None]
        return self.patch.place(unit).numpy().T

    def divide(self, finer: MeshTri, points: ndarray) -> None:
        """Take the halves of edges that a finer mesh divides; on a curve, move their middles onto it in `points`."""
        known = {tuple(edge) for edge in np.sort(finer.facets.T, axis=1).tolist()}
        cut = np.array([tuple(sorted(edge)) not in known for edge in self.edges.tolist()], dtype=bool)
        if not cut.any():
            return
        middles = finer.p.T[self.edges[cut]].mean(axis=1)
        middle = cKDTree(finer.p.T).query(middles)[1]
        parameter = self.parameters[cut].mean(axis=1)
        if self.curved:
            points[:, middle] = self.place(parameter)

        def halves(whole: ndarray, between: ndarray) -> ndarray:
            first, second = np.stack([whole[:, 0], between], axis=1), np.stack([between, whole[:, 1]], axis=1)
            return np.concatenate([first, second])

        self.edges = np.concatenate([self.edges[~cut], halves(self.edges[cut], middle)])
        self.parameters = np.concatenate([self.parameters[~cut], halves(self.parameters[cut], parameter)])


def points_of(domain: Geometry, where: str | tuple[float, ...]) -> ndarray:
    """Return points (N, 2): one, or those that stand for a part of the boundary."""
    if not isinstance(where, str):
        return np.array([where], dtype=np.float64)
    unit = torch.linspace(0, 1, PLACES, dtype=torch.float64)[:, None]
    return np.concatenate([patch.place(unit).numpy() for patch in domain.boundary(where)])


def longest_edges(mesh: MeshTri) -> ndarray:
    """Return the length of the longest edge of each triangle (T,)."""
    corners = mesh.p[:, mesh.t]
    return np.linalg.norm(np.roll(corners, 1, axis=1) - corners, axis=0).max(axis=0)
