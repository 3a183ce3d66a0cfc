"""Self-scaled Broyden and BFGS with a dense inverse Hessian (Al-Baali 1998; Urban et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpde.errors import KanpdeError, unknown_name
from kanpde.floats import TINY
from kanpde.model import Change
from kanpde.residual import System
from kanpde.solver.base import Solver, State
from kanpde.solver.line_search import Trial, strong_wolfe

UPDATES = ("ssbroyden", "ssbfgs", "bfgs")
PARALLEL = 1e-12
"""Where a = h b - 1 is below this, s and H y are parallel up to rounding and all members of the family agree."""


@dataclass(frozen=True)
class SelfScaledBroyden(Solver):
    """Settings of the self-scaled quasi-Newton methods: O(P^2) memory and work in each of many iterations.

    update: "ssbroyden" chooses the member of Broyden's family and the scale of the old inverse Hessian anew in each
        iteration, "ssbfgs" only the scale, "bfgs" none; all scale the first one.
    stage_iterations: limit per stage. tolerance: a stage also ends when the residual, in units of its size where the
        network is zero, falls below this.
    """

    update: str = "ssbroyden"
    stage_iterations: int = 10_000
    tolerance: float = 1e-11

    name = "self-scaled-broyden"

    def __post_init__(self) -> None:
        if self.update not in UPDATES:
            raise unknown_name("solver.update", self.update, UPDATES)
        if not self.tolerance > 0:
            raise KanpdeError(f"solver.tolerance={self.tolerance}: give a positive number.")
        if self.stage_iterations < 1:
            raise KanpdeError(f"solver.stage_iterations={self.stage_iterations}: give at least 1.")

    def init(self, system: System, theta: Tensor, memory: dict[str, Any] | None = None) -> State:
        loss, gradient = system.linearised(theta).gradient()
        return State(theta, loss, {**(memory or {}), "gradient": gradient, "loss": loss})

    def step(self, system: System, state: State) -> State:
        g, h = state.memory["gradient"], state.memory.get("inverse")
        p = -g if h is None else -(h @ g)
        start = Trial(0.0, state.loss, float(g @ p), g)

        def evaluate(length: float) -> Trial:
            loss, gradient = system.linearised(state.theta + length * p).gradient()
            return Trial(length, loss, float(gradient @ p), gradient)

        first = 1.0 if h is not None else min(1.0, 1 / max(float(g.abs().sum()), TINY))
        found = strong_wolfe(evaluate, start, first) if start.slope < 0 else None
        theta = state.theta if found is None else state.theta + found.length * p
        if found is None or torch.equal(theta, state.theta):
            # An inverse Hessian that rounding has spoilt goes first; steepest descent is the last resort.
            stopped = "stalled: the line search found no decrease" if h is None else ""
            return State(state.theta, state.loss, {"gradient": g, "loss": state.loss}, stopped)
        memory = {"gradient": found.gradient, "loss": found.loss}
        inverse = updated(h, found.length * p, found.gradient - g, -found.length * g, self.update)
        if inverse is not None:
            memory["inverse"] = inverse
        converged = 2 * found.loss < self.tolerance**2
        stopped = f"converged: relative residual below {self.tolerance:g}" if converged else ""
        return State(theta, found.loss, memory, stopped)

    def kept(self, state: State) -> dict[str, Any]:
        return {name: value for name, value in state.memory.items() if name == "inverse"}

    def restored(self, system: System, theta: Tensor, memory: dict[str, Any]) -> State:
        return State(theta, memory["loss"], memory)

    def transfer(self, memory: dict[str, Any], change: Change) -> dict[str, Any]:
        """T H T^T for theta' = T theta, and the median of its diagonal in the directions orthogonal to all T theta."""
        if "inverse" not in memory:
            return {}
        h = memory["inverse"]
        unit = torch.eye(change.old.parameters).to(h)
        t = torch.stack([change.parameters(e) for e in unit], dim=1)
        # The columns for gradients are those of the transposed pseudoinverse, so this is the projection on all T theta.
        projection = t @ torch.stack([change.gradient(e) for e in unit])
        moved = t @ h @ t.T
        new = moved + moved.diagonal().median() * (torch.eye(len(t)).to(t) - projection)
        return {"inverse": (new + new.T) / 2}


def updated(h: Tensor | None, s: Tensor, y: Tensor, bs: Tensor, update: str) -> Tensor | None:
    """Return the inverse Hessian (P, P) after a step s (P,) that changed the gradient by y; bs is H^-1 s.

    It is symmetric, meets the secant equation H y = s, and stays positive definite. None for H is the identity, which
    is then scaled to the step. Without positive curvature (s^T y <= 0) H is returned as it is, and None where rounding
    has spoilt it.
    Source: Urban et al. 2024 after Al-Baali 1998, in the letters of the former; H = B^-1.
    """
    ys = float(y @ s)
    if not ys > 0:
        return h
    first = h is None
    old = torch.eye(len(s)).to(s) if h is None else h
    hy = old @ y
    yhy = float(y @ hy)
    if not yhy > 0:
        return None
    b, eta = float(s @ bs) / ys, yhy / ys
    theta, tau = parameters(b, eta, len(s), update)
    a = max(eta * b - 1, 0.0)
    phi = (1 - theta) / (1 + a * theta)
    if first:
        tau = eta / (1 + a * theta)
    u, w, v = hy / yhy**0.5, s / ys**0.5, yhy**0.5 * (s / ys - hy / yhy)
    # Products of an array with itself are exactly symmetric, so H stays so.
    v = abs(phi) ** 0.5 * v
    inner = torch.addr(torch.addr(old, u, u, alpha=-1), v, v, alpha=1 if phi > 0 else -1)
    new = torch.addr(inner / tau, w, w)
    return new if bool(torch.isfinite(new).all()) else None


def parameters(b: float, h: float, n: int, update: str) -> tuple[float, float]:
    """Return the member theta of Broyden's family (0: BFGS, 1: DFP) and the divisor tau of the old inverse Hessian.

    b = s^T B s / y^T s, h = y^T H y / y^T s and n parameters. theta > -1 / (h b - 1) keeps H positive definite.
    """
    if update == "bfgs":
        return 0.0, 1.0
    rho = min(1.0, 1 / b)
    a = h * b - 1
    if update == "ssbfgs" or a < PARALLEL:
        return 0.0, rho
    c = (a / (1 + a)) ** 0.5
    rho_minus = min(1.0, h * (1 - c))
    theta = max((rho_minus - 1) / a, min(1 / rho_minus, (1 - b) / b))
    sigma = 1 + theta * a
    sigma_n = sigma ** (-1 / max(n - 1, 1))
    return theta, min(rho * sigma_n, sigma) if theta <= 0 else rho * min(sigma_n, 1 / theta)
