"""A problem's own functions on symbols: equations, conditions and data, written for tensors, as sympy expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy

from kanpde.errors import KanpdeError
from kanpde.field import Field, Points, called, evaluate
from kanpde.geometry import Geometry
from kanpde.interpret.constants import stated
from kanpde.interpret.symbolic import Symbolic, array_of
from kanpde.multiindex import MultiIndex, spell
from kanpde.problem import Problem
from kanpde.reference.exact import Exact


def coordinates(geometry: Geometry) -> dict[str, sympy.Symbol]:
    """Return real symbols for the coordinates of a domain by name, positive or not negative where they are."""

    def symbol(name: str, least: float) -> sympy.Symbol:
        sign = {"positive": True} if least > 0 else {"nonnegative": True} if least == 0 else {}
        return sympy.Symbol(name, real=True, **sign)

    return {name: symbol(name, least) for name, least in zip(geometry.names, geometry.lower, strict=True)}


def symbolic_points(at: Mapping[str, sympy.Expr], normal: tuple[sympy.Expr, ...] | None = None) -> Points:
    """Return a point with these coordinates that stands for all; on a boundary with the outward unit normal."""
    columns: dict[str, Any] = {name: Symbolic([x]) for name, x in at.items()}
    return Points(tuple(at), columns, None if normal is None else Symbolic([list(normal)]))  # type: ignore[arg-type]


def trace(function: Callable[[Points], Any] | float, at: Points) -> sympy.Expr:
    """Return a function of the points, or a constant, as an expression.

    Raises KanpdeError for what cannot be written as one.
    """
    return Symbolic(array_of(evaluate(function, at))).expression


def trace_equation(
    problem: Problem, label: str, at: Points, field: Callable[[str, MultiIndex], sympy.Expr]
) -> sympy.Expr:
    """Return the residual of an equation, condition or what a constraint sums, as an expression.

    `field` gives the derivative of an unknown, by its name and multi-index.
    """

    def lookup(name: str) -> Callable[[MultiIndex], Any]:
        return lambda index: Symbolic([field(name, index)])

    fields = [Field(name, at.names, lookup(name)) for name in problem.names]
    return Symbolic(array_of(called(f"'{label}'", problem.residual_function(label), *fields, at))).expression


def trace_solution(problem: Problem) -> dict[str, sympy.Expr]:
    """Return the closed form of a problem's exact reference by unknown, scalars included.

    Raises KanpdeError for a reference that is no closed form, and for one that cannot be written as an expression.
    """
    if not isinstance(problem.reference, Exact):
        kind = "no reference" if problem.reference is None else f"the reference '{problem.reference.name}'"
        raise KanpdeError(f"problem '{problem.name}' has {kind}: a closed form is needed, exact(function).")
    at = symbolic_points(coordinates(problem.geometry))
    found = {name: trace(f, at) for name, f in zip(problem.unknowns, problem.reference.functions, strict=True)}
    known = {name: stated(value.exact) for name, value in problem.scalars.items() if value.exact is not None}
    return {**found, **known}


def derivative(expression: sympy.Expr, index: MultiIndex, names: tuple[str, ...]) -> sympy.Expr:
    """Return a partial derivative of an expression in coordinates of these names."""
    named = {symbol.name: symbol for symbol in expression.free_symbols}
    for name, times in zip(names, index, strict=True):
        if times:
            expression = expression.diff(named[name], times) if name in named else sympy.Integer(0)
    return expression


def derivative_symbol(name: str, index: MultiIndex, names: tuple[str, ...]) -> sympy.Symbol:
    """Return a symbol that stands for a derivative of an unknown, such as u_xx."""
    spelled = spell(index, names)
    return sympy.Symbol(f"{name}_{{{spelled}}}" if spelled else f"{name}_{{}}", real=True)
