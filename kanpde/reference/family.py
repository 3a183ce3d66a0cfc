"""A reference for a problem with parameters: another reference for each of a few of their values."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.geometry import Geometry, shown, values_of, without_parameters
from kanpde.multiindex import IndexSet
from kanpde.problem import NotKnown, Reference

MOST_MEMBERS = 64
"""Values of parameters that a reference is built for."""


class Family(Reference):
    """References by the values of parameters, each built when it is first asked for.

    `error` is the largest of those at the values where errors are measured (`values_of`).
    """

    def __init__(self, geometry: Geometry, make: Callable[..., Reference], name: str = "") -> None:
        self.geometry, self._make = geometry, make
        self._given = name
        self._members: dict[tuple[float, ...], Reference] = {}

    def member(self, *values: float) -> Reference:
        """Return the reference for one value of each parameter."""
        if values not in self._members:
            member = self._make(**dict(zip(self.geometry.parameters, values, strict=True)))
            if not isinstance(member, Reference):
                raise KanpdeError(
                    f"per_value: the function returned {type(member).__name__} for"
                    f" {shown(dict(zip(self.geometry.parameters, values, strict=True)))}: return a reference."
                )
            if self.origin and not member.origin:
                member.origin = f"{self.origin} {values}"
            self._members[values] = member
        return self._members[values]

    @property
    def members(self) -> list[Reference]:
        """The references at the values where errors are measured."""
        return [self.member(*values.values()) for values, _ in values_of(self.geometry)]

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name that was given, or that of the references."""
        return self._given or f"{self.members[0].name} per value"

    @property
    def smooth(self) -> bool:  # type: ignore[override]
        """Whether all of them have the derivatives that the equations need."""
        return all(member.smooth for member in self.members)

    @cached_property
    def error(self) -> float:  # type: ignore[override]
        """The largest relative L2 error of the references."""
        return max(member.error for member in self.members)

    @property
    def error_source(self) -> str:  # type: ignore[override]
        """How the errors were found."""
        return f"the largest of {len(self.members)} values, each by {self.members[0].error_source}"

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return Taylor coefficients (channel, point, unknown).

        Raises KanpdeError for derivatives by a parameter, and at points with more than a few values of them.
        """
        inner = without_parameters(self.geometry).names
        keep = [at.names.index(name) for name in inner]
        if any(sum(index) != sum(index[axis] for axis in keep) for index in indices.indices):
            raise NotKnown(f"{self.name}: a reference per value has no derivative by a parameter.")
        inside = [tuple(index[axis] for axis in keep) for index in indices.indices]
        wanted = IndexSet(inner, inside)
        order = [wanted.position[index] for index in inside]
        points = at.array()
        axes = [at.names.index(name) for name in self.geometry.parameters]
        values, which = torch.unique(points[:, axes], dim=0, return_inverse=True)
        if len(values) > MOST_MEMBERS:
            raise NotKnown(
                f"{self.name}: values at {len(values)} values of {', '.join(self.geometry.parameters)} are asked for,"
                f" each of which needs a reference of its own: ask for at most {MOST_MEMBERS}."
            )
        found: Tensor | None = None
        for number, value in enumerate(values.tolist()):
            here = which == number
            part = self.member(*value).taylor(Points.of(inner, points[here][:, keep]), wanted)[order]
            if found is None:
                found = part.new_empty(len(indices), len(points), part.shape[2])
            found[:, here] = part
        assert found is not None
        return found


def per_value(domain: Geometry, reference: Callable[..., Reference]) -> Family:
    """Return the reference for a domain with parameters that has one reference for each of a few of their values.

    `per_value(domain, lambda nu: fourier(box, ...))`: the function takes the parameters by name, as numbers. It is
    called for the values where errors are measured: five of one parameter, nine of two.
    Raises KanpdeError for a domain without parameters.
    """
    if not domain.parameters:
        raise KanpdeError(f"per_value: {domain} has no parameters: multiply it with parameter(nu=(0.01, 0.1)).")
    return Family(domain, reference)
