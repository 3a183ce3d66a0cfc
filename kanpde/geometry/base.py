"""What a geometry offers to samplers: patches that the unit cube maps onto, preserving measure up to a constant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Patch:
    """A piece of the interior or of the boundary.

    `place` maps points of the unit cube (N, dimension) to points of space (N, d) with constant density; `measure` is
    the patch's length, area or volume; `normal` its outward unit normal (d components), None in the interior.
    """

    name: str
    dimension: int
    measure: float
    place: Callable[[Tensor], Tensor]
    normal: tuple[float, ...] | None = None


class Geometry(ABC):
    """A bounded domain with named coordinates; a coordinate named "t" is time."""

    names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    @property
    def dimension(self) -> int:
        """The number of coordinates, time included."""
        return len(self.names)

    @property
    def time(self) -> str | None:
        """The name of the time coordinate, or None."""
        return "t" if "t" in self.names else None

    @property
    def space(self) -> tuple[str, ...]:
        """The names of the space coordinates."""
        return tuple(name for name in self.names if name != self.time)

    @abstractmethod
    def interior(self) -> Patch:
        """Return the domain itself as one patch."""

    @abstractmethod
    def boundary(self, name: str) -> tuple[Patch, ...]:
        """Return the patches of a named part of the boundary; raise KanpdeError for an unknown name."""

    @abstractmethod
    def contains(self, points: Tensor) -> Tensor:
        """Return for points (N, d) whether they lie in the closed domain (N,)."""
