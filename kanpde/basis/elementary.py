"""Elementary functions with their derivatives, sympy expressions, domains and inverses: what edges can be made of.

Taylor coefficients come from the differential equation that each function satisfies, as in Griewank & Walther 2008,
Evaluating Derivatives, table 13.2: any order, and accurate to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, comb, factorial, floor, inf, isfinite, pi, sin, sqrt
from typing import Any, Literal

import torch
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name

Coefficients = Callable[[Tensor, int], list[Tensor]]
Search = Literal["none", "power", "branch", "logarithm", "exponential", "wave", "radial", "local", "bounded", "any"]


@dataclass(frozen=True)
class Domain:
    """A set of real numbers: what it is called, and whether it holds all of a closed interval [low, high]."""

    text: str
    holds: Callable[[float, float], bool]


def between(least: float, most: float, low: float, high: float) -> bool:
    """Return whether [low, high] lies in the open interval."""
    return least < low <= high < most


def within(least: float, most: float, low: float, high: float) -> bool:
    """Return whether [low, high] lies in the closed interval."""
    return least <= low <= high <= most


def to_one(low: float, high: float) -> bool:
    """Return whether [low, high] lies in (0, 1]."""
    return 0 < low <= high <= 1


def without_zero(low: float, high: float) -> bool:
    """Return whether [low, high] is finite and does not hold 0."""
    return between(0, inf, low, high) or between(-inf, 0, low, high)


def between_poles(low: float, high: float) -> bool:
    """Return whether [low, high] lies between two neighbouring poles of the tangent."""
    if not (isfinite(low) and isfinite(high)):
        return False
    shift = pi * floor(low / pi + 0.5)
    return between(-pi / 2, pi / 2, low - shift, high - shift)


REAL = Domain("all real numbers", partial(between, -inf, inf))
POSITIVE = Domain("positive numbers", partial(between, 0, inf))
NOT_NEGATIVE = Domain("numbers from 0 on", partial(within, 0, inf))
WITHOUT_ZERO = Domain("numbers on one side of 0", without_zero)
UNIT = Domain("numbers between -1 and 1", partial(between, -1, 1))
CLOSED_UNIT = Domain("numbers from -1 to 1", partial(within, -1, 1))
FROM_ONE = Domain("numbers from 1 on", partial(within, 1, inf))
TO_ONE = Domain("positive numbers up to 1", to_one)
HALF_TURN = Domain("numbers from -pi/2 to pi/2", partial(within, -pi / 2, pi / 2))
OPEN_HALF_TURN = Domain("numbers between -pi/2 and pi/2", partial(between, -pi / 2, pi / 2))
ONE_BRANCH = Domain("numbers between two neighbouring odd multiples of pi/2", between_poles)


@dataclass(frozen=True)
class Elementary:
    """A function f of one real variable.

    `taylor(z, order)` returns f^(m)(z) / m! for m = 0..order, tensors of the shape, type and device of z.
    `expression(x)` is f of a sympy expression. `complexity` is 1 for the identity and grows. f is analytic on `domain`
    (`abs`, which has a kink, is said to be defined everywhere). `inverse(u)` is the principal inverse, valid for the
    values in `image`, or None. `search` says which constants a and b of f(a x + b) are looked for, and where, when f is
    recognised up to a factor: "power" only the shift, "branch" the sign, and shifts that put the singular point outside
    the range, "logarithm" the same where constants are free, "exponential" a, "wave" frequencies and phases, "radial"
    frequencies and centres, "local" widths and centres, "bounded" arguments between -1 and 1 (the tangent's: half
    turns), "any" frequencies with phases and widths with centres.
    """

    name: str
    taylor: Coefficients
    expression: Callable[[Any], Any]
    complexity: float = 3.0
    domain: Domain = REAL
    inverse: Callable[[Tensor], Tensor] | None = None
    image: Domain = REAL
    search: Search = "any"

    def __call__(self, z: Tensor) -> Tensor:
        return self.taylor(z, 0)[0]

    def defined(self, low: float, high: float) -> bool:
        """Return whether the function is analytic on the closed interval [low, high] of arguments."""
        return self.domain.holds(low, high)

    def invertible(self, low: float, high: float) -> bool:
        """Return whether there is an inverse that is valid for all values in [low, high]."""
        return self.inverse is not None and self.image.holds(low, high)

    def check(self, low: float, high: float) -> None:
        """Raise KanpdeError unless the function is analytic on [low, high]."""
        if not self.defined(low, high):
            raise KanpdeError(
                f"function '{self.name}' is not defined on [{low:g}, {high:g}]: its arguments must be "
                f"{self.domain.text}. Choose another function, or another shift of its argument."
            )


def product(p: Sequence[Tensor], q: Sequence[Tensor], m: int) -> Tensor:
    """Return coefficient m of the product of two series."""
    return sum((p[j] * q[m - j] for j in range(1, m + 1)), p[0] * q[m])


def whole_power(exponent: int, z: Tensor, order: int) -> list[Tensor]:
    """z^p for p = 1, 2, ...; coefficients are C(p, m) z^(p - m)."""
    return [comb(exponent, m) * z ** (exponent - m) if m <= exponent else torch.zeros_like(z) for m in range(order + 1)]


def power(exponent: float, z: Tensor, order: int) -> list[Tensor]:
    """z^p by z y' = p y: y_{m+1} = (p - m) y_m / ((m + 1) z)."""
    y = [z**exponent]
    for m in range(order):
        y.append((exponent - m) / (m + 1) * y[m] / z)
    return y


