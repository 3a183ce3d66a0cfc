"""Calls with settings that a user gave: names and types are checked against the signature, which holds the defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from kanpde.errors import KanpdeError, unknown_name

T = TypeVar("T")


def defaults(function: Callable[..., Any], what: str) -> dict[str, Any]:
    """Return the arguments of a function or dataclass with their defaults.

    Raises KanpdeError for an argument without a default.
    """
    parameters = inspect.signature(function).parameters
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty:
            raise KanpdeError(f"{what}: the argument '{name}' has no default: write {name}=value in its signature.")
    return {name: parameter.default for name, parameter in parameters.items()}


def call(function: Callable[..., T], what: str, arguments: Mapping[str, Any]) -> T:
    """Call a function or dataclass with checked arguments; lists become tuples, integers floats where that is asked.

    Raises KanpdeError for an unknown argument and for a value of another type than the argument's.
    """
    known = defaults(function, what)
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    checked = {}
    for name, value in arguments.items():
        if name not in known:
            listed = ", ".join(f"{key}={default!r}" for key, default in known.items()) or "none"
            raise KanpdeError(f"{unknown_name(f'argument of {what}:', name, known)} Defaults: {listed}.")
        hint = hints.get(name, Any if known[name] is None else type(known[name]))
        try:
            checked[name] = coerce(value, hint)
        except TypeError:
            kind = hint.__name__ if isinstance(hint, type) else str(hint).replace("collections.abc.", "")
            raise KanpdeError(
                f"{what}: {name}={value!r} is not of type {kind} (default {known[name]!r}): give another value."
            ) from None
    return function(**checked)


def coerce(value: Any, hint: Any) -> Any:
    """Return a value as the type of a hint; raise TypeError if it is none. Other hints than plain data let all pass."""
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        for option in options:
            try:
                return coerce(value, option)
            except TypeError:
                continue
        raise TypeError
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (bool, int, float, str, NoneType):
        if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
            raise TypeError
        return value
    if origin in (tuple, list, Sequence) or hint in (tuple, list):
        if not isinstance(value, (list, tuple)):
            raise TypeError
        if not options:
            return tuple(value)
        if origin is not tuple or options[-1] is Ellipsis:
            return tuple(coerce(entry, options[0]) for entry in value)
        if len(options) != len(value):
            raise TypeError
        return tuple(coerce(entry, option) for entry, option in zip(value, options, strict=True))
    return value
