"""A network of layers as a fixed structure; its parameters are one flat vector that the solver owns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kanpde.basis import BSpline, Learnable
from kanpde.model.factor import Factor, Factors, First, FirstFactor, neighbours
from kanpde.model.layer import Layer, Tape
from kanpde.multiindex import IndexSet

MARGIN = 0.02


class Stage(NamedTuple):
    """What a stage of training resolves: intervals per layer, and product nodes per hidden layer."""

    grids: tuple[int, ...] = ()
    products: tuple[int, ...] = ()


class Passed(NamedTuple):
    """How a layer was passed: what its reverse pass needs (the first layer has none), and its sums (C, N, O)."""

    tape: Tape | None
    sums: Tensor


@dataclass(frozen=True, eq=False)
class Network:
    """Layers on inputs that are mapped affinely from the box [lower, upper] (d,) to [-1, 1]."""

    layers: tuple[Layer, ...]
    lower: Tensor
    upper: Tensor

    @property
    def parameters(self) -> int:
        """The number of parameters P."""
        return sum(layer.parameters for layer in self.layers)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Where each layer's weights stand in the flat parameter vector; the last layer enters linearly."""
        slices, start = [], 0
        for layer in self.layers:
            slices.append(slice(start, start + layer.parameters))
            start += layer.parameters
        return tuple(slices)

    def weights(self, theta: Tensor) -> list[Tensor]:
        """Return the weights (f, O) of each layer as views of the parameters (P,)."""
        return [theta[p].view(x.features, x.linear) for p, x in zip(self.places, self.layers, strict=True)]

    def embed(self, indices: IndexSet, points: Tensor) -> Tensor:
        """Return the mapped coordinates of points (N, d) as Taylor coefficients (C, N, d)."""
        slope = 2.0 / (self.upper - self.lower)
        z = points.new_zeros(len(indices), *points.shape)
        z[0] = (points - self.lower) * slope - 1.0
        for axis in range(points.shape[1]):
            channel = indices.unit(axis)
            if channel is not None:
                z[channel, :, axis] = slope[axis]
        return z

    def first(self, indices: IndexSet, points: Tensor, parts: Sequence[slice] = (slice(None),)) -> First:
        """Return the first layer's features at points (N, d), in blocks of points; no parameter enters them."""
        return First.of(self.layers[0], indices, self.embed(indices, points), parts)

    def forward(
        self, theta: Tensor, indices: IndexSet, first: First, reverse: bool = True
    ) -> tuple[Tensor, list[Passed]]:
        """Return the outputs (C, N, O) and how each layer was passed; `reverse` keeps what `factors` needs."""
        weights = self.weights(theta)
        sums = first.times(weights[0])
        passed = [Passed(None, sums)]
        for before, layer, w in zip(self.layers[:-1], self.layers[1:], weights[1:], strict=True):
            tape = layer.forward(indices, before.nodes(indices, sums), reverse)
            sums = tape.features @ w
            passed.append(Passed(tape, sums))
        return sums, passed

    def factors(self, theta: Tensor, indices: IndexSet, first: First, passed: list[Passed], adjoint: Tensor) -> Factors:
        """Return each layer's factor of the Jacobian of sum over channels of adjoint (C, N, O) times the output."""
        weights = self.weights(theta)
        deeper: list[Factor] = []
        for layer, (tape, sums), w in reversed(list(zip(self.layers, passed, weights, strict=True))):
            adjoint = layer.nodes_adjoint(indices, sums, adjoint)
            if tape is not None:
                deeper.insert(0, Factor(adjoint, tape.features))
                adjoint = layer.pull_back(indices, tape, w, adjoint)
        return [FirstFactor(adjoint, first), *deeper]

    def neighbours(self, points: Tensor) -> tuple[Tensor, list[slice]]:
        """Return an order (N,) of points (N, d) in which those that share features stand together, and these parts."""
        return neighbours(self.grids(), (points - self.lower) / (self.upper - self.lower))

    def refined(self, factors: Sequence[int]) -> tuple[Network, Change]:
        """Return the same function with the resolution of each layer's bases multiplied by a factor."""
        return self._changed(lambda number, basis, _: basis.refined(factors[number]))

    def bisected(self, chosen: Sequence[Tensor]) -> tuple[Network, Change]:
        """Return the same function with chosen intervals (G,) of the first layer's splines cut in halves."""
        masks = iter(chosen)

        def cut(number: int, basis: Learnable, columns: slice) -> tuple[Learnable, Tensor] | None:
            return basis.bisected(next(masks)) if number == 0 and isinstance(basis, BSpline) else None

        return self._changed(cut)

    def covering(self, theta: Tensor, points: Tensor) -> tuple[Network, Change]:
        """Return the same function with the inner grids covering the activations at `points` (N, d) and 2 % more."""
        value = IndexSet(tuple(str(i) for i in range(points.shape[1])))
        _, passed = self.forward(theta, value, self.first(value, points), reverse=False)
        inputs = [layer.nodes(value, step.sums)[0] for layer, step in zip(self.layers, passed, strict=True)][:-1]

        def covered(number: int, basis: Learnable, columns: slice) -> tuple[Learnable, Tensor] | None:
            if number == 0:
                return None
            here = inputs[number - 1][:, columns]
            low, high = here.amin(dim=0), here.amax(dim=0)
            margin = MARGIN * (high - low)
            return basis.covering(low - margin, high + margin)

        return self._changed(covered)

    def grids(self) -> list[Tensor | None]:
        """Return for every coordinate the breaks (G + 1,) of its splines in [0, 1], None where it has no splines."""
        found: list[Tensor | None] = [None] * len(self.lower)
        for edges in self.layers[0].edges:
            if isinstance(edges.basis, BSpline):
                for i, breaks in enumerate(edges.basis.breaks, start=edges.first):
                    found[i] = (breaks - breaks[0]) / (breaks[-1] - breaks[0])
        return found

    def widened(self, products: Sequence[int]) -> tuple[Network, Widening]:
        """Return the same function with more product nodes, as many as given for each hidden layer.

        A new node's factors and what reads it are zero: give one of them other values, and the function stays the same.
        """
        layers: list[Layer] = []
        for layer, count in zip(self.layers, (*products, 0), strict=True):
            edges = layer.edges
            if layers and layers[-1].outputs > layer.inputs:
                more = layers[-1].outputs - layer.inputs
                edges = tuple(replace(e, basis=e.basis.extended(more), last=e.last + more) for e in edges)
            inputs = layers[-1].outputs if layers else layer.inputs
            layers.append(replace(layer, inputs=inputs, edges=edges, products=count))
        network = replace(self, layers=tuple(layers))
        return network, Widening(self, network)

    def saved(self) -> list[dict[str, Any]]:
        """Return what each layer's nodes and bases became during training, as plain data."""
        return [
            {
                "products": layer.products,
                "bases": [e.basis.saved() if isinstance(e.basis, Learnable) else {} for e in layer.edges],
            }
            for layer in self.layers
        ]

    def restored(self, saved: list[dict[str, Any]]) -> Network:
        """Return the network with the nodes and bases that `saved` describes."""
        network, _ = self.widened([row["products"] for row in saved[:-1]])
        layers = []
        for layer, row in zip(network.layers, saved, strict=True):
            edges = [
                replace(e, basis=e.basis.restored(basis)) if isinstance(e.basis, Learnable) else e
                for e, basis in zip(layer.edges, row["bases"], strict=True)
            ]
            layers.append(replace(layer, edges=tuple(edges)))
        return replace(network, layers=tuple(layers))

    def _changed(
        self, change: Callable[[int, Learnable, slice], tuple[Learnable, Tensor] | None]
    ) -> tuple[Network, Change]:
        """Return the network whose learnable bases are replaced by what `change` says of (layer, basis, inputs)."""
        layers, maps = [], []
        for number, layer in enumerate(self.layers):
            found = [
                change(number, e.basis, slice(e.first, e.last)) if isinstance(e.basis, Learnable) else None
                for e in layer.edges
            ]
            edges = [e if new is None else replace(e, basis=new[0]) for e, new in zip(layer.edges, found, strict=True)]
            layers.append(replace(layer, edges=tuple(edges)))
            maps.append(tuple(None if new is None else new[1] for new in found))
        new_network = replace(self, layers=tuple(layers))
        return new_network, BasisChange(self, new_network, tuple(maps))


