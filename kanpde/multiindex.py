"""Partial derivatives as multi-indices, and products of truncated multivariate Taylor polynomials.

A field is carried through a network as its Taylor coefficients z_a = (D^a z) / a! for every multi-index a of a
downward closed set A. Arrays have the channel a first: (channel, point, feature). Products are truncated to A
(Griewank & Walther 2008, Evaluating Derivatives, chapter 13).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from itertools import product
from math import factorial, prod

import torch
from torch import Tensor

from kanpde.errors import KanpdeError

MultiIndex = tuple[int, ...]


def parse(derivative: str, names: tuple[str, ...]) -> MultiIndex:
    """Return the multi-index of a derivative named like "xxy"; the order of the letters does not matter.

    Raises KanpdeError if `derivative` is not a word over the coordinate names.
    """
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    letters = re.findall(pattern, derivative)
    if not derivative or "".join(letters) != derivative:
        raise KanpdeError(
            f"unknown derivative d('{derivative}'): write it with the coordinates {', '.join(names)},"
            f" for example d('{names[0]}{names[0]}')."
        )
    return tuple(letters.count(name) for name in names)


def spell(index: MultiIndex, names: tuple[str, ...]) -> str:
    """Return the name of a derivative, the inverse of `parse`; the value itself is ""."""
    return "".join(name * times for name, times in zip(names, index, strict=True))


class IndexSet:
    """A downward closed set of multi-indices, by ascending order; the value itself is channel 0."""

    def __init__(self, names: tuple[str, ...], asked: Iterable[MultiIndex] = ()) -> None:
        self.names = names
        closure = {(0,) * len(names)}
        for index in asked:
            closure.update(product(*(range(n + 1) for n in index)))
        self.indices = tuple(sorted(closure, key=lambda a: (sum(a), tuple(-n for n in a))))
        self.position = {index: c for c, index in enumerate(self.indices)}

    def __len__(self) -> int:
        return len(self.indices)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IndexSet) and (self.names, self.indices) == (other.names, other.indices)

    def __hash__(self) -> int:
        return hash((self.names, self.indices))

    @cached_property
    def orders(self) -> tuple[int, ...]:
        """|a| of every channel."""
        return tuple(sum(index) for index in self.indices)

    @property
    def order(self) -> int:
        """The highest order in the set."""
        return max(self.orders)

    @cached_property
    def factorials(self) -> tuple[int, ...]:
        """a! of every channel: a derivative is a! times its Taylor coefficient."""
        return tuple(prod(factorial(n) for n in index) for index in self.indices)

    @cached_property
    def sums(self) -> tuple[tuple[int, int, int], ...]:
        """All (a, b, c) of channel positions with a + b = c."""
        return tuple(
            (a, b, self.position[total])
            for a, first in enumerate(self.indices)
            for b, second in enumerate(self.indices)
            if (total := tuple(m + n for m, n in zip(first, second, strict=True))) in self.position
        )

    @cached_property
    def splits(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For every channel c all (a, b) of channel positions with a + b = c."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.indices]
        for a, b, c in self.sums:
            found[c].append((a, b))
        return tuple(map(tuple, found))

    def unit(self, axis: int) -> int | None:
        """Return the channel of the first derivative along `axis`, or None if it is not in the set."""
        return self.position.get(tuple(int(i == axis) for i in range(len(self.names))))

    def multiply(self, p: Tensor, q: Tensor) -> Tensor:
        """Return the truncated product of two polynomials (channel, ...)."""
        out = p.new_zeros(p.shape if p.dim() >= q.dim() else q.shape)
        for a, b, c in self.sums:
            out[c].addcmul_(p[a], q[b])
        return out

    def multiply_adjoint(self, p: Tensor, adjoint: Tensor) -> Tensor:
        """Return the adjoint of q -> multiply(p, q): out_b = sum_a p_a adjoint_{a+b}."""
        out = adjoint.new_zeros(adjoint.shape)
        for a, b, c in self.sums:
            out[b].addcmul_(p[a], adjoint[c])
        return out

    def powers(self, z: Tensor) -> list[Tensor]:
        """Return (dz)^m for m = 1..order, where dz is the polynomial `z` without its value."""
        dz = z.clone()
        dz[0] = 0.0
        result = [dz]
        for _ in range(1, self.order):
            power = torch.zeros_like(dz)
            for a, b, c in self.sums:
                if a and b:  # the value of dz is zero
                    power[c].addcmul_(result[-1][a], dz[b])
            result.append(power)
        return result[: self.order]
