"""A network of layers as a fixed structure; its parameters are one flat vector that the solver owns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kanpde.basis import BSpline, Learnable
from kanpde.model.factor import Factor, First, FirstFactor, LayerFactor, neighbours
from kanpde.model.layer import Layer, Tape
from kanpde.multiindex import IndexSet

MARGIN = 0.02


class Stage(NamedTuple):
    """What a stage of training resolves: intervals per layer, and the product nodes of the first layer."""

    grids: tuple[int, ...] = ()
    products: int = 0


class Passed(NamedTuple):
    """How a layer was passed: what its reverse pass needs (the first layer has none), and its sums (C, N, O)."""

    tape: Tape | None
    sums: Tensor


@dataclass(frozen=True, eq=False)
class Network:
    """Layers on inputs that are mapped affinely from the box [lower, upper] (d,) to [-1, 1].

    `scalars` more outputs are constant; the first parameters are their values.
    """

    layers: tuple[Layer, ...]
    lower: Tensor
    upper: Tensor
    scalars: int = 0

    @property
    def parameters(self) -> int:
        """The number of parameters P."""
        return self.scalars + sum(layer.parameters for layer in self.layers)

    @property
    def row_entries(self) -> int:
        """The parameters that a row of the Jacobian depends on."""
        return self.parameters

    @property
    def width(self) -> int:
        """Numbers that are held for each point and channel."""
        return sum(layer.features + layer.linear for layer in self.layers)

    @property
    def perceptron(self) -> bool:
        """Whether its layers have biases, as those of an MLP."""
        return any(layer.bias for layer in self.layers)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Where each layer's weights stand in the flat parameter vector; the last layer enters linearly."""
        slices, start = [], self.scalars
        for layer in self.layers:
            slices.append(slice(start, start + layer.parameters))
            start += layer.parameters
        return tuple(slices)

    def weights(self, theta: Tensor) -> list[Tensor]:
        """Return the weights (f, O) of each layer as views of the parameters (P,)."""
        return [theta[p].view(x.features, x.outputs) for p, x in zip(self.places, self.layers, strict=True)]

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
        """Return the outputs (C, N, O) and how each layer was passed; `reverse` keeps what `factors` needs.

        The outputs are those of the last layer, and then the scalars.
        """
        weights = self.weights(theta)
        sums = first.times(weights[0])
        passed = [Passed(None, sums)]
        for before, layer, w in zip(self.layers[:-1], self.layers[1:], weights[1:], strict=True):
            tape = layer.forward(indices, before.nodes(indices, sums), reverse)
            sums = tape.features @ w
            passed.append(Passed(tape, sums))
        if not self.scalars:
            return sums, passed
        constant = sums.new_zeros(*sums.shape[:2], self.scalars)
        constant[0] = theta[: self.scalars]
        return torch.cat([sums, constant], dim=-1), passed

    def factors(
        self, theta: Tensor, indices: IndexSet, first: First, passed: list[Passed], adjoint: Tensor
    ) -> list[LayerFactor]:
        """Return each layer's factor of the Jacobian of sum over channels of adjoint (C, N, O) times the output.

        That of scalars, if there are any, comes first: their feature is 1.
        """
        weights = self.weights(theta)
        last = self.layers[-1].linear
        constant = adjoint[:1, :, last:]
        adjoint = adjoint[..., :last]
        deeper: list[Factor] = []
        for layer, (tape, sums), w in reversed(list(zip(self.layers, passed, weights, strict=True))):
            adjoint = layer.nodes_adjoint(indices, sums, adjoint)
            if tape is not None:
                deeper.insert(0, Factor(adjoint, tape.features))
                adjoint = layer.pull_back(indices, tape, w, adjoint)
        scalars = [Factor(constant, constant.new_ones(*constant.shape[:2], 1))] if self.scalars else []
        return [*scalars, FirstFactor(adjoint, first), *deeper]

    def directions(self, direction: Tensor) -> list[Tensor]:
        """Return the weights (f, O) that each of the factors meets, for a direction (P,)."""
        return [direction[None, : self.scalars]] * bool(self.scalars) + self.weights(direction)

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

    def with_products(self, count: int) -> Network:
        """Return the network with `count` more product nodes; the edges from them have the knots of the last node."""
        first, second, *deeper = self.layers
        edges = [
            replace(e, basis=e.basis.more(count) if isinstance(e.basis, BSpline) else e.basis, last=e.last + count)
            for e in second.edges
        ]
        first = replace(first, products=first.products + count)
        second = replace(second, inputs=second.inputs + count, edges=tuple(edges))
        return replace(self, layers=(first, second, *deeper))

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

    def saved(self) -> dict[str, Any]:
        """Return what the nodes and bases became during training, as plain data."""
        bases = [[e.basis.saved() if isinstance(e.basis, Learnable) else {} for e in x.edges] for x in self.layers]
        return {"products": self.layers[0].products, "bases": bases}

    def restored(self, saved: dict[str, Any]) -> Network:
        """Return the network with the bases that `saved` describes."""
        layers = []
        for layer, rows in zip(self.layers, saved["bases"], strict=True):
            edges = [
                replace(e, basis=e.basis.restored(row)) if isinstance(e.basis, Learnable) else e
                for e, row in zip(layer.edges, rows, strict=True)
            ]
            layers.append(replace(layer, edges=tuple(edges)))
        return replace(self, layers=tuple(layers))

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
        return new_network, Change(self, new_network, tuple(maps))


@dataclass(frozen=True)
class Change:
    """An exact change of bases: per layer and edges a linear map (I, K', K), None where nothing changed."""

    old: Network
    new: Network
    maps: tuple[tuple[Tensor | None, ...], ...]

    def parameters(self, theta: Tensor) -> Tensor:
        """Return the parameters (P',) of the same function in the new bases."""
        return self._apply(theta, lambda matrix: matrix)

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the smallest gradient (P',) in the new bases that agrees with one (P,) in the old.

        For theta' = T theta it is T (T^T T)^-1 g: products of steps and gradients are unchanged, so a quasi-Newton
        history stays valid.
        """
        return self._apply(gradient, lambda matrix: torch.linalg.pinv(matrix).mT)

    def _apply(self, vector: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        changed = [vector[: self.old.scalars]]
        for old, new, w, maps in zip(
            self.old.layers, self.new.layers, self.old.weights(vector), self.maps, strict=True
        ):
            out = w.new_zeros(new.outputs, new.features)
            if new.bias:
                out[:, -1] = w[-1]
            for part, target, matrix in zip(old.parts(w.T), new.parts(out), maps, strict=True):
                target.copy_(part if matrix is None else (of(matrix) @ part[..., None])[..., 0])
            changed.append(out.T.reshape(-1))
        return torch.cat(changed)
