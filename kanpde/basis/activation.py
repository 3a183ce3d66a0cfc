"""Fixed smooth functions: one basis function per input, as in an MLP or in the base branch of a KAN."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import torch
from torch import Tensor

from kanpde.basis.base import Basis
from kanpde.errors import unknown_name


def identity(z: Tensor, order: int) -> list[Tensor]:
    """z and its Taylor coefficients."""
    return [z, torch.ones_like(z), *(torch.zeros_like(z) for _ in range(order - 1))][: order + 1]


def tanh(z: Tensor, order: int) -> list[Tensor]:
    """tanh by the recurrence of y' = 1 - y^2: (m + 1) y_{m+1} = [m = 0] - sum_j y_j y_{m-j}."""
    y = [torch.tanh(z)]
    for m in range(order):
        square = sum((y[j] * y[m - j] for j in range(1, m + 1)), y[0] * y[m])
        y.append(((1.0 if m == 0 else 0.0) - square) / (m + 1))
    return y


def sine(z: Tensor, order: int) -> list[Tensor]:
    """sin, whose m-th derivative is sin(z + m pi / 2)."""
    s, c = torch.sin(z), torch.cos(z)
    cycle = (s, c, -s, -c)
    return [cycle[m % 4] / factorial(m) for m in range(order + 1)]


def silu(z: Tensor, order: int) -> list[Tensor]:
    """z sigma(z), with sigma by the recurrence of sigma' = sigma - sigma^2."""
    y = [torch.sigmoid(z)]
    for m in range(order):
        square = sum((y[j] * y[m - j] for j in range(1, m + 1)), y[0] * y[m])
        y.append((y[m] - square) / (m + 1))
    return [z * y[0], *(z * y[m] + y[m - 1] for m in range(1, order + 1))]


FUNCTIONS: dict[str, Callable[[Tensor, int], list[Tensor]]] = {
    "identity": identity,
    "tanh": tanh,
    "sine": sine,
    "silu": silu,
}


class Activation(Basis):
    """One named function of each input; raise KanpdeError for an unknown name."""

    size = 1

    def __init__(self, name: str) -> None:
        if name not in FUNCTIONS:
            raise unknown_name("activation", name, FUNCTIONS)
        self.name = name

    def taylor(self, z: Tensor, order: int) -> Tensor:
        return torch.stack(FUNCTIONS[self.name](z, order))[..., None]
