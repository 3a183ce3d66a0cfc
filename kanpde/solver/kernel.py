"""Gauss-Newton in kernel form, for fewer residual rows than parameters, with momentum (SPRING)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.linalg import Solve, cholesky
from kanpde.residual import Linearisation, System
from kanpde.solver.damped import DampedGaussNewton


@dataclass(frozen=True)
class Kernel(DampedGaussNewton):
    """Settings of the kernel form of natural gradients, besides those of every damped Gauss-Newton method.

    Steps are p = mu p_old - J^T (J J^T + lambda I)^-1 (r + mu J p_old) (Goldshlager, Abrahamsen & Lin 2024), p_old the
    step before: the part of it that the points do not see goes on. J J^T has R^2 entries for R residual rows, and no
    row of J is formed. lambda is in units of the largest entry of the diagonal of J J^T and
    damps all parameters alike, also where the last layer is solved anew. After a step that was rejected the next one is
    tried without momentum.

    momentum: mu.
    """

    momentum: float = 0.0

    name = "kernel"
    divides = False
    moving = ("step",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise KanpdeError(f"solver.momentum={self.momentum}: give a number from 0 to below 1.")

    def prepared(
        self, system: System, theta: Tensor, linearisation: Linearisation, memory: dict[str, Any]
    ) -> dict[str, Any]:
        residual, kernel = linearisation.kernel()
        return {"residual": residual, "kernel": kernel, "diagonal": kernel.diagonal().max()}

    def proposed(self, memory: dict[str, Any], damping: Tensor) -> tuple[Tensor | None, Solve]:
        linearisation, kernel = memory["linearisation"], memory["kernel"]
        factor = cholesky(kernel, damping.max().expand(len(kernel)))

        def solve(w: Tensor) -> Tensor | None:
            weights = None if factor is None else factor.solve(w)
            return None if weights is None else -linearisation.transposed_times(weights)

        residual, before = memory["residual"], memory.get("step")
        if before is None or not self.momentum or memory["growth"] > 2:
            return solve(residual), solve
        carried = self.momentum * before
        step = solve(residual + linearisation.times(carried))
        return None if step is None else carried + step, solve
