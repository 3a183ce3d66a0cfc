"""Recognise elementary functions: in a space of functions that is known by samples, or in samples of one function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor

from kanpde.basis.elementary import ELEMENTARY, Elementary
from kanpde.errors import KanpdeError
from kanpde.interpret.search import grids, limits, lowest
from kanpde.interpret.span import Constants, Span, fitted

INNER = tuple(ELEMENTARY[name] for name in ("x^2", "x^3", "1/x", "sqrt", "exp", "log", "sin", "cos"))
"""The inner functions h of f(a h(x) + b)."""

STARTS = 4
"""Points of a grid from which constants are refined."""

SAME_LEVEL = 3.0
"""Distances within this factor of the best one are equally good, and the simplest function comes first."""

ALIKE = 0.3
"""A function that differs from a simpler one by less than this part of its distance from the span adds nothing."""

APART = 0.1
"""A function of which more than this part is outside the space of those before it widens that space."""

OUTLIER = 1.345
"""Huber's constant: residuals above this many standard deviations count linearly."""


@dataclass(frozen=True)
class Candidate:
    """The function outer(a inner(x) + b), inner None being x, and its distance from the span in which it was sought."""

    outer: Elementary
    a: float
    b: float
    inner: Elementary | None
    distance: float
    complexity: float

    @property
    def spelled(self) -> tuple[str, str, float, float]:
        """The function as names and constants of a few digits."""
        return self.outer.name, self.inner.name if self.inner else "", round(self.a, 6), round(self.b, 6)

    def values(self, x: Tensor) -> Tensor:
        """Return the function at x, of any shape."""
        return self.outer(self.a * (x if self.inner is None else self.inner(x)) + self.b)

    def expression(self, x: Any) -> Any:
        """Return the function of a sympy expression."""
        return self.outer.expression(affine(self.a, x if self.inner is None else self.inner.expression(x), self.b))


def affine(a: float, x: Any, b: float) -> Any:
    """Return the sympy expression a x + b, without factors 1 and terms 0."""
    scaled = x if a == 1 else -x if a == -1 else a * x
    return scaled if b == 0 else scaled + b


def complexity(outer: Elementary, a: float, b: float, inner: Elementary | None = None) -> float:
    """Return the complexities of the functions, and 1 for each constant that is there: a other than 1, -1; b not 0."""
    return outer.complexity + (inner.complexity if inner else 0) + (abs(a) != 1) + (b != 0)


def checked(x: Tensor, name: str, value: Tensor) -> None:
    """Raise KanpdeError unless the values (n, ...) are finite, with one row per point."""
    if value.shape[:1] != x.shape:
        raise KanpdeError(f"{name}: the shape is {tuple(value.shape)}. Give one row for each of the {len(x)} points.")
    if not bool(torch.isfinite(value).all()):
        raise KanpdeError(f"{name}: some values are not finite. Leave these points out.")


