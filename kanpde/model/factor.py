"""Factors of the Jacobian, one per layer; the first layer keeps only what does not vanish.

At fixed points the features of the first layer never change. A spline is zero on most of the box and an input has no
derivatives along the other coordinates, so points that lie together share their few non-zero features: the first
layer's part of the Jacobian, and with it J^T J, is made of small dense blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpde.model.layer import Layer
from kanpde.multiindex import IndexSet

BLOCK_POINTS = 256
"""Points that a block of the first layer has at least, on average."""


@dataclass(frozen=True)
class Piece:
    """Features (C', n, f') of some channels and consecutive columns of the first layer, at the points of a block.

    All are of one input, and enter the sums `fed`.
    """

    fed: tuple[slice, ...]
    channels: list[int]
    columns: slice
    features: Tensor


@dataclass(frozen=True)
class Block:
    """The features that do not vanish at the points in `part`."""

    part: slice
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class First:
    """The features of `layer`, the first one, at fixed points."""

    layer: Layer
    blocks: tuple[Block, ...]
    points: int
    channels: int

    @classmethod
    def of(cls, layer: Layer, indices: IndexSet, z: Tensor, parts: Sequence[slice]) -> First:
        """Return the features of inputs z (C, N, I), with a block for each of the parts that N splits into."""
        blocks = []
        for part in parts:
            features = layer.forward(indices, z[:, part], reverse=False).features
            pieces = []
            for i, columns in layer.groups():
                there = (features[:, :, columns] != 0).any(dim=1)
                channels = there.any(dim=1).nonzero()[:, 0].tolist()
                for run in runs(there.any(dim=0), columns.start):
                    pieces.append(Piece(layer.fed(i), channels, run, features[channels][:, :, run].contiguous()))
            blocks.append(Block(part, tuple(pieces)))
        return cls(layer, tuple(blocks), z.shape[1], len(indices))

    @property
    def entries(self) -> int:
        """The numbers that are held."""
        return sum(piece.features.numel() for block in self.blocks for piece in block.pieces)

    @property
    def features(self) -> Tensor:
        """All features (C, N, f), with zeros."""
        like = self.blocks[0].pieces[0].features
        dense = like.new_zeros(self.channels, self.points, self.layer.features)
        for block in self.blocks:
            for piece in block.pieces:
                for c, features in zip(piece.channels, piece.features, strict=True):
                    dense[c, block.part, piece.columns] = features
        return dense

    def times(self, weights: Tensor) -> Tensor:
        """Return the sums (C, N, O) for weights (f, S + M)."""
        sums = weights.new_zeros(self.channels, self.points, self.layer.linear)
        for block in self.blocks:
            for piece in block.pieces:
                product = piece.features @ weights[piece.columns]
                shares = product.split([part.stop - part.start for part in piece.fed], dim=-1)
                for part, share in zip(piece.fed, shares, strict=True):
                    for c, values in zip(piece.channels, share, strict=True):
                        sums[c, block.part, part] += values
        return sums


@dataclass(frozen=True)
class Factor:
    """A layer's share of a Jacobian: dr[n] / dW[f, o] = sum_c adjoint[c, n, o] features[c, n, f]."""

    adjoint: Tensor
    features: Tensor

    def rows(self, part: slice = slice(None)) -> Tensor:
        """Return the dense Jacobian (N, f O) at some points."""
        return torch.einsum("cno,cnf->nfo", self.adjoint[:, part], self.features[:, part]).flatten(1)

    def times(self, direction: Tensor) -> Tensor:
        """Return J v (N,) for a direction (f, O)."""
        return ((self.features @ direction) * self.adjoint).sum(dim=(0, 2))

    def transposed_times(self, weights: Tensor) -> Tensor:
        """Return J^T w (f O,) for weights (N,)."""
        return torch.einsum("cnf,cno->fo", self.features, self.adjoint * weights[:, None]).flatten()


@dataclass(frozen=True)
class FirstFactor:
    """The same for the first layer: features of an input meet the adjoints (C, N, O) of the sums that they enter."""

    adjoint: Tensor
    first: First

    def block(self, block: Block) -> list[Tensor]:
        """Return for each piece its columns of the Jacobian (n, f' (S + M)) at the points of a block."""
        return [
            torch.einsum("cno,cnf->nfo", self._met(self.adjoint, block, piece), piece.features).flatten(1)
            for piece in block.pieces
        ]

    def columns(self, block: Block) -> list[slice]:
        """Return where the columns of each piece stand in the Jacobian."""
        outputs = self.first.layer.outputs
        return [slice(piece.columns.start * outputs, piece.columns.stop * outputs) for piece in block.pieces]

    def rows(self, part: slice = slice(None)) -> Tensor:
        """Return the dense Jacobian (N, f (S + M)) at some points."""
        dense = self.adjoint.new_zeros(self.first.points, self.first.layer.parameters)
        for block in self.first.blocks:
            for columns, entries in zip(self.columns(block), self.block(block), strict=True):
                dense[block.part, columns] = entries
        return dense[part]

    def times(self, direction: Tensor) -> Tensor:
        """Return J v (N,) for a direction (f, S + M)."""
        return (self.first.times(direction) * self.adjoint).sum(dim=(0, 2))

    def transposed_times(self, weights: Tensor) -> Tensor:
        """Return J^T w (f (S + M),) for weights (N,)."""
        layer = self.first.layer
        total = self.adjoint.new_zeros(layer.features, layer.outputs)
        weighted = self.adjoint * weights[:, None]
        for block in self.first.blocks:
            for piece in block.pieces:
                total[piece.columns] += torch.einsum("cnf,cno->fo", piece.features, self._met(weighted, block, piece))
        return total.flatten()

    def split(self) -> list[Factor]:
        """Return the same, zeros included, as a plain factor for each input and basis, in the order of parameters."""
        layer, features = self.first.layer, self.first.features
        return [
            Factor(torch.cat([self.adjoint[..., part] for part in layer.fed(i)], dim=-1), features[..., columns])
            for i, columns in layer.groups()
        ]

    @staticmethod
    def _met(adjoint: Tensor, block: Block, piece: Piece) -> Tensor:
        """Return the adjoints (C', n, S + M) that the features of a piece meet."""
        parts = [adjoint[piece.channels, block.part, part] for part in piece.fed]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


