"""B-splines of any degree on any knots, with local evaluation and exact changes of knots.

Basis function g = 0..G+k-1 of degree k has its support on [t_g, t_{g+k+1}] of the knots t_0..t_{G+2k} (de Boor 1978);
the grid lies between t_k and t_{G+k}. Outside it the polynomials of the end intervals continue, so no input meets a
dead function. Periodic splines have the G functions that repeat with the length of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import comb, pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kanpde.basis.base import Learnable

Extended = NDArray[np.longdouble]


def polynomials(knots: Extended, degree: int) -> Extended:
    """Return the pieces (G, p, i) of the k + 1 functions on each of G intervals of the knots (G + 2k + 1,).

    Function j + i has on interval j the coefficient of (s - 1/2)^p, s in [0, 1) the position in the interval: the
    Cox-de Boor recursion for the coefficients (de Boor 1978, chapter X).
    """
    k = degree
    intervals = len(knots) - 2 * k - 1
    j = np.arange(k, k + intervals)
    h = knots[j + 1] - knots[j]
    middle = (knots[j + 1] + knots[j]) / 2
    lower = np.zeros((intervals, k + 1, k + 1), dtype=np.longdouble)
    lower[:, 0, 0] = 1.0
    for q in range(1, k + 1):
        raised = np.zeros_like(lower)
        for i in range(q + 1):  # function g = j - q + i of degree q
            g = j - q + i
            if i > 0:
                raised[:, :, i] += _times(lower[:, :, i - 1], middle - knots[g], h, knots[g + q] - knots[g])
            if i < q:
                width = knots[g + q + 1] - knots[g + 1]
                raised[:, :, i] += _times(lower[:, :, i], knots[g + q + 1] - middle, -h, width)
        lower = raised
    return lower


def _times(polynomial: Extended, constant: Extended, slope: Extended, width: Extended) -> Extended:
    """Return polynomials (G, p) times (constant + slope s) / width."""
    product = polynomial * (constant / width)[:, None]
    product[:, 1:] += polynomial[:, :-1] * (slope / width)[:, None]
    return product


@lru_cache
def cardinal(degree: int) -> Extended:
    """Return the pieces (p, i) of B-splines on uniform knots, which are the same on every interval."""
    return polynomials(np.arange(2 * degree + 2, dtype=np.longdouble), degree)[0]


def slopes(pieces: Tensor, order: int) -> Tensor:
    """Return the derivatives (..., p, m, i) / m!, m = 0..order, of polynomials (..., p, i), in units of intervals."""
    count = pieces.shape[-2]
    table = pieces.new_zeros(*pieces.shape[:-1], order + 1, pieces.shape[-1])
    for m in range(min(order, count - 1) + 1):
        factors = pieces.new_tensor([float(comb(p + m, m)) for p in range(count - m)])
        table[..., : count - m, m, :] = factors[:, None] * pieces[..., m:, :]
    return table


LEAST = 0.01
"""The length of a single interval that is moved to a smaller range, at least, in units of what it was."""


@dataclass(frozen=True, eq=False)
class BSpline(Learnable):
    """B-splines of one degree on knots (I, G + 2k + 1), ascending in each row."""

    degree: int
    knots: Tensor
    periodic: bool = False

    @classmethod
    def uniform(cls, degree: int, intervals: int, start: Tensor, end: Tensor, periodic: bool = False) -> BSpline:
        """Return splines on uniform knots with the grid [start, end] (I,)."""
        places = torch.arange(-degree, intervals + degree + 1, dtype=start.dtype, device=start.device) / intervals
        return cls(degree, start[:, None] + (end - start)[:, None] * places, periodic)

    @property
    def intervals(self) -> int:  # type: ignore[override]
        """G."""
        return self.knots.shape[1] - 2 * self.degree - 1

    @property
    def size(self) -> int:  # type: ignore[override]
        """K = G + k, or G if periodic."""
        return self.intervals + (0 if self.periodic else self.degree)

    @cached_property
    def breaks(self) -> Tensor:
        """The knots of the grid (I, G + 1)."""
        return self.knots[:, self.degree : self.degree + self.intervals + 1].contiguous()

    @cached_property
    def step(self) -> Tensor | None:
        """The length of the intervals (I,) if the knots are uniform."""
        lengths = self.knots.diff(dim=1)
        step = (self.breaks[:, -1] - self.breaks[:, 0]) / self.intervals
        return step if bool(((lengths - step[:, None]).abs() <= 1e-9 * step[:, None]).all()) else None

    @cached_property
    def _extended(self) -> list[Extended]:
        """The pieces (G, p, i) for each input."""
        rows = self.knots.cpu().numpy().astype(np.longdouble)
        if self.step is not None:
            return [np.broadcast_to(cardinal(self.degree), (self.intervals, *[self.degree + 1] * 2))] * len(rows)
        return [polynomials(row, self.degree) for row in rows]

    @cached_property
    def _pieces(self) -> Tensor:
        """The pieces as a tensor: (p, i) for uniform knots, else (I, G, p, i)."""
        if self.step is not None:
            return torch.from_numpy(cardinal(self.degree).astype(np.float64)).to(self.knots)
        return torch.from_numpy(np.stack(self._extended).astype(np.float64)).to(self.knots)

    def jumps(self) -> Tensor:
        """Return by how much the k-th derivative of each function (I, K) jumps at the breaks inside (I, G - 1, K).

        In units of the largest jump at each. A spline without some of these jumps is one without these knots.
        """
        k, lengths = self.degree, self.breaks.diff(dim=1).cpu().numpy().astype(np.longdouble)
        found = np.zeros((len(self.knots), self.intervals + 1, self.size), dtype=np.longdouble)
        for row, (pieces, h) in enumerate(zip(self._extended, lengths, strict=True)):
            for j in range(self.intervals):
                for i in range(k + 1):
                    height = pieces[j, k, i] / h[j] ** k
                    found[row, j, (j + i) % self.size] += height
                    found[row, j + 1, (j + i) % self.size] -= height
        inside = found[:, 1:-1]
        return torch.from_numpy((inside / np.abs(inside).max(axis=2, keepdims=True)).astype(np.float64)).to(self.knots)

    def taylor(self, z: Tensor, order: int) -> Tensor:
        local, interval = self.local(z, order)
        places = interval[..., None, None] + torch.arange(self.degree + 1, device=z.device)
        dense = z.new_zeros(*z.shape, order + 1, self.size)
        if self.periodic:
            dense = dense.scatter_add(-1, (places % self.size).expand(local.shape), local)
        else:
            dense = dense.scatter(-1, places.expand(local.shape), local)
        return dense.permute(2, 0, 1, 3)

    def of_input(self, i: int) -> BSpline:
        return BSpline(self.degree, self.knots[i : i + 1], self.periodic)

    def local(self, z: Tensor, order: int) -> tuple[Tensor, Tensor]:
        """Return the derivatives / m! (N, I, m, k + 1), m = 0..order, that may not vanish at z (N, I), and intervals.

        On interval j (N, I) they are those of functions j to j + k, modulo their number if they are periodic.
        """
        k, breaks = self.degree, self.breaks
        if self.periodic:
            z = breaks[:, 0] + torch.remainder(z - breaks[:, 0], breaks[:, -1] - breaks[:, 0])
        table = slopes(self._pieces, order)
        if self.step is not None:
            position = (z - breaks[:, 0]) / self.step
            interval = position.detach().floor().clamp(0, self.intervals - 1)
            s, length = position - interval - 0.5, self.step.expand_as(z)
            interval = interval.long()
        else:
            interval = torch.searchsorted(breaks[:, 1:-1].contiguous(), z.detach().T.contiguous(), right=True).T
            left = breaks.T.gather(0, interval)
            length = breaks.diff(dim=1).T.gather(0, interval)
            s = (z - left) / length - 0.5
        powers = torch.ones((*s.shape, k + 1), dtype=s.dtype, device=s.device)
        if k:
            powers = torch.cat([powers[..., :1], torch.cumprod(s[..., None].expand(*s.shape, k), dim=-1)], dim=-1)
        if self.step is not None:
            local = (powers @ table.reshape(k + 1, -1)).reshape(*s.shape, order + 1, k + 1)
        else:
            own = table[torch.arange(len(breaks), device=z.device), interval]  # (N, I, p, m, i)
            local = torch.einsum("nip,nipmg->nimg", powers, own)
        scale = length[..., None] ** -torch.arange(order + 1, dtype=z.dtype, device=z.device)
        return local * scale[..., None], interval

    def ramp(self) -> Tensor:
        """Return the Greville abscissae (I, K), as coefficients the function z; the sine of the grid if periodic."""
        k = self.degree
        greville = self.knots[:, 1:-1].unfold(1, k, 1).mean(dim=2) if k else self.breaks[:, :-1]
        if not self.periodic:
            return greville
        start, end = self.breaks[:, :1], self.breaks[:, -1:]
        return torch.sin(2 * pi * (greville[:, : self.size] - start) / (end - start))

    def one(self) -> Tensor:
        return self.knots.new_ones(len(self.knots), self.size)

    def refined(self, factor: int) -> tuple[BSpline, Tensor]:
        parts = torch.arange(factor, dtype=self.knots.dtype, device=self.knots.device) / factor
        cut = self.breaks[:, :-1, None] + self.breaks.diff(dim=1)[..., None] * parts
        return self._on(torch.cat([cut.flatten(1), self.breaks[:, -1:]], dim=1))

    def bisected(self, chosen: Tensor) -> tuple[BSpline, Tensor]:
        """Return the splines with the chosen intervals (G,) cut in halves, and the exact map (I, K', K)."""
        middles = 0.5 * (self.breaks[:, 1:] + self.breaks[:, :-1])
        return self._on(torch.cat([self.breaks, middles[:, chosen]], dim=1).sort(dim=1).values)

    def covering(self, lower: Tensor, upper: Tensor) -> tuple[BSpline, Tensor]:
        """Return the splines with whole intervals added or dropped so that each grid covers [lower, upper] (I,).

        Also the map (I, K', K) of coefficients, which leaves each function unchanged on [lower, upper]: intervals that
        the range meets stay, and new ones continue the end polynomials. A range may exceed the present grid by half an
        interval before one is added. All grids keep one number of intervals, at most twice the present one, since
        continuing polynomials far loses digits: beyond that they go on outside the grid. A single interval becomes
        [lower, upper], so that polynomials stay polynomials. Periodic splines and those on other than uniform knots
        stay as they are.
        """
        if self.periodic or self.step is None:
            return self, torch.eye(self.size, dtype=lower.dtype, device=lower.device).expand(len(lower), -1, -1)
        if self.intervals == 1:
            middle, half = 0.5 * (lower + upper), 0.5 * torch.maximum(upper - lower, LEAST * self.step)
            new = BSpline.uniform(self.degree, 1, middle - half, middle + half)
            return new, self._map(new)
        start, limit = self.breaks[:, 0], 2 * self.intervals
        low, high = (lower - start) / self.step, (upper - start) / self.step
        first = torch.floor(torch.where(low < 0, low + 0.5, low)).clamp(-limit, self.intervals - 1).long()
        last = torch.ceil(torch.where(high > self.intervals, high - 0.5, high)).clamp(1, self.intervals + limit).long()
        last = torch.maximum(last, first + 1)
        intervals = min(limit, int((last - first).max()))
        kept_first, kept_last = first.clamp(min=0), last.clamp(max=self.intervals)
        first = first - torch.div(intervals - (last - first), 2, rounding_mode="floor")
        first = torch.minimum(torch.maximum(first, kept_last - intervals), kept_first)
        new = BSpline.uniform(
            self.degree, intervals, start + first * self.step, start + (first + intervals) * self.step
        )
        return new, self._map(new)

    def more(self, count: int) -> BSpline:
        """Return the splines with `count` more inputs, on the knots of the last one."""
        return BSpline(self.degree, torch.cat([self.knots, self.knots[-1:].expand(count, -1)]), self.periodic)

    def saved(self) -> dict[str, Tensor]:
        return {"knots": self.knots}

    def restored(self, saved: dict[str, Tensor]) -> BSpline:
        return BSpline(self.degree, saved["knots"].to(self.knots), self.periodic)

    def _on(self, breaks: Tensor) -> tuple[BSpline, Tensor]:
        """Return the splines on finer breaks (I, G' + 1) of the same grid, and the map of coefficients."""
        new = self.with_breaks(breaks)
        return new, self._map(new)

    def with_breaks(self, breaks: Tensor) -> BSpline:
        """Return splines on other breaks (I, G' + 1) of the same grid."""
        k = self.degree
        lengths = breaks.diff(dim=1)
        if self.periodic:
            # The lengths repeat with the grid, as often as its few intervals need for k more knots on each side.
            rounds = 1 + k // lengths.shape[1]
            before, after = lengths.repeat(1, rounds)[:, -k:], lengths.repeat(1, rounds)[:, :k]
        else:
            before, after = lengths[:, :1].expand(-1, k), lengths[:, -1:].expand(-1, k)
        left = breaks[:, :1] - before.flip(1).cumsum(dim=1).flip(1)
        return BSpline(k, torch.cat([left, breaks, breaks[:, -1:] + after.cumsum(dim=1)], dim=1), self.periodic)

    def _map(self, new: BSpline) -> Tensor:
        """Return the map (I, K', K) to the coefficients of the same functions on other knots.

        Coefficient j is the blossom of the polynomial on an interval of its support at the knots t_{j+1}..t_{j+k}
        (Ramshaw 1987); that of s^p is the p-th elementary symmetric mean. Polynomials beyond the grid are its end
        pieces. Computed in extended precision, since the terms are larger than their sum.
        """
        k = self.degree
        change = np.zeros((len(self.knots), new.size, self.size))
        for row, (old_breaks, new_knots, pieces) in enumerate(
            zip(
                self.breaks.cpu().numpy().astype(np.longdouble),
                new.knots.cpu().numpy().astype(np.longdouble),
                self._extended,
                strict=True,
            )
        ):
            for j in range(new.size):
                place = k + min(max(j - (k + 1) // 2, 0), new.intervals - 1)
                middle = 0.5 * (new_knots[place] + new_knots[place + 1])
                old = int(np.clip(np.searchsorted(old_breaks, middle) - 1, 0, self.intervals - 1))
                centre, h = 0.5 * (old_breaks[old] + old_breaks[old + 1]), old_breaks[old + 1] - old_breaks[old]
                symmetric = np.zeros(k + 1, dtype=np.longdouble)
                symmetric[0] = 1.0
                for sigma in (new_knots[j + 1 : j + k + 1] - centre) / h:
                    symmetric[1:] += sigma * symmetric[:-1].copy()
                means = symmetric / np.array([comb(k, p) for p in range(k + 1)], dtype=np.longdouble)
                values = means @ pieces[old]
                for i in range(k + 1):
                    change[row, j, (old + i) % self.size] += float(values[i])
        return torch.from_numpy(change).to(self.knots)
