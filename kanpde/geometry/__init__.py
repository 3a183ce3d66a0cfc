"""Sets to sample: the interior and the named parts of the boundary."""

from kanpde.geometry.base import Geometry, Patch
from kanpde.geometry.box import Box

__all__ = ["Box", "Geometry", "Patch"]