LayerFactor = FirstFactor | Factor


@dataclass(frozen=True)
class Summed:
    """A factor whose rows are sums over groups of `size` points that stand together."""

    factor: LayerFactor
    size: int

    def rows(self, part: slice = slice(None)) -> Tensor:
        """Return the dense Jacobian (N / size, f O) of some groups."""
        return torch.cat([factor.rows(part) for factor in self.split()], dim=1)

    def times(self, direction: Tensor) -> Tensor:
        """Return J v (N / size,) for a direction of the layer's weights."""
        return self.factor.times(direction).view(-1, self.size).sum(dim=1)

    def transposed_times(self, weights: Tensor) -> Tensor:
        """Return J^T w for weights (N / size,)."""
        return self.factor.transposed_times(weights.repeat_interleave(self.size))

    def split(self) -> list[Factor]:
        """Return plain factors in the order of parameters: the points of a group are to a row what channels are."""

        def grouped(values: Tensor) -> Tensor:
            return values.unflatten(1, (-1, self.size)).transpose(1, 2).flatten(0, 1)

        return [Factor(grouped(f.adjoint), grouped(f.features)) for f in plain([self.factor])]


Factors = list[LayerFactor | Summed]
"""The factors of scalars, if there are any, and of all layers, in the order of the parameters."""


def plain(factors: Sequence[LayerFactor | Summed]) -> list[Factor]:
    """Return plain factors only, in the order of the parameters."""
    return [part for f in factors for part in ([f] if isinstance(f, Factor) else f.split())]


def jacobian_blocks(factors: Factors) -> Iterator[tuple[slice, list[slice], Tensor]]:
    """Yield a Jacobian in blocks: the rows, the columns that do not vanish, the entries (n, P')."""
    offset, start = None, 0
    others: list[tuple[Factor, slice]] = []
    for factor in factors:
        if isinstance(factor, FirstFactor):
            first, offset = factor, start
            start += factor.first.layer.parameters
            continue
        for part in plain([factor]):
            others.append((part, slice(start, start + part.features.shape[2] * part.adjoint.shape[2])))
            start = others[-1][1].stop
    if offset is None:
        entries = torch.cat([part.rows() for part, _ in others], dim=1)
        yield slice(0, len(entries)), [columns for _, columns in others], entries
        return
    for block in first.first.blocks:
        entries = torch.cat([*first.block(block), *(part.rows(block.part) for part, _ in others)], dim=1)
        own = [slice(offset + columns.start, offset + columns.stop) for columns in first.columns(block)]
        yield block.part, [*own, *(columns for _, columns in others)], entries


def runs(there: Tensor, start: int) -> Iterator[slice]:
    """Yield the runs of true values of a mask, shifted by `start`."""
    padded = torch.nn.functional.pad(there.to(torch.int8), (1, 1))
    edges = padded.diff().nonzero()[:, 0].tolist()
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        yield slice(start + first, start + last)


def neighbours(grids: Sequence[Tensor | None], points: Tensor) -> tuple[Tensor, list[slice]]:
    """Return an order (N,) of points in [0, 1]^d (N, d), and the parts of it whose points lie together.

    The box is cut along breaks (G + 1,) of the splines, into about N / BLOCK_POINTS cells with as many cuts for every
    coordinate that has splines as for the others.
    """
    axes = [axis for axis, breaks in enumerate(grids) if breaks is not None and len(breaks) > 2]
    cells = torch.zeros(len(points), dtype=torch.long, device=points.device)
    wanted = max(1.0, len(points) / BLOCK_POINTS)
    for done, axis in enumerate(sorted(axes, key=lambda axis: len(grids[axis]))):  # type: ignore[arg-type]
        breaks = grids[axis]
        assert breaks is not None
        cuts = max(1, min(len(breaks) - 1, int(wanted ** (1 / (len(axes) - done)))))
        wanted /= cuts
        interval = torch.searchsorted(breaks[1:-1].to(points).contiguous(), points[:, axis].contiguous(), right=True)
        cells = cells * cuts + interval * cuts // (len(breaks) - 1)
    order = torch.argsort(cells, stable=True)
    counts = torch.unique_consecutive(cells[order], return_counts=True)[1].tolist()
    ends = [sum(counts[: i + 1]) for i in range(len(counts))]
    return order, [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
