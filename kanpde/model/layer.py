"""One layer: fixed features of each input, then a linear map. It is linear in its parameters for every channel.

A KAN layer and an MLP layer differ only in their bases. With z = z_0 + dz and the scaled derivatives of a basis,

    F_a[n, (i, g)] = sum_m B_g^(m)(z_0[n, i]) / m! [(dz)^m]_a[n, i],        s_a[n, o] = sum_f F_a[n, f] W[f, o].

The first nodes are these sums. A product node is the product over all inputs of one function of each: a separable
function (the multiplication nodes of Liu et al. 2024b with single edges as subnodes; in two dimensions a sum of them is
a bilinear form, whose least-squares problems have far fewer false minima than sums of sums).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate

import torch
from torch import Tensor

from kanpde.basis import Basis
from kanpde.multiindex import IndexSet


@dataclass(frozen=True, eq=False)
class Edges:
    """A basis on the edges from inputs `first` to `last` (exclusive)."""

    basis: Basis
    first: int
    last: int

    @property
    def features(self) -> int:
        """The number of basis functions of all these inputs."""
        return (self.last - self.first) * self.basis.size


@dataclass(frozen=True)
class Tape:
    """What the reverse pass needs of a layer.

    features: (C, N, f). derivatives: per edges, scaled, (M, N, I, K). powers: (dz)^m for m = 1.., each (C, N, I).
    """

    features: Tensor
    derivatives: tuple[Tensor, ...]
    powers: list[Tensor]


@dataclass(frozen=True, eq=False)
class Layer:
    """I inputs, the edges that read them, `sums` and `products` nodes, and optionally a constant feature (bias).

    The weights (f, S + M) of a feature are those in the S sums, and those in the M factors of its own input.
    """

    inputs: int
    edges: tuple[Edges, ...]
    sums: int
    products: int = 0
    bias: bool = False

    @property
    def outputs(self) -> int:
        """The number of nodes."""
        return self.sums + self.products

    @property
    def linear(self) -> int:
        """O, the number of sums: one for each sum node, and for each product node a factor for every input."""
        return self.sums + self.inputs * self.products

    @property
    def features(self) -> int:
        """f, the number of features: all basis functions of all inputs, and the constant."""
        return sum(edges.features for edges in self.edges) + self.bias

    @property
    def parameters(self) -> int:
        """The number of weights f (S + M)."""
        return self.features * self.outputs

    def fed(self, i: int) -> tuple[slice, ...]:
        """Return the sums that features of input i enter, as parts of O: the plain sums and the factors of input i."""
        start = self.sums + i * self.products
        parts = (slice(0, self.sums), slice(start, start + self.products))
        return tuple(part for part in parts if part.stop > part.start)

    def parts(self, array: Tensor) -> Iterator[Tensor]:
        """Yield the features of each basis as views (..., I, K) of an array (..., f)."""
        start = 0
        for edges in self.edges:
            stop = start + edges.features
            yield array[..., start:stop].unflatten(-1, (edges.last - edges.first, edges.basis.size))
            start = stop

    def groups(self) -> list[tuple[int, slice]]:
        """Return (input, features) of each single input and basis; the bias, which enters all sums, has input 0."""
        inputs = [i for e in self.edges for i in range(e.first, e.last)] + [0] * self.bias
        sizes = [e.basis.size for e in self.edges for _ in range(e.last - e.first)] + [1] * self.bias
        ends = list(accumulate(sizes))
        return [(i, slice(end - size, end)) for i, end, size in zip(inputs, ends, sizes, strict=True)]

    def of_input(self, i: int) -> tuple[list[Basis], list[int]]:
        """Return the bases on the edges from input i, each for this one, and the numbers of their features."""
        bases: list[Basis] = []
        features: list[int] = []
        start = 0
        for edges in self.edges:
            if edges.first <= i < edges.last:
                bases.append(edges.basis.of_input(i - edges.first))
                own = start + (i - edges.first) * edges.basis.size
                features += range(own, own + edges.basis.size)
            start += edges.features
        return bases, features

    def forward(self, indices: IndexSet, z: Tensor, reverse: bool = True) -> Tape:
        """Return the features of inputs z (C, N, I), with what the reverse pass needs unless `reverse` is False."""
        powers = indices.powers(z)
        out = z.new_empty(len(indices), z.shape[1], self.features)
        if self.bias:
            out[..., -1] = 0.0
            out[0, :, -1] = 1.0
        derivatives = tuple(e.basis.taylor(z[0, :, e.first : e.last], indices.order + reverse) for e in self.edges)
        for e, b, part in zip(self.edges, derivatives, self.parts(out), strict=True):
            part[0] = b[0]
            for c, order in enumerate(indices.orders):
                for m in range(1, order + 1):
                    dz = powers[m - 1][c, :, e.first : e.last, None]
                    if m == 1:
                        torch.mul(b[m], dz, out=part[c])
                    else:
                        part[c].addcmul_(b[m], dz)
        return Tape(out, derivatives, powers) if reverse else Tape(out, (), [])

    def nodes(self, indices: IndexSet, sums: Tensor) -> Tensor:
        """Return the nodes (C, N, S + M) of sums (C, N, O)."""
        if not self.products:
            return sums
        plain, *factors = self._split(sums)
        return torch.cat([plain, reduce(indices.multiply, factors)], dim=-1)

    def nodes_adjoint(self, indices: IndexSet, sums: Tensor, adjoint: Tensor) -> Tensor:
        """Return the adjoint of the sums (C, N, O) for one of the nodes (C, N, S + M)."""
        if not self.products:
            return adjoint
        _, *factors = self._split(sums)
        plain, product = adjoint.split((self.sums, self.products), dim=-1)
        found = [plain]
        for i in range(len(factors)):
            others = factors[:i] + factors[i + 1 :]
            found.append(indices.multiply_adjoint(reduce(indices.multiply, others), product) if others else product)
        return torch.cat(found, dim=-1)

    def _split(self, sums: Tensor) -> tuple[Tensor, ...]:
        """Return the plain sums and the factors of each input."""
        return sums.split((self.sums, *[self.products] * self.inputs), dim=-1)

    def pull_back(self, indices: IndexSet, tape: Tape, weights: Tensor, adjoint: Tensor) -> Tensor:
        """Return the adjoint (C, N, I) of the inputs for the adjoint (C, N, O) of the sums.

        ds_c / dz_a = [phi'(z)]_{c-a}, and phi' has the scaled derivatives (m + 1) B^(m+1) / (m + 1)!.
        """
        pulled = adjoint @ weights.T
        out = adjoint.new_zeros(len(indices), adjoint.shape[1], self.inputs)
        for e, d, part in zip(self.edges, tape.derivatives, self.parts(pulled), strict=True):
            total, columns = contract(d[1:], part), slice(e.first, e.last)
            for c, order in enumerate(indices.orders):
                s = [(m + 1) * total(c, m) for m in range(order + 1)]
                for a, b in indices.splits[c]:
                    if b == 0:
                        out[a, :, columns] += s[0]
                    for m in range(1, indices.orders[b] + 1):
                        out[a, :, columns].addcmul_(tape.powers[m - 1][b, :, columns], s[m])
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