def exponential(z: Tensor, order: int) -> list[Tensor]:
    """exp, its own derivative."""
    y = torch.exp(z)
    return [y / factorial(m) for m in range(order + 1)]


def logarithm(z: Tensor, order: int) -> list[Tensor]:
    """log, with coefficients -(-1/z)^m / m."""
    return [torch.log(z), *(-((-1 / z) ** m) / m for m in range(1, order + 1))]


def cyclic(derivatives: Sequence[Callable[[Tensor], Tensor]], z: Tensor, order: int) -> list[Tensor]:
    """Return a function whose derivatives repeat."""
    values = [f(z) for f in derivatives[: order + 1]]
    return [values[m % len(derivatives)] / factorial(m) for m in range(order + 1)]


def minus_sin(z: Tensor) -> Tensor:
    """Return -sin(z)."""
    return -torch.sin(z)


def minus_cos(z: Tensor) -> Tensor:
    """Return -cos(z)."""
    return -torch.cos(z)


def riccati(function: Callable[[Tensor], Tensor], sign: float, z: Tensor, order: int) -> list[Tensor]:
    """tan and tanh, by y' = 1 + y^2 and y' = 1 - y^2."""
    y = [function(z)]
    for m in range(order):
        y.append(((1.0 if m == 0 else 0.0) + sign * product(y, y, m)) / (m + 1))
    return y


tangent = partial(riccati, torch.tan, 1.0)
tanh = partial(riccati, torch.tanh, -1.0)


def sech(z: Tensor, order: int) -> list[Tensor]:
    """1 / cosh, by y' = -y tanh."""
    y, t = [1 / torch.cosh(z)], tanh(z, max(order - 1, 0))
    for m in range(order):
        y.append(-product(y, t, m) / (m + 1))
    return y


def sech_squared(z: Tensor, order: int) -> list[Tensor]:
    """1 / cosh^2, by y' = -2 y tanh."""
    y, t = [1 / torch.cosh(z) ** 2], tanh(z, max(order - 1, 0))
    for m in range(order):
        y.append(-2 * product(y, t, m) / (m + 1))
    return y


def gauss(z: Tensor, order: int) -> list[Tensor]:
    """exp(-z^2), by y' = -2 z y."""
    y = [torch.exp(-(z**2))]
    for m in range(order):
        y.append(-2 / (m + 1) * (z * y[m] + (y[m - 1] if m else 0.0)))
    return y


def integral(value: Callable[[Tensor], Tensor], slope: Coefficients, z: Tensor, order: int) -> list[Tensor]:
    """Return a function whose derivative is known."""
    return [value(z), *(y / (m + 1) for m, y in enumerate(slope(z, order - 1) if order else []))]


def gauss_slope(z: Tensor, order: int) -> list[Tensor]:
    """Return the derivative of erf."""
    return [2 / sqrt(pi) * y for y in gauss(z, order)]


def arcsin_slope(z: Tensor, order: int) -> list[Tensor]:
    """y = (1 - z^2)^(-1/2), by (1 - z^2) y' = z y."""
    y = [torch.rsqrt((1 - z) * (1 + z))]
    for m in range(order):
        before = m * y[m - 1] if m else 0.0
        y.append(((2 * m + 1) * z * y[m] + before) / ((m + 1) * (1 - z) * (1 + z)))
    return y


def rational_slope(sign: float, z: Tensor, order: int) -> list[Tensor]:
    """y = 1 / (1 + s z^2), the derivatives of arctan and artanh: (1 + s z^2) y = 1."""
    q = 1 + z**2 if sign > 0 else (1 - z) * (1 + z)
    y = [1 / q]
    for m in range(order):
        y.append(-sign * (2 * z * y[m] + (y[m - 1] if m else 0.0)) / q)
    return y


