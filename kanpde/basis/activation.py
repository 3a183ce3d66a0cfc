"""Fixed smooth functions: one basis function per input, as in an MLP or in the base branch of a KAN."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kanpde.basis.base import Basis
from kanpde.basis.elementary import ELEMENTARY, Elementary, product, symbolic
from kanpde.errors import unknown_name


def silu(z: Tensor, order: int) -> list[Tensor]:
    """z sigma(z), with sigma by the recurrence of sigma' = sigma - sigma^2."""
    y = [torch.sigmoid(z)]
    for m in range(order):
        y.append((y[m] - product(y, y, m)) / (m + 1))
    return [z * y[0], *(z * y[m] + y[m - 1] for m in range(1, order + 1))]


def symbolic_silu(x: Any) -> Any:
    """Return x / (1 + exp(-x))."""
    return x / (1 + symbolic("exp", -x))


FUNCTIONS: dict[str, Elementary] = {
    "identity": ELEMENTARY["x"],
    "tanh": ELEMENTARY["tanh"],
    "sine": ELEMENTARY["sin"],
    "silu": Elementary("silu", silu, symbolic_silu),
}


class Activation(Basis):
    """One function of each input: an elementary one, or by name; raise KanpdeError for an unknown name."""

    size = 1

    def __init__(self, function: str | Elementary) -> None:
        if isinstance(function, str) and function not in FUNCTIONS:
            raise unknown_name("activation", function, FUNCTIONS)
        self.function = FUNCTIONS[function] if isinstance(function, str) else function

    def taylor(self, z: Tensor, order: int) -> Tensor:
        return torch.stack(self.function.taylor(z, order))[..., None]

    def of_input(self, i: int) -> Activation:
        return self
