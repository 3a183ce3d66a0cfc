"""A problem is data: a geometry, equations written against fields, conditions and a reference. No training."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, wraps
from math import isfinite
from typing import Any, ClassVar

import torch
from torch import Tensor

from kanpde.constraint import Constraint
from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Field, Points, derivatives_asked, evaluate, value_of
from kanpde.geometry import Box, Geometry, shown, without_parameters
from kanpde.multiindex import IndexSet, MultiIndex

Equation = Callable[..., Tensor]
Value = Callable[[Points], Tensor] | float
ONLY_UNKNOWN = "u"
"""The unknown of data that do not say what they are of."""


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
    """u = value.

    `lift` is a function on the whole domain that equals the value at this part of the boundary, for hard conditions to
    start from: where it is known how the solution is not smooth. An unknown has one lift.
    """

    lift: Callable[[Points], Tensor] | None = None
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
    """u = value at the initial time."""

    where: str = "t-"
    kind = "initial"


@dataclass(frozen=True)
class InitialVelocity(Condition):
    """u_t = value at the initial time."""

    where: str = "t-"
    kind = "initial velocity"

    def residual(self, u: Field, at: Points) -> Tensor:
        return u.d("t") - evaluate(self.value, at)


@dataclass(frozen=True)
class BoundaryEquation(Condition):
    """Any equation of unknowns and their derivatives; `at.normal` is the outward normal."""

    equation: Equation = field(kw_only=True)
    kind = "equation"

    def residual(self, u: Field, at: Points) -> Tensor:
        return value_of(self.equation(u, at))


@dataclass(frozen=True)
class Scalar:
    """An unknown number: where training starts, its size (by default that of the start, or 1), its value if known.

    Equations read it by its name, like an unknown function that is constant.
    """

    start: float
    size: float
    exact: float | None


def scalar(start: float, exact: float | None = None, *, size: float | None = None) -> Scalar:
    """Return an unknown number of an inverse problem, to be found with the unknown functions.

    It is trained in units of `size` from `start`. `exact` is its value where that is known; it is never trained with.
    Raises KanpdeError for numbers that are not finite, and for a size that is not positive.
    """
    size = abs(start) or 1.0 if size is None else size
    if not (isfinite(start) and isfinite(size) and size > 0 and (exact is None or isfinite(exact))):
        raise KanpdeError(f"scalar(start={start}, exact={exact}, size={size}): give finite numbers and a size > 0.")
    return Scalar(float(start), float(size), exact)


def dirichlet(
    where: str = "all",
    value: Value = 0.0,
    unknown: str | None = None,
    weight: float = 1.0,
    lift: Callable[[Points], Tensor] | None = None,
) -> Dirichlet:
    """Return the condition u = value on the boundary `where` ("x-", "x+", "x" for both, "all").

    See `Dirichlet` for `lift`.
    """
    return Dirichlet(where, value, unknown, weight, lift)


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
    """Return the condition u = value at the lower end of the time interval; see `Dirichlet` for `lift`."""
    return Initial(value=value, unknown=unknown, weight=weight, lift=lift)


def initial_velocity(value: Value, unknown: str | None = None, weight: float = 1.0) -> InitialVelocity:
    """Return the condition u_t = value at the lower end of the time interval."""
    return InitialVelocity(value=value, unknown=unknown, weight=weight)


def condition(where: str, equation: Equation, weight: float = 1.0) -> BoundaryEquation:
    """Return the condition that an equation holds on the boundary `where`.

    It is a function of unknowns and `at`, as equations inside are: `condition("x+", lambda u, v, at: u.d("x") - v)`.
    """
    return BoundaryEquation(where, weight=weight, equation=equation)


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


class NotKnown(KanpdeError):
    """A reference does not have a derivative, or is not known for the parameters, that it was asked for."""


class Reference(ABC):
    """A solution to compare with, which states its own error.

    `error` is an estimate of its own relative L2 error, `error_source` says how it was found.
    """

    name: str
    error: float
    error_source: str
    smooth: bool = False
    """Whether `taylor` gives the derivatives that the equations need, so that residuals can be checked with it."""
    origin: str = ""
    """A hash of the file and the arguments of the problem that it belongs to; empty if that is not from a file."""

    def rule(self, geometry: Geometry) -> tuple[Points, Tensor] | None:
        """Return the points of a domain where it is known, with weights (N,); None if it is known everywhere."""
        return None

    @abstractmethod
    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return Taylor coefficients (channel, point, unknown); raise KanpdeError for an order it does not have."""

    def compared(self, values: Tensor) -> Tensor:
        """Return what of a solution's Taylor coefficients is compared with those of this reference: all of them."""
        return values

    def labels(self, geometry: Geometry) -> tuple[Tensor, Tensor] | None:
        """Return points (N, d) with labels (N,), -1 or 1, of a reference that consists of them, and else None."""
        return None

    def verdict(self, values: Tensor) -> str:
        """Return what else is to be said of the values (point, unknown) of a solution at the points of `rule`."""
        return ""