class Change(ABC):
    """An exact change of the network: another parametrisation that contains the same functions."""

    old: Network
    new: Network

    @abstractmethod
    def parameters(self, theta: Tensor) -> Tensor:
        """Return the parameters (P',) of the same function in the new network; a linear map T."""

    @abstractmethod
    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the smallest gradient (P',) in the new network that agrees with one (P,) in the old.

        It is T (T^T T)^-1 g: products of steps and gradients are unchanged, so a quasi-Newton history stays valid.
        """


@dataclass(frozen=True)
class BasisChange(Change):
    """Other bases on the edges: per layer and edges a linear map (I, K', K), None where nothing changed."""

    old: Network
    new: Network
    maps: tuple[tuple[Tensor | None, ...], ...]

    def parameters(self, theta: Tensor) -> Tensor:
        return self._apply(theta, lambda matrix: matrix)

    def gradient(self, gradient: Tensor) -> Tensor:
        return self._apply(gradient, lambda matrix: torch.linalg.pinv(matrix).mT)

    def _apply(self, vector: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        changed = []
        for old, new, w, maps in zip(
            self.old.layers, self.new.layers, self.old.weights(vector), self.maps, strict=True
        ):
            out = w.new_zeros(new.linear, new.features)
            if new.bias:
                out[:, -1] = w[-1]
            for part, target, matrix in zip(old.parts(w.T), new.parts(out), maps, strict=True):
                target.copy_(part if matrix is None else (of(matrix) @ part[..., None])[..., 0])
            changed.append(out.T.reshape(-1))
        return torch.cat(changed)


@dataclass(frozen=True)
class Widening(Change):
    """More product nodes, with zeros for what is new."""

    old: Network
    new: Network

    def parameters(self, theta: Tensor) -> Tensor:
        weights = []
        for old, new, w in zip(self.old.layers, self.new.layers, self.old.weights(theta), strict=True):
            out = w.new_zeros(new.features, new.linear)
            for part, target in zip(old.parts(w.T), new.parts(out.T), strict=True):
                for here, there in zip(self._columns(old), self._columns(new), strict=True):
                    count = here.stop - here.start
                    target[there.start : there.start + count, : part.shape[1]] = part[here]
            if new.bias:
                out[-1, : old.linear] = w[-1]
            weights.append(out.reshape(-1))
        return torch.cat(weights)

    def gradient(self, gradient: Tensor) -> Tensor:
        return self.parameters(gradient)

    def fresh(self) -> Tensor:
        """Return a mask (P',) of the weights of new factors."""
        masks = []
        for old, new in zip(self.old.layers, self.new.layers, strict=True):
            mask = torch.zeros(new.features, new.linear, dtype=torch.bool, device=self.new.lower.device)
            for here, there in zip(self._columns(old)[1:], self._columns(new)[1:], strict=True):
                mask[:, there.start + here.stop - here.start : there.stop] = True
            masks.append(mask.reshape(-1))
        return torch.cat(masks)

    @staticmethod
    def _columns(layer: Layer) -> tuple[slice, slice, slice]:
        """Return the columns of plain sums, left factors and right factors."""
        s, m = layer.sums, layer.products
        return slice(0, s), slice(s, s + m), slice(s + m, s + 2 * m)