def absolute(z: Tensor, order: int) -> list[Tensor]:
    """|z|, with the slope 0 at its kink."""
    return [torch.abs(z), torch.sign(z), *(torch.zeros_like(z) for _ in range(order - 1))][: order + 1]


LARGE = 25.0
"""From here on 20 terms of the asymptotic expansion of Bessel functions give all digits."""


def bessel_small(z: Tensor, order: int) -> list[Tensor]:
    """J_0..J_order for |z| <= LARGE, by the midpoint rule for Bessel's integrals (Olver et al. 2010, 10.9.2).

    With q nodes on a quarter of the circle its error is near J_{4q - n}. (PyTorch's own J_0 has errors of 2e-9.)
    """
    largest = min(LARGE, float(torch.abs(z).max())) if z.numel() else 0.0
    nodes = ceil((largest + order + (45 if z.dtype == torch.float64 else 20)) / 4)
    even, odd = range(0, order + 1, 2), range(1, order + 1, 2)
    values = [torch.zeros_like(z) for _ in range(order + 1)]
    for k in range(nodes):
        angle = (k + 0.5) * pi / (2 * nodes)
        argument = sin(angle) * z
        for rows, part, phase in ((even, torch.cos, pi / 2), (odd, torch.sin, 0.0)):
            if rows:
                wave = part(argument) / nodes
                for n in rows:
                    values[n] = values[n] + sin(n * angle + phase) * wave
    return values


def bessel_large(z: Tensor, order: int) -> list[Tensor]:
    """J_0..J_order for |z| > LARGE > order, by Hankel's expansion (10.17.3).

    Higher ones follow by J_{n+1} = (2 n / z) J_n - J_{n-1}.
    """
    x = torch.abs(z)
    s, c = torch.sin(x), torch.cos(x)
    values = []
    for n, (cosine, sine) in enumerate([(c + s, s - c), (s - c, -s - c)][: order + 1]):
        p, q, term = torch.ones_like(x), torch.zeros_like(x), torch.ones_like(x)
        for k in range(1, 21 if z.dtype == torch.float64 else 9):
            term = term * ((4 * n**2 - (2 * k - 1) ** 2) / (8 * k)) / x
            sign = -1.0 if k % 4 in (2, 3) else 1.0
            p, q = (p, q + sign * term) if k % 2 else (p + sign * term, q)
        values.append((p * cosine - q * sine) / torch.sqrt(pi * x))
    for n in range(1, order):
        values.append(2 * n / x * values[n] - values[n - 1])
    return [torch.where(z < 0, (-1.0) ** n * values[n], values[n]) for n in range(order + 1)]


def bessel_values(z: Tensor, order: int) -> list[Tensor]:
    """J_0..J_order of any z."""
    small = torch.abs(z) <= LARGE
    if bool(small.all()):
        return bessel_small(z, order)
    values = [torch.empty_like(z) for _ in range(order + 1)]
    for where, rule in ((small, bessel_small), (~small, bessel_large)):
        for n, part in enumerate(rule(z[where], order)):
            values[n][where] = part
    return values


def bessel(z: Tensor, order: int) -> list[Tensor]:
    """J_0, whose m-th derivative is 2^-m sum_k (-1)^k C(m, k) J_{2k-m} (Olver et al. 2010, 10.6.7)."""
    j = bessel_values(z, order)
    signed = [(-1.0) ** n * j[n] for n in range(order, 0, -1)] + j  # J_{-n} = (-1)^n J_n
    return [
        sum(((-1) ** k * comb(m, k) * signed[order + 2 * k - m] for k in range(1, m + 1)), signed[order - m])
        / (2**m * factorial(m))
        for m in range(order + 1)
    ]


def real_root(u: Tensor) -> Tensor:
    """Return the real cube root."""
    return torch.sign(u) * torch.abs(u) ** (1 / 3)


def root_of_gauss(u: Tensor) -> Tensor:
    """Return the z >= 0 with exp(-z^2) = u."""
    return torch.sqrt(-torch.log(u))


def arsech(u: Tensor) -> Tensor:
    """Return the z >= 0 with 1 / cosh(z) = u."""
    return torch.acosh(1 / u)


def root_of_sech_squared(u: Tensor) -> Tensor:
    """Return the z >= 0 with 1 / cosh(z)^2 = u."""
    return torch.acosh(torch.rsqrt(u))


