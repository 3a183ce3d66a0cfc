"""What damped Gauss-Newton methods share: damping, acceptance, geodesic acceleration, variable projection.

Levenberg 1944, Marquardt 1963; Golub & Pereyra 1973 for the projection. Methods differ in how they solve the damped
linear least-squares problem of a step.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, ClassVar

import torch
from torch import Tensor

from kanpde import processes
from kanpde.errors import KanpdeError
from kanpde.floats import TINY
from kanpde.linalg import Solve, solve_least_squares
from kanpde.model import Change
from kanpde.residual import Linearisation, System
from kanpde.solver.base import Solver, State

MAX_DAMPING = 1e10
FALL, FALL_OF_MLP = 0.1, 1 / 3
"""What lambda falls to in an iteration, at most: 1/3 in Nielsen 1999, which MLPs need, and splines do not."""
CAUTIOUS_DAMPING = 1e-5
"""The least damping on parameters or points that are partly new."""
ACCELERATION_STEP = 0.1
"""Relative length of the finite difference along a step (Transtrum & Sethna 2012, section 3)."""


@dataclass(frozen=True)
class DampedGaussNewton(Solver):
    """Settings that damped Gauss-Newton methods share.

    Each iteration solves (J^T J + lambda D) p = -J^T r with D = max diag J^T J on the hidden layers and a fixed ridge
    on the last one, and then solves the last layer, which is linear, anew (`projection`): that pair of moves is
    accepted or rejected as one. lambda follows Nielsen 1999. The step is bent along the valley by geodesic acceleration
    (Transtrum & Sethna 2012, equation 9), from the second derivative of the residual along it.

    damping: the first lambda. least_damping: its floor. ridge: relative ridge on the last layer.
    projection: solve the last layer anew at each trial; None does so where the equations are affine, since otherwise
        it lets coefficients run away. projection_steps: Gauss-Newton steps for it in nonlinear equations.
    acceleration: largest acceptable ratio 2 |a| / |p| of acceleration and step; 0 leaves acceleration out.
    starts, start_iterations: multi-start; the lowest held-out residual goes on.
    stage_iterations: limit per stage. patience, progress: a stage ends when `patience` iterations lower the loss by
        less than the factor `progress`. tolerance: a stage also ends when the residual, in units of its size where the
        network is zero, falls below this.
    """

    damping: float = 1e-2
    least_damping: float = 1e-16
    ridge: float = 1e-14
    projection: bool | None = None
    projection_steps: int = 3
    acceleration: float = 1.5
    starts: int = 6
    start_iterations: int = 12
    stage_iterations: int = 300
    patience: int = 20
    progress: float = 0.7
    tolerance: float = 1e-11

    moving: ClassVar[tuple[str, ...]] = ()
    """Vectors (P,) of the memory that outlive new points and refinements."""

    def __post_init__(self) -> None:
        for name in ("damping", "least_damping", "ridge", "tolerance"):
            if not getattr(self, name) > 0:
                raise KanpdeError(f"solver.{name}={getattr(self, name)}: give a positive number.")
        for name in ("starts", "stage_iterations", "patience"):
            if getattr(self, name) < 1:
                raise KanpdeError(f"solver.{name}={getattr(self, name)}: give at least 1.")

    @abstractmethod
    def prepared(
        self, system: System, theta: Tensor, linearisation: Linearisation, memory: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what steps from theta (P,) need besides the linearisation.

        "residual" (R,), of this process, and "diagonal", the largest of diag J^T J or all of them (P,), are among it.
        """

    @abstractmethod
    def proposed(self, memory: dict[str, Any], damping: Tensor) -> tuple[Tensor | None, Solve]:
        """Return the step for damping (P,), and how others are solved for.

        The step minimises |J p + r|^2 + |diag(damping)^(1/2) p|^2, others the same with w (R,) for r. None stands for
        what cannot be computed.
        """

    def init(self, system: System, theta: Tensor, memory: dict[str, Any] | None = None) -> State:
        theta, _ = self._projected(system, theta)
        memory = {"damping": self.damping, **(memory or {}), "growth": 2.0}
        return self._linearised(system, theta, memory)

    def step(self, system: System, state: State) -> State:
        m = state.memory
        damping = m["damping"] * m["metric"] + m["ridge"]
        step, solve = self.proposed(m, damping)
        m = {**m, "history": [*m["history"], state.loss][-self.patience :]}
        if step is not None:
            along = m["linearisation"].times(step)
            predicted = processes.total(-float(along @ (m["residual"] + 0.5 * along)))
            step = self._accelerated(system, state, step, along, solve)
            trial, loss = self._projected(system, state.theta + step)
            if isfinite(loss) and loss < state.loss:
                gain = (state.loss - loss) / max(predicted, TINY)
                damping = max(m["damping"] * max(fall(system), 1 - (2 * min(gain, 2.0) - 1) ** 3), self.least_damping)
                memory = {**m, "damping": damping, "growth": 2.0, "step": step}
                return self._linearised(system, trial, memory)
        memory = {**m, "damping": m["damping"] * m["growth"], "growth": 2 * m["growth"]}
        stopped = (
            "stalled: no damping gives a decrease"
            if memory["damping"] > MAX_DAMPING
            else self._stall(state.loss, memory)
        )
        return State(state.theta, state.loss, memory, stopped)

    def kept(self, state: State) -> dict[str, Any]:
        kept = {name: state.memory[name] for name in ("damping", *self.moving) if name in state.memory}
        return {**kept, "damping": min(kept["damping"], self.damping)}  # it is large where a stage ended by rejections

    def saved(self, state: State) -> dict[str, Any]:
        names = ("damping", "growth", "history", *self.moving)
        return {name: state.memory[name] for name in names if name in state.memory}

    def restored(self, system: System, theta: Tensor, memory: dict[str, Any]) -> State:
        return self._linearised(system, theta, memory)

    def transfer(self, memory: dict[str, Any], change: Change) -> dict[str, Any]:
        return {name: change.parameters(value) if name in self.moving else value for name, value in memory.items()}

    def lasting(self, memory: dict[str, Any]) -> dict[str, Any]:
        return {"damping": max(memory["damping"], CAUTIOUS_DAMPING)} if "damping" in memory else {}

    def _accelerated(self, system: System, state: State, step: Tensor, along: Tensor, solve: Solve) -> Tensor:
        """Return p + a / 2, a the geodesic acceleration along p, or p where the ratio of the two is too large."""
        if not self.acceleration:
            return step
        h = ACCELERATION_STEP
        ahead = system.residual(state.theta + h * step)
        second = (2 / h) * ((ahead - state.memory["residual"]) / h - along)
        a = solve(second)
        hidden = slice(0, system.network.places[-1].start) if self._projects(system) else slice(None)
        if a is None or not float(2 * a[hidden].norm()) <= self.acceleration * float(step[hidden].norm()):
            return step
        return step + 0.5 * a

    def _linearised(self, system: System, theta: Tensor, memory: dict[str, Any]) -> State:
        linearisation = system.linearised(theta)
        memory = {"history": [], **memory, "linearisation": linearisation}
        memory |= self.prepared(system, theta, linearisation, memory)
        loss = processes.total(0.5 * float(memory["residual"].square().sum()))
        last, diagonal = system.network.places[-1], memory["diagonal"].expand(len(theta))
        metric, ridge = torch.zeros_like(theta), torch.zeros_like(theta)
        if self._projects(system):
            metric[: last.start] = diagonal[: last.start].max() if last.start else 0.0
            ridge[last] = self.ridge * diagonal[last].max()
        else:
            metric[:] = diagonal.max()
        memory |= {"metric": metric, "ridge": ridge}
        return State(theta, loss, memory, self._stall(loss, memory))

    def _stall(self, loss: float, memory: dict[str, Any]) -> str:
        history = memory["history"]
        if 2 * loss < self.tolerance**2:
            return f"converged: relative residual below {self.tolerance:g}"
        if len(history) == self.patience and loss > self.progress * history[0]:
            return f"stalled: loss fell by less than {1 - self.progress:.0%} in {self.patience} iterations"
        return ""

    def _projects(self, system: System) -> bool:
        return system.ansatz.problem.affine if self.projection is None else self.projection

    def _projected(self, system: System, theta: Tensor) -> tuple[Tensor, float]:
        """Return theta with its last layer solved for by least squares, and its loss.

        A step that does not help is not taken. Where the equations are affine the loss needs no new evaluation.
        """
        if not self._projects(system):
            return theta, system.loss(theta)
        last = system.network.places[-1]
        best, best_loss = theta, inf
        for _ in range(self.projection_steps):
            r, j = system.linear_part(theta)
            loss = processes.total(0.5 * float(r.square().sum()))
            if not loss < best_loss:
                return best, best_loss
            best, best_loss = theta, loss
            step = solve_least_squares(j, -r, self.ridge)
            if step is None:
                return best, best_loss
            theta = theta.clone()
            theta[last] += step
            if system.ansatz.problem.affine:
                return theta, processes.total(0.5 * float((r + j @ step).square().sum()))
        loss = system.loss(theta)
        return (theta, loss) if loss < best_loss else (best, best_loss)


def fall(system: System) -> float:
    """Return what lambda falls to in an iteration, at most."""
    return FALL_OF_MLP if system.network.perceptron else FALL
