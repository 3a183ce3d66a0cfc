"""Fields: a value at points together with its named partial derivatives, whoever computed them.

Equations are written against fields, so one equation serves training, the check with an exact solution and the
error report (the idea of scikit-fem's `DiscreteField`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.multiindex import IndexSet, MultiIndex, parse, spell


class Points:
    """Coordinates of N points by name, as `at.x`; on a boundary also the outward unit normal (N, d)."""

    def __init__(self, names: tuple[str, ...], coordinates: Mapping[str, Tensor], normal: Tensor | None = None):
        self.names = names
        self._coordinates = dict(coordinates)
        self._normal = normal

    @classmethod
    def of(cls, names: tuple[str, ...], array: Tensor, normal: Tensor | None = None) -> Points:
        """Return the points of an array (point, coordinate)."""
        return cls(names, {name: array[:, i] for i, name in enumerate(names)}, normal)

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._coordinates[name]
        except KeyError:
            raise KanpdeError(f"unknown coordinate '{name}': the coordinates are {', '.join(self.names)}.") from None

    def __len__(self) -> int:
        return len(self._coordinates[self.names[0]])

    @property
    def normal(self) -> Tensor:
        """The outward unit normal (N, d)."""
        if self._normal is None:
            raise KanpdeError("a normal was asked for at points that are not on a boundary.")
        return self._normal

    def array(self) -> Tensor:
        """Return the coordinates as one array (point, coordinate)."""
        return torch.stack([self._coordinates[name] for name in self.names], dim=1)

    def part(self, where: slice | Tensor) -> Points:
        """Return some of the points."""
        normal = None if self._normal is None else self._normal[where]
        return Points(self.names, {name: x[where] for name, x in self._coordinates.items()}, normal)

    def moved(self, **coordinates: Tensor) -> Points:
        """Return the points with some coordinates replaced."""
        return Points(self.names, {**self._coordinates, **coordinates}, self._normal)


def called(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function; whatever it raises becomes one line that says which function and where."""
    try:
        return function(*arguments)
    except KanpdeError:
        raise
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        raise KanpdeError(f"{name} failed at {where}: {type(error).__name__}: {error}") from error


def evaluate(function: Callable[[Points], Any] | float, at: Points) -> Tensor:
    """Return a user's function of the points, or a constant, as a tensor (N,).

    Raises KanpdeError if the function returns another shape.
    """
    like = getattr(at, at.names[0])
    name = getattr(function, "__name__", "a function")
    value = called(name, function, at) if callable(function) else function
    if not isinstance(like, Tensor):  # expressions, which are asked for by the functions of torch only
        return torch.zeros_like(like) + value
    value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if value.dim() == 0:
        return value.expand(like.shape)
    if value.shape != like.shape:
        raise KanpdeError(
            f"{name} returned shape {tuple(value.shape)} at {len(like)} points:"
            f" return one value per point, shape ({len(like)},)."
        )
    return value


