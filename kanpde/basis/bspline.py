"""B-splines of any degree on uniform knots, with local evaluation, exact refinement and exact change of range.

Basis function g = 0..G+k-1 of degree k on a grid of G intervals of length h from a has its support on
[a + (g - k) h, a + (g + 1) h] (de Boor 1978). Outside [a, a + G h] the polynomials of the end intervals continue, so
no input meets a dead function.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import comb

import torch
from torch import Tensor

from kanpde.basis.base import Basis


@lru_cache
def pieces(degree: int, order: int) -> Tensor:
    """Return the polynomials of the k + 1 functions that live on an interval, and their scaled derivatives.

    The table (power p, derivative m, function i) holds the coefficient of (s - 1/2)^p in (d/ds)^m B_{j+i} / m!, where
    s in [0, 1) is the position in interval j. Computed exactly from the Cox-de Boor recursion on integer knots.
    """
    half = Fraction(1, 2)
    polynomials: list[list[Fraction]] = [[Fraction(1)]]  # of piece r on [r, r + 1), in powers of s - 1/2
    for k in range(1, degree + 1):
        raised = []
        for r in range(k + 1):
            total = [Fraction(0)] * (k + 1)
            for lower, constant, slope in ((r, r + half, 1), (r - 1, k + half - r, -1)):
                if 0 <= lower < k:
                    for p, c in enumerate(polynomials[lower]):
                        total[p] += c * constant / k
                        total[p + 1] += c * slope / k
            raised.append(total)
        polynomials = raised
    table = torch.zeros(degree + 1, order + 1, degree + 1, dtype=torch.float64)
    for i, polynomial in enumerate(reversed(polynomials)):  # function j + i shows its piece k - i
        for m in range(min(order, degree) + 1):
            for p in range(degree + 1 - m):
                table[p, m, i] = float(comb(p + m, m) * polynomial[p + m])
    return table


@dataclass(frozen=True)
class BSpline(Basis):
    """B-splines of one degree and number of intervals; start (I,) and step (I,) per input."""

    degree: int
    intervals: int
    start: Tensor
    step: Tensor

    @property
    def size(self) -> int:  # type: ignore[override]
        """K = G + k."""
        return self.intervals + self.degree

    @property
    def end(self) -> Tensor:
        """The upper ends of the grids (I,)."""
        return self.start + self.intervals * self.step

    def taylor(self, z: Tensor, order: int) -> Tensor:
        k = self.degree
        position = (z - self.start) / self.step
        interval = position.detach().floor().clamp(0, self.intervals - 1)
        s = position - interval - 0.5
        powers = torch.ones((*s.shape, k + 1), dtype=s.dtype, device=s.device)
        if k:
            powers = torch.cat([powers[..., :1], torch.cumprod(s[..., None].expand(*s.shape, k), dim=-1)], dim=-1)
        table = pieces(k, order).to(dtype=z.dtype, device=z.device)
        scale = self.step[:, None] ** -torch.arange(order + 1, dtype=z.dtype, device=z.device)
        local = (powers @ table.reshape(k + 1, -1)).reshape(*s.shape, order + 1, k + 1) * scale[..., None]
        places = interval.long()[..., None, None] + torch.arange(k + 1, device=z.device)
        dense = z.new_zeros(*s.shape, order + 1, self.size)
        return dense.scatter(-1, places.expand(local.shape), local).permute(2, 0, 1, 3)

    def nodes(self) -> Tensor:
        """Return the Greville abscissae (I, K): as coefficients they give the function z itself."""
        middle = torch.arange(self.size, dtype=self.start.dtype, device=self.start.device) - (self.degree - 1) / 2
        return self.start[:, None] + self.step[:, None] * middle

    def refined(self, factor: int) -> tuple[BSpline, Tensor]:
        """Return the basis with every interval cut in `factor`, and the exact map (K', K) of coefficients.

        The map repeats the two-scale relation of cardinal B-splines (Chui 1992, An Introduction to Wavelets, 4.3).
        """
        k, basis = self.degree, BSpline(self.degree, self.intervals * factor, self.start, self.step / factor)
        mask = [1]
        for _ in range(k + 1):
            mask = [sum(mask[max(0, m - factor + 1) : m + 1]) for m in range(len(mask) + factor - 1)]
        change = torch.zeros(basis.size, self.size, dtype=torch.float64)
        for j in range(self.size):
            for m, weight in enumerate(mask):
                row = factor * j - k * (factor - 1) + m
                if 0 <= row < basis.size:
                    change[row, j] += weight / factor**k
        return basis, change.to(self.start)

    def covering(self, lower: Tensor, upper: Tensor) -> tuple[BSpline, Tensor]:
        """Return the basis with whole intervals added or dropped so that each grid covers [lower, upper] (I,).

        Also the map (I, K', K) of coefficients, which leaves each function unchanged on [lower, upper]: intervals that
        the range meets stay, and new ones continue the end polynomials: the (k+1)-th differences of the new
        coefficients vanish. A range may exceed the present grid by half an interval before one is added. All grids keep
        one number of intervals, at most twice the present one, since continuing polynomials far loses digits: beyond
        that they go on outside the grid.
        """
        k, limit = self.degree, 2 * self.intervals
        low, high = (lower - self.start) / self.step, (upper - self.start) / self.step
        first = torch.floor(torch.where(low < 0, low + 0.5, low)).clamp(-limit, self.intervals - 1).long()
        last = torch.ceil(torch.where(high > self.intervals, high - 0.5, high)).clamp(1, self.intervals + limit).long()
        last = torch.maximum(last, first + 1)
        intervals = min(limit, int((last - first).max()))
        kept_first, kept_last = first.clamp(min=0), last.clamp(max=self.intervals)
        first = first - torch.div(intervals - (last - first), 2, rounding_mode="floor")
        first = torch.minimum(torch.maximum(first, kept_last - intervals), kept_first)
        before = max(0, -int(first.min()))
        after = max(0, int(first.max()) + intervals - self.intervals)
        extended = extrapolation(k, self.size, before, after).to(self.start)
        rows = (first + before)[:, None] + torch.arange(intervals + k, device=first.device)
        return BSpline(k, intervals, self.start + first * self.step, self.step), extended[rows]


def extrapolation(degree: int, size: int, before: int, after: int) -> Tensor:
    """Return the map (before + size + after, size) that continues coefficients with vanishing (k+1)-th differences."""
    binomials = [(-1) ** m * comb(degree + 1, m) for m in range(1, degree + 2)]
    rows = list(torch.eye(size, dtype=torch.float64))
    for _ in range(before):
        rows.insert(0, -sum((b * rows[m] for m, b in enumerate(binomials)), torch.zeros(size, dtype=torch.float64)))
    for _ in range(after):
        rows.append(-sum((b * rows[-1 - m] for m, b in enumerate(binomials)), torch.zeros(size, dtype=torch.float64)))
    return torch.stack(rows)
