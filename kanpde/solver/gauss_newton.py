"""Gauss-Newton for many parameters: damped steps by LSMR, preconditioned with blocks of J^T J from some of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.linalg import Cholesky, Solve, cholesky, finite, lsmr
from kanpde.model import Factor, Network, plain
from kanpde.residual import Linearisation, System, layered
from kanpde.solver.damped import DampedGaussNewton

JITTER = 1e-13
"""Relative addition to the diagonal of the preconditioner, which some rows may leave singular."""
ENLARGED = 1000.0
"""Factor between two additions, until Cholesky works."""
SEED = 20_011


@dataclass(frozen=True)
class GaussNewton(DampedGaussNewton):
    """Settings of iterative Gauss-Newton, besides those of every damped Gauss-Newton method.

    Steps minimise |J p + r|^2 + lambda |D^(1/2) p|^2 by LSMR (Fong & Saunders 2011), for which J is only multiplied
    with vectors. The right preconditioner is the Cholesky factor of J^T J + lambda D, with J^T J from a random part of
    its rows (sampled as in Avron, Maymounkov & Toledo 2010) and, in large networks, only its diagonal blocks.

    whole: up to so many parameters J^T J is one block. block: largest block beyond that: a layer, or else (a part of)
        the weights of one output of a layer.
    rows: rows that J^T J is computed from, per parameter of the largest block.
    accuracy: relative accuracy of the solution of a step. inner: limit of LSMR's iterations for it.
    """

    starts: int = 1
    start_iterations: int = 0
    whole: int = 4000
    block: int = 1000
    rows: float = 3.0
    accuracy: float = 1e-3
    inner: int = 100

    name = "gauss-newton"
    divides = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("whole", "block", "inner"):
            if getattr(self, name) < 1:
                raise KanpdeError(f"solver.{name}={getattr(self, name)}: give at least 1.")
        for name in ("rows", "accuracy"):
            if not getattr(self, name) > 0:
                raise KanpdeError(f"solver.{name}={getattr(self, name)}: give a positive number.")

    def prepared(
        self, system: System, theta: Tensor, linearisation: Linearisation, memory: dict[str, Any]
    ) -> dict[str, Any]:
        blocks = partition(layered(system.network), self.whole, self.block)
        grams = block_grams(linearisation, blocks, self.rows, system.rows)
        diagonal = theta.new_zeros(len(theta))
        for part, gram in zip(blocks, grams, strict=True):
            diagonal[part] = gram.diagonal()
        residual = torch.cat([r for r, _ in linearisation])
        return {"residual": residual, "grams": grams, "blocks": blocks, "diagonal": diagonal}

    def proposed(self, memory: dict[str, Any], damping: Tensor) -> tuple[Tensor | None, Solve]:
        preconditioner = Preconditioner(memory["blocks"], memory["grams"], damping)

        def solve(w: Tensor) -> Tensor | None:
            return self._solved(memory["linearisation"], preconditioner, damping, w)

        return solve(memory["residual"]), solve

    def _solved(
        self, linearisation: Linearisation, preconditioner: Preconditioner, damping: Tensor, w: Tensor
    ) -> Tensor | None:
        """Return the p (P,) that minimises |J p + w|^2 + |diag(damping)^(1/2) p|^2, or None if it is not finite."""
        count, root = len(w), damping.sqrt()

        def times(z: Tensor) -> Tensor:
            p = preconditioner.whitened(z)
            return torch.cat([linearisation.times(p), root * p])

        def transposed_times(y: Tensor) -> Tensor:
            p = linearisation.transposed_times(y[:count]) + root * y[count:]
            return preconditioner.transposed_whitened(p)

        right = torch.cat([-w, torch.zeros_like(damping)])
        z, _ = lsmr(times, transposed_times, right, self.accuracy, self.inner)
        return finite(preconditioner.whitened(z))


class Preconditioner:
    """The Cholesky factors of the blocks of J^T J + diag(damping)."""

    def __init__(self, blocks: Sequence[slice], grams: Sequence[Tensor], damping: Tensor) -> None:
        self._factors = [(b, self._factor(gram, damping[b])) for b, gram in zip(blocks, grams, strict=True)]

    def whitened(self, z: Tensor) -> Tensor:
        """Return R^-1 z (P,) for J^T J + diag(damping) = R^T R, block by block."""
        p = torch.empty_like(z)
        for part, factor in self._factors:
            p[part] = factor.whitened(z[part])
        return p

    def transposed_whitened(self, p: Tensor) -> Tensor:
        """Return R^-T p (P,)."""
        z = torch.empty_like(p)
        for part, factor in self._factors:
            z[part] = factor.transposed_whitened(p[part])
        return z

    @staticmethod
    def _factor(gram: Tensor, damping: Tensor) -> Cholesky:
        """Return the factor with the smallest addition to the diagonal for which there is one."""
        size = gram.diagonal() + damping
        size = size.clamp_min(JITTER * float(size.max()) or 1.0)
        addition = JITTER
        while True:
            factor = cholesky(gram, damping + addition * size)
            if factor is not None or addition > 1:
                break
            addition *= ENLARGED
        return factor or Cholesky(size.rsqrt(), torch.eye(len(size)).to(size))


def partition(network: Network, whole: int, block: int) -> list[slice]:
    """Return slices of the parameters: all of them up to `whole`, else layers up to `block`, else outputs of layers."""
    if network.parameters <= whole:
        return [slice(0, network.parameters)]
    parts = []
    for layer, place in zip(network.layers, network.places, strict=True):
        if layer.parameters <= block:
            parts.append(place)
            continue
        stride = layer.outputs  # the weights (f, O) of one output
        for o in range(stride):
            for first in range(0, layer.features, block):
                stop = place.start + stride * min(first + block, layer.features)
                parts.append(slice(place.start + stride * first + o, stop, stride))
    return parts


def block_grams(linearisation: Linearisation, blocks: Sequence[slice], rows: float, count: int) -> list[Tensor]:
    """Return the blocks of J^T J, estimated from `rows` rows per parameter of the largest one, of `count` in all.

    Rows are drawn without replacement, the same ones in each call.
    """
    generator = torch.Generator().manual_seed(SEED)
    sizes = [len(range(b.start, b.stop, b.step or 1)) for b in blocks]
    share = min(1.0, rows * max(sizes) / count)
    grams: list[Tensor] = []
    for r, factors in linearisation:
        taken = max(1, round(share * len(r)))
        chosen = torch.randperm(len(r), generator=generator)[:taken].to(r.device)
        parts = [Factor(f.adjoint[:, chosen], f.features[:, chosen]).rows() for f in plain(factors)]
        j = (len(r) / taken) ** 0.5 * torch.cat(parts, dim=1)
        grams = grams or [j.new_zeros(size, size) for size in sizes]
        for b, gram in zip(blocks, grams, strict=True):
            gram.addmm_(j[:, b].T, j[:, b])
    return grams
