"""Triangulations that are finer towards points, as corners are, or towards parts of the boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy import ndarray
from scipy.spatial import cKDTree

from kanpde.geometry import Geometry
from kanpde.reference.fem.divided import DividedGrid
from kanpde.reference.fem.linearise import does_not_apply
from kanpde.reference.fem.meshing import triangles_to_divide

PLACES = 1000
"""Points that stand for a part of the boundary."""


class GradedGrid(DividedGrid):
    """The mesh of a plane domain with `cells` per longest side, refined `levels` times towards places.

    Places are points (x, y) or names of parts of the boundary. Each time triangles that are nearer to one than `reach`
    times their own longest edge are divided, so that sizes are about the distance over `reach`, down to 2^-levels of
    the others.
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
        grid = triangles_to_divide(domain, cells)
        places = cKDTree(np.concatenate([np.zeros((0, 2)), *(points_of(domain, where) for where in towards)]))
        longest = grid.longest_edges.max()
        for level in range(levels):
            edges, mesh = grid.longest_edges, grid.straight
            near = places.query(mesh.p.T)[0][mesh.t].min(axis=0) < reach * edges
            grid = grid.divided(np.flatnonzero(near & (edges > 1.01 * longest / 2 ** (level + 1))))
        super().__init__(cells, grid.straight, grid.sides)


def points_of(domain: Geometry, where: str | tuple[float, ...]) -> ndarray:
    """Return points (N, 2): one, or those that stand for a part of the boundary."""
    if not isinstance(where, str):
        return np.array([where], dtype=np.float64)
    unit = torch.linspace(0, 1, PLACES, dtype=torch.float64)[:, None]
    return np.concatenate([patch.place(unit).numpy() for patch in domain.boundary(where)])
