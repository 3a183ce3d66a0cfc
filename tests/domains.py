"""A domain of every kind, for tests that run over all of them."""

from math import cos, pi, sin

import numpy as np
from scipy.spatial import ConvexHull

from kanpde import Ball, Box, Disk, Ellipse, LShape, Polygon, Triangle
from kanpde.geometry import Geometry, Mesh, Solid

STAR = [(r * cos(pi * i / 5), r * sin(pi * i / 5)) for i, r in enumerate([1, 0.45] * 5)]
TEETH = [(5, 3), (4, 3), (4, 1), (3, 1), (3, 3), (2, 3), (2.5, 2), (2, 1), (1, 1), (1.3, 1.6), (1, 3), (0, 3)]
COMB = [(0, 0), (5, 0), *TEETH]
SPIRAL = [(0, 1), (3, 1), (3, 3), (2, 3), (2, 2), (1, 2), (1, 4), (4, 4), (4, 0), (0, 0)]


def ring_arrays(rows: int = 4, columns: int = 24) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return points, triangles and boundary lines of a ring between the radii 1 and 2."""
    r, angle = np.linspace(1, 2, rows + 1), 2 * pi * np.arange(columns) / columns
    points = np.stack([np.outer(r, np.cos(angle)).ravel(), np.outer(r, np.sin(angle)).ravel()], axis=1)
    i, j = (part.ravel() for part in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    cells = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)])
    circle = np.stack([np.arange(columns), (np.arange(columns) + 1) % columns], axis=1)
    return points, cells, {"inner": circle, "outer": circle + rows * columns}


def cube_arrays(n: int = 3) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return points and tetrahedra of the unit cube, and the triangles at z = 0."""
    points = np.stack(np.meshgrid(*[np.linspace(0, 1, n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    number = np.arange((n + 1) ** 3).reshape(n + 1, n + 1, n + 1)
    first = number[:-1, :-1, :-1].ravel()
    steps = {axis: number[tuple(int(axis == i) for i in range(3))] for axis in range(3)}
    cells = []
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):  # Kuhn's six tetrahedra
        corners = [first]
        for axis in order:
            corners.append(corners[-1] + steps[axis])
        cells.append(np.stack(corners, axis=1))
    tetrahedra = np.concatenate(cells)
    below = [c[points[c, 2] == 0] for c in tetrahedra if (points[c, 2] == 0).sum() == 3]
    return points, tetrahedra, {"floor": np.array(below)}


def sphere_arrays(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return points and triangles of a convex surface near the unit sphere."""
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.arange(count) * pi * (3 - 5**0.5)
    points = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)
    return points, ConvexHull(points).simplices


DOMAINS: dict[str, Geometry] = {
    "box": Box(x=(0, 1), y=(-1, 2)),
    "interval": Box(x=(-1, 2)),
    "disk": Disk((0.3, 0.2), 0.7),
    "ball": Ball(radius=0.8),
    "ball in four dimensions": Ball((0, 1, 2, 0), 0.5, coordinates=("a", "b", "c", "d")),
    "ellipse": Ellipse((1, 2), (3, 0.5), 0.4),
    "triangle": Triangle((0, 0), (0.5, 1), (2, 0.3)),
    "L-shape": LShape(),
    "star": Polygon(STAR),
    "comb": Polygon(COMB),
    "spiral, clockwise": Polygon(SPIRAL[::-1]),
    "box with holes": Box(x=(-1, 1), y=(-1, 1)).named("walls")
    - (Disk((0.4, 0.3), 0.2) | Disk((-0.4, 0.3), 0.3)).named("holes"),
    "keyhole": Disk() | Box(x=(0, 2), y=(-0.5, 0.5)),
    "lens": Disk() & Disk((1, 0), 1),
    "boxes with a common side": Box(x=(0, 1), y=(0, 1)) | Box(x=(0.5, 2), y=(0, 2)),
    "box without a corner": Box(x=(0, 1), y=(0, 1)) - Box(x=(0.5, 1), y=(0, 0.5)),
    "union of intervals": Box(x=(0, 1)) | Box(x=(0.5, 2)),
    "shell": Ball() - Ball(radius=0.5).named("inner"),
    "box cut by a ball": Box(x=(0, 1), y=(0, 1), z=(0, 1)) - Ball((0, 0, 0), 0.5),
    "cylinder": Disk().named("side") * Box(z=(0, 2)),
    "mesh of a ring": Mesh(*ring_arrays()),
    "mesh of a cube": Mesh(*cube_arrays()),
    "mesh without a disk": Mesh(*ring_arrays()) - Disk((1.5, 0), 0.2).named("disk"),
    "mesh in time": Mesh(*ring_arrays()) * Box(t=(0, 1)),
    "solid": Solid(*sphere_arrays()),
    "solid with a hole": Solid(*sphere_arrays()) - Ball(radius=0.5).named("hole"),
    "annulus in time": (Disk() - Disk(radius=0.3).named("hole")) * Box(t=(0, 2)),
}
EXACT_MEASURE = {
    "mesh of a ring": 12 * sin(pi / 12) * 3,
    "mesh without a disk": 12 * sin(pi / 12) * 3 - pi * 0.04,
    "mesh of a cube": 1.0,
    "solid": ConvexHull(sphere_arrays()[0]).volume,
    "solid with a hole": ConvexHull(sphere_arrays()[0]).volume - pi / 6,
    "disk": pi * 0.49,
    "ball": 4 / 3 * pi * 0.512,
    "ball in four dimensions": pi**2 / 2 * 0.5**4,
    "ellipse": 1.5 * pi,
    "L-shape": 3.0,
    "comb": 10.8,
    "box with holes": 4 - pi * (0.04 + 0.09),
    "lens": 2 * pi / 3 - 3**0.5 / 2,
    "boxes with a common side": 3.5,
    "box without a corner": 0.75,
    "union of intervals": 2.0,
    "shell": 4 / 3 * pi * 0.875,
    "cylinder": 2 * pi,
    "annulus in time": 2 * pi * 0.91,
}
"""Areas and volumes from the textbook."""
