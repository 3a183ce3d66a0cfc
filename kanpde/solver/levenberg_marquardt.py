"""Levenberg-Marquardt with variable projection: damped Gauss-Newton on dense normal equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kanpde.errors import unknown_name
from kanpde.linalg import LINEAR, Solve, damped_step
from kanpde.residual import Linearisation, System
from kanpde.solver.damped import DampedGaussNewton


@dataclass(frozen=True)
class LevenbergMarquardt(DampedGaussNewton):
    """Settings of Levenberg-Marquardt, besides those of every damped Gauss-Newton method.

    linear: how steps are solved for: "cholesky" of the normal equations, "qr" or "svd" of the Jacobian, or "auto": the
        first of them that works. J^T J is held, P^2 entries.
    """

    linear: str = "auto"

    name = "levenberg-marquardt"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.linear not in LINEAR:
            raise unknown_name("solver.linear", self.linear, LINEAR)

    def prepared(
        self, system: System, theta: Tensor, linearisation: Linearisation, memory: dict[str, Any]
    ) -> dict[str, Any]:
        residual, gradient, matrix = linearisation.normal_equations()
        return {"residual": residual, "gradient": gradient, "matrix": matrix, "diagonal": matrix.diagonal()}

    def proposed(self, memory: dict[str, Any], damping: Tensor) -> tuple[Tensor | None, Solve]:
        linearisation = memory["linearisation"]
        step, solve = damped_step(memory["matrix"], memory["gradient"], linearisation.blocks, damping, self.linear)
        return step, lambda w: solve(-linearisation.transposed_times(w))
