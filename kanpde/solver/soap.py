"""SOAP, Adam in the eigenbases of Shampoo (Vyas et al. 2024), from the optional package pytorch-optimizer."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.model import Change
from kanpde.residual import System, layered
from kanpde.solver.base import Solver, State
from kanpde.solver.first_order import LOSS_SCALE


@dataclass(frozen=True)
class SOAP(Solver):
    """Settings of SOAP: each layer's weights are a matrix, whose gradients' rows and columns give the eigenbases.

    frequency: steps between two updates of the eigenbases. Raises KanpdeError where pytorch-optimizer is not installed.
    """

    learning_rate: float = 3e-3
    frequency: int = 10
    stage_iterations: int = 5000

    name = "soap"

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise KanpdeError(f"solver.learning_rate={self.learning_rate}: give a positive number.")
        for name in ("frequency", "stage_iterations"):
            if getattr(self, name) < 1:
                raise KanpdeError(f"solver.{name}={getattr(self, name)}: give at least 1.")
        if find_spec("pytorch_optimizer") is None:
            raise KanpdeError("solver=soap needs the package pytorch-optimizer: pip install 'kanpde[soap]'.")

    def init(self, system: System, theta: Tensor, memory: dict[str, Any] | None = None) -> State:
        loss, gradient = system.linearised(theta).gradient()
        return State(theta, loss, {**(memory or {}), "loss": loss, "gradient": gradient})

    def restored(self, system: System, theta: Tensor, memory: dict[str, Any]) -> State:
        return State(theta, memory["loss"], memory)

    def step(self, system: System, state: State) -> State:
        from pytorch_optimizer import SOAP as Optimiser

        m, network = state.memory, layered(system.network)
        weights = [w.clone().requires_grad_() for w in network.weights(state.theta)]
        for w, gradient in zip(weights, network.weights(m["gradient"]), strict=True):
            w.grad = LOSS_SCALE * gradient
        optimiser = Optimiser(weights, lr=self.learning_rate, weight_decay=0.0, precondition_frequency=self.frequency)
        if "layers" in m:
            fresh = optimiser.state_dict()
            group = {**fresh["param_groups"][0], "step": m["steps"]}
            layers = dict(enumerate(deepcopy(m["layers"])))  # the optimiser changes them in place
            optimiser.load_state_dict({"state": layers, "param_groups": [group]})
        optimiser.step()
        theta = torch.cat([w.detach().flatten() for w in weights])
        loss, gradient = system.linearised(theta).gradient()
        if not isfinite(loss) or not bool(torch.isfinite(theta).all()):
            return State(state.theta, state.loss, m, "stopped: the next step is not finite")
        after = optimiser.state_dict()
        kept = [after["state"][number] for number in range(len(weights))]
        memory = {"layers": kept, "steps": after["param_groups"][0]["step"], "loss": loss, "gradient": gradient}
        return State(theta, loss, memory)

    def kept(self, state: State) -> dict[str, Any]:
        return {name: value for name, value in state.memory.items() if name in ("layers", "steps")}

    def transfer(self, memory: dict[str, Any], change: Change) -> dict[str, Any]:
        """The averages start anew: eigenbases of other features say little."""
        return {}
