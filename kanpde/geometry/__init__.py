"""Sets to sample: the interior and the named parts of the boundary."""

from kanpde.geometry.ball import Ball, Disk, Ellipse
from kanpde.geometry.base import Combination, Geometry, Product
from kanpde.geometry.box import Box, split
from kanpde.geometry.mesh import Mesh
from kanpde.geometry.parameters import (
    at_known_values,
    ends_of,
    parameter,
    refuse_parameters,
    shown,
    values_of,
    without_parameters,
)
from kanpde.geometry.patch import Patch
from kanpde.geometry.polygon import LShape, Polygon, Triangle
from kanpde.geometry.solid import Solid

__all__ = [
    "Ball",
    "Box",
    "Combination",
    "Disk",
    "Ellipse",
    "Geometry",
    "LShape",
    "Mesh",
    "Patch",
    "Polygon",
    "Product",
    "Solid",
    "Triangle",
    "at_known_values",
    "ends_of",
    "parameter",
    "refuse_parameters",
    "shown",
    "split",
    "values_of",
    "without_parameters",
]
