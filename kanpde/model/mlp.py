"""Multilayer perceptrons, the network of ordinary PINNs, propagated through the same derivative channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from kanpde.basis import Activation
from kanpde.errors import KanpdeError
from kanpde.model.layer import Layer
from kanpde.model.network import Network
from kanpde.problem import Problem


@dataclass(frozen=True)
class MLP:
    """Settings of an MLP: numbers of hidden units per layer, and the activation ("tanh" or "sine")."""

    width: Sequence[int] = (12, 12)
    activation: str = "tanh"

    name = "mlp"

    def __post_init__(self) -> None:
        if not self.width or any(w < 1 for w in self.width):
            raise KanpdeError(f"width={list(self.width)}: give at least one hidden layer, each with at least one unit.")
        Activation(self.activation)

    def suited(self, problem: Problem) -> MLP:
        """Return these settings, which suit any problem."""
        return self

    def check(self, order: int) -> None:
        """An MLP is smooth enough for any order."""

    def stages(self) -> list[tuple[int, ...]]:
        """Return the only stage."""
        return [()]

    def network(self, lower: Tensor, upper: Tensor, outputs: int, grids: Sequence[int] | None = None) -> Network:
        """Return the network on the box [lower, upper] (d,)."""
        widths = (len(lower), *self.width, outputs)
        names = ("identity", *[self.activation] * len(self.width))
        layers = tuple(
            Layer(i, o, (Activation(name),), bias=True)
            for i, o, name in zip(widths[:-1], widths[1:], names, strict=True)
        )
        return Network(layers, lower, upper)

    def initial_parameters(self, network: Network, generator: torch.Generator) -> Tensor:
        """Return random parameters (P,): normal weights of Glorot & Bengio 2010, biases uniform on [-1, 1] / sqrt I."""
        weights = []
        for layer in network.layers:
            w = torch.randn(layer.features, layer.outputs, generator=generator, dtype=torch.float64)
            w *= sqrt(2.0 / (layer.inputs + layer.outputs))
            w[-1] = (2 * torch.rand(layer.outputs, generator=generator, dtype=torch.float64) - 1) / sqrt(layer.inputs)
            weights.append(w.reshape(-1))
        return torch.cat(weights).to(network.lower)
