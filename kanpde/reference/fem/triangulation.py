"""Delaunay triangulations of plane domains, with the edges of the boundary in their order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, pi, sqrt

import numpy as np
import torch
from numpy import ndarray
from scipy.spatial import Delaunay, cKDTree

from kanpde.geometry import Geometry, Patch
from kanpde.geometry.base import distinct
from kanpde.reference.fem.linearise import does_not_apply

CLEARANCE = 0.5
"""Distance of inner points from points of the boundary, in units of the cells."""
ROUND = 8
"""Segments of a closed curve, at least; others have as many as they turn."""
FLAT = 1e-6
"""Height over length of triangles that are on the hull by rounding only."""
ATTEMPTS = 5
NORMALS = 65
"""Points at which the turn of a curve is measured."""


@dataclass(frozen=True)
class Triangles:
    """Points (N, 2), triangles (T, 3), and for each patch of the boundary the chain of its points by their numbers."""

    points: ndarray
    triangles: ndarray
    chains: list[ndarray]


def triangles_of(domain: Geometry, cells: int) -> Triangles:
    """Return the Delaunay triangulation of points on the boundary of a plane domain and of a lattice inside.

    Raises KanpdeError if edges of the boundary are missing in it after several attempts on finer ones.
    """
    h, patches = domain.size / cells, distinct(domain)
    counts = [max(ceil(patch.measure / h - 1e-6), least(patch)) for patch in patches]
    for _ in range(ATTEMPTS):
        points, chains = boundary_points(domain, patches, counts)
        triangles, points = triangulated(domain, points, h)
        lost = missing(triangles, chains)
        if not any(lost):
            return Triangles(points, triangles, chains)
        counts = [2 * count if some else count for count, some in zip(counts, lost, strict=True)]
    raise does_not_apply(f"{domain} could not be meshed with {cells} cells per side")


def least(patch: Patch) -> int:
    """Return the number of segments that a piece of the boundary needs at least."""
    if not callable(patch.normal):
        return 1
    normals = patch.normal(torch.linspace(0, 1, NORMALS, dtype=torch.float64)[:, None])
    turns = torch.arccos((normals[1:] * normals[:-1]).sum(dim=1).clip(-1, 1))
    return max(1, ceil(ROUND * float(turns.sum()) / (2 * pi) - 1e-3))


def missing(triangles: ndarray, chains: list[ndarray]) -> list[bool]:
    """Return for every chain of points whether its edges are not all edges of one triangle; all if others are."""
    sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    outer = {tuple(edge) for edge in edges[count == 1].tolist()}
    wanted = [set(edges_of(chain)) for chain in chains]
    lost = [not edges <= outer for edges in wanted]
    return lost if any(lost) or outer == set().union(*wanted) else [True] * len(chains)


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
