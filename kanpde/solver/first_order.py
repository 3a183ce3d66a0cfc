"""Adam and L-BFGS, the common practice, through PyTorch's own implementations."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.model import Change
from kanpde.residual import System
from kanpde.solver.base import Solver, State

LOSS_SCALE = 1e8
"""PyTorch's L-BFGS drops curvature pairs with s^T y < 1e-10, which losses of 1e-9 and less would all meet."""


class FirstOrder(Solver):
    """A `torch.optim` method on the flat parameter vector."""

    @abstractmethod
    def optimiser(self, theta: Tensor) -> torch.optim.Optimizer:
        """Return PyTorch's optimiser of one parameter vector."""

    def init(self, system: System, theta: Tensor, memory: dict[str, Any] | None = None) -> State:
        loss = system.loss(theta)
        return State(theta, loss, {**(memory or {}), "loss": loss})

    def restored(self, system: System, theta: Tensor, memory: dict[str, Any]) -> State:
        return State(theta, memory["loss"], memory)

    def step(self, system: System, state: State) -> State:
        theta = state.theta.clone().requires_grad_()
        optimiser = self.optimiser(theta)
        if "optimiser" in state.memory:
            optimiser.load_state_dict({**optimiser.state_dict(), "state": {0: state.memory["optimiser"]}})
        seen: list[tuple[Tensor, float, Tensor]] = []

        def closure() -> float:
            if not seen and "gradient" in state.memory:
                loss, gradient = state.loss, state.memory["gradient"]
            else:
                loss, gradient = system.linearised(theta.detach()).gradient()
            seen.append((theta.detach().clone(), loss, gradient))
            theta.grad = LOSS_SCALE * gradient
            return LOSS_SCALE * loss

        optimiser.step(closure)
        new = theta.detach()
        # Where a line search ended it has the loss and the gradient already; the next step needs them in any case.
        known = ((loss, gradient) for point, loss, gradient in reversed(seen) if torch.equal(point, new))
        loss, gradient = next(known, None) or system.linearised(new).gradient()
        if not isfinite(loss) or not bool(torch.isfinite(new).all()):
            return State(state.theta, state.loss, state.memory, "stopped: the next step is not finite")
        memory = {"optimiser": optimiser.state_dict()["state"][0], "gradient": gradient, "loss": loss}
        stopped = "stalled: the line search found no decrease" if torch.equal(new, state.theta) else ""
        return State(new, loss, memory, stopped)

    def kept(self, state: State) -> dict[str, Any]:
        return {name: value for name, value in state.memory.items() if name == "optimiser"}


@dataclass(frozen=True)
class Adam(FirstOrder):
    """Settings of Adam (Kingma & Ba 2015)."""

    learning_rate: float = 1e-3
    stage_iterations: int = 5000

    name = "adam"

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise KanpdeError(f"solver.learning_rate={self.learning_rate}: give a positive number.")

    def optimiser(self, theta: Tensor) -> torch.optim.Optimizer:
        return torch.optim.Adam([theta], lr=self.learning_rate)

    def transfer(self, memory: dict[str, Any], change: Change) -> dict[str, Any]:
        if "optimiser" not in memory:
            return {}
        moments = memory["optimiser"]
        second = change.gradient(moments["exp_avg_sq"].sqrt()).square()
        return {"optimiser": {**moments, "exp_avg": change.gradient(moments["exp_avg"]), "exp_avg_sq": second}}


@dataclass(frozen=True)
class LBFGS(FirstOrder):
    """Settings of L-BFGS with a strong Wolfe line search (Liu & Nocedal 1989)."""

    memory: int = 50
    stage_iterations: int = 2000

    name = "l-bfgs"

    def __post_init__(self) -> None:
        if self.memory < 1:
            raise KanpdeError(f"solver.memory={self.memory}: keep at least 1 pair.")

    def optimiser(self, theta: Tensor) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(
            [theta],
            max_iter=1,
            max_eval=25,
            history_size=self.memory,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

    def transfer(self, memory: dict[str, Any], change: Change) -> dict[str, Any]:
        if "optimiser" not in memory:
            return {}
        old = memory["optimiser"]
        # Steps change like parameters and differences of gradients like gradients: s^T y stays as it was, except where
        # a grid dropped intervals. Pairs without positive curvature then go.
        moved = (
            (change.parameters(s), change.gradient(y)) for s, y in zip(old["old_stps"], old["old_dirs"], strict=True)
        )
        pairs = [(s, y) for s, y in moved if float(s @ y) > 0]
        new = {
            "d": change.parameters(old["d"]),
            "old_stps": [s for s, _ in pairs],
            "old_dirs": [y for _, y in pairs],
            "ro": [1 / (s @ y) for s, y in pairs],
            "prev_flat_grad": change.gradient(old["prev_flat_grad"]),
        }
        return {"optimiser": {**old, **new}}
