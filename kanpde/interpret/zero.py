"""Whether an expression is zero, by proof.

An expression is a quotient of polynomials in generators: the coordinates, pi, exponentials exp(m) of independent
monomials m, roots, and any other function of its arguments. Sines and hyperbolic functions are exponentials, roots
satisfy r^q = radicand, i^2 = -1. It vanishes if the numerator does; where the generators have relations that are not known here, it
may vanish though the numerator does not, so the answer is "proved" or "not proved".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import sympy
from sympy.polys.rings import PolyElement, PolyRing

BY_EXPONENTIALS = (
    *(sympy.sin, sympy.cos, sympy.tan, sympy.cot, sympy.sec, sympy.csc),
    *(sympy.sinh, sympy.cosh, sympy.tanh, sympy.coth, sympy.sech, sympy.csch),
)
BESSEL = {sympy.besselj: (1, -1), sympy.bessely: (1, -1), sympy.besseli: (-1, 1), sympy.besselk: (1, 1)}
"""The signs in f_(n+1) = +- 2 n / x f_n +- f_(n-1)."""


def proved_zero(expression: sympy.Expr, *, search: bool = True) -> bool:
    """Whether an expression is proved to vanish; False also if no proof was found, or if it has floats.

    With `search` sympy's general simplification is tried at the end, which may take long (see `limit.limited`).
    """
    if expression == 0:
        return True
    if expression.has(sympy.Float, sympy.nan, sympy.zoo, sympy.oo):
        return False
    if expression.has(sympy.Piecewise):
        return all(proved_zero(piece, search=search) for piece in pieces(expression))
    try:
        if numerator(expression) == 0:
            return True
    except NotRational:
        pass
    return search and sympy.simplify(expression) == 0


def pieces(expression: sympy.Expr) -> list[sympy.Expr]:
    """Return the expressions that one with cases may be."""
    folded = sympy.piecewise_fold(expression)
    if isinstance(folded, sympy.Piecewise):
        return [piece for value, _ in folded.args for piece in pieces(value)]
    return [sympy.Integer(1) if folded.has(sympy.Piecewise) else folded]


class NotRational(Exception):
    """An expression is no quotient of polynomials in generators."""


@dataclass(frozen=True)
class Quotient:
    """A polynomial over powers of polynomials, which are not multiplied out."""

    top: PolyElement
    bottom: Counter[PolyElement]


def numerator(expression: sympy.Expr) -> PolyElement:
    """Return the numerator of an expression in generators, reduced by their relations."""
    expression = expression.rewrite(BY_EXPONENTIALS, sympy.exp).replace(high_bessel, lower_bessel)
    generators = Generators(expression)
    return generators.reduced(generators.quotient(expression).top)


def is_root(expression: sympy.Expr) -> bool:
    """Whether an expression is a fractional power."""
    return isinstance(expression, sympy.Pow) and expression.exp.is_Rational and not expression.exp.is_Integer


class Generators:
    """The generators of an expression, with a ring of polynomials in them and the relations of roots."""

    def __init__(self, expression: sympy.Expr) -> None:
        self.shares: dict[sympy.Expr, int] = {}  # exp(m / share) and base^(1 / share) are generators
        self.others: dict[sympy.Expr, None] = {}
        self._collect(expression)
        keys = [sympy.I, *self.others, *self.shares]
        self.ring = PolyRing([sympy.Dummy() for _ in keys], sympy.QQ)
        self.generator = dict(zip(keys, self.ring.gens, strict=True))
        self.relations: list[tuple[PolyElement, int, PolyElement]] = [(self.generator[sympy.I], 2, -self.ring.one)]
        self.scale: dict[sympy.Expr, PolyElement] = {}
        for base, q in self.shares.items():
            if not isinstance(base, sympy.exp):
                radicand = self.quotient(base)
                bottom = self.product(radicand.bottom)
                # r = base^(1/q) bottom satisfies r^q = top bottom^(q - 1), on any branch.
                self.scale[base] = bottom
                self.relations.append((self.generator[base], q, radicand.top * bottom ** (q - 1)))

    def _collect(self, e: sympy.Expr) -> None:
        if e.is_Rational or e is sympy.I:
            return
        if isinstance(e, (sympy.Add, sympy.Mul)):
            for part in e.args:
                self._collect(part)
        elif isinstance(e, sympy.exp):
            for c, m in exponents(e):
                phase = root_of_unity(c, m)
                if phase is None:
                    self._share(sympy.exp(m), c)
                else:
                    self._collect(phase)
        elif isinstance(e, sympy.Pow) and e.exp.is_Integer:
            self._collect(e.base)
        elif is_root(e):
            for base, power in factors(e):
                self._collect(base)
                self._share(base, power)
        elif isinstance(e, sympy.Pow):
            self._collect(as_exponential(e))
        else:
            self.others[e] = None

    def _share(self, key: sympy.Expr, c: sympy.Rational) -> None:
        self.shares[key] = int(sympy.ilcm(self.shares.get(key, 1), c.q))

    def quotient(self, e: sympy.Expr) -> Quotient:
        """Return an expression in the generators."""
        if e.is_Rational:
            return Quotient(self.ring(sympy.QQ(e.p, e.q)), Counter())
        if e is sympy.I:
            return Quotient(self.generator[e], Counter())
        if isinstance(e, sympy.Add):
            return self.total([self.quotient(part) for part in e.args])
        if isinstance(e, sympy.Mul):
            found = Quotient(self.ring.one, Counter())
            for part in e.args:
                found = self.times(found, self.quotient(part))
            return found
        if isinstance(e, sympy.exp):
            found = Quotient(self.ring.one, Counter())
            for c, m in exponents(e):
                phase, key = root_of_unity(c, m), sympy.exp(m)
                if phase is None:
                    generator = Quotient(self.generator[key], Counter())
                    found = self.times(found, self.power(generator, int(c * self.shares[key])))
                else:
                    found = self.times(found, self.quotient(phase))
            return found
        if isinstance(e, sympy.Pow) and e.exp.is_Integer:
            return self.power(self.quotient(e.base), int(e.exp))
        if is_root(e):
            found = Quotient(self.ring.one, Counter())
            for base, power in factors(e):
                root = Quotient(self.generator[base], Counter(self.factors_of(self.scale[base])))
                found = self.times(found, self.power(root, int(power * self.shares[base])))
            return found
        if isinstance(e, sympy.Pow):
            return self.quotient(as_exponential(e))
        return Quotient(self.generator[e], Counter())

    def factors_of(self, polynomial: PolyElement) -> dict[PolyElement, int]:
        """Return a polynomial as a power, or nothing for 1."""
        return {} if polynomial == self.ring.one else {polynomial: 1}

    def product(self, powers: Counter[PolyElement]) -> PolyElement:
        """Return the product of powers."""
        found = self.ring.one
        for polynomial, power in powers.items():
            found = found * polynomial**power
        return found

    def times(self, a: Quotient, b: Quotient) -> Quotient:
        """Return a product; what one has below and the other is above is cancelled."""
        top, bottom = self.ring.one, a.bottom + b.bottom
        for polynomial in (a.top, b.top):
            if bottom.get(polynomial) and polynomial != self.ring.one:
                bottom = bottom - Counter([polynomial])
            else:
                top = top * polynomial
        return Quotient(self.reduced(top), bottom)

    def power(self, a: Quotient, n: int) -> Quotient:
        """Return an integer power; raise NotRational for a negative one of zero."""
        if n >= 0:
            return Quotient(self.reduced(a.top**n), Counter({p: n * k for p, k in a.bottom.items()}) if n else Counter())
        if a.top == 0:
            raise NotRational
        top = self.product(Counter({p: -n * k for p, k in a.bottom.items()}))
        if a.top.is_ground:
            return Quotient(top * self.ring(1 / a.top.LC) ** -n, Counter())
        return Quotient(top, Counter({a.top: -n}))

    def total(self, parts: list[Quotient]) -> Quotient:
        """Return a sum over the least common denominator."""
        common: Counter[PolyElement] = Counter()
        for part in parts:
            common |= part.bottom
        top = self.ring.zero
        for part in parts:
            top = top + part.top * self.product(common - part.bottom)
        return Quotient(self.reduced(top), common)

    def reduced(self, polynomial: PolyElement) -> PolyElement:
        """Return a polynomial with the powers of roots below those that their relations replace."""
        for root, q, radicand in reversed(self.relations):
            place = self.ring.gens.index(root)
            if all(monomial[place] < q for monomial in polynomial):
                continue
            terms: dict[int, dict[Any, Any]] = {}
            for monomial, coefficient in polynomial.terms():
                fold, rest = divmod(monomial[place], q)
                left = (*monomial[:place], rest, *monomial[place + 1 :])
                terms.setdefault(fold, {})[left] = coefficient
            polynomial = self.ring.zero
            for fold, part in terms.items():
                polynomial = polynomial + self.ring.from_dict(part) * radicand**fold
            return self.reduced(polynomial)
        return polynomial


def exponents(e: sympy.exp) -> list[tuple[sympy.Rational, sympy.Expr]]:
    """Return the exponent as terms, rationals times monomials."""
    found = []
    for term in sympy.Add.make_args(sympy.expand(e.exp)):
        c, m = term.as_coeff_Mul(rational=True)
        found.append((c, m))
    return found


def root_of_unity(c: sympy.Rational, m: sympy.Expr) -> sympy.Expr | None:
    """Return exp(c m) in roots if m is i pi and they are known, or None."""
    if m != sympy.I * sympy.pi:
        return None
    phase = sympy.cos(sympy.pi * c) + sympy.I * sympy.sin(sympy.pi * c)
    return None if phase.has(sympy.cos, sympy.sin) else phase


def high_bessel(e: sympy.Expr) -> bool:
    """Whether an expression is a Bessel function of an order that others give."""
    return type(e) in BESSEL and e.order.is_Integer and abs(e.order) > 1


def lower_bessel(e: sympy.Expr) -> sympy.Expr:
    """Return a Bessel function by those of the orders 0 and 1 (Abramowitz & Stegun 1964, 9.1.27 and 9.6.26)."""
    kind, n, x = type(e), abs(int(e.order)), e.argument
    first, second = kind(0, x), kind(1, x)
    above, below = BESSEL[kind]
    for k in range(1, n):
        first, second = second, above * 2 * k / x * second + below * first
    odd = n % 2 and e.order < 0 and kind in (sympy.besselj, sympy.bessely)
    return -second if odd else second


def factors(e: sympy.Pow) -> list[tuple[sympy.Expr, sympy.Rational]]:
    """Return a fractional power as powers: of the primes of a rational base, else of the base, expanded."""
    base, power = e.base, e.exp
    if base.is_Rational:
        sign = [(sympy.Integer(-1), power)] if base < 0 else []
        primes = sympy.factorint(abs(base.p))
        primes.update({p: -k for p, k in sympy.factorint(base.q).items()})
        return sign + [(sympy.Integer(p), k * power) for p, k in primes.items()]
    return [(sympy.expand(base), power)]


def as_exponential(e: sympy.Pow) -> sympy.Expr:
    """Return a power with a symbolic exponent as an exponential; raise NotRational if it is none."""
    found = sympy.exp(e.exp * sympy.log(e.base))
    if not isinstance(found, sympy.exp):
        raise NotRational
    return found
