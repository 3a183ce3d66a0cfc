"""A network of layers as a fixed structure; its parameters are one flat vector that the solver owns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpde.basis import BSpline
from kanpde.model.layer import Layer, Tape
from kanpde.multiindex import IndexSet

MARGIN = 0.02


@dataclass(frozen=True)
class Factor:
    """A layer's share of a Jacobian: dr[n] / dW[f, o] = sum_c adjoint[c, n, o] features[c, n, f]."""

    adjoint: Tensor
    features: Tensor

    def rows(self) -> Tensor:
        """Return the dense Jacobian (N, f O)."""
        return torch.einsum("cno,cnf->nfo", self.adjoint, self.features).flatten(1)

    def times(self, direction: Tensor) -> Tensor:
        """Return J v (N,) for a direction (f, O)."""
        return ((self.features @ direction) * self.adjoint).sum(dim=(0, 2))

    def transposed_times(self, weights: Tensor) -> Tensor:
        """Return J^T w (f O,) for weights (N,)."""
        return torch.einsum("cnf,cno->fo", self.features, self.adjoint * weights[:, None]).flatten()


@dataclass(frozen=True)
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

    def first(self, indices: IndexSet, points: Tensor) -> Tape:
        """Return the first layer's features at points (N, d); no parameter enters them."""
        return self.layers[0].forward(indices, self.embed(indices, points), reverse=False)

    def forward(self, theta: Tensor, indices: IndexSet, first: Tape, reverse: bool = True) -> tuple[Tensor, list[Tape]]:
        """Return the outputs (C, N, O) and every layer's tape; `reverse` keeps what `factors` needs."""
        weights = self.weights(theta)
        tapes = [first]
        y = first.features @ weights[0]
        for layer, w in zip(self.layers[1:], weights[1:], strict=True):
            tapes.append(layer.forward(indices, y, reverse))
            y = tapes[-1].features @ w
        return y, tapes

    def factors(self, theta: Tensor, indices: IndexSet, tapes: list[Tape], adjoint: Tensor) -> list[Factor]:
        """Return each layer's factor of the Jacobian of sum over channels of adjoint (C, N, O) times the output."""
        weights = self.weights(theta)
        found = []
        for layer, w, tape in reversed(list(zip(self.layers, weights, tapes, strict=True))):
            found.append(Factor(adjoint, tape.features))
            if layer is not self.layers[0]:
                adjoint = layer.pull_back(indices, tape, w, adjoint)
        return found[::-1]

    def refined(self, grids: tuple[int, ...]) -> tuple[Network, Change]:
        """Return the same function on finer grids, one number of intervals per layer (multiples of the present)."""

        def finer(number: int, basis: BSpline) -> tuple[BSpline, Tensor]:
            return basis.refined(grids[number] // basis.intervals)

        return self._changed(finer)

    def covering(self, theta: Tensor, points: Tensor) -> tuple[Network, Change]:
        """Return the same function with the inner grids covering the activations at `points` (N, d) and 2 % more."""
        value = IndexSet(tuple(str(i) for i in range(points.shape[1])))
        _, tapes = self.forward(theta, value, self.first(value, points), reverse=False)
        inputs = [tape.features[0] @ w for tape, w in zip(tapes, self.weights(theta), strict=True)][:-1]

        def covered(number: int, basis: BSpline) -> tuple[BSpline, Tensor]:
            if number == 0:
                return basis, torch.eye(basis.size, dtype=theta.dtype, device=theta.device)
            low, high = inputs[number - 1].amin(dim=0), inputs[number - 1].amax(dim=0)
            margin = MARGIN * (high - low)
            return basis.covering(low - margin, high + margin)

        return self._changed(covered)

    def _changed(self, change: Callable[[int, BSpline], tuple[BSpline, Tensor]]) -> tuple[Network, Change]:
        layers, maps = [], []
        for number, layer in enumerate(self.layers):
            bases, layer_maps = [], []
            for basis in layer.bases:
                new, matrix = change(number, basis) if isinstance(basis, BSpline) else (basis, None)
                bases.append(new)
                layer_maps.append(matrix)
            layers.append(replace(layer, bases=tuple(bases)))
            maps.append(tuple(layer_maps))
        new_network = replace(self, layers=tuple(layers))
        return new_network, Change(self, new_network, tuple(maps))


@dataclass(frozen=True)
class Change:
    """An exact change of bases: per layer and basis a linear map (K', K) or (I, K', K), None where nothing changed."""

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
        changed = []
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
