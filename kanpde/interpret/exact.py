"""Whether formulas satisfy the equations and conditions of a problem, exactly or by how much they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import isfinite, prod
from time import monotonic
from typing import Any

import mpmath
import numpy as np
import sympy
import torch

from kanpde.constraint import Constraint, Difference, Groups, Mean, Observation
from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Points
from kanpde.geometry import Box, Patch
from kanpde.interpret.constants import recognised, stated, written
from kanpde.interpret.limit import OutOfTime, interruptible, limited
from kanpde.interpret.tracing import (
    coordinates,
    derivative,
    derivative_symbol,
    symbolic_points,
    trace,
    trace_equation,
)
from kanpde.interpret.zero import proved_zero
from kanpde.multiindex import MultiIndex
from kanpde.problem import Periodic, Problem
from kanpde.sampling import draw

EXACT = "exact"
TO_ROUNDING = "to rounding"
NOT_CHECKED = "not checked"
NOT_SATISFIED = "not satisfied"
VERDICTS = (EXACT, TO_ROUNDING, NOT_CHECKED, NOT_SATISFIED)
"""The verdicts, the best first."""
ROUNDING = 1e-12
"""The relative size up to which a residual is rounding."""
CERTAIN = 1e-6
"""The relative size from which on a residual in doubles is large for certain."""
DIGITS = 40
"""Decimal digits of the residual where doubles do not tell."""
NOTHING = 1e-30
"""The relative size, in so many digits, of a residual that is to be proved zero."""
MANY, FEW = 256, 16
"""Random points in doubles, and in many digits."""
SINGLE = 8
"""Observations without noise up to which each is checked exactly."""
LONG = 500
"""Operations up to which an expression is multiplied out."""

Columns = dict[sympy.Symbol, np.ndarray]


@dataclass(frozen=True)
class Statement:
    """What was found about an equation, condition or constraint, or about a condition on one part of the boundary.

    verdict: "exact" if sympy proves that the residual is zero; "to rounding" if it is up to 1e-12 of the largest term
        at random points, with 40 digits; "not satisfied"; or "not checked".
    size: the largest residual at random points, relative to the largest term that enters; None if not evaluated.
    residual: the residual as an expression; None if it is not one.
    reason: why the verdict is not a better one.
    """

    label: str
    kind: str
    verdict: str
    size: float | None
    residual: sympy.Expr | None
    reason: str = ""


def check_exactly(
    problem: Problem, formulas: Mapping[str, sympy.Expr | float], seconds: float = 60.0
) -> list[Statement]:
    """Return a statement for every equation, condition (on each part of the boundary) and constraint of a problem.

    formulas: an expression in the coordinates' names for each unknown function, a number for each unknown scalar.
        Floats in them, and in the problem, are taken to be the simple numbers they are near (`constants`), if there
        are such.
    seconds: the time for proofs, shared among the statements.
    Raises KanpdeError for unknowns without a formula, names that are no unknowns, and symbols that are no coordinates.
    """
    checker = Checker(problem, symbolic(problem, formulas))
    pending = list(checker.pending())
    end, found = monotonic() + seconds, []
    for number, (label, kind, check) in enumerate(pending):
        share = max((end - monotonic()) / (len(pending) - number), 0.1)
        try:
            with limited(share):
                statement = check(monotonic() + 0.8 * share)  # what a proof leaves is for a verdict without one
        except OutOfTime:
            statement = Statement("", "", NOT_CHECKED, None, None, f"out of time after {share:.1f} s")
        except KanpdeError as error:
            statement = Statement("", "", NOT_CHECKED, None, None, str(error))
        found.append(replace(statement, label=label, kind=kind))
    return found


def satisfied(statements: Sequence[Statement]) -> str:
    """Return the verdict on all: the worst one, where what was not checked is worse than what holds to rounding."""
    return max((statement.verdict for statement in statements), key=VERDICTS.index, default=NOT_CHECKED)


def symbolic(problem: Problem, formulas: Mapping[str, sympy.Expr | float]) -> dict[str, sympy.Expr]:
    """Return formulas in the symbols of `coordinates`, floats recognised; raise KanpdeError if they do not fit."""
    for name in formulas:
        if name not in problem.names:
            raise unknown_name("function or scalar with a formula:", name, problem.names)
    symbols, found = coordinates(problem.geometry), {}
    for name in problem.names:
        if name not in formulas:
            raise KanpdeError(f"there is no formula for '{name}': give one for each of {', '.join(problem.names)}.")
        try:
            expression = sympy.sympify(formulas[name], strict=True)
        except sympy.SympifyError:
            kind = type(formulas[name]).__name__
            raise KanpdeError(f"the formula of '{name}' is a {kind}: give a sympy expression or a number.") from None
        for symbol in expression.free_symbols:
            if symbol.name not in symbols or name in problem.scalars:
                allowed = "no symbols, it is a number" if name in problem.scalars else ", ".join(symbols)
                raise KanpdeError(f"the formula of '{name}' has the symbol '{symbol.name}': known are {allowed}.")
        named = expression.xreplace({symbol: symbols[symbol.name] for symbol in expression.free_symbols})
        found[name] = exactly(named)
    return found


def exactly(expression: sympy.Expr) -> sympy.Expr:
    """Return an expression with exact numbers for its floats, multiplied out if they are seen only then.

    Floats that have none stay: (0.37 sin(x) + 0.2) (c cos(y)) needs its products of constants to be simple, not each.
    """

    def known(form: sympy.Expr) -> sympy.Expr:
        form = recognised(form)
        return form.xreplace({x: written(float(x)) or x for x in form.atoms(sympy.Float)})

    found = known(expression)
    if found.has(sympy.Float) and sympy.count_ops(expression) <= LONG:
        expanded = known(sympy.expand(expression))
        found = found if expanded.has(sympy.Float) else expanded
    return found


Check = Callable[[float], Statement]


class Checker:
    """The statements of a problem about formulas, in the symbols of `coordinates`."""

    def __init__(self, problem: Problem, formulas: dict[str, sympy.Expr]) -> None:
        self.problem, self.formulas = problem, formulas
        self.names = problem.geometry.names
        self.symbols = coordinates(problem.geometry)
        self._known: dict[tuple[str, MultiIndex], sympy.Expr] = {}

    def pending(self) -> Iterator[tuple[str, str, Check]]:
        """Yield label, kind and the check of all that is stated; a check takes the time at which proofs end."""
        problem = self.problem
        for label in problem.equations:
            yield label, "equation", partial(self.equation, label)
        for label, condition in problem.conditions.items():
            if isinstance(condition, Periodic):
                yield label, condition.kind, partial(self.periodic, condition.where)
                continue
            patches = problem.geometry.boundary(condition.where)
            for patch in patches:
                place = f"{label} at {patch.name}" if len(patches) > 1 else label
                yield place, condition.kind, partial(self.condition, label, patch)
        for label, constraint in problem.constraints.items():
            yield label, constraint.kind, partial(self.constraint, label, constraint)

    def field(self, name: str, index: MultiIndex) -> sympy.Expr:
        """Return a derivative of the formula of an unknown."""
        if (name, index) not in self._known:
            self._known[name, index] = derivative(self.formulas[name], index, self.names)
        return self._known[name, index]

    @cached_property
    def interior(self) -> Columns:
        """Random points inside."""
        points = self.problem.geometry.sample(MANY).numpy()
        return {self.symbols[name]: points[:, i] for i, name in enumerate(self.names)}

    def traced(self, label: str, at: Points) -> tuple[sympy.Expr, list[sympy.Expr]]:
        """Return the residual of what has a label, and the terms that enter, both in coordinates."""
        values: dict[sympy.Symbol, sympy.Expr] = {}

        def field(name: str, index: MultiIndex) -> sympy.Expr:
            symbol = derivative_symbol(name, index, self.names)
            values[symbol] = self.field(name, index)
            return symbol

        abstract = trace_equation(self.problem, label, at, field)
        terms = sympy.Add.make_args(sympy.expand_mul(abstract))
        return abstract.xreplace(values), [term.xreplace(values) for term in terms]

    def equation(self, label: str, deadline: float) -> Statement:
        """Check an equation inside."""
        residual, terms = self.traced(label, symbolic_points(self.symbols))
        return judge(residual, terms, self.interior, [self.interior], deadline)

    def condition(self, label: str, patch: Patch, deadline: float) -> Statement:
        """Check a condition on a part of the boundary, exactly where a coordinate is constant there."""
        points = draw((patch,), self.names, "sobol", MANY, 0, torch.zeros(0, dtype=torch.float64)).at
        x, n = points.array().numpy(), points.normal.numpy()
        fixed = {
            self.symbols[name]: stated(float(x[0, i]))
            for i, name in enumerate(self.names)
            if np.all(x[:, i] == x[0, i])
        }
        flat = bool(np.all(n == n[0]))
        symbols = [sympy.Symbol(f"n_{name}", real=True) for name in self.names]
        normal = [stated(float(component)) for component in n[0]] if flat else symbols
        residual, terms = self.traced(label, symbolic_points(self.symbols, tuple(normal)))
        here = {self.symbols[name]: x[:, i] for i, name in enumerate(self.names)}
        normals = {} if flat else {symbol: n[:, i] for i, symbol in enumerate(normal)}
        resized = {symbol: np.resize(column, MANY) for symbol, column in normals.items()}
        return judge(residual.subs(fixed), terms, here | normals, [here | normals, self.interior | resized], deadline)

    def periodic(self, where: str, deadline: float) -> Statement:
        """Check that all unknowns and their derivatives agree at both faces of a coordinate."""
        asked = [(name, index) for name in self.problem.unknowns for index in self.problem.indices.indices]
        found = []
        for name, index in asked:
            value = self.field(name, index)
            jump = self.at_face(value, where, 1) - self.at_face(value, where, 0)
            found.append(judge(jump, [value], self.interior, [self.interior], deadline))
        return worst(found)

    def at_face(self, expression: sympy.Expr, where: str, side: int) -> sympy.Expr:
        """Return an expression on the lower (0) or upper (1) face of a coordinate."""
        geometry = self.problem.geometry
        end = (geometry.lower, geometry.upper)[side][self.names.index(where)]
        return expression.subs(self.symbols[where], stated(end))

    def constraint(self, label: str, constraint: Constraint, deadline: float) -> Statement:
        """Check a constraint, exactly where that is easy."""
        if not constraint.affine:
            return Statement("", "", NOT_CHECKED, None, None, f"{constraint.kind} are matched by no formula exactly")
        at = symbolic_points(self.symbols)
        expression, terms = self.traced(label, at)
        if isinstance(constraint, Difference):
            jump = self.at_face(expression, constraint.where, 1) - self.at_face(expression, constraint.where, 0)
            value = self.at_face(trace(constraint.value, at), constraint.where, 0)
            return judge(jump - value, [*terms, value], self.interior, [self.interior], deadline)
        groups = constraint.groups(self.problem.geometry)
        if isinstance(constraint, Mean) and isinstance(self.problem.geometry, Box):
            value = trace(constraint.value, at)
            intervals = [(self.symbols[name], *self.interval(name)) for name in self.problem.geometry.space]
            integral = integrated(expression, intervals, (deadline - monotonic()) / 2)
            if integral is not None:
                volume = prod((high - low for _, low, high in intervals), start=sympy.Integer(1))
                residual = integral / volume - value
                return judge(residual, [*terms, value], self.interior, [self.interior], deadline)
        if isinstance(constraint, Observation) and not constraint.noise and len(groups.values) <= SINGLE:
            return worst([self.observed(expression, terms, groups, row, deadline) for row in range(len(groups.values))])
        return self.summed(expression, terms, groups, constraint.tolerance)

    def interval(self, name: str) -> tuple[sympy.Expr, sympy.Expr]:
        """Return the ends of a coordinate of a box."""
        axis = self.names.index(name)
        return stated(self.problem.geometry.lower[axis]), stated(self.problem.geometry.upper[axis])

    def observed(
        self, expression: sympy.Expr, terms: Sequence[sympy.Expr], groups: Groups, row: int, deadline: float
    ) -> Statement:
        """Check one observation without noise."""
        point = groups.at.array()[row].tolist()
        place = {self.symbols[name]: stated(x) for name, x in zip(self.names, point, strict=True)}
        value = stated(float(groups.values[row]))
        residual = expression.subs(place) - value
        return judge(residual, [*terms, value], self.interior, [self.interior], deadline)

    def summed(
        self, expression: sympy.Expr, terms: Sequence[sympy.Expr], groups: Groups, tolerance: float
    ) -> Statement:
        """Check the rows of a constraint in doubles."""
        points = groups.at.array().numpy()
        here = {self.symbols[name]: points[:, i] for i, name in enumerate(self.names)}
        sums = groups.sums(torch.from_numpy(values([expression], here)[0])).abs()
        scale = max(scale_of(terms, [here]), float(groups.values.abs().max()))
        missed = float(sums.max())
        size = relative(missed, scale)
        if tolerance and missed <= tolerance:
            root = float((sums**2).mean().sqrt())
            reason = f"the data have errors: it misses them by {root:.3g} (root mean square), at most {missed:.3g}"
            return Statement("", "", NOT_CHECKED, size, None, reason)
        if not isfinite(size):
            return Statement("", "", NOT_CHECKED, None, None, "not finite at the points of the data")
        if size <= ROUNDING:
            return Statement("", "", TO_ROUNDING, size, None, "checked at points, in doubles")
        return Statement("", "", NOT_SATISFIED, size, None, f"{size:.1e} of the largest term")


def judge(
    residual: sympy.Expr, terms: Sequence[sympy.Expr], here: Columns, scaled: Sequence[Columns], deadline: float
) -> Statement:
    """Return the verdict on a residual at points, relative to the largest of some terms at others."""
    if residual == 0:
        return Statement("", "", EXACT, 0.0, residual)
    if residual.has(sympy.nan, sympy.zoo, sympy.oo, sympy.AccumBounds):
        return Statement("", "", NOT_CHECKED, None, residual, "the formula is not finite there")
    scale = scale_of(terms, scaled)
    size = relative(float(np.abs(values([residual], here)[0]).max()), scale)
    if not isfinite(size):
        return Statement("", "", NOT_CHECKED, None, residual, "not finite at some of the points")
    if size <= CERTAIN:
        fine = relative(largest(residual, here), scale)
        size = fine if isfinite(fine) else size
    if size > ROUNDING:
        return Statement("", "", NOT_SATISFIED, size, residual, f"{size:.1e} of the largest term")
    if residual.has(sympy.Float):
        return Statement("", "", TO_ROUNDING, size, residual, "some constants are no simple numbers")
    if size > NOTHING:
        return Statement("", "", TO_ROUNDING, size, residual, f"{size:.1e} of the largest term")
    if proved(residual, deadline):
        return Statement("", "", EXACT, 0.0, residual)
    reason = f"zero to {DIGITS} digits at {FEW} points, but no proof was found"
    return Statement("", "", TO_ROUNDING, size, residual, reason)


def proved(residual: sympy.Expr, deadline: float) -> bool:
    """Whether a residual is proved to be zero before a time."""
    inside = {x: sympy.Symbol(x.name, positive=True) for x in residual.free_symbols if x.is_nonnegative}
    try:
        with limited(deadline - monotonic()):
            return proved_zero(residual.xreplace(inside), search=interruptible())
    except (Exception, OutOfTime):  # sympy has errors of its own where it cannot go on
        return False


def integrated(expression: sympy.Expr, intervals: Sequence[Any], seconds: float) -> sympy.Expr | None:
    """Return a definite integral; None if it is not found in the time that there is."""
    if not interruptible():
        return None
    try:
        with limited(seconds):
            found = sympy.integrate(sympy.expand(expression), *intervals)
    except (Exception, OutOfTime):  # sympy has errors of its own where it cannot go on
        return None
    return None if found.has(sympy.Integral, sympy.Piecewise, sympy.nan, sympy.zoo) else found


def worst(statements: Sequence[Statement]) -> Statement:
    """Return the statement with the worst verdict, the largest size among those."""
    return max(statements, key=lambda s: (VERDICTS.index(s.verdict), s.size or 0.0))


def relative(value: float, scale: float) -> float:
    """Return a size relative to a scale; 0 if both are."""
    return value / scale if scale else (0.0 if value == 0 else np.inf if np.isfinite(value) else np.nan)


def scale_of(terms: Sequence[sympy.Expr], points: Sequence[Columns]) -> float:
    """Return the largest value of some terms at points, where they are finite."""
    sizes = np.abs(np.concatenate([np.stack(values(terms, columns)) for columns in points], axis=1))
    return float(sizes[np.isfinite(sizes)].max(initial=0.0))


def values(expressions: Sequence[sympy.Expr], columns: Columns) -> list[np.ndarray]:
    """Return expressions at points (N,), in doubles; raise KanpdeError for a function that has no values here."""
    count = len(next(iter(columns.values())))
    plain = [expression.xreplace(long_numbers(expression)) for expression in expressions]
    try:
        function = sympy.lambdify(list(columns), plain, modules=["scipy", "numpy"], cse=True)
        with np.errstate(all="ignore"):
            found = function(*columns.values())
    except (ArithmeticError, AttributeError, NameError, NotImplementedError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise KanpdeError(f"the formula cannot be evaluated: {reason}") from None
    return [np.array(np.broadcast_to(np.real(value), (count,)), dtype=np.float64) for value in found]


def long_numbers(expression: sympy.Expr) -> dict[sympy.Expr, sympy.Float]:
    """Return doubles for rationals whose integers are no doubles, such as 1 / 10^150."""
    return {r: sympy.Float(r) for r in expression.atoms(sympy.Rational) if max(abs(r.p), r.q) > 2**53}


def largest(expression: sympy.Expr, columns: Columns) -> float:
    """Return the largest value of an expression at a few of the points, in many digits; not finite if it has none."""
    function = sympy.lambdify(list(columns), expression, modules="mpmath", cse=True)
    points = list(zip(*columns.values(), strict=True))[:FEW]
    with mpmath.workdps(DIGITS):
        try:
            return max(float(abs(function(*(mpmath.mpf(float(x)) for x in point)))) for point in points)
        except (ArithmeticError, NameError, TypeError, ValueError, mpmath.libmp.NoConvergence):
            return np.nan
