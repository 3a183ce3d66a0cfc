"""Periodic problems in one space dimension by Fourier modes and exponential time differencing.

Sources: the Runge-Kutta scheme ETDRK4, Cox & Matthews 2002, Exponential Time Differencing for Stiff Systems, equations
(26) to (29); its coefficients as means over a contour, Kassam & Trefethen 2005, Fourth-Order Time-Stepping for Stiff
PDEs, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import ceil, factorial, pi

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Field, Points, evaluate, taylor_coefficients
from kanpde.geometry import Box
from kanpde.multiindex import IndexSet, MultiIndex
from kanpde.problem import Reference, Value

DEGREE = 9
"""Degree of the polynomials in time between the snapshots."""
SNAPSHOTS = 400
"""Snapshots that are kept at most."""
TIMES = 64
"""Times at which the error is measured."""
CONTOUR = 64
CHUNK = 2048
# Lagrange polynomials through DEGREE + 1 equidistant nodes on [-1, 1]: rows are powers, columns nodes.
NODES = torch.linspace(-1, 1, DEGREE + 1, dtype=torch.float64)
LAGRANGE = torch.linalg.inv(torch.vander(NODES, increasing=True))

Symbol = Callable[[Tensor], Tensor]
Nonlinear = Callable[[Field, Points], Tensor]


class Fourier(Reference):
    """u = A + v, where v_t = L v + N(v, x, t) is periodic in x and given at the start.

    `linear` is L as a function of d/dx = i k, `nonlinear` is N as a function of the field v and the points, `lift` is
    A. There are `modes` wave numbers 0, 1, ...; products are computed on four points per mode, so that those of up to
    three factors have no aliasing errors. Between snapshots of equal `steps` v is a polynomial of degree 9 in time;
    derivatives in x are those of the Fourier sum.
    Nothing is computed before values or the error are asked for.
    """

    name = "Fourier, ETDRK4"
    error_source = "half as many modes and steps, between the snapshots"
    smooth = True

    def __init__(
        self,
        box: Box,
        linear: Symbol,
        nonlinear: Nonlinear,
        start: Value,
        *,
        modes: int,
        steps: int,
        lift: Value = 0.0,
    ) -> None:
        if box.time is None or len(box.space) != 1:
            raise KanpdeError(f"{box}: the Fourier reference needs one space coordinate and the time t.")
        if modes < 4 or steps < 2 * DEGREE:
            raise KanpdeError(f"modes={modes}, steps={steps}: give at least 4 modes and {2 * DEGREE} steps.")
        self.box, self.linear, self.nonlinear, self.start, self.lift = box, linear, nonlinear, start, lift
        self.modes, self.steps = modes, steps
        (self._space,) = box.space
        self._x, self._t = box.names.index(self._space), box.names.index(box.time)
        lower, upper = box.lower[self._x], box.upper[self._x]
        self._grid = lower + (upper - lower) / (4 * modes) * torch.arange(4 * modes, dtype=torch.float64)
        self._derivative = 2j * pi / (upper - lower) * torch.arange(modes, dtype=torch.float64)

    @cached_property
    def error(self) -> float:  # type: ignore[override]
        """Relative L2 difference to half as many modes and steps, at times between the snapshots."""
        coarse = Fourier(
            self.box,
            self.linear,
            self.nonlinear,
            self.start,
            modes=self.modes // 2,
            steps=self.steps // 2,
            lift=self.lift,
        )
        # Times are dense at the start, where a solution may vary fastest, and weighted accordingly.
        root = (torch.arange(TIMES, dtype=torch.float64) + 0.5) / TIMES
        begin, end = self.box.lower[self._t], self.box.upper[self._t]
        times = begin + (end - begin) * root**2
        u, other = (torch.fft.irfft(v._modes(times), n=len(self._grid), norm="forward") for v in (self, coarse))
        difference = u - other
        u = u + torch.stack([evaluate(self.lift, self._points(t)) for t in times.tolist()])
        norms = [float(((values**2).sum(dim=1) @ root) ** 0.5) for values in (difference, u)]
        return max(norms[0] / norms[1], 1e-15)

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        array = at.array().detach()
        v = array.new_empty(len(indices), len(array))
        for part in array[:, self._t].argsort(stable=True).split(CHUNK):
            v[:, part] = self._sum(array[part].cpu(), indices).to(v)
        return (v + taylor_coefficients(self.lift, at, indices))[..., None]

    def _sum(self, points: Tensor, indices: IndexSet) -> Tensor:
        """Return the Taylor coefficients (channel, point) of v."""
        x, which = points[:, self._x].unique(return_inverse=True)
        waves = 2 * self._waves(x - self._grid[0])  # twice, for the conjugates that are not stored
        waves[:, 0] /= 2
        result = points.new_empty(len(indices), len(points))
        for j in {index[self._t] for index in indices.indices}:
            terms = self._modes(points[:, self._t], j) * waves[which]
            for channel, index in enumerate(indices.indices):
                if index[self._t] == j:
                    i = index[self._x]
                    result[channel] = (terms @ (self._derivative**i / factorial(i))).real
        return result

    def _waves(self, x: Tensor) -> Tensor:
        """Return exp(i k x) (point, mode) as the products of about 2 sqrt(modes) exponentials."""
        block = ceil(self.modes**0.5)
        small, large = (torch.exp(x[:, None] * d) for d in (self._derivative[:block], self._derivative[::block]))
        return (large[:, :, None] * small[:, None, :]).flatten(start_dim=1)[:, : self.modes]

    def _modes(self, t: Tensor, order: int = 0) -> Tensor:
        """Return the modes of v (time, mode), or a derivative in time divided by its factorial, at times (N,)."""
        spacing, states = self._snapshots
        place = (t - self.box.lower[self._t]) / spacing
        first = (place - DEGREE / 2).round().long().clamp(0, len(states) - 1 - DEGREE)
        result = states.new_empty(len(t), self.modes)
        for window in first.unique().tolist():
            here = first == window
            weights = lagrange(2 * (place[here] - window) / DEGREE - 1, order) * (2 / (DEGREE * spacing)) ** order
            result[here] = weights.to(states) @ states[window : window + DEGREE + 1]
        return result

    @cached_property
    def _snapshots(self) -> tuple[float, Tensor]:
        """The time between snapshots, and their modes (snapshot, mode)."""
        begin, end = self.box.lower[self._t], self.box.upper[self._t]
        every = ceil(self.steps / SNAPSHOTS)
        steps = every * ceil(self.steps / every)
        start = torch.fft.rfft(evaluate(self.start, self._points(begin)), norm="forward")[: self.modes]
        states = self._integrate(start, begin, (end - begin) / steps, steps, every)
        if not bool(states.isfinite().all()):
            raise KanpdeError(f"the Fourier reference did not stay finite: give more than {self.steps} steps.")
        return (end - begin) * every / steps, states

    def _integrate(self, v: Tensor, t: float, h: float, steps: int, every: int) -> Tensor:
        """Return the modes (snapshot, mode) at the start and after every so many steps of length h."""
        z = h * self.linear(self._derivative)
        # The functions of z below cancel where z is small: Cauchy's mean over a circle around z does not.
        angle = 2 * pi * (torch.arange(CONTOUR, dtype=torch.float64) + 0.5) / CONTOUR
        r = z[:, None] + torch.exp(1j * angle)
        e = torch.exp(r)
        q = h * ((torch.exp(r / 2) - 1) / r).mean(dim=1)
        f1 = h * ((-4 - r + e * (4 - 3 * r + r**2)) / r**3).mean(dim=1)
        f2 = h * ((2 + r + e * (r - 2)) / r**3).mean(dim=1)
        f3 = h * ((-4 - 3 * r - r**2 + e * (4 - r)) / r**3).mean(dim=1)
        whole, half = torch.exp(z), torch.exp(z / 2)
        states = [v]
        for step in range(steps):
            now = t + step * h
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

        def lookup(index: MultiIndex) -> Tensor:
            if index[self._t]:
                raise KanpdeError("the nonlinear part of a Fourier reference has no derivatives in time.")
            modes = v * self._derivative ** index[self._x] if index[self._x] else v
            return torch.fft.irfft(modes, n=len(self._grid), norm="forward")

        values = self.nonlinear(Field("v", self.box.names, lookup), self._points(t))
        return torch.fft.rfft(values, norm="forward")[: self.modes]

    def _points(self, t: float) -> Points:
        return Points(self.box.names, {self._space: self._grid, "t": torch.full_like(self._grid, t)})


def lagrange(s: Tensor, order: int) -> Tensor:
    """Return a derivative, divided by its factorial, of the Lagrange polynomials at s (N, node)."""
    powers = torch.vander(s, DEGREE + 1 - order, increasing=True)
    factors = torch.tensor([factorial(n) / factorial(n - order) for n in range(order, DEGREE + 1)], dtype=s.dtype)
    return powers @ (factors[:, None] * LAGRANGE[order:]) / factorial(order)


def fourier(
    box: Box,
    linear: Symbol,
    nonlinear: Nonlinear,
    start: Value,
    *,
    modes: int,
    steps: int,
    lift: Value = 0.0,
) -> Fourier:
    """Return the solution u = lift + v of v_t = L v + N(v, x, t), periodic in x, with v = start at first.

    `linear(d)` is L as a function of d = d/dx, for example `lambda d: 0.01 * d**2`, and `nonlinear(v, at)` is N, for
    example `lambda v, at: -v * v.d("x")`. See `Fourier` for `modes` and `steps`.
    Raises KanpdeError for a box of another shape, and when it is used, if it does not stay finite.
    """
    return Fourier(box, linear, nonlinear, start, modes=modes, steps=steps, lift=lift)
