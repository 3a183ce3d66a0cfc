"""Multilayer perceptrons, the network of ordinary PINNs, propagated through the same derivative channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import sqrt
from sys import maxsize

import torch
from torch import Tensor

from kanpde.basis import Activation, Fourier
from kanpde.errors import KanpdeError
from kanpde.model.layer import Edges, Layer
from kanpde.model.network import Network, Stage
from kanpde.problem import Problem

USUAL, WIDEST = 12, 24
"""Units in each of two hidden layers, and how many there are at most for data."""


@dataclass(frozen=True)
class MLP:
    """Settings of an MLP: numbers of hidden units per layer, and the activation ("tanh" or "sine").

    None lets `suited` choose the width: two layers of 12, or as many as data suffice for.
    """

    width: Sequence[int] | None = None
    activation: str = "tanh"

    name = "mlp"

    def __post_init__(self) -> None:
        if self.width is not None and (not self.width or any(w < 1 for w in self.width)):
            raise KanpdeError(f"width={list(self.width)}: give at least one hidden layer, each with at least one unit.")
        Activation(self.activation)

    def suited(self, problem: Problem) -> MLP:
        """Return these settings with two hidden layers of 12, or of fewer or more with half as many parameters as data.

        The latter where there are no equations.
        """
        if self.width is not None:
            return self
        width = USUAL
        if not problem.equations:
            inputs, outputs = problem.geometry.dimension, len(problem.unknowns)
            sizes = ((inputs + 1 + w + 1) * w + (w + 1) * outputs for w in range(2, WIDEST + 1))
            width = 1 + sum(size <= problem.data // 2 for size in sizes)
        return replace(self, width=(width, width))

    def check(self, order: int) -> None:
        """An MLP is smooth enough for any order."""

    def stages(self) -> list[Stage]:
        """Return the only stage."""
        return [Stage()]

    @property
    def limit(self) -> int:
        """An MLP does not grow, so there is no limit to its parameters."""
        return maxsize

    def attempts(self) -> list[MLP]:
        """Return what to train: this network."""
        return [self]

    def network(
        self,
        lower: Tensor,
        upper: Tensor,
        outputs: int,
        stage: Stage | None = None,
        periodic: Sequence[int] = (),
        scalars: int = 0,
    ) -> Network:
        """Return the network on the box [lower, upper] (d,); it sees the sine and cosine of the axes in `periodic`.

        `scalars` more outputs are constant.
        """
        assert self.width is not None, "width None: call suited(problem) first"
        widths, one = (*self.width, outputs), lower.new_ones(1)
        first = tuple(
            Edges(Fourier(1, -one, one, constant=False) if i in periodic else Activation("identity"), i, i + 1)
            for i in range(len(lower))
        )
        layers = [Layer(len(lower), first, widths[0], bias=True)]
        for inputs, width in pairwise(widths):
            layers.append(Layer(inputs, (Edges(Activation(self.activation), 0, inputs),), width, bias=True))
        return Network(tuple(layers), lower, upper, scalars)

    def initial_parameters(self, network: Network, generator: torch.Generator) -> Tensor:
        """Return random parameters (P,): normal weights of Glorot & Bengio 2010, biases uniform on [-1, 1] / sqrt I."""
        weights = [torch.zeros(network.scalars, dtype=torch.float64)]
        for layer in network.layers:
            w = torch.randn(layer.features, layer.outputs, generator=generator, dtype=torch.float64)
            w *= sqrt(2.0 / (layer.inputs + layer.outputs))
            w[-1] = (2 * torch.rand(layer.outputs, generator=generator, dtype=torch.float64) - 1) / sqrt(layer.inputs)
            weights.append(w.reshape(-1))
        return torch.cat(weights).to(network.lower)
