"""Expressions where tensors are expected.

`Symbolic` stands where a tensor of N points stands, with expressions in the place of numbers and one point that stands
for all. It takes part in torch functions by `__torch_function__`, as fields do, so `sin(pi * at.y**2)` and `u.d("xx")`
are what they are for tensors. Floats become the exact numbers that they stand for where these can be seen
(`constants.stated`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Field
from kanpde.interpret.constants import stated

GUARD = 1e-100
"""A number below keeps programs from dividing by zero, and is no part of a formula."""
MOST_NUMBERS = 64
"""Numbers of a tensor up to which it is a constant of a formula, and no table."""


class Symbolic:
    """An array of expressions: shape (1,) where a tensor has (N,), (1, k) where it has (N, k).

    Raises KanpdeError for what has no expression: it names the torch function, or says what was asked.
    """

    __array_ufunc__ = None  # numpy leaves operators to this class
    dtype = torch.float64
    device = torch.device("cpu")
    is_sparse = False
    requires_grad = False

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array, dtype=object)

    @property
    def expression(self) -> sympy.Expr:
        """The expression of one value per point; KanpdeError for more than that."""
        if self.array.size != 1:
            raise KanpdeError(f"{self.array.size} values per point where one was wanted: return one.")
        return self.array.flat[0]

    @property
    def shape(self) -> torch.Size:
        """The shape, with one point."""
        return torch.Size(self.array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.array.ndim

    @property
    def T(self) -> Symbolic:
        """The transpose."""
        return Symbolic(self.array.T)

    def dim(self) -> int:
        """Return the number of axes."""
        return self.array.ndim

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        return f"Symbolic({self.array.tolist()})"

    def __getitem__(self, where: Any) -> Symbolic:
        if isinstance(where, Symbolic) or (isinstance(where, tuple) and any(isinstance(w, Symbolic) for w in where)):
            raise KanpdeError("indexing by a condition has no formula: use torch.where(condition, value, other).")
        return Symbolic(self.array[where])

    def __iter__(self) -> Any:
        return (Symbolic(row) for row in self.array)

    def __bool__(self) -> bool:
        value = self.expression
        if value in (sympy.true, sympy.false):
            return bool(value)
        if isinstance(value, sympy.Expr) and value.is_number:
            return value != 0
        raise KanpdeError(f"whether {value} cannot be said of symbols: use torch.where(condition, value, other).")

    def __float__(self) -> float:
        value = self.expression
        if not value.is_number:
            raise KanpdeError(f"a number was asked for where there is the expression {value}: use functions of torch.")
        return float(value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        function = function_named(name)
        return lambda *args, **kwargs: function(self, *args, **kwargs)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return function_named(function.__name__)(*args, **(kwargs or {}))

    def __add__(self, other: Any) -> Symbolic:
        return Symbolic(self.array + array_of(other))

    def __sub__(self, other: Any) -> Symbolic:
        return Symbolic(self.array - array_of(other))

    def __rsub__(self, other: Any) -> Symbolic:
        return Symbolic(array_of(other) - self.array)

    def __mul__(self, other: Any) -> Symbolic:
        return Symbolic(self.array * array_of(other))

    def __truediv__(self, other: Any) -> Symbolic:
        return Symbolic(self.array / array_of(other))

    def __rtruediv__(self, other: Any) -> Symbolic:
        return Symbolic(array_of(other) / self.array)

    def __pow__(self, other: Any) -> Symbolic:
        return Symbolic(self.array ** array_of(other))

    def __rpow__(self, other: Any) -> Symbolic:
        return Symbolic(array_of(other) ** self.array)

    def __mod__(self, other: Any) -> Symbolic:
        return entrywise(sympy.Mod)(self, other)

    def __neg__(self) -> Symbolic:
        return Symbolic(-self.array)

    def __pos__(self) -> Symbolic:
        return self

    def __abs__(self) -> Symbolic:
        return entrywise(sympy.Abs)(self)

    def __lt__(self, other: Any) -> Symbolic:
        return entrywise(sympy.Lt)(self, other)

    def __le__(self, other: Any) -> Symbolic:
        return entrywise(sympy.Le)(self, other)

    def __gt__(self, other: Any) -> Symbolic:
        return entrywise(sympy.Gt)(self, other)

    def __ge__(self, other: Any) -> Symbolic:
        return entrywise(sympy.Ge)(self, other)

    def __eq__(self, other: Any) -> Symbolic:  # type: ignore[override]
        return entrywise(sympy.Eq)(self, other)

    def __ne__(self, other: Any) -> Symbolic:  # type: ignore[override]
        return entrywise(sympy.Ne)(self, other)

    def __and__(self, other: Any) -> Symbolic:
        return entrywise(sympy.And)(self, other)

    def __or__(self, other: Any) -> Symbolic:
        return entrywise(sympy.Or)(self, other)

    def __invert__(self) -> Symbolic:
        return entrywise(sympy.Not)(self)

    def __matmul__(self, other: Any) -> Symbolic:
        return Symbolic(self.array @ array_of(other))

    def __rmatmul__(self, other: Any) -> Symbolic:
        return Symbolic(array_of(other) @ self.array)

    __radd__ = __add__
    __rmul__ = __mul__
    __rand__ = __and__
    __ror__ = __or__
    __hash__ = object.__hash__

    def new_tensor(self, data: Any, **_: Any) -> Symbolic:
        """Return constants, as tensors of this kind."""
        return Symbolic(array_of(data))


def number(value: Any) -> sympy.Basic:
    """Return what stands for a number of a program in a formula."""
    if isinstance(value, sympy.Basic):
        return value
    if isinstance(value, (bool, np.bool_)):
        return sympy.true if value else sympy.false
    if isinstance(value, (int, np.integer)):
        return sympy.Integer(int(value))
    if isinstance(value, (float, np.floating)):
        return sympy.Integer(0) if abs(value) < GUARD else stated(float(value))
    raise KanpdeError(f"{type(value).__name__} has no place in a formula: use numbers, coordinates and unknowns.")


def array_of(value: Any) -> np.ndarray:
    """Return numbers, tensors, fields and lists of them as an array of expressions."""
    if isinstance(value, Symbolic):
        return value.array
    if isinstance(value, Field):
        return array_of(value.value)
    if isinstance(value, (list, tuple)):
        return np.stack([array_of(entry) for entry in value])
    if isinstance(value, (Tensor, np.ndarray)):
        entries = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
        if entries.dtype != object and entries.size > MOST_NUMBERS:
            raise KanpdeError(
                f"a table of {entries.size} numbers has no formula: write it as a function of coordinates."
            )
        return np.asarray(np.frompyfunc(number, 1, 1)(entries), dtype=object)
    return np.asarray(number(value), dtype=object)


def entrywise(function: Callable[..., sympy.Basic]) -> Callable[..., Symbolic]:
    """Return a function of expressions as one of arrays of them."""

    def of_arrays(*operands: Any) -> Symbolic:
        return Symbolic(np.frompyfunc(function, len(operands), 1)(*map(array_of, operands)))

    return of_arrays


def piecewise(condition: sympy.Basic, value: sympy.Expr, other: sympy.Expr) -> sympy.Expr:
    """Return `value` where a condition holds, and `other` elsewhere."""
    return sympy.Piecewise((value, condition), (other, True))


def larger(x: sympy.Expr, y: sympy.Expr) -> sympy.Expr:
    """Return the larger of two expressions, whose derivatives are those of either."""
    return sympy.Max(x, y) if x.is_number and y.is_number else piecewise(sympy.Ge(x, y), x, y)


def smaller(x: sympy.Expr, y: sympy.Expr) -> sympy.Expr:
    """Return the smaller of two expressions, whose derivatives are those of either."""
    return sympy.Min(x, y) if x.is_number and y.is_number else piecewise(sympy.Le(x, y), x, y)


def clamp(x: Any, min: Any = None, max: Any = None) -> Symbolic:
    """`torch.clamp`."""
    x = Symbolic(array_of(x))
    x = x if min is None else entrywise(larger)(x, min)
    return x if max is None else entrywise(smaller)(x, max)


def along(reduce: Callable[..., Any]) -> Callable[..., Symbolic]:
    """Return a reduction of numpy as one of torch."""

    def reduced(x: Any, dim: Any = None, keepdim: bool = False) -> Symbolic:
        return Symbolic(reduce(array_of(x), axis=tuple(dim) if isinstance(dim, list) else dim, keepdims=keepdim))

    return reduced


def joined(join: Callable[..., Any]) -> Callable[..., Symbolic]:
    """Return a function that joins arrays along an axis as one of torch; shapes are made alike first."""

    def of_list(arrays: Any, dim: int = 0) -> Symbolic:
        found = [array_of(array) for array in arrays]
        if join is np.stack:
            found = list(np.broadcast_arrays(*found))
        return Symbolic(join(found, axis=dim))

    return of_list


def decided(every: bool) -> Callable[..., Symbolic]:
    """Return `torch.all` or `torch.any` of what holds at every point.

    An expression that is not 0 as such differs from 0 somewhere.
    """

    def over_points(x: Any) -> Symbolic:
        parts = [sympy.true if not every and isinstance(p, sympy.Ne) else p for p in array_of(x).flat]
        return Symbolic((sympy.And if every else sympy.Or)(*parts))

    return over_points


def shaped(x: Any, *shape: Any) -> Symbolic:
    """`reshape`, `view` and `expand`, to a shape or to that of another."""
    wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list, torch.Size)) else shape
    return Symbolic(array_of(x).reshape(tuple(wanted)))


def constant_like(value: Any) -> Callable[..., Symbolic]:
    """Return `torch.zeros_like` or `torch.ones_like`."""
    return lambda x, **_: Symbolic(np.full(array_of(x).shape, sympy.sympify(value, strict=True), dtype=object))


def full_like(x: Any, value: Any, **_: Any) -> Symbolic:
    """`torch.full_like`."""
    return Symbolic(np.broadcast_to(array_of(value), array_of(x).shape))


def unchanged(x: Any, *_: Any, **__: Any) -> Any:
    """Return what torch copies, moves or detaches as it is."""
    return x


INVERSE = ("asin", "acos", "atan", "asinh", "acosh", "atanh")
ONE_TO_ONE: dict[str, Callable[..., Any]] = {
    **{name: getattr(sympy, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt")},
    **{name: getattr(sympy, name) for name in ("erf", "erfc", "erfinv", *INVERSE)},
    **{f"arc{name[1:]}": getattr(sympy, name) for name in INVERSE},
    "abs": sympy.Abs,
    "absolute": sympy.Abs,
    "sign": sympy.sign,
    "sgn": sympy.sign,
    "floor": sympy.floor,
    "ceil": sympy.ceiling,
    "frac": sympy.frac,
    "exp2": lambda x: 2**x,
    "expm1": lambda x: sympy.exp(x) - 1,
    "log2": lambda x: sympy.log(x) / sympy.log(2),
    "log10": lambda x: sympy.log(x) / sympy.log(10),
    "log1p": lambda x: sympy.log(1 + x),
    "rsqrt": lambda x: 1 / sympy.sqrt(x),
    "square": lambda x: x**2,
    "reciprocal": lambda x: 1 / x,
    "neg": lambda x: -x,
    "negative": lambda x: -x,
    "positive": lambda x: x,
    "sinc": lambda x: piecewise(sympy.Ne(x, 0), sympy.sin(sympy.pi * x) / (sympy.pi * x), sympy.Integer(1)),
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "expit": lambda x: 1 / (1 + sympy.exp(-x)),
    "relu": lambda x: larger(x, sympy.Integer(0)),
    "deg2rad": lambda x: x * sympy.pi / 180,
    "rad2deg": lambda x: x * 180 / sympy.pi,
    "lgamma": sympy.loggamma,
    "gammaln": sympy.loggamma,
    "digamma": sympy.digamma,
    "psi": sympy.digamma,
    "bessel_j0": lambda x: sympy.besselj(0, x),
    "bessel_j1": lambda x: sympy.besselj(1, x),
    "bessel_y0": lambda x: sympy.bessely(0, x),
    "bessel_y1": lambda x: sympy.bessely(1, x),
    "modified_bessel_i0": lambda x: sympy.besseli(0, x),
    "modified_bessel_i1": lambda x: sympy.besseli(1, x),
    "modified_bessel_k0": lambda x: sympy.besselk(0, x),
    "modified_bessel_k1": lambda x: sympy.besselk(1, x),
    "i0": lambda x: sympy.besseli(0, x),
    "i1": lambda x: sympy.besseli(1, x),
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "subtract": lambda x, y: x - y,
    "rsub": lambda x, y: y - x,
    "mul": lambda x, y: x * y,
    "multiply": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "divide": lambda x, y: x / y,
    "true_divide": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "rpow": lambda x, y: y**x,
    "float_power": lambda x, y: x**y,
    "remainder": sympy.Mod,
    "hypot": lambda x, y: sympy.sqrt(x**2 + y**2),
    "atan2": sympy.atan2,
    "arctan2": sympy.atan2,
    "maximum": larger,
    "minimum": smaller,
    "fmax": larger,
    "fmin": smaller,
    "clamp_min": larger,
    "clamp_max": smaller,
    "xlogy": lambda x, y: x * sympy.log(y),
    "logaddexp": lambda x, y: sympy.log(sympy.exp(x) + sympy.exp(y)),
    "heaviside": lambda x, y: sympy.Piecewise((0, x < 0), (y, sympy.Eq(x, 0)), (1, True)),
    "lerp": lambda x, y, w: x + w * (y - x),
    "where": piecewise,
    "lt": sympy.Lt,
    "le": sympy.Le,
    "gt": sympy.Gt,
    "ge": sympy.Ge,
    "eq": sympy.Eq,
    "ne": sympy.Ne,
    "less": sympy.Lt,
    "greater": sympy.Gt,
    "logical_and": sympy.And,
    "logical_or": sympy.Or,
    "logical_not": sympy.Not,
    "bitwise_and": sympy.And,
    "bitwise_or": sympy.Or,
    "bitwise_not": sympy.Not,
    "and": sympy.And,
    "or": sympy.Or,
}
"""The value at a point from values at the point, by the names of torch functions and methods."""
OF_ARRAYS: dict[str, Callable[..., Any]] = {
    "clamp": clamp,
    "clip": clamp,
    "softplus": lambda x: entrywise(lambda z: sympy.log(1 + sympy.exp(z)))(x),
    "softmax": lambda x, dim: entrywise(sympy.exp)(x) / along(np.sum)(entrywise(sympy.exp)(x), dim, True),
    "sum": along(np.sum),
    "prod": along(np.prod),
    "mean": along(np.mean),
    "cumsum": lambda x, dim: Symbolic(np.cumsum(array_of(x), axis=dim)),
    "dot": lambda x, y: Symbolic(array_of(x) @ array_of(y)),
    "matmul": lambda x, y: Symbolic(array_of(x) @ array_of(y)),
    "all": decided(True),
    "any": decided(False),
    "stack": joined(np.stack),
    "cat": joined(np.concatenate),
    "concat": joined(np.concatenate),
    "concatenate": joined(np.concatenate),
    "unbind": lambda x, dim=0: tuple(Symbolic(part) for part in np.moveaxis(array_of(x), dim, 0)),
    "unsqueeze": lambda x, dim: Symbolic(np.expand_dims(array_of(x), dim)),
    "squeeze": lambda x, dim=None: Symbolic(np.squeeze(array_of(x), axis=dim)),
    "reshape": shaped,
    "view": shaped,
    "flatten": lambda x: Symbolic(array_of(x).flatten()),
    "t": lambda x: Symbolic(array_of(x).T),
    "size": lambda x, dim=None: array_of(x).shape if dim is None else array_of(x).shape[dim],
    "expand_as": lambda x, y: Symbolic(np.broadcast_to(array_of(x), array_of(y).shape)),
    "zeros_like": constant_like(0),
    "ones_like": constant_like(1),
    "full_like": full_like,
    "clone": unchanged,
    "detach": unchanged,
    "contiguous": unchanged,
    "to": unchanged,
    "type_as": unchanged,
    "double": unchanged,
    "item": float,
}
"""Functions of whole arrays, by the names of torch functions and methods."""


def function_named(name: str) -> Callable[..., Any]:
    """Return what a torch function or method does with expressions; raise KanpdeError if that is not known."""
    plain = name.strip("_").removeprefix("special_")
    if plain in ONE_TO_ONE:
        return entrywise(ONE_TO_ONE[plain])
    if plain in OF_ARRAYS:
        return OF_ARRAYS[plain]
    raise KanpdeError(f"the torch function '{plain}' has no formula here: write it with elementary functions.")
