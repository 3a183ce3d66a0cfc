"""The residuals of a problem at collocation points as one vector, with its Jacobian from layer factors.

Rows are weighted so that half the squared norm is the loss: for each equation and condition the mean square residual
over its points, in units of its size `scale`, times its weight. One reverse pass through the channels gives the
adjoints of every layer's outputs; each row of the Jacobian is then a product of layer factors, since points are
independent (per-sample gradients: Goodfellow 2015). Work goes in chunks of points, so memory does not grow with N P.
The rows of constraints come after those of points; each sums over a group of points of its own. Where several processes
solve together each has the rows of its share of the points; losses and products with J^T are sums over all processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, isfinite
from typing import Any, Protocol

import torch
from torch import Tensor

from kanpde import processes
from kanpde.constraint import Groups
from kanpde.errors import KanpdeError
from kanpde.field import Field, Points, evaluate
from kanpde.model.ansatz import Ansatz, Frame
from kanpde.model.factor import Factor, Factors, FirstFactor, LayerFactor, Summed, jacobian_blocks, plain
from kanpde.model.network import Network
from kanpde.multiindex import IndexSet
from kanpde.problem import Condition
from kanpde.sampling import PointSet

CHUNK_ENTRIES = 6_000_000
"""Entries of a dense block of the Jacobian that are held at once (48 MB)."""
CACHE_ENTRIES = 30_000_000
"""Entries of first-layer features that are kept between iterations (240 MB)."""
PAIRED_CHANNELS = 64
"""Channels up to which inner products of rows are formed in pairs of them; a constraint has one for every point."""
ROUNDING = 1e-12
"""A residual this much smaller than the derivatives that enter it is no scale to divide by."""


class Approximation(Protocol):
    """What residuals need of a network, or of another function of parameters (P,) on the box with `lower` corner (d,).

    row_entries: parameters that a row depends on. width: numbers that are held for each point and channel.
    """

    @property
    def lower(self) -> Tensor: ...
    @property
    def parameters(self) -> int: ...
    @property
    def row_entries(self) -> int: ...
    @property
    def width(self) -> int: ...
    def neighbours(self, points: Tensor) -> tuple[Tensor, list[slice]]: ...
    def first(self, indices: IndexSet, points: Tensor, parts: list[slice]) -> Any: ...
    def forward(self, theta: Tensor, indices: IndexSet, first: Any, reverse: bool = True) -> tuple[Tensor, Any]: ...


class Differentiable(Approximation, Protocol):
    """What a system needs besides: the factors of its Jacobian. A `Network` and a `Graph` have them."""

    @property
    def places(self) -> tuple[slice, ...]: ...
    @property
    def perceptron(self) -> bool: ...
    def factors(
        self, theta: Tensor, indices: IndexSet, first: Any, passed: Any, adjoint: Tensor
    ) -> Sequence[LayerFactor]: ...
    def directions(self, direction: Tensor) -> list[Tensor]: ...


@dataclass(frozen=True)
class Batch:
    """Some points with the equations or conditions that are evaluated there, or with a constraint on their `groups`.

    `scaling` (equation, row) holds the square roots of the row weights. `parts` are the points that share features of
    the first layer, which `first` holds.
    """

    labels: tuple[str, ...]
    at: Points
    frame: Frame
    scaling: Tensor
    parts: list[slice]
    first: Any
    groups: Groups | None = None

    @property
    def indices(self) -> IndexSet:
        """The derivative channels of this batch."""
        return self.frame.indices

    def rows(self, residuals: Tensor) -> Tensor:
        """Return the weighted rows (equation, row) of residuals (equation, point)."""
        return (residuals if self.groups is None else self.groups.sums(residuals)[None]) * self.scaling

    def summed(self, factor: LayerFactor) -> LayerFactor | Summed:
        """Return the factor of the rows for one of the points."""
        return factor if self.groups is None else Summed(factor, self.groups.coefficients.shape[1])


class Residuals:
    """Residual rows of `ansatz` on an approximation at given point sets (label of an equation or condition -> points).

    Then come the rows of its problem's constraints. `scales` gives the size of each residual, by which it is divided.
    Every process is given all points. Raises KanpdeError if there are fewer of them than processes.
    """

    def __init__(
        self,
        ansatz: Ansatz,
        approximation: Approximation,
        sets: Mapping[tuple[str, ...], PointSet],
        scales: Mapping[str, float],
    ) -> None:
        self.ansatz = ansatz
        self._approximation = approximation
        problem = ansatz.problem
        everywhere = [*sets, *((label,) for label in problem.constraints)]
        self._functions = {label: problem.residual_function(label) for labels in everywhere for label in labels}
        self.batches: list[Batch] = []
        self._places: list[Tensor] = []
        self._sizes = {labels: len(points.at) for labels, points in sets.items()}
        groups_of = {label: constraint.groups(problem.geometry) for label, constraint in problem.constraints.items()}
        most = max(self._sizes.values(), default=0) or max(len(groups.values) for groups in groups_of.values())
        if most < processes.count():
            raise KanpdeError(f"{most} points are too few for {processes.count()} processes: use fewer of them.")
        room = CACHE_ENTRIES
        for labels, points in sets.items():
            indices = IndexSet(problem.geometry.names, problem.derivatives(labels, points.at))
            weights = torch.tensor(
                [problem.conditions[label].weight if label in problem.conditions else 1.0 for label in labels],
                dtype=points.weights.dtype,
            )
            size = torch.tensor([scales[label] for label in labels], dtype=points.weights.dtype)
            scaling = ((weights / size**2).to(points.weights)[:, None] * points.weights).sqrt()
            chunk = max(64, CHUNK_ENTRIES // (approximation.row_entries * len(labels)))
            order, parts = approximation.neighbours(points.at.array())
            own = processes.share(len(order))
            order, parts = order[own], clipped(parts, own)
            chunk = ceil(len(order) / max(1, ceil(len(order) / chunk)))
            for group in joined(parts, chunk):
                where = order[group[0].start : group[-1].stop]
                self._places.append(where)
                at = points.at.part(where)
                near = [slice(part.start - group[0].start, part.stop - group[0].start) for part in group]
                first = approximation.first(indices, at.array(), near) if room > 0 else None
                room -= first.entries if first else 0
                self.batches.append(Batch(labels, at, ansatz.frame(indices, at), scaling[:, where], near, first))
        like = approximation.lower
        for label, constraint in problem.constraints.items():
            groups = groups_of[label].to(like)
            indices = IndexSet(problem.geometry.names, problem.derivatives((label,), groups.at))
            scale = (constraint.weight / len(groups.values)) ** 0.5 / scales[label]
            # As many groups at once as keep the dense features of their points small.
            width = len(indices) * approximation.width
            groups = groups.part(processes.share(len(groups.values)))
            for part in groups.parts(CHUNK_ENTRIES // width):
                everything = [slice(0, len(part.at))]
                first = approximation.first(indices, part.at.array(), everything) if room > 0 else None
                room -= first.entries if first else 0
                scaling = like.new_full((1, len(part.values)), scale)
                self.batches.append(
                    Batch((label,), part.at, ansatz.frame(indices, part.at), scaling, everything, first, part)
                )

    @property
    def rows(self) -> int:
        """R, the number of residual rows of this process."""
        return sum(batch.scaling.numel() for batch in self.batches)

    def residual(self, theta: Tensor) -> Tensor:
        """Return this process's weighted residual rows (R,) at parameters theta (P,)."""
        return torch.cat([self._values(batch, self._output(batch, theta)[0]).flatten() for batch in self.batches])

    def loss(self, theta: Tensor) -> float:
        """Return half the squared norm of the residual, of all processes."""
        return processes.total(0.5 * float(self.residual(theta).square().sum()))

    def at_points(self, theta: Tensor) -> list[Tensor]:
        """Return the weighted residuals (equation, point) of each of the sets, in the order of its points."""
        found = {labels: theta.new_zeros(len(labels), size) for labels, size in self._sizes.items()}
        for batch, where in zip(self.batches, self._places, strict=False):
            found[batch.labels][:, where] = self._values(batch, self._output(batch, theta)[0])
        return [processes.summed(r) for r in found.values()]

    def solution(self, theta: Tensor) -> Tensor:
        """Return the values of the field (N, U) at the points of the sets, in no particular order."""
        batches = [batch for batch in self.batches if batch.groups is None]
        return processes.gathered(torch.cat([self._output(batch, theta)[0][0] for batch in batches]))

    def points(self) -> Tensor:
        """Return the points (N, d) of the first set, in no particular order; of constraints where there is no set."""
        labels = next(iter(self._sizes), self.batches[0].labels)
        own = [batch.at.array() for batch in self.batches if batch.labels == labels]
        return processes.gathered(torch.cat(own))

    def adjoints(self, theta: Tensor, reverse: bool = False) -> Iterator[tuple[Batch, Tensor, Tensor, Any, Any]]:
        """Yield each batch with its residual rows (E, R) and the adjoints (E, C, N, O) of what is approximated.

        Also the features of the first layer, and how layers were passed.
        """
        for batch in self.batches:
            u, first, passed = self._output(batch, theta, reverse)
            residuals, slopes = self._slopes(batch, u)
            yield batch, residuals, torch.stack([batch.frame.pull_back(slope) for slope in slopes]), first, passed

    def _output(self, batch: Batch, theta: Tensor, reverse: bool = False) -> tuple[Tensor, Any, Any]:
        first = batch.first or self._approximation.first(batch.indices, batch.at.array(), batch.parts)
        output, passed = self._approximation.forward(theta, batch.indices, first, reverse)
        return batch.frame.solution(output), first, passed

    def _values(self, batch: Batch, u: Tensor) -> Tensor:
        """Return the weighted residuals (equation, row) of a field (C, N, U)."""
        fields = self.ansatz.problem.fields(batch.indices, u)
        return batch.rows(torch.stack([self._functions[label](*fields, batch.at) for label in batch.labels]))

    def _slopes(self, batch: Batch, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return weighted residuals (E, R) and their derivatives (E, C, N, U) with respect to the channels."""
        u = u.detach().requires_grad_()
        with torch.enable_grad():
            r = self._values(batch, u)
            slopes = [
                torch.autograd.grad(row.sum(), u, retain_graph=True, materialize_grads=True)[0] for row in r.unbind()
            ]
        return r.detach(), torch.stack(slopes)


class System(Residuals):
    """Residual rows on a network, with its factors of the Jacobian."""

    def __init__(
        self,
        ansatz: Ansatz,
        network: Differentiable,
        sets: Mapping[tuple[str, ...], PointSet],
        scales: Mapping[str, float],
    ) -> None:
        super().__init__(ansatz, network, sets, scales)
        self.network = network

    def linearised(self, theta: Tensor) -> Linearisation:
        """Return the residual and the layer factors of its Jacobian at theta (P,)."""
        return Linearisation(self, theta)

    def linear_part(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the residual (R,) and its Jacobian (R, P_last) with respect to the last layer, which is linear."""
        rows = [(r, factor.rows()) for r, factor in self._last_factors(theta)]
        return torch.cat([r for r, _ in rows]), torch.cat([j for _, j in rows])

    def factors(self, theta: Tensor) -> Iterator[tuple[Tensor, Factors]]:
        """Yield for each batch and equation the residual rows (R,) and the layers' factors of their Jacobian."""
        for batch, residuals, adjoints, first, passed in self.adjoints(theta, reverse=True):
            for r, adjoint in zip(residuals, adjoints, strict=True):
                found = self.network.factors(theta, batch.indices, first, passed, adjoint)
                yield r, [batch.summed(factor) for factor in found]

    def _last_factors(self, theta: Tensor) -> Iterator[tuple[Tensor, LayerFactor | Summed]]:
        """Yield for each batch and equation the residual rows (R,) and the last layer's factor."""
        last = layered(self.network).layers[-1].linear
        for batch, residuals, adjoints, first, passed in self.adjoints(theta):
            tape = passed[-1].tape
            for r, adjoint in zip(residuals, adjoints[..., :last], strict=True):
                yield r, batch.summed(FirstFactor(adjoint, first) if tape is None else Factor(adjoint, tape.features))


def layered(network: Differentiable) -> Network:
    """Return a network that has layers; raise KanpdeError for a graph of single edges, which has none."""
    if not isinstance(network, Network):
        raise KanpdeError("this method needs a network of layers: use solver=levenberg_marquardt without projection.")
    return network


class Linearisation:
    """The residual r (R,) and its Jacobian J (R, P) at fixed parameters, as layer factors.

    Rows are those of this process; what is a sum over rows is one over the rows of all processes.
    The factors are held where they are small, and computed anew for each use where they are not.
    """

    def __init__(self, system: System, theta: Tensor) -> None:
        self._system, self._theta = system, theta
        width = system.network.width
        channels = max(len(batch.indices) for batch in system.batches)
        points = sum(len(batch.at) * len(batch.labels) for batch in system.batches)
        small = points * width * channels <= CACHE_ENTRIES
        self._held = list(system.factors(theta)) if small else None

    def __iter__(self) -> Iterator[tuple[Tensor, Factors]]:
        """Yield the residual rows and the layers' factors of each batch and equation."""
        return iter(self._held if self._held is not None else self._system.factors(self._theta))

    def blocks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the residual rows (n,) and the Jacobian (n, P) of each batch and equation."""
        for r, factors in self:
            yield r, torch.cat([factor.rows() for factor in factors], dim=1)

    def dense(self) -> tuple[Tensor, Tensor]:
        """Return r (R,) and J (R, P)."""
        rows = list(self.blocks())
        return torch.cat([r for r, _ in rows]), torch.cat([j for _, j in rows])

    def normal_equations(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return r (R,), the gradient J^T r (P,) and J^T J (P, P), without ever holding all of J."""
        size = self._system.network.parameters
        rows, gradient, matrix = [], self._theta.new_zeros(size), self._theta.new_zeros(size, size)
        for r, factors in self:
            rows.append(r)
            for part, columns, j in jacobian_blocks(factors):
                if len(columns) == 1:
                    gradient[columns[0]] += j.T @ r[part]
                    matrix[columns[0], columns[0]].addmm_(j.T, j)
                    continue
                sizes = [where.stop - where.start for where in columns]
                for where, share in zip(columns, (j.T @ r[part]).split(sizes), strict=True):
                    gradient[where] += share
                for where, share in zip(columns, (j.T @ j).split(sizes), strict=True):
                    for other, entries in zip(columns, share.split(sizes, dim=1), strict=True):
                        matrix[where, other] += entries
        return torch.cat(rows), processes.summed(gradient), processes.summed(matrix)

    def slopes(self) -> tuple[Tensor, Tensor]:
        """Return the gradient J^T r (P,) and the diagonal of J^T J (P,)."""
        gradient, diagonal = torch.zeros_like(self._theta), torch.zeros_like(self._theta)
        for r, factors in self:
            for part, columns, j in jacobian_blocks(factors):
                sizes = [where.stop - where.start for where in columns]
                shares = zip(columns, (j.T @ r[part]).split(sizes), j.square().sum(dim=0).split(sizes), strict=True)
                for where, slope, square in shares:
                    gradient[where] += slope
                    diagonal[where] += square
        return processes.summed(gradient), processes.summed(diagonal)

    def kernel(self) -> tuple[Tensor, Tensor]:
        """Return r (R,) and J J^T (R, R) without any row of J.

        Per layer it is the sum over pairs of channels of (A_c A_c'^T) * (F_c F_c'^T), A the adjoints, F the features.
        Only for one process, which has all rows.
        """
        blocks = [(r, plain(factors)) for r, factors in self]
        starts = list(accumulate((len(r) for r, _ in blocks), initial=0))
        matrix = self._theta.new_empty(starts[-1], starts[-1])
        for i, (_, left) in enumerate(blocks):
            for k, (_, right) in enumerate(blocks[: i + 1]):
                block = sum((inner(f, g) for f, g in zip(left, right, strict=True)), self._theta.new_zeros(()))
                matrix[starts[i] : starts[i + 1], starts[k] : starts[k + 1]] = block
                matrix[starts[k] : starts[k + 1], starts[i] : starts[i + 1]] = block.T
        return torch.cat([r for r, _ in blocks]), matrix

    def gradient(self) -> tuple[float, Tensor]:
        """Return the loss and its gradient (P,)."""
        loss, gradient = 0.0, torch.zeros_like(self._theta)
        for r, factors in self:
            loss += 0.5 * float(r.square().sum())
            gradient += torch.cat([factor.transposed_times(r) for factor in factors])
        return processes.total(loss), processes.summed(gradient)

    def times(self, direction: Tensor) -> Tensor:
        """Return J v (R,) for a direction v (P,)."""
        weights = self._system.network.directions(direction)
        found = []
        for r, factors in self:
            parts = [factor.times(w) for factor, w in zip(factors, weights, strict=True)]
            found.append(sum(parts, torch.zeros_like(r)))
        return torch.cat(found)

    def transposed_times(self, weights: Tensor) -> Tensor:
        """Return J^T w (P,) for row weights w (R,)."""
        total, start = torch.zeros_like(self._theta), 0
        for r, factors in self:
            part = weights[start : start + len(r)]
            total += torch.cat([factor.transposed_times(part) for factor in factors])
            start += len(r)
        return processes.summed(total)


def clipped(parts: list[slice], own: slice) -> list[slice]:
    """Return what consecutive parts have in common with a slice, counted from its start."""
    cut = (slice(max(part.start, own.start), min(part.stop, own.stop)) for part in parts)
    return [slice(part.start - own.start, part.stop - own.start) for part in cut if part.start < part.stop]


def joined(parts: list[slice], size: int) -> Iterator[list[slice]]:
    """Yield consecutive parts in groups of about `size` points; a longer part is cut."""
    group: list[slice] = []
    for part in parts:
        for start in range(part.start, part.stop, size):
            piece = slice(start, min(start + size, part.stop))
            if group and piece.stop - group[0].start > size:
                yield group
                group = []
            group.append(piece)
    if group:
        yield group


def inner(left: Factor, right: Factor) -> Tensor:
    """Return the inner products (N, N') of the rows of two factors of one layer."""
    if max(len(left.adjoint), len(right.adjoint)) > PAIRED_CHANNELS:
        return left.rows() @ right.rows().T
    total = left.adjoint.new_zeros(left.adjoint.shape[1], right.adjoint.shape[1])
    for a, f in zip(left.adjoint, left.features, strict=True):
        for b, g in zip(right.adjoint, right.features, strict=True):
            total.addcmul_(a @ b.T, f @ g.T)
    return total


def residual_scales(ansatz: Ansatz, sets: Mapping[tuple[str, ...], PointSet]) -> dict[str, float]:
    """Return the root mean square of each residual when the network is zero; 1 where that vanishes up to rounding.

    Constraints have one, too; without equations it is the spread of the data about their mean, where that does not
    vanish. Raises KanpdeError for an equation or condition that is not finite there.
    """
    problem = ansatz.problem
    scales = {}
    for labels, points in sets.items():
        inside = next(iter(sets.values())).at
        fields, largest = untrained(ansatz, labels, points.at)
        for label in labels:
            r = problem.residual_function(label)(*fields, points.at)
            refuse_not_finite(label, r, points.at)
            largest = max(largest, elsewhere(problem.conditions.get(label), inside))
            scales[label] = scale_of(float((points.weights * r.square()).sum().sqrt()), largest)
    like = next((points.weights for points in sets.values()), torch.zeros((), dtype=torch.float64))
    for label, constraint in problem.constraints.items():
        groups = constraint.groups(problem.geometry).to(like)
        fields, largest = untrained(ansatz, (label,), groups.at)
        g = problem.residual_function(label)(*fields, groups.at)
        refuse_not_finite(label, g, groups.at)
        missed = groups.sums(g)
        size = float(missed.square().mean().sqrt())
        spread = 0.0 if problem.equations else float((missed - missed.mean()).square().mean().sqrt())
        scales[label] = scale_of(spread if spread > ROUNDING * size else size, largest)
    return scales


def elsewhere(condition: Condition | None, inside: Points) -> float:
    """Return the largest value of the data of a condition inside the domain; 0 where they are none or not known there.

    sin(pi x) is 1.2e-16 at x = 1: data that are so much smaller on the boundary than inside are rounding.
    """
    value = getattr(condition, "value", None)
    if not callable(value):
        return 0.0
    try:
        size = float(evaluate(value, inside).abs().max())
    except KanpdeError:
        return 0.0
    return size if isfinite(size) else 0.0


def untrained(ansatz: Ansatz, labels: tuple[str, ...], at: Points) -> tuple[list[Field], float]:
    """Return the fields of a network that is zero, and the largest derivative among those that the labels ask for."""
    problem = ansatz.problem
    indices = IndexSet(problem.geometry.names, problem.derivatives(labels, at))
    lift = ansatz.frame(indices, at).lift
    largest = float((lift * lift.new_tensor(indices.factorials)[:, None, None]).abs().max())
    return problem.fields(indices, lift), largest


def refuse_not_finite(label: str, r: Tensor, at: Points) -> None:
    """Raise KanpdeError for a residual (N,) that is not finite."""
    if not bool(torch.isfinite(r).all()):
        where = at.array()[~torch.isfinite(r)][0].tolist()
        place = ", ".join(f"{n}={x:.4g}" for n, x in zip(at.names, where, strict=True))
        raise KanpdeError(
            f"'{label}' is not finite at {place}: check the source term and the data of the conditions there."
        )


def scale_of(size: float, largest: float) -> float:
    """Return the size of a residual, or 1 if it is rounding of the largest derivative that enters it."""
    return size if size > ROUNDING * largest else 1.0
