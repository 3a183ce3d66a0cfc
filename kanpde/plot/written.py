"""The functions on edges as they are written in pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from kanpde.model.chain import IDENTITY, Chain, function_of, is_constant, is_symbolic

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
POWERS = {"x^2": "²", "x^3": "³", "x^4": "⁴"}
FORMS = {
    "1/x": "1/{}",
    "1/x^2": "1/{}²",
    "sqrt": "√{}",
    "1/sqrt": "1/√{}",
    "sech^2": "sech²{}",
    "gauss": f"exp({MINUS}{{}}²)",
    "bessel_j0": "J₀{}",
}
MOST_LETTERS = 23
"""Letters of a function with its constants; a longer one is written with letters for these."""
ZERO = 1e-12
"""What a constant is left out at, relative to the factor beside it: the rest of a fit."""

Write = Callable[[float], str]


@dataclass(frozen=True)
class Written:
    """The function factor * core + shift. core: text for a value of each kind of number; plain: it is the argument."""

    factor: float
    core: Callable[[Write], str]
    shift: float
    plain: bool

    def text(self, shift: bool) -> str:
        """Return the function, with its shift if asked for; with letters for its constants if it is too long."""
        d = self.shift if shift else 0.0
        exact = affine(self.factor, self.core(number), d, number)
        if len(exact) <= MOST_LETTERS:
            return exact
        letters = iter("abcdefgh")
        inside = self.core(lambda _: next(letters))
        return affine(self.factor, inside, d, lambda _: next(letters))


def written(chain: Chain, weights: Sequence[Tensor], argument: str) -> Written | None:
    """Return the function of a chain whose layers have weights (f, 1), as it is written; None for splines.

    A constant has the factor 0.
    """
    if is_constant(chain):
        return Written(0.0, lambda write: argument, float(weights[-1][-1, 0]), True)
    if not is_symbolic(chain):
        return None
    found = Written(1.0, lambda write: argument, 0.0, True)
    for layer, w in zip(chain, weights, strict=True):
        scale, shift = float(w[0, 0]), float(w[1, 0]) if layer.bias else 0.0
        name = function_of(layer).name
        if name == IDENTITY:
            found = Written(scale * found.factor, found.core, scale * found.shift + shift, found.plain)
        else:
            found = Written(scale, applied(name, found), shift, False)
    return found


def applied(name: str, inner: Written) -> Callable[[Write], str]:
    """Return the text of a function of what is written."""

    def text(write: Write) -> str:
        argument = affine(inner.factor, inner.core(write), inner.shift, write)
        bracketed = f"({argument})"
        if name == "abs":
            return f"|{argument}|"
        if name in POWERS:
            return f"{argument if argument.isidentifier() else bracketed}{POWERS[name]}"
        if name in FORMS:
            alone = argument.isidentifier() and name not in ("sech^2", "bessel_j0")
            return FORMS[name].format(argument if alone else bracketed)
        return f"{name}{bracketed}"

    return text


def affine(factor: float, core: str, shift: float, write: Write) -> str:
    """Return factor * core + shift without factors 1 and shifts 0."""
    size = abs(factor)
    sign = MINUS if factor < 0 else ""
    if number(size) == "1":
        text = sign + core
    elif core.startswith("1/"):
        text = sign + write(size) + core[1:]
    else:
        text = f"{sign}{write(size)} {core}"
    if abs(shift) <= ZERO * max(1.0, size):
        return text
    return f"{text} {MINUS if shift < 0 else '+'} {write(abs(shift))}"


def number(value: float) -> str:
    """Return a number of three digits."""
    return f"{value:.3g}".replace("-", MINUS)
