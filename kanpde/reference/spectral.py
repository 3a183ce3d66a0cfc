"""Periodic problems in one or two space dimensions by Fourier modes and exponential time differencing.

Sources: the Runge-Kutta scheme ETDRK4, Cox & Matthews 2002, Exponential Time Differencing for Stiff Systems, equations
(26) to (29); its coefficients as means over a contour, Kassam & Trefethen 2005, Fourth-Order Time-Stepping for Stiff
PDEs, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from math import ceil, factorial, pi

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Field, Points, evaluate, taylor_coefficients
from kanpde.geometry import Box, refuse_parameters
from kanpde.multiindex import IndexSet, MultiIndex
from kanpde.problem import Value
from kanpde.reference.cache import Arrays, Computed

DEGREE = 9
"""Degree of the polynomials in time between the snapshots."""
SNAPSHOTS = 400
"""States that are kept of each part of the time, at least."""
TIMES = 64
"""Times at which the error is measured."""
CONTOUR = 64
CHUNK = 2048
BLOCK = 2**20
"""Modes that are computed at once."""
# Lagrange polynomials through DEGREE + 1 equidistant nodes on [-1, 1]: rows are powers, columns nodes.
NODES = torch.linspace(-1, 1, DEGREE + 1, dtype=torch.float64)
LAGRANGE = torch.linalg.inv(torch.vander(NODES, increasing=True))

Symbol = Callable[..., Tensor]
Nonlinear = Callable[..., Tensor | Sequence[Tensor]]


class Fourier(Computed):
    """u = A + v, where v_t = L v + N(v, x, t) is periodic in space and given at the start; u may be several unknowns.

    `linear` is L as a function of d/dx = i k (in two dimensions of d/dx and d/dy), `nonlinear` is N as a function of
    the field v, or of a field per unknown, and the points; `lift` is A. There are `modes` wave numbers 0, 1, ... along
    each axis; products are computed on `points` per mode: those of m factors have no aliasing errors on m + 1.
    `halvings` of the first part of the time give parts that are short at the start, where a solution may vary fastest;
    each has `steps`. Between at least `snapshots` states of a part, or all of them, v is a polynomial of degree 9 in
    time; derivatives in space are those of the Fourier sum.
    Arrays of modes are (unknown, wave number, ...), the last axis without those that are complex conjugates of others.
    """

    name = "Fourier, ETDRK4"
    error_source = "three quarters of the modes, half of the steps and snapshots"
    smooth = True

    def __init__(
        self,
        box: Box,
        linear: Sequence[Symbol],
        nonlinear: Nonlinear,
        start: Sequence[Value],
        *,
        modes: int,
        steps: int,
        lift: Sequence[Value],
        snapshots: int = SNAPSHOTS,
        halvings: int = 0,
        points: int = 4,
    ) -> None:
        refuse_parameters(box, "the Fourier reference")
        if box.time is None or len(box.space) not in (1, 2):
            raise KanpdeError(f"{box}: the Fourier reference needs one or two space coordinates and the time t.")
        if not len(linear) == len(start) == len(lift):
            raise KanpdeError(
                f"the Fourier reference got {len(linear)} linear parts, {len(start)} initial values and {len(lift)}"
                " lifts: give one of each per unknown."
            )
        self.box, self.linear, self.nonlinear, self.start, self.lift = box, linear, nonlinear, start, lift
        self.modes, self.steps, self.snapshots = modes, steps, snapshots
        self.halvings, self.points = halvings, points
        self._time = box.names.index(box.time)
        self._axes = [box.names.index(name) for name in box.space]
        self._n = points * modes
        numbers = torch.arange(modes, dtype=torch.float64)
        both = torch.cat([numbers, -numbers[1:].flip(0)])
        self._derivatives = [  # d / d coordinate of every wave, per axis; only the last one has half of the waves
            2j * pi / box.lengths[axis] * (numbers if axis == self._axes[-1] else both) for axis in self._axes
        ]
        sides = [
            torch.arange(self._n, dtype=torch.float64) / self._n * box.lengths[a] + box.lower[a] for a in self._axes
        ]
        self._grid = [x.flatten() for x in torch.meshgrid(*sides, indexing="ij")]
        self._symbols = torch.meshgrid(*self._derivatives, indexing="ij")
        self._factors: dict[MultiIndex, Tensor] = {}
        begin, end = box.lower[self._time], box.upper[self._time]
        self._parts = [begin, *(begin + (end - begin) / 2**n for n in range(halvings, -1, -1))]

    @property
    def settings(self) -> str:
        return (
            f"{self.box} modes={self.modes} steps={self.steps} snapshots={self.snapshots} halvings={self.halvings}"
            f" points={self.points}"
        )

    def compute(self) -> Arrays:
        coarse = Fourier(
            self.box,
            self.linear,
            self.nonlinear,
            self.start,
            modes=self.modes - self.modes // 4,
            steps=self.steps // 2,
            lift=self.lift,
            snapshots=self.snapshots // 2,
            halvings=self.halvings,
            points=self.points,
        )
        states, other = self._integrate(), coarse._integrate()
        # Times are dense at the start, where a solution may vary fastest, and weighted accordingly.
        root = (torch.arange(TIMES, dtype=torch.float64) + 0.5) / TIMES
        begin, end = self.box.lower[self._time], self.box.upper[self._time]
        square = torch.zeros(2, dtype=torch.float64)
        for weight, t in zip(root, begin + (end - begin) * root**2, strict=True):
            u, v = (self._values(r._at(t[None], s)[0]) for r, s in ((self, states), (coarse, other)))
            lift = torch.stack([evaluate(a, self._points(float(t))) for a in self.lift])
            square += weight * torch.stack([((u - v) ** 2).sum(), ((u + lift) ** 2).sum()])
        error = (square[0] / square[1]).sqrt()
        return {"error": error.clamp_min(1e-15).numpy(), "states": states.numpy()}

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        array = at.array().detach()
        v = array.new_empty(len(indices), len(array), len(self.start))
        for part in array[:, self._time].argsort(stable=True).split(CHUNK):
            v[:, part] = self._sum(array[part].cpu(), indices).to(v)
        return v + torch.stack([taylor_coefficients(lift, at, indices) for lift in self.lift], dim=-1)

    @cached_property
    def _states(self) -> Tensor:
        return torch.from_numpy(self.arrays["states"])

    def _sum(self, points: Tensor, indices: IndexSet) -> Tensor:
        """Return the Taylor coefficients (channel, point, unknown) of v at points in the order of time."""
        waves = []
        for axis, derivative in zip(self._axes, self._derivatives, strict=True):
            x, which = points[:, axis].unique(return_inverse=True)
            waves.append(_waves(x - self.box.lower[axis], derivative[: self.modes])[which])
        waves = [torch.cat([w, w[:, 1:].flip(1).conj()], dim=1) for w in waves[:-1]] + [2 * waves[-1]]
        waves[-1][:, 0] /= 2  # all others stand for their conjugates as well, which are not stored
        result = points.new_empty(len(indices), len(points), len(self.start))
        for j in {index[self._time] for index in indices.indices}:
            channels = [channel for channel, index in enumerate(indices.indices) if index[self._time] == j]
            for here, modes in self._blocks(points[:, self._time], j):
                some = [w[here] for w in waves]
                for channel in channels:
                    result[channel, here] = self._at_points(modes, some, indices.indices[channel])
        return result

    def _blocks(self, t: Tensor, order: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield which points (N,) in the order of time, and the modes (1, unknown, ...) of all or of each of them."""
        times, counts = t.unique_consecutive(return_counts=True)
        size = max(1, BLOCK // self._states[0, 0].numel())
        first = 0
        if 4 * len(times) > len(t):
            for some in t.split(size):
                yield slice(first, first + len(some)), self._at(some, self._states, order)
                first += len(some)
            return
        modes = (state for some in times.split(size) for state in self._at(some, self._states, order))
        for state, count in zip(modes, counts.tolist(), strict=True):
            yield slice(first, first + count), state[None]
            first += count

    def _at_points(self, modes: Tensor, waves: Sequence[Tensor], index: MultiIndex) -> Tensor:
        """Return a Taylor coefficient (point, unknown) in space from modes and the waves (point, wave number)."""
        orders = [index[axis] for axis in self._axes]
        *outer, last = (
            w * (derivative**order / factorial(order)) if order else w
            for w, derivative, order in zip(waves, self._derivatives, orders, strict=True)
        )
        for w in outer:
            modes = (w @ modes[0]).transpose(0, 1) if len(modes) == 1 else (w[:, None, None] @ modes)[:, :, 0]
        return (last @ modes[0].T).real if len(modes) == 1 and not outer else (modes * last[:, None]).sum(dim=-1).real

    def _at(self, t: Tensor, states: Tensor, order: int = 0) -> Tensor:
        """Return the modes (time, unknown, ...) of v, or a derivative in time over its factorial, at times (N,)."""
        parts = torch.tensor(self._parts, dtype=torch.float64)
        part = (torch.searchsorted(parts, t.contiguous(), right=True) - 1).clamp(0, len(states) - 1)
        last = states.shape[1] - 1
        spacing = parts.diff()[part] / last
        place = (t - parts[part]) / spacing
        first = (place - DEGREE / 2).round().long().clamp(0, last - DEGREE)
        weights = lagrange(2 * (place - first) / DEGREE - 1, order) * ((2 / (DEGREE * spacing)) ** order)[:, None]
        result = states.new_empty(len(t), *states.shape[2:])
        for number, window in torch.stack([part, first], dim=1).unique(dim=0).tolist():
            here = (part == number) & (first == window)
            some = states[number, window : window + DEGREE + 1].flatten(start_dim=1)
            result[here] = (weights[here].to(states) @ some).unflatten(1, states.shape[2:])
        return result

    def _integrate(self) -> Tensor:
        """Return the modes (part, snapshot, unknown, ...) at the start of each part of the time, and within it."""
        v = self._transform(torch.stack([evaluate(value, self._points(self._parts[0])) for value in self.start]))
        parts = []
        for begin, end in pairwise(self._parts):
            parts.append(self._integrate_part(v, begin, end))
            v = parts[-1][-1]
        if not bool(v.isfinite().all()):
            raise KanpdeError(f"the Fourier reference did not stay finite: give more than {self.steps} steps.")
        return torch.stack(parts)

    def _integrate_part(self, v: Tensor, begin: float, end: float) -> Tensor:
        """Return the modes (snapshot, unknown, ...) at the start and after equal numbers of steps."""
        every = max(1, self.steps // self.snapshots)
        steps = every * ceil(self.steps / every)
        h = (end - begin) / steps
        z = torch.stack([h * symbol(*self._symbols) for symbol in self.linear])
        # The functions of z below cancel where z is small: Cauchy's mean over a circle around z does not.
        angle = 2 * pi * (torch.arange(CONTOUR, dtype=torch.float64) + 0.5) / CONTOUR
        q, f1, f2, f3 = torch.zeros(4, *z.shape, dtype=z.dtype)
        for r in (z + point for point in torch.exp(1j * angle)):
            e = torch.exp(r)
            q += (torch.exp(r / 2) - 1) / r
            f1 += (-4 - r + e * (4 - 3 * r + r**2)) / r**3
            f2 += (2 + r + e * (r - 2)) / r**3
            f3 += (-4 - 3 * r - r**2 + e * (4 - r)) / r**3
        q, f1, f2, f3 = (h / CONTOUR * f for f in (q, f1, f2, f3))
        whole, half = torch.exp(z), torch.exp(z / 2)
        states = [v]
        for step in range(steps):
            now = begin + step * h
            n = self._forcing(v, now)
            a = half * v + q * n
            n_a = self._forcing(a, now + h / 2)
            b = half * v + q * n_a
            n_b = self._forcing(b, now + h / 2)
            c = half * a + q * (2 * n_b - n)
            n_c = self._forcing(c, now + h)
            v = whole * v + f1 * n + 2 * f2 * (n_a + n_b) + f3 * n_c
            if (step + 1) % every == 0:
                states.append(v)
        return torch.stack(states)

    def _forcing(self, v: Tensor, t: float) -> Tensor:
        """Return the modes of N(v, x, t)."""

        def field(number: int) -> Field:
            def lookup(index: MultiIndex) -> Tensor:
                if index[self._time]:
                    raise KanpdeError("the nonlinear part of a Fourier reference has no derivatives in time.")
                return self._values(v[number] * self._factor(index) if any(index) else v[number])

            return Field(f"v{number}", self.box.names, lookup)

        values = self.nonlinear(*map(field, range(len(self.start))), self._points(t))
        return self._transform(values[None] if isinstance(values, Tensor) else torch.stack(list(values)))

    def _factor(self, index: MultiIndex) -> Tensor:
        """Return a derivative in space as a factor of every mode."""
        if index not in self._factors:
            orders = (index[axis] for axis in self._axes)
            self._factors[index] = torch.stack([d**n for d, n in zip(self._symbols, orders, strict=True)]).prod(dim=0)
        return self._factors[index]

    def _values(self, modes: Tensor) -> Tensor:
        """Return modes (..., wave number, ...) as values (..., point) on the grid; of a coarser reference, too."""
        dimension, m = len(self._axes), modes.shape[-1]
        for axis in range(-dimension, -1):
            modes = modes.movedim(axis, 0)
            padded = modes.new_zeros(self._n, *modes.shape[1:])
            padded[:m], padded[1 - m :] = modes[:m], modes[m:]
            modes = torch.fft.ifft(padded, dim=0, norm="forward").movedim(0, axis)
        return torch.fft.irfft(modes, n=self._n, norm="forward").flatten(start_dim=-dimension)

    def _transform(self, values: Tensor) -> Tensor:
        """Return the modes (unknown, wave number, ...) of values (unknown, point)."""
        dimension, m = len(self._axes), self.modes
        modes = torch.fft.rfft(values.unflatten(-1, (self._n,) * dimension), norm="forward")[..., :m]
        for axis in range(-dimension, -1):
            modes = torch.fft.fft(modes, dim=axis, norm="forward").movedim(axis, 0)
            modes = torch.cat([modes[:m], modes[1 - m :]]).movedim(0, axis)
        return modes.contiguous()

    def _points(self, t: float) -> Points:
        coordinates = dict(zip(self.box.space, self._grid, strict=True))
        return Points(self.box.names, {**coordinates, self.box.names[self._time]: torch.full_like(self._grid[0], t)})


def _waves(x: Tensor, derivative: Tensor) -> Tensor:
    """Return exp(i k x) (point, mode) as the products of about 2 sqrt(modes) exponentials."""
    block = ceil(len(derivative) ** 0.5)
    small, large = (torch.exp(x[:, None] * d) for d in (derivative[:block], derivative[::block]))
    return (large[:, :, None] * small[:, None, :]).flatten(start_dim=1)[:, : len(derivative)]


def lagrange(s: Tensor, order: int) -> Tensor:
    """Return a derivative, divided by its factorial, of the Lagrange polynomials at s (N, node)."""
    powers = torch.vander(s, DEGREE + 1 - order, increasing=True)
    factors = torch.tensor([factorial(n) / factorial(n - order) for n in range(order, DEGREE + 1)], dtype=s.dtype)
    return powers @ (factors[:, None] * LAGRANGE[order:]) / factorial(order)


def fourier(
    box: Box,
    linear: Symbol | Sequence[Symbol],
    nonlinear: Nonlinear,
    start: Value | Sequence[Value],
    *,
    modes: int,
    steps: int,
    lift: Value | Sequence[Value] = 0.0,
    snapshots: int = SNAPSHOTS,
    halvings: int = 0,
    points: int = 4,
) -> Fourier:
    """Return the solution u = lift + v of v_t = L v + N(v, x, t), periodic in space, with v = start at first.

    `linear(d)` is L as a function of d = d/dx, for example `lambda d: 0.01 * d**2`, and `nonlinear(v, at)` is N, for
    example `lambda v, at: -v * v.d("x")`. In two dimensions there is `linear(dx, dy)`. For several unknowns `start` is
    a list, and `nonlinear(u, v, at)` gets a field of each and returns a list; `linear` and `lift` are lists, or one for
    all. See `Fourier` for the numbers.
    Raises KanpdeError for a box of another shape, for lists of other lengths and, when it is used, if it does not stay
    finite.
    """
    # The coarser reference has half of the last two, and polynomials in time need DEGREE + 1 states.
    if modes < 4 or steps < 2 * DEGREE or snapshots < 2 * DEGREE:
        raise KanpdeError(
            f"modes={modes}, steps={steps}, snapshots={snapshots}: give at least 4 modes and"
            f" {2 * DEGREE} of the others."
        )
    if halvings < 0 or points < 2:
        raise KanpdeError(f"halvings={halvings}, points={points}: give at least 0 halvings and 2 points per mode.")
    starts = list(start) if isinstance(start, Sequence) else [start]
    symbols = list(linear) if isinstance(linear, Sequence) else [linear] * len(starts)
    lifts = list(lift) if isinstance(lift, Sequence) else [lift] * len(starts)
    return Fourier(
        box,
        symbols,
        nonlinear,
        starts,
        modes=modes,
        steps=steps,
        lift=lifts,
        snapshots=snapshots,
        halvings=halvings,
        points=points,
    )
