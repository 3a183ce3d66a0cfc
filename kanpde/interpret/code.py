"""Formulas as text for elsewhere: LaTeX, a Python module, C functions."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, reduce

import sympy
from sympy.printing.c import C99CodePrinter
from sympy.printing.numpy import SciPyPrinter

from kanpde.errors import KanpdeError
from kanpde.interpret.limit import OutOfTime, interruptible, limited

Formulas = Mapping[str, sympy.Expr]

FORMS: tuple[Callable[[sympy.Expr], sympy.Expr], ...] = (
    sympy.factor_terms,
    sympy.factor,
    sympy.trigsimp,
    sympy.simplify,
)
"""What may make an expression shorter, the fastest first."""
RECIPROCALS = (sympy.sec, sympy.csc, sympy.cot, sympy.sech, sympy.csch, sympy.coth)
"""Functions that math libraries do not have."""
NUMBERS = {"PI": sympy.pi, "E": sympy.E, "EULER_GAMMA": sympy.EulerGamma, "GOLDEN_RATIO": sympy.GoldenRatio}
"""Constants that C code defines."""
UNFINISHED = (sympy.Derivative, sympy.Integral, sympy.Limit, sympy.Product, sympy.Sum)
"""What stands for a number, but has no function."""
OF_PYTHON = " ".join([*keyword.kwlist, "numpy", "scipy"])
"""Words that name no function or argument in Python."""
OF_C = """
    PI E EULER_GAMMA GOLDEN_RATIO auto break case char const continue default do double else enum extern float for goto
    if inline int long register restrict return short signed sizeof static struct switch typedef union unsigned void
    volatile while main acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh div erf erfc exp exp2 expm1 fabs fdim
    floor fma fmax fmin fmod frexp gamma hypot ilogb isinf isnan j0 j1 jn ldexp lgamma log log10 log1p log2 logb lrint
    modf nan pow remainder rint round scalb sin sinh sqrt tan tanh tgamma trunc y0 y1 yn
