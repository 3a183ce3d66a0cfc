"""A domain of every kind, for tests that run over all of them."""

from math import cos, pi, sin

from kanpde import Ball, Box, Disk, Ellipse, LShape, Polygon, Triangle
from kanpde.geometry import Geometry

STAR = [(r * cos(pi * i / 5), r * sin(pi * i / 5)) for i, r in enumerate([1, 0.45] * 5)]
TEETH = [(5, 3), (4, 3), (4, 1), (3, 1), (3, 3), (2, 3), (2.5, 2), (2, 1), (1, 1), (1.3, 1.6), (1, 3), (0, 3)]
COMB = [(0, 0), (5, 0), *TEETH]
SPIRAL = [(0, 1), (3, 1), (3, 3), (2, 3), (2, 2), (1, 2), (1, 4), (4, 4), (4, 0), (0, 0)]

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
    "annulus in time": (Disk() - Disk(radius=0.3).named("hole")) * Box(t=(0, 2)),
}
EXACT_MEASURE = {
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