class Field:
    """An unknown at N points. Used as a tensor it is its value; `d("xy")` is a partial derivative.

    `lookup` returns the derivative D^a as a tensor (N,) for a multi-index a.
    """

    def __init__(self, name: str, names: tuple[str, ...], lookup: Callable[[MultiIndex], Tensor]) -> None:
        self.name = name
        self.names = names
        self._lookup = lookup

    @classmethod
    def of(cls, name: str, indices: IndexSet, channels: Tensor) -> Field:
        """Return the field of Taylor coefficients (channel, point)."""

        def lookup(index: MultiIndex) -> Tensor:
            if index not in indices.position:
                raise KanpdeError(f"{name}.d('{spell(index, indices.names)}') was not computed at these points.")
            c = indices.position[index]
            return channels[c] if indices.factorials[c] == 1 else channels[c] * indices.factorials[c]

        return cls(name, indices.names, lookup)

    @property
    def value(self) -> Tensor:
        """The values (N,)."""
        return self._lookup((0,) * len(self.names))

    def d(self, derivative: str) -> Tensor:
        """Return a partial derivative (N,), named by coordinates: `u.d("xx")`, `u.d("xt")`.

        Raises KanpdeError for a coordinate that the problem does not have.
        """
        return self._lookup(parse(derivative, self.names))

    def gradient(self, names: tuple[str, ...]) -> Tensor:
        """Return the first derivatives along `names` (N, len(names))."""
        return torch.stack([self.d(name) for name in names], dim=1)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        named = {name: values_in(value) for name, value in (kwargs or {}).items()}
        return function(*map(values_in, args), **named)

    def __add__(self, other: Any) -> Tensor:
        return self.value + value_of(other)

    def __sub__(self, other: Any) -> Tensor:
        return self.value - value_of(other)

    def __rsub__(self, other: Any) -> Tensor:
        return value_of(other) - self.value

    def __mul__(self, other: Any) -> Tensor:
        return self.value * value_of(other)

    def __truediv__(self, other: Any) -> Tensor:
        return self.value / value_of(other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return value_of(other) / self.value

    def __pow__(self, exponent: Any) -> Tensor:
        return self.value**exponent

    def __neg__(self) -> Tensor:
        return -self.value

    __radd__ = __add__
    __rmul__ = __mul__


def value_of(operand: Any) -> Any:
    """Return the values of a field, and anything else as it is."""
    return operand.value if isinstance(operand, Field) else operand


def values_in(operand: Any) -> Any:
    """Return `value_of` an operand, or of each entry of a list or tuple, as `torch.stack([u, v])` has it."""
    return type(operand)(map(value_of, operand)) if type(operand) in (list, tuple) else value_of(operand)


def derivatives_asked(
    function: Callable[..., Any], unknowns: tuple[str, ...], at: Points, label: str
) -> tuple[set[MultiIndex], set[str]]:
    """Call an equation once on fields of random values; return the derivatives it asks for and the fields it reads.

    Raises KanpdeError if the result is not one value per point.
    """
    asked: set[MultiIndex] = set()
    read: set[str] = set()
    like = getattr(at, at.names[0])
    values: dict[tuple[str, MultiIndex], Tensor] = {}

    def probe(name: str) -> Field:
        def lookup(index: MultiIndex) -> Tensor:
            asked.add(index)
            read.add(name)
            if (name, index) not in values:
                generator = torch.Generator().manual_seed(len(values) + 1)
                random = 0.5 + torch.rand(like.shape, generator=generator, dtype=like.dtype)
                values[name, index] = random.to(like.device)
            return values[name, index]

        return Field(name, at.names, lookup)

    result = value_of(called(label, function, *(probe(name) for name in unknowns), at))
    if not isinstance(result, Tensor) or result.shape != like.shape:
        shape = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
        raise KanpdeError(
            f"{label} returned {shape} at {len(like)} points: return one residual per point, shape ({len(like)},)."
        )
    return asked, read


def taylor_coefficients(function: Callable[[Points], Any] | float, at: Points, indices: IndexSet) -> Tensor:
    """Return the Taylor coefficients (channel, point) of a function of the points, by nested autograd.

    For functions that no parameter enters: lifts, exact solutions. They are computed once per point set.
    """
    columns = {name: getattr(at, name).detach().clone().requires_grad_() for name in at.names}
    if not callable(function):
        values = evaluate(function, at)
        return torch.cat([values[None], values.new_zeros(len(indices) - 1, len(values))])
    with torch.enable_grad():
        derivatives = {indices.indices[0]: evaluate(function, at.moved(**columns))}
        for index in indices.indices[1:]:
            axis = next(i for i, n in enumerate(index) if n)
            lower = derivatives[tuple(n - (i == axis) for i, n in enumerate(index))]
            if lower.requires_grad:
                (derivative,) = torch.autograd.grad(
                    lower.sum(), columns[at.names[axis]], create_graph=True, materialize_grads=True
                )
            else:
                derivative = torch.zeros_like(lower)
            derivatives[index] = derivative
    return torch.stack([derivatives[a].detach() / f for a, f in zip(indices.indices, indices.factorials, strict=True)])