def raised(exponent: float, u: Tensor) -> Tensor:
    """Return u^p."""
    return u**exponent


def symbolic(name: str, x: Any) -> Any:
    """Return a function of sympy's at x."""
    import sympy  # slow to import, and needed for formulas only

    return getattr(sympy, name)(x)


def symbolic_power(numerator: int, denominator: int, x: Any) -> Any:
    """Return x to a rational power."""
    import sympy

    return x ** sympy.Rational(numerator, denominator)


def symbolic_gauss(x: Any) -> Any:
    """Return exp(-x^2)."""
    return symbolic("exp", -(x**2))


def symbolic_sech_squared(x: Any) -> Any:
    """Return sech(x)^2."""
    return symbolic("sech", x) ** 2


def symbolic_bessel(x: Any) -> Any:
    """Return J_0(x)."""
    import sympy

    return sympy.besselj(0, x)


_sin, _cos = (torch.sin, torch.cos, minus_sin, minus_cos), (torch.cos, minus_sin, minus_cos, torch.sin)

# name, coefficients, expression, complexity, domain, inverse, its domain, what is searched
_FUNCTIONS = [
    Elementary("x", partial(whole_power, 1), partial(symbolic_power, 1, 1), 1, REAL, torch.clone, REAL, "none"),
    Elementary(
        "x^2", partial(whole_power, 2), partial(symbolic_power, 2, 1), 1.5, REAL, torch.sqrt, NOT_NEGATIVE, "power"
    ),
    Elementary("x^3", partial(whole_power, 3), partial(symbolic_power, 3, 1), 1.75, REAL, real_root, REAL, "power"),
    Elementary(
        "x^4",
        partial(whole_power, 4),
        partial(symbolic_power, 4, 1),
        2,
        REAL,
        partial(raised, 0.25),
        NOT_NEGATIVE,
        "power",
    ),
    Elementary(
        "1/x",
        partial(power, -1),
        partial(symbolic_power, -1, 1),
        2,
        WITHOUT_ZERO,
        torch.reciprocal,
        WITHOUT_ZERO,
        "branch",
    ),
    Elementary(
        "1/x^2",
        partial(power, -2),
        partial(symbolic_power, -2, 1),
        2.5,
        WITHOUT_ZERO,
        torch.rsqrt,
        POSITIVE,
        "branch",
    ),
    Elementary(
        "sqrt",
        partial(power, 0.5),
        partial(symbolic_power, 1, 2),
        2,
        POSITIVE,
        torch.square,
        NOT_NEGATIVE,
        "branch",
    ),
    Elementary(
        "1/sqrt",
        partial(power, -0.5),
        partial(symbolic_power, -1, 2),
        2.5,
        POSITIVE,
        partial(raised, -2),
        POSITIVE,
        "branch",
    ),
    Elementary("exp", exponential, partial(symbolic, "exp"), 2, REAL, torch.log, POSITIVE, "exponential"),
    Elementary("log", logarithm, partial(symbolic, "log"), 2, POSITIVE, torch.exp, REAL, "logarithm"),
    Elementary("sin", partial(cyclic, _sin), partial(symbolic, "sin"), 2, REAL, torch.asin, CLOSED_UNIT, "wave"),
    Elementary("cos", partial(cyclic, _cos), partial(symbolic, "cos"), 2, REAL, torch.acos, CLOSED_UNIT, "wave"),
    Elementary("tan", tangent, partial(symbolic, "tan"), 3, ONE_BRANCH, torch.atan, REAL, "bounded"),
    Elementary(
        "sinh",
        partial(cyclic, (torch.sinh, torch.cosh)),
        partial(symbolic, "sinh"),
        3,
        REAL,
        torch.asinh,
        REAL,
        "local",
    ),
    Elementary(
        "cosh",
        partial(cyclic, (torch.cosh, torch.sinh)),
        partial(symbolic, "cosh"),
        3,
        REAL,
        torch.acosh,
        FROM_ONE,
        "local",
    ),
    Elementary("tanh", tanh, partial(symbolic, "tanh"), 3, REAL, torch.atanh, UNIT, "local"),
    Elementary("sech", sech, partial(symbolic, "sech"), 3, REAL, arsech, TO_ONE, "local"),
    Elementary("sech^2", sech_squared, symbolic_sech_squared, 3, REAL, root_of_sech_squared, TO_ONE, "local"),
    Elementary("gauss", gauss, symbolic_gauss, 3, REAL, root_of_gauss, TO_ONE, "local"),
    Elementary(
        "erf",
        partial(integral, torch.erf, gauss_slope),
        partial(symbolic, "erf"),
        3,
        REAL,
        torch.erfinv,
        UNIT,
        "local",
    ),
    Elementary(
        "arcsin",
        partial(integral, torch.asin, arcsin_slope),
        partial(symbolic, "asin"),
        3,
        UNIT,
        torch.sin,
        HALF_TURN,
        "bounded",
    ),
    Elementary(
        "arctan",
        partial(integral, torch.atan, partial(rational_slope, 1.0)),
        partial(symbolic, "atan"),
        3,
        REAL,
        torch.tan,
        OPEN_HALF_TURN,
        "local",
    ),
    Elementary(
        "artanh",
        partial(integral, torch.atanh, partial(rational_slope, -1.0)),
        partial(symbolic, "atanh"),
        3,
        UNIT,
        torch.tanh,
        REAL,
        "bounded",
    ),
    Elementary("abs", absolute, partial(symbolic, "Abs"), 3, REAL, torch.clone, NOT_NEGATIVE, "power"),
    Elementary("bessel_j0", bessel, symbolic_bessel, 3, search="radial"),
]