@dataclass(frozen=True)
class Problem:
    """A partial differential equation with its domain, conditions and reference.

    `equations` maps a name to a function of the unknowns and `at`, named by its arguments:
    `def momentum(u, at): return u.d("t") + u * u.d("x") - nu * u.d("xx")`. It returns the residual (N,).
    `constraints` hold at points of their own: observations, means, differences. Without equations these are data that
    a function is to be fitted to, and they name the unknowns: `observe(points, values, of="v")`, by default u.
    `scalars` are the unknown numbers that equations name beside the unknown functions. `units` of coordinates and
    unknowns are written in pictures: `units={"x": "m", "u": "K"}`.
    `name`, `description`, `arguments` and `origin`, a hash of its text and of these, are filled in from the file that a
    problem was loaded from.
    Raises KanpdeError for neither equations nor constraints, for an equation without unknowns, for a condition or
    constraint on an unknown that no equation has, for a name that two of them share, for a scalar that no equation
    reads or that there are no data for, for a constraint that does not fit the geometry, and for a periodic coordinate
    that is not one of a box or has other conditions on its faces.
    """

    geometry: Geometry
    equations: Mapping[str, Equation] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    reference: Reference | None = None
    constraints: Mapping[str, Constraint] = field(default_factory=dict)
    scalars: Mapping[str, Scalar] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    name: str = "problem"
    description: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""

    def __post_init__(self) -> None:
        if not self.equations and not self.constraints:
            raise KanpdeError(
                f"problem '{self.name}' has no equations: give equations={{'name': function}}, or only data to fit,"
                " constraints={'data': observe(points, values)}."
            )
        self._check_scalars()
        for name in self.units:
            if name not in (*self.geometry.names, *self.names):
                raise unknown_name("name in units:", name, (*self.geometry.names, *self.names))
        for label, condition in self.conditions.items():
            if isinstance(condition, Periodic):
                self._check_periodic(label, condition)
                continue
            if isinstance(condition, BoundaryEquation):
                self._places(condition.equation, label)
            else:
                self.unknown_of(label, condition)
            self.geometry.boundary(condition.where)
        for label, constraint in self.constraints.items():
            if label in self.conditions:
                raise KanpdeError(f"'{label}' names a condition and a constraint: give them two names.")
            self._about(label, constraint)
            constraint.groups(self.geometry)

    def _check_scalars(self) -> None:
        for name in self.scalars:
            if name not in self._named:
                raise KanpdeError(f"no equation reads the unknown scalar '{name}': name it as an argument of one.")
        if not self.unknowns:
            raise KanpdeError("the equations name scalars only: name an unknown function in one of them.")
        if self.scalars and not self.constraints:
            raise KanpdeError(
                f"the scalar '{next(iter(self.scalars))}' is unknown and there are no data to find it from: give"
                " constraints={...} with observe(points, values)."
            )

    def require_complete(self) -> None:
        """Raise KanpdeError for what can be described, but not solved.

        That is fewer equations than unknown functions without data, and a reference that is none. Data are constraints,
        equations on the boundary, and a second condition on an unknown in one place.
        """
        if not (self.reference is None or isinstance(self.reference, Reference)):
            kind = type(self.reference).__name__
            raise KanpdeError(f"the reference is a {kind}: give one of kanpde.reference, such as exact(function).")
        if len(self.equations) >= len(self.unknowns) or self.constraints:
            return
        places = [(c.where, c.unknown) for c in self.conditions.values()]
        if len(set(places)) < len(places) or any(isinstance(c, BoundaryEquation) for c in self.conditions.values()):
            return
        listed = ", ".join(self.unknowns)
        raise KanpdeError(
            f"{len(self.equations)} equations for the unknowns {listed}, and there are no data to find the others from:"
            " give constraints={...} with observe(points, values), or more equations."
        )

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

    def fixed(self, **values: float) -> Problem:
        """Return the problem for one value of each parameter, without reference: `problem.fixed(nu=0.05)`.

        Raises KanpdeError for values of other names, and for constraints, which may hold at other values.
        """
        if set(values) != set(self.geometry.parameters):
            listed = ", ".join(self.geometry.parameters) or "none"
            raise KanpdeError(f"fixed({shown(values)}): give a value of each parameter, {listed}.")
        if not values:
            return self
        if self.constraints:
            raise KanpdeError(
                f"fixed({shown(values)}): the constraint '{next(iter(self.constraints))}' may hold at other values."
            )

        def at_values(item: Any) -> Any:
            if not callable(item):
                return item

            @wraps(item)
            def there(*arguments: Any) -> Any:
                *before, at = arguments
                like = getattr(at, at.names[0])
                constants = {name: torch.full_like(like, value) for name, value in values.items()}
                return item(*before, at.moved(**constants))

            return there

        def part(condition: Condition) -> Condition:
            data = {f.name: at_values(getattr(condition, f.name)) for f in fields(condition)}
            return replace(condition, **data)

        return replace(
            self,
            geometry=without_parameters(self.geometry),
            equations={label: at_values(equation) for label, equation in self.equations.items()},
            conditions={label: part(condition) for label, condition in self.conditions.items()},
            reference=None,
        )

    @cached_property
    def unknowns(self) -> tuple[str, ...]:
        """The names of the unknown functions, in the order in which equations, or else constraints, name them."""
        return tuple(name for name in self._named if name not in self.scalars)

    @cached_property
    def _named(self) -> tuple[str, ...]:
        """What equations name, or constraints where there are none."""
        about = {label: constraint.of for label, constraint in self.constraints.items() if constraint.of is not None}
        names: dict[str, None] = {}
        for label, function in (self.equations or about).items():
            names.update(dict.fromkeys(arguments_of(function, label) if callable(function) else (function,)))
        return tuple(names) if names or self.equations else (ONLY_UNKNOWN,)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the unknown functions and then of the unknown scalars."""
        return (*self.unknowns, *self.scalars)

    def fields(self, indices: IndexSet, u: Tensor) -> list[Field]:
        """Return Taylor coefficients (C, N, U) as fields in the order of `names`.

        Where only those of the functions are given, as by a reference, scalars have their exact values. Raises
        KanpdeError for one that is not known.
        """
        columns = list(u.unbind(dim=-1))
        if len(columns) not in (len(self.unknowns), len(self.names)):
            raise KanpdeError(
                f"there are {len(columns)} solutions for the unknowns {', '.join(self.unknowns)}: give one per unknown,"
                " in this order."
            )
        for name, value in list(self.scalars.items())[len(columns) - len(self.unknowns) :]:
            if value.exact is None:
                raise KanpdeError(
                    f"the exact value of the scalar '{name}' is not known: give scalar(start, exact=...)."
                )
            constant = torch.zeros_like(u[..., 0])
            constant[0] = value.exact
            columns.append(constant)
        return [Field.of(name, indices, column) for name, column in zip(self.names, columns, strict=True)]

    @cached_property
    def periodic(self) -> tuple[str, ...]:
        """The names of the periodic coordinates, in the order of the coordinates."""
        named = {condition.where for condition in self.conditions.values() if isinstance(condition, Periodic)}
        return tuple(name for name in self.geometry.names if name in named)

    def unknown_of(self, label: str, condition: Condition) -> int:
        """Return the position of the unknown that a condition is about."""
        return self._place(f"condition '{label}'", condition.unknown, "unknown=")

    def residual_function(self, label: str) -> Equation:
        """Return an equation or condition as a function of the fields of all `names`, then `at`; returns (N,).

        Of a constraint it is what its rows sum.
        """
        if label in self.equations:
            return self._function(self.equations[label], label)
        if label in self.constraints:
            return self._about(label, self.constraints[label])
        condition = self.conditions[label]
        if isinstance(condition, BoundaryEquation):
            return self._function(condition.equation, label)
        u = 0 if isinstance(condition, Periodic) else self.unknown_of(label, condition)
        return lambda *fields: condition.residual(fields[u], fields[-1])

    def _function(self, equation: Equation, label: str) -> Equation:
        """Return a function of the unknowns that its arguments name as one of all unknowns."""
        places = self._places(equation, label)

        def function(*fields: Any) -> Tensor:
            if len(fields) <= max(places) + 1:
                unknown = ", ".join(self.scalars)
                raise KanpdeError(f"'{label}' reads the scalars {unknown}, which are unknown here and trained.")
            return value_of(equation(*(fields[i] for i in places), fields[-1]))

        return function

    def _about(self, label: str, constraint: Constraint) -> Equation:
        """Return what a constraint is about as a function of all unknowns."""
        if callable(constraint.of):
            return self._function(constraint.of, label)
        u = self._place(f"constraint '{label}'", constraint.of, "of=")
        return lambda *fields: fields[u].value

    def _place(self, what: str, name: str | None, argument: str) -> int:
        """Return the position of an unknown that may go without a name if it is the only one."""
        if name is None and len(self.unknowns) > 1:
            raise KanpdeError(
                f"{what} does not say which unknown it is about: give {argument} one of {', '.join(self.unknowns)}."
            )
        name = name or self.unknowns[0]
        if name not in self.unknowns:
            raise unknown_name(f"field in {what}:", name, self.unknowns)
        return self.unknowns.index(name)

    def _places(self, equation: Equation, label: str) -> list[int]:
        """Return the positions of the unknowns that a function names."""
        names = arguments_of(equation, label)
        for name in names:
            if name not in self.names:
                raise unknown_name(f"field in '{label}':", name, self.names)
        return [self.names.index(name) for name in names]

    def derivatives(self, labels: tuple[str, ...], at: Points) -> set[MultiIndex]:
        """Return the partial derivatives that some equations or conditions ask for."""
        asked: set[MultiIndex] = set()
        for label in labels:
            indices, _ = derivatives_asked(self.residual_function(label), self.names, at, f"'{label}'")
            asked |= indices
        return asked

    @cached_property
    def indices(self) -> IndexSet:
        """The derivatives that the equations ask for, closed downwards; without equations those of constraints."""
        labels = tuple(self.equations or self.constraints)
        return IndexSet(self.geometry.names, self.derivatives(labels, self.middle()))

    @cached_property
    def affine(self) -> bool:
        """Whether all equations are affine in the unknowns, judged by r(u) + r(v) = 2 r((u + v) / 2) at random u, v.

        Without equations, whether the constraints are. With labels of classes nothing is.
        """
        if not all(constraint.affine for constraint in self.constraints.values()):
            return False
        at = self.middle()
        generator = torch.Generator().manual_seed(0)
        u, v = torch.randn(2, len(self.indices), len(at), len(self.names), generator=generator, dtype=torch.float64)
        for label in self.equations or self.constraints:
            function = self.residual_function(label)

            def residual(channels: Tensor, function: Equation = function) -> Tensor:
                return function(*self.fields(self.indices, channels), at)

            ru, rv, middle = residual(u), residual(v), residual((u + v) / 2)
            if not bool(((ru + rv - 2 * middle).abs() <= 1e-10 * (ru.abs() + rv.abs() + 1)).all()):
                return False
        return True

    @cached_property
    def data(self) -> int:
        """The number of rows of all constraints."""
        return sum(len(constraint.groups(self.geometry).values) for constraint in self.constraints.values())

    def divided(self) -> tuple[Problem, Problem]:
        """Return what to train on and what to hold out: a part of the observations each, where there are no equations.

        With equations both are the problem itself, whose residuals can be had at any points.
        """
        if self.equations:
            return self, self
        pairs = {label: constraint.divided() for label, constraint in self.constraints.items()}
        one, other = ({label: pair[i] for label, pair in pairs.items()} for i in (0, 1))
        return replace(self, constraints=one), replace(self, constraints=other)

    @property
    def order(self) -> int:
        """The order of the highest derivative in the equations, or in the constraints where there are none."""
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
