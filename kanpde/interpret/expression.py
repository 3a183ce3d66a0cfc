"""From a formula to a graph: every function of the formula becomes an edge whose constants can be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import sympy
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.interpret.build import Builder, Weighted, times
from kanpde.model import Graph
from kanpde.model.chain import CONSTANT, elementary

FUNCTIONS: dict[type, str] = {
    sympy.exp: "exp",
    sympy.log: "log",
    sympy.sin: "sin",
    sympy.cos: "cos",
    sympy.tan: "tan",
    sympy.sinh: "sinh",
    sympy.cosh: "cosh",
    sympy.tanh: "tanh",
    sympy.sech: "sech",
    sympy.asin: "arcsin",
    sympy.atan: "arctan",
    sympy.atanh: "artanh",
    sympy.erf: "erf",
    sympy.Abs: "abs",
}
POWERS: dict[sympy.Expr, str] = {
    sympy.Integer(2): "x^2",
    sympy.Integer(3): "x^3",
    sympy.Integer(4): "x^4",
    sympy.Integer(-1): "1/x",
    sympy.Integer(-2): "1/x^2",
    sympy.Rational(1, 2): "sqrt",
    sympy.Rational(-1, 2): "1/sqrt",
}


def graph_from(formulas: Mapping[str, sympy.Expr], names: Sequence[str], lower: Tensor, upper: Tensor) -> Graph:
    """Return the graph of a formula in the coordinates `names` for each unknown; its numbers are the parameters.

    Raises KanpdeError for symbols that are no coordinates, and functions that no edge can have.
    """
    builder = Builder(len(names))
    walk = Walk(builder, names)
    outputs = []
    for unknown, formula in formulas.items():
        expression = sympy.sympify(formula, strict=True)  # no text: its parser would execute it
        for symbol in expression.free_symbols:
            if symbol.name not in names:
                raise KanpdeError(
                    f"the formula of '{unknown}' has the symbol '{symbol.name}': the coordinates are"
                    f" {', '.join(names)}."
                )
        outputs.append(walk.output(expression))
    return builder.graph(outputs, lower, upper)


class Walk:
    """Adds the parts of expressions to a builder; a part that stands in several places is one node."""

    def __init__(self, builder: Builder, names: Sequence[str]) -> None:
        self._builder, self._names = builder, names
        self._nodes: dict[sympy.Expr, int] = {}

    def output(self, expression: sympy.Expr) -> int:
        """Return a sum node of an expression."""
        return self._sum(expression)

    def node(self, expression: sympy.Expr) -> int:
        """Return the node of an expression, an input where it is a coordinate."""
        if expression.is_Symbol:
            return self._names.index(expression.name)
        if expression not in self._nodes:
            if is_high_power(expression):
                base, exponent = expression.as_base_exp()
                rest = base ** (exponent % 4)
                found = self._product([base**4] * (exponent // 4) + ([rest] if rest != 1 else []))
            elif expression.is_Mul and expression.as_coeff_Mul()[0] == 1:
                found = self._product(expression.args)
            else:
                found = self._sum(expression)
            self._nodes[expression] = found
        return self._nodes[expression]

    def _product(self, factors: Sequence[sympy.Expr]) -> int:
        edges = [self._edge(factor) for factor in factors]
        node = self._builder.node("product")
        for source, function in edges:
            self._builder.edge(source, node, function)
        return node

    def _sum(self, expression: sympy.Expr) -> int:
        edges: list[tuple[int, Weighted]] = []
        for term in sympy.Add.make_args(expression):
            if not term.free_symbols:
                edges.append((0, ((CONSTANT,), [real(term)], [True])))
                continue
            coefficient, rest = term.as_independent(*term.free_symbols, as_Add=False)
            edges.append(self._edge(rest, real(coefficient)))
        node = self._builder.node("sum")
        for source, function in edges:
            self._builder.edge(source, node, function)
        return node

    def _edge(self, expression: sympy.Expr, coefficient: float | None = None) -> tuple[int, Weighted]:
        """Return the node and the function on an edge from it that make an expression, times a coefficient if given."""
        c, own = (1.0, False) if coefficient is None else (coefficient, True)
        outer, argument = self._split(expression)
        if outer is None:
            source = self.node(argument)
            return source, times(c, own)
        inner, a, b = argument, 1.0, 0.0
        slope = None
        if not argument.is_Symbol:
            shift, rest = argument.as_independent(*argument.free_symbols, as_Add=True)
            factor, rest = rest.as_independent(*argument.free_symbols, as_Add=False)
            if rest.is_Symbol or shift == 0 or not rest.is_Add:
                inner, a, b, slope = rest, real(factor), real(shift), True
        source = self.node(inner)
        trained = [slope is not None and a != 1.0, b != 0.0, own, False]
        return source, (elementary(outer), [a, b, c, 0.0], trained)

    def _split(self, expression: sympy.Expr) -> tuple[str | None, sympy.Expr]:
        """Return the name of the outermost function and its argument; None for a sum, a product or a coordinate."""
        if expression.is_Symbol or expression.is_Add or expression.is_Mul or is_high_power(expression):
            return None, expression
        if expression.func == sympy.exp:
            return "exp", expression.args[0]
        if expression.is_Pow:
            base, exponent = expression.as_base_exp()
            if exponent in POWERS:
                return POWERS[exponent], base
            if exponent.is_Integer:
                return "1/x", base**-exponent
            if exponent.is_number:
                return "exp", exponent * sympy.log(base, evaluate=False)
            return "exp", exponent * sympy.log(base)
        if expression.func in FUNCTIONS:
            return FUNCTIONS[expression.func], expression.args[0]
        if expression.func == sympy.besselj and expression.args[0] == 0:
            return "bessel_j0", expression.args[1]
        raise KanpdeError(
            f"no edge can have the function '{expression.func.__name__}': use {', '.join(FUNCTIONS.values())}."
        )


def is_high_power(expression: sympy.Expr) -> bool:
    """Whether an expression is a power with a positive integer exponent that no edge has, but a product."""
    return bool(expression.is_Pow and expression.exp.is_Integer and expression.exp > 4)


def real(constant: sympy.Expr) -> float:
    """Return a constant as a float; raise KanpdeError for one that is no finite real number."""
    value = complex(constant) if constant.is_number else complex("nan")
    if value.imag or not isfinite(value.real):
        raise KanpdeError(f"the formula has the constant {constant}: constants have to be finite real numbers.")
    return value.real
