"""Product nodes whose factors are of equal size and, in two dimensions, orthogonal: the same function, better steps.

A sum of product nodes does not change when factors of a node are scaled, and in two dimensions, where it is a matrix
F G^T, when F and G are combined by any invertible matrix and its inverse. Damped steps do: they are shorter the more
the factors differ in size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kanpde.basis import BSpline
from kanpde.model import Network
from kanpde.multiindex import IndexSet

RANK = 1e-12
"""Singular values below this, relative to the largest one, leave nodes as they are but for the sizes of factors."""


def balanced(network: Network, theta: Tensor, points: Tensor) -> Tensor:
    """Return parameters (P,) of the same function whose product nodes are balanced.

    All factors of a node get the same root mean square at `points` (N, d). With two inputs and one output, and if
    nothing but product nodes enters it, linearly, they become its singular functions.
    """
    layer = network.layers[0]
    if not layer.products or layer.inputs == 1:
        return theta
    theta = theta.clone()
    hidden, *_, last = network.weights(theta)
    every = range(layer.inputs)
    features = network.first(IndexSet(tuple(map(str, every))), points).features[0]
    rows = [torch.cat([torch.arange(p.start, p.stop) for j, p in layer.groups() if j == i]) for i in every]
    factors = [features[:, own] @ hidden[own, layer.sums :] for own in rows]
    found = None
    if bilinear(network):
        breaks = network.layers[1].edges[0].basis.breaks  # type: ignore[attr-defined]
        slope = last.view(-1, 2).diff(dim=1)[:, 0] / breaks.diff(dim=1)[:, 0]
        found = singular(factors[0], factors[1] * slope)
    if found is None:
        found = even(factors)
    else:
        constant = (last.view(-1, 2)[:, 0] - slope * breaks[:, 0]).sum()
        last.copy_(breaks.reshape(last.shape))
        last[:2] += constant
        hidden[rows[1]] *= slope
    for own, change in zip(rows, found, strict=True):
        hidden[own, layer.sums :] = hidden[own, layer.sums :] @ change
    return theta


def bilinear(network: Network) -> bool:
    """Whether the output is a constant and a sum of products of one function of each of two inputs."""
    first, second = network.layers[:2]
    if len(network.layers) > 2 or first.inputs != 2 or first.sums or second.outputs > 1 or len(second.edges) > 1:
        return False
    basis = second.edges[0].basis
    return isinstance(basis, BSpline) and basis.degree == 1 and basis.intervals == 1


def even(factors: list[Tensor]) -> list[Tensor]:
    """Return diagonal matrices (M, M) by which factors (N, M) become equal in size; those of a zero stay."""
    sizes = torch.stack([factor.norm(dim=0) for factor in factors])
    scales = torch.where((sizes > 0).all(dim=0), sizes.log().mean(dim=0).exp() / sizes, 1.0)
    return [torch.diag(row) for row in scales]


def singular(f: Tensor, g: Tensor) -> list[Tensor] | None:
    """Return S and T (M, M) such that f S and g T are orthogonal, equal in size and f S (g T)^T = f g^T (N, N).

    None if f g^T has not the rank M up to rounding.
    """
    r, w = (torch.linalg.qr(factor, mode="r").R for factor in (f, g))
    u, s, vt = torch.linalg.svd(r @ w.T)
    if not bool(s[-1] > RANK * s[0]):
        return None
    return [torch.linalg.solve(r, u * s.sqrt()), torch.linalg.solve(w, vt.T * s.sqrt())]