def check_points(x: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weights (n,), ones by default; raise KanpdeError for points or weights that are of no use."""
    if x.ndim != 1:
        raise KanpdeError(f"points have the shape {tuple(x.shape)}: give the coordinates of n points as (n,).")
    checked(x, "the points", x)
    if len(x) < 2 or not float(x.max()) > float(x.min()):
        raise KanpdeError(f"{len(x)} points without an extent: give at least two different ones.")
    if weights is None:
        return torch.ones_like(x)
    checked(x, "the weights", weights)
    if weights.shape != x.shape or float(weights.min()) < 0 or float(weights.sum()) <= 0:
        raise KanpdeError("weights: give one number >= 0 for each point, and not zeros only.")
    return weights


def in_span(
    x: Tensor,
    modes: Tensor,
    weights: Tensor | None = None,
    *,
    known: Tensor | None = None,
    library: Mapping[str, Elementary] = ELEMENTARY,
    inner: Sequence[Elementary] = INNER,
    most: int = 8,
    tolerance: float = 1e-8,
) -> list[Candidate]:
    """Return functions f(a h(x) + b) of the library that lie in the span of the modes, the best first.

    The columns of modes (n, R) are functions at the points x (n,), those of `known` (n, K) functions in their span that
    are known already; for one function up to a factor and a constant, modes are its values and 1, and known is 1.
    Distances are relative, in L2 with weights (n,): of g', what f(a h(x) + b) is beside a combination of known
    functions, |g' - P g'| / |g'| with the projector P on the span. What differs little from known functions is left
    out. h is x or one of `inner`. Functions whose distance is at most `tolerance` or three times the least are ordered
    by complexity, then come the others by distance. Raise KanpdeError for shapes that do not fit, values that are not
    finite, and fewer points than modes and constants.
    """
    weights = check_points(x, weights)
    known = x.new_zeros(len(x), 0) if known is None else known
    for name, columns in (("modes", modes), ("known", known)):
        if columns.ndim != 2:
            raise KanpdeError(f"{name}: the shape is {tuple(columns.shape)}. Give functions as columns (n, R).")
        checked(x, name, columns)
    if len(x) < modes.shape[1] + 3:
        raise KanpdeError(f"{len(x)} points are too few for {modes.shape[1]} modes and two constants: give more.")
    span = Span.of(modes, known, weights)
    if span.basis.shape[1] <= span.found.shape[1]:
        return []
    found = [c for outer in library.values() for c in nearest(outer, x, span, (None, *inner))]
    return ordered(found, x, span, most, tolerance)


def nearest(outer: Elementary, x: Tensor, span: Span, inner: Sequence[Elementary | None]) -> Iterator[Candidate]:
    """Yield the local minima of the distance of outer(a h(x) + b) for every h, None being x."""
    one = span.holds_one()
    starts = []
    for h in inner if outer.search != "none" else (None,):
        if h is not None and not h.defined(float(x.min()), float(x.max())):
            continue
        t = x if h is None else h(x)
        low, high = float(t.min()), float(t.max())
        if not 0 < high - low < torch.inf:
            continue
        reach = limits(outer, low, high, len(x))
        for grid in grids(outer, low, high, len(x), one, x):
            argument = grid.a[..., None].float() * t.float() + grid.b[..., None].float()
            for place in lowest(span.coarse(outer(argument)), STARTS):
                starts.append((h, t, grid.a[place], grid.b[place], grid.free, reach))
    if not starts:
        return
    hs, ts, a, b, free, bounds = zip(*starts, strict=True)
    constants, distances = fitted(
        outer,
        torch.stack(ts),
        Constants(torch.stack(a), torch.stack(b)),
        torch.tensor(free, device=x.device),
        x.new_tensor(bounds),
        span,
    )
    for h, t, a, b, distance in zip(
        hs, ts, constants.a.tolist(), constants.b.tolist(), distances.tolist(), strict=True
    ):
        low, high = sorted((a * float(t.min()) + b, a * float(t.max()) + b))
        if distance < 1 and outer.defined(low, high):
            yield Candidate(outer, a, b, h, distance, complexity(outer, a, b, h))


def ordered(found: Sequence[Candidate], x: Tensor, span: Span, most: int, tolerance: float) -> list[Candidate]:
    """Return the best candidates, without those that add nothing.

    These are simpler functions again, and combinations of simpler ones that are as good, such as a sine with a phase.
    """
    if not found:
        return []
    level = max(tolerance, SAME_LEVEL * min(c.distance for c in found))
    good = sorted((c for c in found if c.distance <= level), key=lambda c: (c.complexity, c.distance))
    others = sorted((c for c in found if c.distance > level), key=lambda c: (c.distance, c.complexity))
    chosen: list[Candidate] = []
    parts: list[Tensor] = []  # of those chosen
    basis = x.new_zeros(0, len(x))  # of the space of those chosen that are good
    for number, candidate in enumerate((*good, *others)):
        part = span.independent(candidate.values(x))
        part = part / torch.linalg.vector_norm(part)
        near = max(ALIKE * candidate.distance, tolerance)
        if any(float(torch.linalg.vector_norm(part - (part @ other) * other)) <= near for other in parts):
            continue
        if number < len(good):
            rest = part - (basis @ part) @ basis
            size = float(torch.linalg.vector_norm(rest))
            if size <= near:
                continue
            if size > APART:
                basis = torch.cat([basis, rest[None] / size])
        chosen.append(candidate)
        parts.append(part)
        if len(chosen) == most:
            break
    return chosen


@dataclass(frozen=True)
class Fit:
    """y ~ c f(a x + b) + d, with the relative error of the fit without outliers."""

    function: Elementary
    a: float
    b: float
    c: float
    d: float
    error: float
    complexity: float

    def values(self, x: Tensor) -> Tensor:
        """Return the fit at x, of any shape."""
        return self.c * self.function(self.a * x + self.b) + self.d

    def expression(self, x: Any) -> Any:
        """Return the fit of a sympy expression."""
        return affine(self.c, self.function.expression(affine(self.a, x, self.b)), self.d)


FAR = 1e60
"""The residual of trials that leave the domain of a function, or overflow."""
EXACT = 1e-8
"""Relative errors below this one are equally good."""


def huber(residual: np.ndarray) -> tuple[np.ndarray, float]:
    """Return Huber's loss of residuals (n,), which is quadratic for most of them, and where it becomes linear.

    The standard deviation comes from the residual that 80 % do not exceed.
    """
    size = np.abs(residual)
    bend = OUTLIER * float(np.quantile(size, 0.8)) / 1.2816
    return np.where(size <= bend, size**2, 2 * bend * size - bend**2), bend


def fit(x: Tensor, y: Tensor, function: Elementary, weights: Tensor | None = None) -> Fit:
    """Return the best y ~ c f(a x + b) + d at points x (n,) with values y (n,) and weights (n,).

    a and b come from the search of `in_span` for the space of y and 1; then all constants by nonlinear least squares
    with Huber's loss (Huber 1964), and without the outliers at the end. `error` is the square root of the mean loss,
    relative to the standard deviation of y: without outliers about the relative L2 error. b = 0 is preferred to a b
    that is hardly better. Raise KanpdeError for fewer than five points, values that are not finite, constant y, and
    where f(a x + b) is defined for no a and b.
    """
    found = suggest(x, y, {function.name: function}, 1, weights)
    if not found:
        low, high = float(x.min()), float(x.max())
        raise KanpdeError(f"no '{function.name}'(a x + b) that varies on [{low:g}, {high:g}] is defined there.")
    return found[0]


def suggest(
    x: Tensor,
    y: Tensor,
    library: Mapping[str, Elementary] = ELEMENTARY,
    most: int = 8,
    weights: Tensor | None = None,
) -> list[Fit]:
    """Return the best fit, as by `fit`, of each function of the library that can be defined on x, the best first.

    They are ranked by n log(error^2) + complexity log(n), the information criterion of Schwarz 1978 with the complexity
    in place of the number of constants; errors below 1e-8 count as 1e-8. Raise KanpdeError as `fit` does.
    """
    weights = check_points(x, weights)
    checked(x, "the data", y)
    if y.shape != x.shape:
        raise KanpdeError(f"the data: the shape is {tuple(y.shape)}. Give one value per point, ({len(x)},).")
    n = len(x)
    if n < 5:
        raise KanpdeError(f"{n} points are too few for the four constants of a fit: give at least five.")
    weights = weights / weights.sum()
    mean = (weights * y).sum()
    spread = float((weights * (y - mean) ** 2).sum().sqrt())
    if spread <= 1e-12 * float(y.abs().max()):
        raise KanpdeError(f"the data are constant, {float(mean):g}: there is no function to recognise.")
    one = torch.ones_like(x)[:, None]
    span = Span.of(torch.cat([y[:, None], one], dim=1), one, weights)
    best = []
    for function in library.values():
        starts = sorted(nearest(function, x, span, (None,)), key=lambda c: (c.distance, c.complexity))[:2]
        fits = [refined(x, y, start, weights, spread) for start in starts]
        level = max(EXACT, 1.01 * min((f.error for f in fits), default=0.0))
        best += sorted(fits, key=lambda f: (f.error > level, f.complexity, f.error))[:1]
    return sorted(best, key=lambda f: 2 * n * log(max(f.error, EXACT)) + f.complexity * log(n))[:most]


def refined(x: Tensor, y: Tensor, start: Candidate, weights: Tensor, spread: float) -> Fit:
    """Return the fit of all constants that a and b of a candidate lead to."""
    free = [number for number, fixed in enumerate((abs(start.a) == 1, start.b == 0)) if not fixed]
    root, constants = weights.sqrt().cpu().numpy(), np.array([start.a, start.b])

    def model(p: np.ndarray, order: int) -> tuple[np.ndarray, list[np.ndarray]]:
        constants[free] = p[:-2]
        a, b = constants.tolist()
        value, *slope = (v.cpu().numpy() for v in start.outer.taylor(a * x + b, order))
        return value, slope

    def residual(p: np.ndarray) -> np.ndarray:
        found = root * (p[-2] * model(p, 0)[0] + p[-1] - data) / spread
        return np.nan_to_num(found, nan=FAR, posinf=FAR, neginf=-FAR).clip(-FAR, FAR)

    def jacobian(p: np.ndarray) -> np.ndarray:
        value, (slope,) = model(p, 1)
        inside = [p[-2] * slope * at, p[-2] * slope]
        return (root * np.stack([*(inside[i] for i in free), value, np.ones_like(value)]) / spread).T

    at, data = x.cpu().numpy(), y.cpu().numpy()
    value = model(p := np.array([*constants[free], 1.0, 0.0]), 0)[0]
    outside = np.stack([value, np.ones_like(value)], axis=1)
    p[-2:] = np.linalg.lstsq(root[:, None] * outside, root * data, rcond=None)[0]
    kept = np.ones(len(data), dtype=bool)
    for loss in ("huber", "linear", "linear"):  # at the end without the outliers, which then have no influence at all
        bend = huber(residual(p))[1]
        if bend <= 1e-14:
            break
        if loss == "linear":
            kept = np.abs(residual(p)) <= 4 * bend
        with np.errstate(all="ignore"):  # trials may overflow; they are not taken
            p = least_squares(
                lambda p, kept=kept: residual(p)[kept],
                p,
                lambda p, kept=kept: jacobian(p)[kept],
                x_scale="jac",
                loss=loss,
                f_scale=bend,
                xtol=1e-14,
                max_nfev=30,
            ).x
    error = sqrt(float(huber(residual(p))[0].sum()))
    constants[free] = p[:-2]
    a, b = constants.tolist()
    return Fit(start.outer, a, b, float(p[-2]), float(p[-1]), error, complexity(start.outer, a, b))
