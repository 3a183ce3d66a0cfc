"""A problem is data: a geometry, equations written against fields, conditions and a reference. No training."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Field, Points, derivatives_asked, evaluate, value_of
from kanpde.geometry import Box, Geometry
from kanpde.multiindex import IndexSet, MultiIndex

Equation = Callable[..., Tensor]
Value = Callable[[Points], Tensor] | float


@dataclass(frozen=True)
class Condition(ABC):
    """A condition on a named part of the boundary for one unknown; `weight` multiplies its mean square residual."""

    where: str
    value: Value = 0.0
    unknown: str | None = None
    weight: float = 1.0
    kind: ClassVar[str]

    @abstractmethod
    def residual(self, u: Field, at: Points) -> Tensor:
        """Return the residual (N,) at boundary points."""


@dataclass(frozen=True)
class Dirichlet(Condition):
    """u = value."""

    kind = "dirichlet"

    def residual(self, u: Field, at: Points) -> Tensor:
        return u - evaluate(self.value, at)


@dataclass(frozen=True)
class Neumann(Condition):
    """du/dn = value, n the outward normal."""

    kind = "neumann"

    def residual(self, u: Field, at: Points) -> Tensor:
        return normal_derivative(u, at) - evaluate(self.value, at)


@dataclass(frozen=True)
class Robin(Condition):
    """coefficient u + du/dn = value."""

    coefficient: Value = 1.0
    kind = "robin"

    def residual(self, u: Field, at: Points) -> Tensor:
        return evaluate(self.coefficient, at) * u + normal_derivative(u, at) - evaluate(self.value, at)


@dataclass(frozen=True)
class Periodic(Condition):
    """Every unknown and all its derivatives agree at both faces of the coordinate `where`.

    The inputs of a network impose it, so it is never a term of a loss.
    """

    kind = "periodic"

    def residual(self, u: Field, at: Points) -> Tensor:
        raise KanpdeError(f"periodic('{self.where}') compares two faces: it has no residual at a point.")


@dataclass(frozen=True)
class Initial(Dirichlet):
    """u = value at the initial time.

    `lift` is a function on the whole domain that equals the value at the initial time, for hard conditions to start
    from: where the solution leaves its initial value in a way that is known and not smooth.
    """

    where: str = "t-"
    lift: Callable[[Points], Tensor] | None = None
    kind = "initial"


@dataclass(frozen=True)
class InitialVelocity(Condition):
    """u_t = value at the initial time."""

    where: str = "t-"
    kind = "initial velocity"

    def residual(self, u: Field, at: Points) -> Tensor:
        return u.d("t") - evaluate(self.value, at)


def dirichlet(where: str = "all", value: Value = 0.0, unknown: str | None = None, weight: float = 1.0) -> Dirichlet:
    """Return the condition u = value on the boundary `where` ("x-", "x+", "x" for both, "all")."""
    return Dirichlet(where, value, unknown, weight)


def neumann(where: str, value: Value = 0.0, unknown: str | None = None, weight: float = 1.0) -> Neumann:
    """Return the condition du/dn = value on the boundary `where`."""
    return Neumann(where, value, unknown, weight)


def robin(
    where: str, value: Value = 0.0, coefficient: Value = 1.0, unknown: str | None = None, weight: float = 1.0
) -> Robin:
    """Return the condition coefficient u + du/dn = value on the boundary `where`."""
    return Robin(where, value, unknown, weight, coefficient)


def initial(
    value: Value,
    unknown: str | None = None,
    weight: float = 1.0,
    lift: Callable[[Points], Tensor] | None = None,
) -> Initial:
    """Return the condition u = value at the lower end of the time interval; see `Initial` for `lift`."""
    return Initial(value=value, unknown=unknown, weight=weight, lift=lift)


def initial_velocity(value: Value, unknown: str | None = None, weight: float = 1.0) -> InitialVelocity:
    """Return the condition u_t = value at the lower end of the time interval."""
    return InitialVelocity(value=value, unknown=unknown, weight=weight)


def periodic(where: str) -> Periodic:
    """Return the condition that all unknowns are periodic in the coordinate `where`."""
    return Periodic(where)


def normal_derivative(u: Field, at: Points) -> Tensor:
    """Return du/dn (N,) at boundary points; only the coordinates with a normal component are differentiated."""
    normal = at.normal
    total = torch.zeros_like(u.value)
    for axis, name in enumerate(at.names):
        if bool((normal[:, axis] != 0).any()):
            total = total + normal[:, axis] * u.d(name)
    return total


class Reference(ABC):
    """A solution to compare with, which states its own error.

    `error` is an estimate of its own relative L2 error, `error_source` says how it was found.
    """

    name: str
    error: float
    error_source: str
    smooth: bool = False
    """Whether `taylor` gives the derivatives that the equations need, so that residuals can be checked with it."""

    @abstractmethod
    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return Taylor coefficients (channel, point, unknown); raise KanpdeError for an order it does not have."""


