"""The structure of a function of several coordinates: u = F(a sum of products of one function of each), with few terms.

Along each coordinate the slices of such a sum lie in a space of few dimensions, whatever the other coordinates are:
its singular functions span it (the higher-order singular value decomposition of Tucker 1966). Which elementary
functions lie in this space can be found one coordinate after the other; how their products add up is then linear.
Slices of a function of one coordinate are all alike: it has to be one function behind another, and no sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, log10
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from kanpde.basis.elementary import ELEMENTARY, Elementary
from kanpde.floats import TINY
from kanpde.interpret.recognise import INNER, Candidate, in_span
from kanpde.model.chain import IDENTITY

Function = Callable[[Tensor], Tensor]
"""Values (N,) at points (N, d)."""

ALONG, LINES = 96, 40
"""Points along a line, and lines along each coordinate."""
MOST = 4
"""Dimensions of a space of slices, besides the constant, in which functions are looked for."""
BEAM = 4
"""Choices of functions that are followed along a coordinate."""
CHOICES = 24
"""Choices of functions of all coordinates whose products are tried."""
TERMS = 600
"""Products of functions that are tried, at most."""
VARIES = 1e-13
"""The standard deviation, relative to the size, up to which a function is constant."""
CLOSE = 10.0
"""Errors that differ by less than this factor count as equal, and the simpler choice is taken."""
NEAR = 3.0
"""A function is in a space of slices if its distance from it is at most so many times what that is known to."""
LOOSER = (1.0, 8.0, 64.0)
"""Multiples of the tolerance at which dimensions are counted: errors of a network are not even."""
ROUGH = 0.02
"""An error of F^-1(u), relative to it, that is too large to find anything."""
KEPT = 4
"""Structures of one kind of spans that are worth fitting."""
DEARER = 1.0
"""Structures are looked for in spans that cost so much more than the first in which there is one."""
BEHIND = 2.0
"""What it adds to the complexity of a sum to stand behind an outer function."""
OUTER = ("x", "1/x", "sqrt", "exp", "x^2", "log", "tanh", "arcsin", "sin")
"""Outer functions that are tried, the simplest first."""


@dataclass(frozen=True)
class Lines:
    """Values on lines along a coordinate: arguments and Gauss weights (n,), and points (n, line, d)."""

    x: Tensor
    weights: Tensor
    points: Tensor


@dataclass(frozen=True)
class Spans:
    """For each coordinate an orthonormal basis (n, 1 + R) of the slices of F^-1(u), whose first function is constant.

    accuracy: to what the last of these is known, for each coordinate. tolerance: the relative error of F^-1(u).
    """

    outer: Elementary
    sign: float
    bases: tuple[Tensor, ...]
    accuracy: tuple[float, ...]
    tolerance: float

    @property
    def cost(self) -> float:
        """How many functions there are to be found, and how involved the outer one is."""
        return sum(basis.shape[1] - 1 for basis in self.bases) + 0.5 * self.outer.complexity


@dataclass(frozen=True)
class Term:
    """A coefficient times a product of functions, by (coordinate, number)."""

    coefficient: float
    functions: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Structure:
    """u = sign F(sum of terms).

    functions: of each coordinate. error: what it leaves of F^-1(u), relative to it. tolerance: the error of F^-1(u).
    """

    outer: Elementary
    sign: float
    functions: tuple[tuple[Candidate, ...], ...]
    terms: tuple[Term, ...]
    error: float
    tolerance: float = 0.0

    @property
    def level(self) -> int:
        """Which power of ten the error is in units of the tolerance, or 0."""
        return 0 if self.error <= self.tolerance else round(log10(self.error / max(self.tolerance, TINY)))

    @property
    def complexity(self) -> float:
        """The complexities of all functions, as often as they are used, 1 for each term, more where F is not x."""
        used = [self.functions[i][k].complexity for term in self.terms for i, k in term.functions]
        return sum(used) + len(self.terms) + (0 if self.outer.name == IDENTITY else BEHIND + self.outer.complexity)


def lines_of(lower: Tensor, upper: Tensor, seed: int = 0) -> list[Lines]:
    """Return lines along each coordinate of a box, the same for one seed."""
    dimension = len(lower)
    nodes, weights = (torch.from_numpy(part).to(lower) for part in np.polynomial.legendre.leggauss(ALONG))
    found = []
    for i in range(dimension):
        unit = torch.quasirandom.SobolEngine(dimension, scramble=True, seed=seed + i).draw(LINES, dtype=torch.float64)
        points = (lower + (upper - lower) * unit.to(lower)).expand(ALONG, -1, -1).clone()
        x = lower[i] + (upper[i] - lower[i]) * (nodes + 1) / 2
        points[:, :, i] = x[:, None]
        found.append(Lines(x, weights / 2, points))
    return found


def structures(
    u: Function,
    lower: Tensor,
    upper: Tensor,
    tolerance: float,
    library: Mapping[str, Elementary],
    seed: int = 0,
    seconds: float = inf,
) -> list[Structure]:
    """Return structures of a function on the box [lower, upper] (d,), those that are closest to it first.

    tolerance: the relative error of u, about. library: elementary functions that may be found. Spaces of slices of few
    dimensions are searched first, and the search ends a little after the first of them in which there is a structure.
    """
    end = perf_counter() + seconds
    lines = lines_of(lower, upper, seed)
    values = [u(own.points.flatten(0, 1)).view(own.points.shape[:2]) for own in lines]
    every = [spans for name in OUTER for spans in spans_behind(ELEMENTARY[name], lines, values, tolerance)]
    found: list[Structure] = []
    last = inf
    for spans in sorted(every, key=lambda each: each.cost):
        if spans.cost > last or perf_counter() > end:
            break
        found += recognised(spans, lines, u, lower, upper, library, seed, end)
        if last == inf and any(s.error <= CLOSE * s.tolerance for s in found):
            last = spans.cost + DEARER
    return different(sorted(found, key=lambda s: (s.level, s.complexity)))


def different(found: Sequence[Structure]) -> list[Structure]:
    """Return the structures whose terms are not those of one before."""
    seen, kept = set(), []
    for structure in found:
        terms = frozenset(
            frozenset((i, structure.functions[i][k].spelled) for i, k in term.functions) for term in structure.terms
        )
        if (structure.outer.name, terms) not in seen:
            seen.add((structure.outer.name, terms))
            kept.append(structure)
    return kept


def spans_behind(
    outer: Elementary, lines: Sequence[Lines], values: Sequence[Tensor], tolerance: float
) -> Iterator[Spans]:
    """Yield the spans of F^-1(u), or of F^-1(-u) where u is negative, if they have few dimensions.

    Singular functions count if they are larger than what an error of u makes of itself.
    """
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    sign = -1.0 if high <= 0 and outer.name != "x" else 1.0
    low, high = sorted((sign * low, sign * high))
    if not outer.invertible(low, high):
        return
    behind = [inverted(outer, sign, v) for v in values]
    if not all(bool(torch.isfinite(v).all()) for v in behind):
        return
    centred = [v - (own.weights @ v) for own, v in zip(lines, behind, strict=True)]
    size = max(float((own.weights @ c.square()).mean().sqrt()) for own, c in zip(lines, centred, strict=True))
    largest = max(float(v.abs().max()) for v in behind)
    if not size > VARIES * largest:
        size = largest or 1.0
    decomposed = []
    for own, c in zip(lines, centred, strict=True):
        root = own.weights.sqrt()[:, None]
        left, s, _ = torch.linalg.svd(root * c / LINES**0.5, full_matrices=False)
        decomposed.append((root, left, s))
    error = tolerance * amplified(outer, sign, values, behind) / size
    seen: set[tuple[int, ...]] = set()
    for looser in LOOSER:
        level = looser * error * size
        ranks = tuple(int((s > level).sum()) for _, _, s in decomposed)
        if max(ranks) > MOST or ranks in seen or looser * error > max(ROUGH, LOOSER[1] * tolerance):
            continue
        seen.add(ranks)
        bases, accuracy = [], []
        for (root, left, s), rank in zip(decomposed, ranks, strict=True):
            bases.append(torch.cat([torch.ones_like(root), left[:, :rank] / root], dim=1))
            accuracy.append(min(level / float(s[rank - 1]), 0.3) if rank else error)
        yield Spans(outer, sign, tuple(bases), tuple(accuracy), looser * error)


def amplified(outer: Elementary, sign: float, values: Sequence[Tensor], behind: Sequence[Tensor]) -> float:
    """Return the error of F^-1(u) for an error of u of 1, relative to the root mean square of u."""
    step = 1e-6 * max(float(v.square().mean().sqrt()) for v in values)
    changes = [(inverted(outer, sign, v + step) - b) for v, b in zip(values, behind, strict=True)]
    back = [(inverted(outer, sign, v - step) - b) for v, b in zip(values, behind, strict=True)]
    finite = [torch.where(torch.isfinite(c), c, o).nan_to_num(0.0) for c, o in zip(changes, back, strict=True)]
    return max(float(c.square().mean().sqrt()) for c in finite) / 1e-6


def inverted(outer: Elementary, sign: float, values: Tensor) -> Tensor:
    """Return F^-1(sign u)."""
    assert outer.inverse is not None
    return outer.inverse(sign * values)


def recognised(
    spans: Spans,
    lines: Sequence[Lines],
    u: Function,
    lower: Tensor,
    upper: Tensor,
    library: Mapping[str, Elementary],
    seed: int,
    end: float = inf,
) -> list[Structure]:
    """Return the closest and simplest sums of products of elementary functions of these spans."""
    choices = []
    for own, basis, accuracy in zip(lines, spans.bases, spans.accuracy, strict=True):
        choices.append(functions_of(own, basis, accuracy, library, end))
        if not choices[-1]:
            return []
    points = lower + (upper - lower) * torch.quasirandom.SobolEngine(len(lower), scramble=True, seed=seed + 77).draw(
        2048, dtype=torch.float64
    ).to(lower)
    behind = inverted(spans.outer, spans.sign, u(points))
    kept = torch.isfinite(behind)
    points, behind = points[kept], behind[kept]
    every = sorted(product(*choices), key=lambda functions: sum(c.complexity for own in functions for c in own))
    found = [s for functions in every[:CHOICES] if (s := composed(spans, functions, points, behind))]
    if not found:
        return []
    best = min(s.error for s in found)
    near = [s for s in found if s.error <= CLOSE * max(best, spans.tolerance)]
    return sorted(near, key=lambda s: s.complexity)[:KEPT]


def functions_of(
    own: Lines, basis: Tensor, accuracy: float, library: Mapping[str, Elementary], end: float
) -> list[tuple[Candidate, ...]]:
    """Return choices of as many elementary functions as span a space of slices with the constant, the best first.

    None if the time `end` has come before.
    """
    beams: list[tuple[Candidate, ...]] = [()]
    for _ in range(basis.shape[1] - 1):
        longer: list[tuple[Candidate, ...]] = []
        for chosen in beams:
            if perf_counter() > end:
                return []
            known = torch.stack([torch.ones_like(own.x), *(c.values(own.x) for c in chosen)], dim=1)
            longer += [(*chosen, new) for new in nearest(own, basis, known, accuracy, library)]
        beams = distinct(longer)
    return beams


def nearest(
    own: Lines, basis: Tensor, known: Tensor, accuracy: float, library: Mapping[str, Elementary]
) -> list[Candidate]:
    """Return functions of a space of slices that are none of the known ones, those with an inner function if needed."""

    def found(inner: Sequence[Elementary]) -> list[Candidate]:
        return in_span(
            own.x, basis, own.weights, known=known, library=library, inner=inner, most=BEAM, tolerance=accuracy
        )

    simple = found(())
    return simple if any(c.distance <= NEAR * accuracy for c in simple) else found(INNER)


def distinct(choices: list[tuple[Candidate, ...]]) -> list[tuple[Candidate, ...]]:
    """Return the first few choices of functions that are not the same in another order."""
    seen, kept = set(), []
    for functions in choices:
        names = frozenset(c.spelled for c in functions)
        if names not in seen:
            seen.add(names)
            kept.append(functions)
    return kept[:BEAM]


def composed(
    spans: Spans,
    functions: tuple[tuple[Candidate, ...], ...],
    points: Tensor,
    behind: Tensor,
) -> Structure | None:
    """Return the sum of few products of these functions that is closest to values (N,) at points (N, d)."""
    columns = [[torch.ones_like(behind), *(c.values(points[:, i]) for c in own)] for i, own in enumerate(functions)]
    numbers = list(product(*(range(len(own)) for own in columns)))
    if len(numbers) > TERMS:
        return None
    matrix = torch.stack([torch.stack([columns[i][k] for i, k in enumerate(n)]).prod(dim=0) for n in numbers], dim=1)
    if not bool(torch.isfinite(matrix).all()):
        return None  # a function that is not defined near an end of its coordinate
    spread, norm = float(behind.std()), float(behind.norm()) / len(behind) ** 0.5
    size = spread if spread > VARIES * norm else norm or 1.0
    kept, coefficients, error = selected(matrix / size, behind / size, spans.tolerance)
    if not error < inf:
        return None
    terms = tuple(
        Term(float(c), tuple((i, k - 1) for i, k in enumerate(numbers[column]) if k))
        for column, c in zip(kept, coefficients, strict=True)
    )
    return Structure(spans.outer, spans.sign, functions, terms, error, spans.tolerance)


def selected(matrix: Tensor, values: Tensor, tolerance: float) -> tuple[list[int], Tensor, float]:
    """Return columns of a matrix (N, T) whose combination is close to values (N,), their coefficients, and the error.

    From all of them on, that whose term is smallest goes, as long as the error stays near what all of them leave.
    """

    def solved(columns: list[int]) -> tuple[Tensor, float]:
        part = matrix[:, columns]
        scale = part.norm(dim=0).clamp_min(TINY)
        coefficients = torch.linalg.lstsq(part / scale, values[:, None], driver="gelsd").solution[:, 0] / scale
        return coefficients, float((part @ coefficients - values).square().mean().sqrt())

    kept = list(range(matrix.shape[1]))
    coefficients, error = solved(kept)
    enough = max(3 * error, tolerance)
    while len(kept) > 1:
        size = (coefficients.abs() * matrix[:, kept].norm(dim=0)).argsort()
        fewer = [column for number, column in enumerate(kept) if number != int(size[0])]
        tried, left = solved(fewer)
        if left > enough:
            break
        kept, coefficients, error = fewer, tried, left
    return kept, coefficients, error
