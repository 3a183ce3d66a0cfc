"""Time-dependent problems: collocation at the three Radau points (Radau IIA, order 5, L-stable).

In every step the solution is the cubic through the start and three stages, at each of which F(u, u', t) = 0 holds; the
cubic is the dense output, of order 4. The ends of the steps are of order 5, or about 4 where Dirichlet values change in
time (Ostermann & Roche 1992). Source: Hairer & Wanner 1996, Solving Ordinary Differential Equations II, sections IV.5
and IV.8.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray

from kanpde.errors import KanpdeError
from kanpde.reference.fem.linearise import NotFinite
from kanpde.reference.fem.weakform import WeakForm, factorise

NODES = np.array([0.0, (4 - 6**0.5) / 10, (4 + 6**0.5) / 10, 1.0])
LAGRANGE = np.linalg.inv(np.vander(NODES, increasing=True))
FIRST_STEPS = 64
NEWTON_ITERATIONS = 20
SMALLEST_STEP = 1e-12
SAFETY = 0.9


def in_time(s: ndarray) -> ndarray:
    """Return the four Lagrange polynomials of a step at s in [0, 1] (N, 4)."""
    return np.vander(s, 4, increasing=True) @ LAGRANGE


def in_time_slope(s: ndarray) -> ndarray:
    """Return the derivatives of the four Lagrange polynomials of a step at s in [0, 1] (N, 4)."""
    return np.vander(s, 3, increasing=True) @ (np.arange(1, 4)[:, None] * LAGRANGE[1:])


SLOPES = in_time_slope(NODES)
# The stage system D (x) M / h + I (x) J falls apart in the eigenvectors of D: one real system and one complex one.
EIGENVALUES, VECTORS = np.linalg.eig(SLOPES[1:, 1:])
REAL, COMPLEX = int(np.argmin(abs(EIGENVALUES.imag))), int(np.argmax(EIGENVALUES.imag))
TO_MODES = np.linalg.inv(VECTORS)


@dataclass
class Trajectory:
    """The solution in time: `states` (step, 4, dof) at the start and the stages of the steps between `times`."""

    times: list[float]
    states: list[ndarray] = field(default_factory=list)
    rejected: int = 0


class NotConverged(Exception):
    """The stages of a step were not found."""


class Stages:
    """Simplified Newton for the stages of one step, with the factors of one linearisation and one step size."""

    def __init__(self, form: WeakForm, u: ndarray, rate: ndarray, t: float, h: float) -> None:
        self.form, self.h = form, h
        free = form.free
        jacobian, mass = (matrix(u, rate, t)[free][:, free] for matrix in (form.jacobian, form.mass))
        self.real = factorise(jacobian + mass * (EIGENVALUES[REAL].real / h))
        self.complex = factorise(jacobian + mass * (EIGENVALUES[COMPLEX] / h))
        self.fast = True

    def solve(self, t: float, states: ndarray, target: float) -> ndarray:
        """Return the states (4, dof) of the step from t, beginning with a guess, to the relative accuracy `target`."""
        form, free = self.form, self.form.free
        times = t + self.h * NODES[1:]
        states = np.concatenate([states[:1], form.with_essential(states[1:], times)])
        before = None
        for iteration in range(NEWTON_ITERATIONS):
            residual = form.residual(states[1:], SLOPES[1:] @ states / self.h, times)[:, free]
            modes = TO_MODES @ -residual
            real = self.real.solve(np.ascontiguousarray(modes[REAL].real))
            # The third mode is the conjugate of the complex one: twice the real part of one stands for both.
            pair = self.complex.solve(np.ascontiguousarray(modes[COMPLEX]))
            step = np.outer(VECTORS[:, REAL].real, real) + 2 * np.real(np.outer(VECTORS[:, COMPLEX], pair))
            states[1:, free] += step
            change = max(form.norm_free(stage) for stage in step)
            allowed = target * max(form.norm(state) for state in states)
            contraction = 0.5 if before is None else change / before
            if change == 0 or (contraction < 1 and change * contraction / (1 - contraction) <= allowed):
                self.fast = iteration < 3
                return states
            if not contraction < 1:
                break
            before = change
        raise NotConverged

    def error(self, t: float, states: ndarray) -> float:
        """Return the estimated L2 error of the step: what the cubic leaves in the equation at its start, smoothed."""
        residual = self.form.residual(states[:1], SLOPES[:1] @ states / self.h, np.array([t]))[0, self.form.free]
        return self.form.norm_free(self.real.solve(residual))


def integrate(form: WeakForm, interval: tuple[float, float], steps: int | None, tolerance: float) -> Trajectory:
    """Return the solution from the initial condition on, in equal `steps` or in steps chosen by the estimated error.

    `tolerance` bounds the error of a step, relative to the largest norm so far; stages are solved to a hundredth of it.
    Raises KanpdeError if the stages of a step cannot be found.
    """
    t, end = interval
    h = (end - t) / (steps or FIRST_STEPS)
    shortest = SMALLEST_STEP * (end - t)
    u = form.initial()
    guess = np.stack([u] * 4)
    path = Trajectory([t])
    stages: Stages | None = None
    scale = form.norm(u)
    form.residual(u[None], 0 * u[None], np.array([t]))  # an equation that is not finite at the start says so here
    while end - t > shortest:
        if h <= shortest:
            raise not_converged(f"at {t:.6g}: the step size fell to {h:.1e}")
        fresh = stages is None
        try:
            if stages is None:
                stages = Stages(form, guess[2], SLOPES[2] @ guess / h, t + NODES[2] * h, h)
            states = stages.solve(t, guess, tolerance / 100)
        except (NotConverged, NotFinite):
            stages = None
            if fresh and steps:
                raise not_converged(f"in step {len(path.states) + 1} of {steps}: give more steps") from None
            if fresh:
                path.rejected += 1
                h, guess = h / 4, np.stack([guess[0]] * 4)
            continue
        scale = max(scale, *(form.norm(state) for state in states))
        factor = 1.0 if steps else step_factor(stages.error(t, states), tolerance * scale)
        if factor < SAFETY:
            path.rejected += 1
            guess, stages = in_time(NODES * factor) @ states, None
            h *= factor
            continue
        path.states.append(states)
        path.times.append(t + h)
        t += h
        longer = next_step(h, factor, end - t)
        guess = in_time(1 + NODES * longer / h) @ states
        guess[0] = states[3]
        if not stages.fast or abs(longer - h) > 1e-9 * h:
            stages = None
        h = longer
    return path


def step_factor(error: float, allowed: float) -> float:
    """Return by how much the next step may be longer; below SAFETY the error was too large."""
    return min(max(SAFETY * (allowed / error) ** 0.25, 0.2), 4.0) if error > 0 else 4.0


def next_step(h: float, factor: float, left: float) -> float:
    """Return the next step size: unchanged where little is gained, as the factors are then used again."""
    h = h if SAFETY <= factor <= 1.2 else h * factor
    if left <= 1.001 * h:
        return left
    return left / 2 if left < 2 * h else h


def not_converged(where: str) -> KanpdeError:
    """Return the error for stages that were not found."""
    return KanpdeError(f"FEM: the time steps did not converge {where}, or leave FEM out with baseline=none.")