"""
"""Words that name no function or argument in C."""


def simplified(expression: sympy.Expr, seconds: float = 5.0) -> sympy.Expr:
    """Return an equal expression that is not longer, the shortest of a few forms that are found in the time."""
    best = expression
    if not interruptible():
        return best
    try:
        with limited(seconds):
            for form in FORMS:
                found = form(best)
                if length(found) < length(best):
                    best = found
    except (Exception, OutOfTime):  # sympy has errors of its own where it cannot go on
        pass
    return best


def length(expression: sympy.Expr) -> int:
    """Return how long an expression is: its operations, and the characters of its numbers where these are alike."""
    return 100 * int(sympy.count_ops(expression)) + len(str(expression))


def latex(formulas: Formulas) -> str:
    """Return formulas as LaTeX for mathematical mode: `u = ...`, several of them as the lines of `aligned`."""
    lines = [(sympy.latex(sympy.Symbol(name)), sympy.latex(expression)) for name, expression in formulas.items()]
    if len(lines) == 1:
        return " = ".join(lines[0])
    body = " \\\\\n".join(f"{name} &= {text}" for name, text in lines)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def python_code(formulas: Formulas, names: Sequence[str]) -> str:
    """Return a Python module with a function of numpy arrays for each formula, `def u(x, y)`.

    names: the coordinates, in the order of the arguments. Raises KanpdeError for a function that neither numpy nor
    scipy.special has, and for a symbol that is no coordinate.
    """
    printer = PythonPrinter({"fully_qualified_modules": True})
    arguments = [identifier(name, OF_PYTHON) for name in names]
    functions = []
    for name, expression in formulas.items():
        renamed = prepared(name, expression, names, arguments)
        text = printed(printer, name, renamed)
        if not renamed.free_symbols:  # as many values as there are points
            shapes = ", ".join(f"numpy.shape({argument})" for argument in arguments)
            text = f"numpy.full(numpy.broadcast_shapes({shapes}), {text})"
        header = f"def {identifier(name, OF_PYTHON)}({', '.join(arguments)}):"
        functions.append(f"{header}\n    return {text}\n")
    body = "\n\n".join(functions)
    modules = [f"import {module}" for module in ("numpy", "scipy.special") if f"{module}." in body]
    return "\n".join([*modules, "", "", body]) if modules else body


def c_code(formulas: Formulas, names: Sequence[str]) -> str:
    """Return C functions of doubles, `double u(double x, double y)`, which need <math.h> only (POSIX has Bessel's).

    names: the coordinates, in the order of the arguments. A name that C or its library has gets an underscore. Raises
    KanpdeError for a function that the library does not have, and for a symbol that is no coordinate.
    """
    printer = CPrinter({"math_macros": {}})
    arguments = [identifier(name, OF_C) for name in names]
    functions = []
    for name, expression in formulas.items():
        text = printed(printer, name, prepared(name, expression, names, arguments))
        header = f"double {identifier(name, OF_C)}({', '.join(f'double {argument}' for argument in arguments)})"
        functions.append(f"{header}\n{{\n    return {text};\n}}\n")
    constants = "".join(
        f"static const double {name} = {sympy.N(value, 20)};\n"
        for name, value in NUMBERS.items()
        if re.search(rf"\b{name}\b", "".join(functions))
    )
    return "\n".join(["#include <math.h>\n", *([constants] if constants else []), *functions])


def identifier(name: str, reserved: str) -> str:
    """Return a name, with an underscore if it is reserved."""
    return f"{name}_" if name in reserved.split() else name


def prepared(name: str, expression: sympy.Expr, names: Sequence[str], arguments: Sequence[str]) -> sympy.Expr:
    """Return an expression in arguments of a program and functions that math libraries have."""
    for symbol in expression.free_symbols:
        if symbol.name not in names:
            raise KanpdeError(f"the formula of '{name}' has the symbol '{symbol.name}': known are {', '.join(names)}.")
    places = {
        symbol: sympy.Symbol(arguments[list(names).index(symbol.name)], real=True) for symbol in expression.free_symbols
    }
    for function in RECIPROCALS:
        expression = expression.replace(function, lambda x, function=function: 1 / opposite(function)(x))
    return expression.xreplace(places)


@lru_cache
def opposite(function: type) -> type:
    """Return the function whose reciprocal one is."""
    opposites = (sympy.cos, sympy.sin, sympy.tan, sympy.cosh, sympy.sinh, sympy.tanh)
    return dict(zip(RECIPROCALS, opposites, strict=True))[function]


def printed(printer: SciPyPrinter | C99CodePrinter, name: str, expression: sympy.Expr) -> str:
    """Return an expression as text of a program; raise KanpdeError for what the language has no function for."""
    try:
        if expression.has(*UNFINISHED):
            raise NotImplementedError("it has a derivative, integral, limit, product or sum that was not evaluated.")
        return " ".join(printer.doprint(expression).split())
    except NotImplementedError as error:
        raise KanpdeError(f"the formula of '{name}' cannot be written: {str(error).splitlines()[0]}") from None


class Doubles:
    """Numbers in as many digits as doubles have."""

    def _print_Float(self, expression: sympy.Float) -> str:
        return repr(float(expression))


class PythonPrinter(Doubles, SciPyPrinter):
    """Python with numpy and scipy.special."""

    def _print_Pi(self, expression: sympy.Expr) -> str:
        return "numpy.pi"

    def _print_Max(self, expression: sympy.Expr) -> str:
        return reduce(lambda a, b: f"numpy.maximum({a}, {b})", map(self._print, expression.args))

    def _print_Min(self, expression: sympy.Expr) -> str:
        return reduce(lambda a, b: f"numpy.minimum({a}, {b})", map(self._print, expression.args))

    def _print_Pow(self, expression: sympy.Pow, rational: bool = False) -> str:
        if expression.exp == -1:
            return f"(1/({self._print(expression.base)}))"
        return super()._print_Pow(expression, rational)


class CPrinter(Doubles, C99CodePrinter):
    """C with <math.h>, and constants of its own."""

    def _print_NumberSymbol(self, expression: sympy.Expr) -> str:
        return next((name for name, value in NUMBERS.items() if value == expression), repr(float(expression)))

    _print_Pi = _print_Exp1 = _print_NumberSymbol

    def _print_Pow(self, expression: sympy.Pow) -> str:
        if expression.exp == 2 and expression.base.is_Symbol:
            return f"({expression.base}*{expression.base})"
        return super()._print_Pow(expression)

    def _print_Integer(self, expression: sympy.Integer) -> str:
        return str(expression) if abs(expression.p) < 2**31 else repr(float(expression))

    def _print_besselj(self, expression: sympy.Expr) -> str:
        return self._bessel("j", expression)

    def _print_bessely(self, expression: sympy.Expr) -> str:
        return self._bessel("y", expression)

    def _bessel(self, kind: str, expression: sympy.Expr) -> str:
        if not expression.order.is_Integer:
            raise NotImplementedError(f"C has Bessel functions of integer order only, and not {expression}")
        argument = self._print(expression.argument)
        return (
            f"{kind}{expression.order}({argument})"
            if expression.order in (0, 1)
            else f"{kind}n({expression.order}, {argument})"
        )
