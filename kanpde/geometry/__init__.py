"""Sets to sample: the interior and the named parts of the boundary."""

from kanpde.geometry.ball import Ball, Disk, Ellipse
from kanpde.geometry.base import Combination, Geometry, Product
from kanpde.geometry.box import Box
from kanpde.geometry.patch import Patch
from kanpde.geometry.polygon import LShape, Polygon, Triangle

__all__ = [
    "Ball",
    "Box",
    "Combination",
    "Disk",
    "Ellipse",
    "Geometry",
    "LShape",
    "Patch",
    "Polygon",
    "Product",
    "Triangle",
]
