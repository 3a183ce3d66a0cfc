"""All products of splines of two inputs: on given knots the widest network of product nodes there is.

u(x, t) = sum_ij c_ij B_i(x) B_j(t) is a sum of product nodes, one for every spline of x, with that spline itself as its
first factor. The coefficients enter it linearly, and a residual depends on the few of them whose splines do not vanish.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kanpde.basis import BSpline
from kanpde.multiindex import IndexSet

TOGETHER = 8
"""Intervals of the fast coordinate whose points share a block of the Jacobian."""


@dataclass(frozen=True)
class Local:
    """The splines that may not vanish at N points, for the fast and the slow coordinate.

    values: Taylor coefficients (m, N, k + 1). numbers: which splines they are (N, k + 1).
    """

    values: tuple[Tensor, Tensor]
    numbers: tuple[Tensor, Tensor]

    @property
    def entries(self) -> int:
        """The numbers that are held."""
        return sum(values.numel() for values in self.values)


@dataclass(frozen=True, eq=False)
class TensorSplines:
    """Tensor products of splines (of one input each) of the coordinates `axes`, the fast and the slow one.

    `outputs` functions on the box [lower, upper] (d,), which the splines see as [-1, 1]^d. The parameters are their
    coefficients (slow, fast, output). Only the fast coordinate may be periodic. Where there is one coordinate, it is
    the slow one, and the fast one is None, with one `constant` function.
    """

    fast: BSpline
    slow: BSpline
    axes: tuple[int | None, int]
    lower: Tensor
    upper: Tensor
    outputs: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of the coefficients."""
        return self.slow.size, self.fast.size, self.outputs

    @property
    def parameters(self) -> int:
        """The number of coefficients P."""
        return self.slow.size * self.fast.size * self.outputs

    @property
    def bandwidth(self) -> int:
        """How far from the diagonal entries of J^T J lie at most."""
        return min((self.slow.degree + 1) * self.fast.size * self.outputs, self.parameters) - 1

    @property
    def row_entries(self) -> int:
        """The coefficients that a row of the Jacobian depends on."""
        return (self.fast.degree + 1) * (self.slow.degree + 1) * self.outputs

    @property
    def width(self) -> int:
        """Numbers that are held for each point and channel."""
        return self.fast.degree + self.slow.degree + 2

    def grids(self) -> list[Tensor]:
        """Return for every coordinate the breaks (G + 1,) of its splines, from 0 to 1."""
        every = [self.basis(axis).breaks[0] for axis in range(len(self.lower))]
        return [(breaks - breaks[0]) / (breaks[-1] - breaks[0]) for breaks in every]

    def basis(self, axis: int) -> BSpline:
        """Return the splines of a coordinate."""
        return self.fast if axis == self.axes[0] else self.slow

    def ordered(self, found: list[Tensor]) -> list[Tensor]:
        """Return what was found for the intervals (G,) of each coordinate for the fast and the slow one."""
        return [found[0].new_zeros(1) if axis is None else found[axis] for axis in self.axes]

    @property
    def span(self) -> tuple[float, float]:
        """From where to where in the interval of the slow coordinate the splines are, as fractions of it."""
        return 0.5 * (float(self.slow.breaks[0, 0]) + 1), 0.5 * (float(self.slow.breaks[0, -1]) + 1)

    def part(self, first: int, last: int) -> tuple[TensorSplines, slice]:
        """Return those on intervals first to last - 1 of the slow coordinate, and where their coefficients stand."""
        k, line = self.slow.degree, self.fast.size * self.outputs
        knots = self.slow.knots[:, first : last + 2 * k + 1]
        return replace(self, slow=replace(self.slow, knots=knots)), slice(first * line, (last + k) * line)

    def neighbours(self, points: Tensor) -> tuple[Tensor, list[slice]]:
        """Return an order (N,) of points (N, 2) in which those of some neighbouring cells stand together, and these."""
        first = self.first(IndexSet(("fast", "slow")[: len(self.lower)]), points)
        fast, slow = (numbers[:, 0] for numbers in first.numbers)
        cells = slow * self.fast.intervals + fast
        order = torch.argsort(cells, stable=True)
        blocks = (slow * self.fast.intervals + fast // TOGETHER)[order]
        ends = torch.unique_consecutive(blocks, return_counts=True)[1].cumsum(0).tolist()
        return order, [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def first(self, indices: IndexSet, points: Tensor, parts: object = None) -> Local:
        """Return the splines at points (N, 2), with as many derivatives as `indices` need."""
        z, slope = self._mapped(points), 2.0 / (self.upper - self.lower)
        values, numbers = [], []
        bases, orders = (self.fast, self.slow), map(max, zip(*self._orders(indices), strict=True))
        for axis, basis, order in zip(self.axes, bases, orders, strict=True):
            along, length = (z.new_zeros(len(z)), z.new_ones(())) if axis is None else (z[:, axis], slope[axis])
            local, interval = basis.local(along[:, None], order)
            scale = length ** torch.arange(order + 1, dtype=z.dtype, device=z.device)
            values.append(local[:, 0].transpose(0, 1) * scale[:, None, None])
            numbers.append((interval + torch.arange(basis.degree + 1, device=z.device)) % basis.size)
        return Local((values[0], values[1]), (numbers[0], numbers[1]))

    def forward(self, theta: Tensor, indices: IndexSet, first: Local, reverse: bool = True) -> tuple[Tensor, None]:
        """Return the outputs (C, N, O) for coefficients theta (P,)."""
        (fast, slow), (i, j) = first.values, first.numbers
        around = theta.view(self.shape)[j[:, :, None], i[:, None, :]]
        orders = self._orders(indices)
        along = {m: torch.einsum("njio,nj->nio", around, slow[m]) for _, m in orders}
        channels = [torch.einsum("nio,ni->no", along[m], fast[n]) for n, m in orders]
        return torch.stack(channels), None

    def block(self, indices: IndexSet, first: Local, adjoint: Tensor, part: slice) -> tuple[Tensor, int, int]:
        """Return the Jacobian (N, k + 1, K, O) of sum over channels of adjoint (C, N, O) times the output.

        It is that of the points in `part`, which share an interval of the slow coordinate. Also the number of the first
        slow and of the first fast spline that the columns belong to; all other columns vanish.
        """
        (fast, slow), (i, j) = first.values, first.numbers
        columns = i[part]
        start, stop = int(columns[0, 0]), int(columns[-1, -1]) + 1
        if stop - start <= self.fast.degree:  # some functions repeat beyond the end
            start, stop = 0, self.fast.size
        width = stop - start
        places = (columns - start)[:, :, None].expand(-1, -1, self.outputs)
        total = adjoint.new_zeros(len(columns), self.slow.degree + 1, width, self.outputs)
        orders = self._orders(indices)
        for m in {m for _, m in orders}:
            spread = adjoint.new_zeros(len(columns), width, self.outputs)
            for c, (n, own) in enumerate(orders):
                if own == m:
                    spread.scatter_add_(1, places, fast[n, part][:, :, None] * adjoint[c, part][:, None])
            total += slow[m, part][:, :, None, None] * spread[:, None]
        return total, int(j[part.start, 0]), start

    def rows(self, indices: IndexSet, first: Local, adjoint: Tensor, size: int) -> Tensor:
        """Return the dense Jacobian (N / size, P) of sums over groups of `size` points that stand together.

        adjoint (C, N, O) is that of the outputs.
        """
        (fast, slow), (i, j) = first.values, first.numbers
        channels = enumerate(self._orders(indices))
        terms = [torch.einsum("nj,ni,no->njio", slow[m], fast[n], adjoint[c]) for c, (n, m) in channels]
        local = torch.stack(terms).sum(dim=0)
        count, k = len(i) // size, self.outputs
        places = (j[:, :, None] * self.fast.size + i[:, None, :])[..., None] * k + torch.arange(k, device=i.device)
        dense = adjoint.new_zeros(count, self.parameters)
        return dense.scatter_add_(1, places.reshape(count, -1), local.reshape(count, -1))

    def bisected(self, fast: Tensor, slow: Tensor, theta: Tensor) -> tuple[TensorSplines, Tensor]:
        """Return the splines with chosen intervals (G,) of each coordinate cut in halves, and the same functions."""
        c = theta.view(self.shape)
        finer, faster = self.fast.bisected(fast)
        longer, slower = self.slow.bisected(slow)
        c = torch.einsum("st,tfo->sfo", slower[0], c)
        return replace(self, fast=finer, slow=longer), torch.einsum("gf,sfo->sgo", faster[0], c).reshape(-1)

    def continued(self, theta: Tensor, intervals: int) -> Tensor:
        """Return theta (P,) with constants of the slow coordinate after so many of its intervals, about."""
        c, last = theta.view(self.shape).clone(), intervals + self.slow.degree
        c[last:] = c[last - 1]
        return c.reshape(-1)

    def _orders(self, indices: IndexSet) -> list[tuple[int, int]]:
        """Return for every channel the orders of its derivatives along the fast and the slow coordinate."""
        fast, slow = self.axes
        return [(0 if fast is None else index[fast], index[slow]) for index in indices.indices]

    def _mapped(self, points: Tensor) -> Tensor:
        return 2.0 * (points - self.lower) / (self.upper - self.lower) - 1.0


def constant(like: Tensor) -> BSpline:
    """Return the basis of one function, the constant 1."""
    return BSpline.uniform(0, 1, -like.new_ones(1), like.new_ones(1))