@dataclass(frozen=True)
class Problem:
    """A partial differential equation with its domain, conditions and reference.

    `equations` maps a name to a function of the unknowns and `at`, named by its arguments:
    `def momentum(u, at): return u.d("t") + u * u.d("x") - nu * u.d("xx")`. It returns the residual (N,).
    `name`, `description` and `arguments` are filled in from the file that a problem was loaded from.
    Raises KanpdeError for an equation without unknowns, for a condition on an unknown that no equation has, and for a
    periodic coordinate that is not one of a box or has other conditions on its faces.
    """

    geometry: Geometry
    equations: Mapping[str, Equation]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    reference: Reference | None = None
    name: str = "problem"
    description: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.equations:
            raise KanpdeError(f"problem '{self.name}' has no equations: give equations={{'name': function}}.")
        for label, condition in self.conditions.items():
            if isinstance(condition, Periodic):
                self._check_periodic(label, condition)
            else:
                self.unknown_of(label, condition)
                self.geometry.boundary(condition.where)

    def _check_periodic(self, label: str, condition: Periodic) -> None:
        if not isinstance(self.geometry, Box):
            domain = type(self.geometry).__name__
            raise KanpdeError(f"condition '{label}' is periodic, and the domain is a {domain}: it needs a Box.")
        if condition.where not in self.geometry.names:
            raise unknown_name(f"coordinate in condition '{label}':", condition.where, self.geometry.names)
        faces = set(self.geometry.faces(condition.where))
        for other, another in self.conditions.items():
            if other != label and faces & set(self.geometry.faces(another.where)):
                raise KanpdeError(
                    f"condition '{other}' is on a face of '{condition.where}', which condition '{label}' makes"
                    " periodic: keep one of them."
                )

    @cached_property
    def unknowns(self) -> tuple[str, ...]:
        """The names of the unknowns, in the order in which the equations name them."""
        names: dict[str, None] = {}
        for label, equation in self.equations.items():
            arguments = arguments_of(equation, label)
            names.update(dict.fromkeys(arguments))
        return tuple(names)

    @cached_property
    def periodic(self) -> tuple[str, ...]:
        """The names of the periodic coordinates, in the order of the coordinates."""
        named = {condition.where for condition in self.conditions.values() if isinstance(condition, Periodic)}
        return tuple(name for name in self.geometry.names if name in named)

    def unknown_of(self, label: str, condition: Condition) -> int:
        """Return the position of the unknown that a condition is about."""
        if condition.unknown is None and len(self.unknowns) > 1:
            raise KanpdeError(
                f"condition '{label}' does not say which unknown it is about: give unknown= one of"
                f" {', '.join(self.unknowns)}."
            )
        name = condition.unknown or self.unknowns[0]
        if name not in self.unknowns:
            raise unknown_name(f"field in condition '{label}':", name, self.unknowns)
        return self.unknowns.index(name)

    def residual_function(self, label: str) -> Equation:
        """Return an equation or condition as a function of all unknowns in order, then `at`; returns (N,)."""
        if label in self.equations:
            equation = self.equations[label]
            arguments = arguments_of(equation, label)
            places = [self.unknowns.index(name) for name in arguments]
            return lambda *fields: value_of(equation(*(fields[i] for i in places), fields[-1]))
        condition = self.conditions[label]
        u = 0 if isinstance(condition, Periodic) else self.unknown_of(label, condition)
        return lambda *fields: condition.residual(fields[u], fields[-1])

    def derivatives(self, labels: tuple[str, ...], at: Points) -> set[MultiIndex]:
        """Return the partial derivatives that some equations or conditions ask for."""
        asked: set[MultiIndex] = set()
        for label in labels:
            indices, _ = derivatives_asked(self.residual_function(label), self.unknowns, at, f"'{label}'")
            asked |= indices
        return asked

    @cached_property
    def indices(self) -> IndexSet:
        """The derivatives that the equations ask for, closed downwards."""
        at = self.middle()
        return IndexSet(self.geometry.names, self.derivatives(tuple(self.equations), at))

    @cached_property
    def affine(self) -> bool:
        """Whether all equations are affine in the unknowns, judged by r(u) + r(v) = 2 r((u + v) / 2) at random u, v."""
        at = self.middle()
        generator = torch.Generator().manual_seed(0)
        u, v = torch.randn(2, len(self.unknowns), len(self.indices), len(at), generator=generator, dtype=torch.float64)
        for label in self.equations:
            function = self.residual_function(label)

            def residual(channels: Tensor, function: Equation = function) -> Tensor:
                fields = (Field.of(n, self.indices, c) for n, c in zip(self.unknowns, channels, strict=True))
                return function(*fields, at)

            ru, rv, middle = residual(u), residual(v), residual((u + v) / 2)
            if not bool(((ru + rv - 2 * middle).abs() <= 1e-10 * (ru.abs() + rv.abs() + 1)).all()):
                return False
        return True

    @property
    def order(self) -> int:
        """The order of the highest derivative in the equations."""
        return self.indices.order

    def middle(self) -> Points:
        """Return three points inside, for probing functions."""
        if not isinstance(self.geometry, Box):
            return Points.of(self.geometry.names, self.geometry.sample(3))
        lower, upper = (torch.tensor(side, dtype=torch.float64) for side in (self.geometry.lower, self.geometry.upper))
        fractions = torch.tensor([[0.41], [0.5], [0.57]], dtype=torch.float64)
        return Points.of(self.geometry.names, lower + fractions * (upper - lower))


def arguments_of(equation: Callable[..., Any], label: str) -> tuple[str, ...]:
    """Return the unknowns that an equation names as its arguments before `at`."""
    names = tuple(inspect.signature(equation).parameters)
    if len(names) < 2 or names[-1] != "at":
        raise KanpdeError(
            f"equation '{label}' has the arguments ({', '.join(names)}): name the unknowns, then at,"
            " for example (u, at)."
        )
    return names[:-1]
