"""Whether an expression is zero, by proof.

An expression is a quotient of polynomials in generators: the coordinates, pi, exponentials exp(m) of independent
monomials m, roots, and any other function of its arguments. Sines and hyperbolic functions are exponentials, roots
satisfy r^q = radicand, i^2 = -1. It vanishes if the numerator does. Generators may have relations that are not known
here, and then it may vanish though the numerator does not: the answer is "proved" or "not proved".
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
VISIBLE = 1e-9
"""The value from which on a number is seen not to be zero."""


def proved_zero(expression: sympy.Expr, *, search: bool = True) -> bool:
    """Whether an expression is proved to vanish; False also if no proof was found, or if it has floats.

    With `search` sympy's general simplification is tried at the end, which may take long (see `limit.limited`).
    """
    if expression == 0:
        return True
    if expression.has(sympy.Float, sympy.nan, sympy.zoo, sympy.oo):
        return False
    if expression.has(sympy.Piecewise):
        found = pieces(expression)
        return not any(map(refuted, found)) and all(proved_zero(piece, search=search) for piece in found)
    try:
        if numerator(expression) == 0:
            return True
    except NotRational:
        pass
    return search and not refuted(expression) and sympy.simplify(expression) == 0


def refuted(expression: sympy.Expr) -> bool:
    """Whether an expression is seen to differ from zero at a place that is as good as any."""
    places = {x: sympy.Rational(31 + 17 * i, 41) for i, x in enumerate(sorted(expression.free_symbols, key=str))}
    value = expression.subs(places).evalf(20, maxn=60)
    return bool(value.is_number and value.is_finite and abs(value) > VISIBLE)


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
        self.others: dict[sympy.Expr, Any] = {sympy.I: None}
        self.exponentials: dict[sympy.Expr, int] = {}  # exp(m / q) is a generator, q by m
        self.roots: dict[sympy.Expr, int] = {}  # base^(1 / q) is one, q by the base; a root in a base comes before it
        self._collect(expression)
        parts = [(group, key) for group in (self.others, self.exponentials, self.roots) for key in group]
        self.ring = PolyRing([sympy.Dummy() for _ in parts], sympy.QQ)
        self.generator = {(id(group), key): g for (group, key), g in zip(parts, self.ring.gens, strict=True)}
        self.relations = [(self.gen(self.others, sympy.I), 2, -self.ring.one)]
        self.scale: dict[sympy.Expr, PolyElement] = {}
        for base, q in self.roots.items():
            radicand = self.quotient(base)
            bottom = self.product(radicand.bottom)
            # r = base^(1/q) bottom satisfies r^q = top bottom^(q - 1), on any branch.
            self.scale[base] = bottom
            self.relations.append((self.gen(self.roots, base), q, radicand.top * bottom ** (q - 1)))

    def gen(self, group: dict[sympy.Expr, Any], key: sympy.Expr) -> PolyElement:
        """Return a generator."""
        return self.generator[id(group), key]

    def _collect(self, e: sympy.Expr) -> None:
        if e.is_Rational or e is sympy.I:
            return
        if isinstance(e, (sympy.Add, sympy.Mul)):
            for part in e.args:
                self._collect(part)
        elif isinstance(e, (sympy.exp, type(sympy.E))):
            for c, m in exponents(e):
                phase = without_exponential(c, m)
                if phase is None:
                    self._share(self.exponentials, m, c)
                else:
                    self._collect(phase)
        elif isinstance(e, sympy.Pow) and e.exp.is_Integer:
            self._collect(e.base)
        elif is_root(e):
            for base, power in factors(e):
                self._collect(base)
                if not power.is_Integer:
                    self._share(self.roots, base, power)
        elif isinstance(e, sympy.Pow):
            self._collect(as_exponential(e))
        else:
            self.others[e] = None

    def _share(self, group: dict[sympy.Expr, int], key: sympy.Expr, c: sympy.Rational) -> None:
        group[key] = int(sympy.ilcm(group.get(key, 1), c.q))

    def quotient(self, e: sympy.Expr) -> Quotient:
        """Return an expression in the generators."""
        if e.is_Rational:
            return Quotient(self.ring(sympy.QQ(e.p, e.q)), Counter())
        if e is sympy.I:
            return Quotient(self.gen(self.others, e), Counter())
        if isinstance(e, sympy.Add):
            return self.total([self.quotient(part) for part in e.args])
        if isinstance(e, sympy.Mul):
            found = Quotient(self.ring.one, Counter())
            for part in e.args:
                found = self.times(found, self.quotient(part))
            return found
        if isinstance(e, (sympy.exp, type(sympy.E))):
            found = Quotient(self.ring.one, Counter())
            for c, m in exponents(e):
                phase = without_exponential(c, m)
                if phase is None:
                    generator = Quotient(self.gen(self.exponentials, m), Counter())
                    found = self.times(found, self.power(generator, int(c * self.exponentials[m])))
                else:
                    found = self.times(found, self.quotient(phase))
            return found
        if isinstance(e, sympy.Pow) and e.exp.is_Integer:
            return self.power(self.quotient(e.base), int(e.exp))
        if is_root(e):
            found = Quotient(self.ring.one, Counter())
            for base, power in factors(e):
                if power.is_Integer:
                    found = self.times(found, self.power(self.quotient(base), int(power)))
                    continue
                root = Quotient(self.gen(self.roots, base), Counter(self.factors_of(self.scale[base])))
                found = self.times(found, self.power(root, int(power * self.roots[base])))
            return found
        if isinstance(e, sympy.Pow):
            return self.quotient(as_exponential(e))
        return Quotient(self.gen(self.others, e), Counter())

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
            bottom = Counter({p: n * k for p, k in a.bottom.items() if n})
            return Quotient(self.reduced(a.top**n), bottom)
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
    for term in sympy.Add.make_args(sympy.expand(e.as_base_exp()[1])):
        c, m = term.as_coeff_Mul(rational=True)
        found.append((c, m))
    return found


def without_exponential(c: sympy.Rational, m: sympy.Expr) -> sympy.Expr | None:
    """Return exp(c m) without the exponential if it is a known root of unity or has the angle of a point, or None."""
    if m == sympy.I * sympy.pi:
        phase = sympy.cos(sympy.pi * c) + sympy.I * sympy.sin(sympy.pi * c)
        return None if phase.has(sympy.cos, sympy.sin) else phase
    angle = m / sympy.I
    if c.is_Integer and isinstance(angle, sympy.atan2):
        y, x = angle.args
        return ((x + sympy.I * y) / sympy.sqrt(x**2 + y**2)) ** c
    if c.is_Integer and isinstance(angle, sympy.atan):
        (z,) = angle.args
        return ((1 + sympy.I * z) / sympy.sqrt(1 + z**2)) ** c
    return None


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
    """Return a fractional power as powers of primes and of the rest of its base."""
    base, power = e.base, e.exp
    if base.is_Rational:
        sign = [(sympy.Integer(-1), power)] if base < 0 else []
        primes = sympy.factorint(abs(base.p))
        primes.update({p: -k for p, k in sympy.factorint(base.q).items()})
        return sign + [(sympy.Integer(p), k * power) for p, k in primes.items()]
    top, bottom = sympy.fraction(sympy.together(sympy.expand(base)))
    if not bottom.is_positive:  # of other numbers the root of a quotient is no quotient of roots
        return [(base, power)]
    content, rest = sympy.expand(top).primitive()
    found = [(rest, power)]
    for part, exponent in ((content, power), (bottom, -power)):
        root = sympy.Pow(part, exponent, evaluate=part.is_Rational is not True)
        if part != 1:
            found += factors(root) if is_root(root) else [root.as_base_exp()]
    return found


def as_exponential(e: sympy.Pow) -> sympy.Expr:
    """Return a power with a symbolic exponent as an exponential; raise NotRational if it is none."""
    found = sympy.exp(e.exp * sympy.log(e.base))
    if not isinstance(found, sympy.exp):
        raise NotRational
    return found