ELEMENTARY: dict[str, Elementary] = {function.name: function for function in _FUNCTIONS}
"""The functions that are known by name."""


def nested(function: Callable[[Tensor], Tensor], z: Tensor, order: int) -> list[Tensor]:
    """Return the Taylor coefficients of a torch function of each element, by nested automatic differentiation."""
    if order == 0:
        return [function(z)]
    with torch.enable_grad():
        x = z.detach().clone().requires_grad_()
        y = [function(x)]
        for m in range(order):
            if y[m].requires_grad:
                keep = m + 1 < order
                (slope,) = torch.autograd.grad(y[m].sum(), x, create_graph=keep, materialize_grads=True)
                y.append(slope / (m + 1))
            else:
                y.append(torch.zeros_like(x))
    return [value.detach() for value in y]


def elementary(
    name: str,
    function: Callable[[Tensor], Tensor],
    expression: Callable[[Any], Any],
    complexity: float = 3.0,
    domain: tuple[float, float] | None = None,
    inverse: Callable[[Tensor], Tensor] | None = None,
    image: tuple[float, float] | None = None,
) -> Elementary:
    """Return a function of one's own, from torch's operations element by element and from sympy's.

    It is analytic on the open interval `domain`, and `inverse` is valid on the open interval `image`; None stands for
    all real numbers. Derivatives come from nested automatic differentiation. Raise KanpdeError where the name is taken,
    or where `function` and `expression` have different values.
    """
    if name in ELEMENTARY:
        raise KanpdeError(f"the name '{name}' of an elementary function is taken. Choose another one.")
    own = Elementary(
        name,
        partial(nested, function),
        expression,
        complexity,
        interval(domain),
        inverse,
        interval(image),
    )
    low, high = domain or (-inf, inf)
    low, high = max(low, min(-1.0, high - 2)), min(high, max(1.0, low + 2))
    z = torch.tensor([low + (high - low) * s for s in (0.23, 0.41, 0.77)], dtype=torch.float64)
    for argument, value in zip(z.tolist(), own(z).tolist(), strict=True):
        wanted = float(symbolic("re", symbolic("N", expression(symbolic("Float", argument)))))
        if not abs(value - wanted) <= 1e-8 * max(1.0, abs(wanted)):
            raise KanpdeError(
                f"function '{name}' is {value:g} at {argument:g}, but its expression is {wanted:g} there. "
                "Give the same function twice, in torch and in sympy, and the interval where it is defined."
            )
    return own


def interval(ends: tuple[float, float] | None) -> Domain:
    """Return the open interval between two numbers, or all real numbers."""
    if ends is None:
        return REAL
    if not ends[0] < ends[1]:
        raise KanpdeError(f"the interval {ends} is empty: give its lower end first.")
    return Domain(f"numbers between {ends[0]:g} and {ends[1]:g}", partial(between, *ends))


def library(*functions: str | Elementary) -> dict[str, Elementary]:
    """Return functions by name, given as names of known ones or as functions of one's own; all known ones by default.

    Raise KanpdeError for an unknown name and for a name that two functions have.
    """
    found: dict[str, Elementary] = {}
    for given in functions or tuple(ELEMENTARY):
        if isinstance(given, str) and given not in ELEMENTARY:
            raise unknown_name("elementary function", given, ELEMENTARY)
        function = ELEMENTARY[given] if isinstance(given, str) else given
        if function.name in found:
            raise KanpdeError(f"two elementary functions have the name '{function.name}'. Give each once.")
        found[function.name] = function
    return found
