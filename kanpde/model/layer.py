"""One layer: fixed features of each input, then a linear map. It is linear in its parameters for every channel.

A KAN layer and an MLP layer differ only in their bases. With z = z_0 + dz and the scaled derivatives of a basis,

    F_a[n, (i, g)] = sum_m B_g^(m)(z_0[n, i]) / m! [(dz)^m]_a[n, i],        y_a[n, o] = sum_f F_a[n, f] W[f, o].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpde.basis import Basis
from kanpde.multiindex import IndexSet


@dataclass(frozen=True)
class Tape:
    """What the reverse pass needs of a layer.

    features: (C, N, f). derivatives: per basis, scaled, (M, N, I, K). powers: (dz)^m for m = 1.., each (C, N, I).
    """

    features: Tensor
    derivatives: tuple[Tensor, ...]
    powers: list[Tensor]


@dataclass(frozen=True)
class Layer:
    """I inputs, O outputs, the bases on every edge, and optionally a constant feature (bias)."""

    inputs: int
    outputs: int
    bases: tuple[Basis, ...]
    bias: bool = False

    @property
    def features(self) -> int:
        """f, the number of features: all basis functions of all inputs, and the constant."""
        return self.inputs * sum(basis.size for basis in self.bases) + self.bias

    @property
    def parameters(self) -> int:
        """The number of weights f O."""
        return self.features * self.outputs

    def parts(self, array: Tensor) -> Iterator[Tensor]:
        """Yield the features of each basis as views (..., I, K) of an array (..., f)."""
        start = 0
        for basis in self.bases:
            stop = start + self.inputs * basis.size
            yield array[..., start:stop].unflatten(-1, (self.inputs, basis.size))
            start = stop

    def forward(self, indices: IndexSet, z: Tensor, reverse: bool = True) -> Tape:
        """Return the features of inputs z (C, N, I), with what the reverse pass needs unless `reverse` is False."""
        powers = indices.powers(z)
        out = z.new_empty(len(indices), z.shape[1], self.features)
        if self.bias:
            out[..., -1] = 0.0
            out[0, :, -1] = 1.0
        derivatives = tuple(basis.taylor(z[0], indices.order + reverse) for basis in self.bases)
        for b, part in zip(derivatives, self.parts(out), strict=True):
            part[0] = b[0]
            for c, order in enumerate(indices.orders):
                for m in range(1, order + 1):
                    dz = powers[m - 1][c, ..., None]
                    if m == 1:
                        torch.mul(b[m], dz, out=part[c])
                    else:
                        part[c].addcmul_(b[m], dz)
        return Tape(out, derivatives, powers) if reverse else Tape(out, (), [])

    def pull_back(self, indices: IndexSet, tape: Tape, weights: Tensor, adjoint: Tensor) -> Tensor:
        """Return the adjoint (C, N, I) of the inputs for the adjoint (C, N, O) of the outputs.

        dy_c / dz_a = [phi'(z)]_{c-a}, and phi' has the scaled derivatives (m + 1) B^(m+1) / (m + 1)!.
        """
        pulled = adjoint @ weights.T
        out = adjoint.new_zeros(len(indices), adjoint.shape[1], self.inputs)
        sums = [contract(d[1:], part) for d, part in zip(tape.derivatives, self.parts(pulled), strict=True)]
        for c, order in enumerate(indices.orders):
            s = [(m + 1) * sum((total(c, m) for total in sums[1:]), sums[0](c, m)) for m in range(order + 1)]
            for a, b in indices.splits[c]:
                if b == 0:
                    out[a] += s[0]
                for m in range(1, indices.orders[b] + 1):
                    out[a].addcmul_(tape.powers[m - 1][b], s[m])
        return out


def contract(b: Tensor, pulled: Tensor) -> Callable[[int, int], Tensor]:
    """Return (c, m) -> sum_g b[m, n, i, g] pulled[c, n, i, g] (N, I).

    One function per input, as in an MLP, needs no sum, so only what is asked for is multiplied; otherwise one batched
    product of all c and m is faster than those that are needed one by one.
    """
    if b.shape[-1] == 1:
        return lambda c, m: pulled[c, ..., 0] * b[m, ..., 0]
    sums = torch.einsum("cnik,mnik->cmni", pulled, b)
    return lambda c, m: sums[c, m]
