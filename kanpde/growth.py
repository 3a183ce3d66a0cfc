"""How a network grows while it keeps its function: more knots, more product nodes, a later end of time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kanpde.basis import BSpline, Learnable
from kanpde.floats import TINY
from kanpde.model import Network
from kanpde.residual import System


def promising(
    network: Network, theta: Tensor, system: Callable[[Network, Tensor], System], count: int
) -> tuple[list[Tensor], float]:
    """Return masks (G,) of the `count` intervals of the first layer whose halving promises most, and what it promises.

    A knot in the middle of interval j adds, up to old functions, the B-spline centred there. Its coefficients would
    lower the loss by about half the squared gradient over the diagonal of J^T J, which is compared over all inputs. The
    promise is the sum of these decreases relative to the loss; it may exceed 1, since the splines are not orthogonal.
    `system` gives the residuals of a network with parameters (P,).
    """
    splines = [e.basis for e in network.layers[0].edges if isinstance(e.basis, BSpline)]
    every = [torch.ones(b.intervals, dtype=torch.bool, device=theta.device) for b in splines]
    finer, change = network.bisected(every)
    theta = change.parameters(theta)
    there = system(finer, theta)
    gradient, diagonal = there.linearised(theta).slopes()
    shape = finer.layers[0].features, finer.layers[0].outputs
    gains = (gradient.square() / diagonal.clamp_min(TINY))[finer.places[0]].view(shape).sum(dim=1)
    found = []
    for e, part in zip(finer.layers[0].edges, finer.layers[0].parts(gains), strict=True):
        if isinstance(e.basis, BSpline):
            centre = torch.arange(e.basis.intervals // 2, device=theta.device) * 2 + (e.basis.degree + 1) // 2
            found.append(part[0, centre % e.basis.size])
    every_gain = torch.cat(found)
    order = every_gain.argsort(descending=True, stable=True)
    chosen = torch.zeros_like(order, dtype=torch.bool)
    chosen[order[:count]] = True
    promise = 0.5 * float(every_gain[chosen].sum()) / max(there.loss(theta), TINY)
    return list(chosen.split([b.intervals for b in splines])), promise


def widened(network: Network, theta: Tensor, wider: Network, random: Tensor) -> Tensor:
    """Return the parameters of the function theta (P,) in a network of the same bases with more product nodes.

    Of each new node one factor is 0, that of each input in turn, so that the function stays what it is; the other
    factors are those of the parameters `random`.
    """
    old, new = network.weights(theta), [w.clone() for w in wider.weights(random)]
    layer, known = network.layers[0], network.layers[0].outputs
    new[0][:, :known] = old[0]
    for i, features in wider.layers[0].groups():
        fresh = torch.arange(known, wider.layers[0].outputs, device=theta.device)
        new[0][features, fresh[(fresh - known) % layer.inputs == i]] = 0.0
    for number in range(1, len(new)):
        was, now = network.layers[number], wider.layers[number]
        for e, part, target in zip(now.edges, was.parts(old[number].T), now.parts(new[number].T), strict=True):
            if isinstance(e.basis, Learnable):  # a new node is 0, so its functions shall be 0 there
                at_zero = e.basis.taylor(theta.new_zeros(1, e.last - e.first), 0)[0, 0]
                target -= (target * at_zero).sum(dim=-1, keepdim=True) * e.basis.one()
            target[:, : part.shape[1]] = part
    return torch.cat([theta[: network.scalars], *(w.reshape(-1) for w in new)])


def continued(network: Network, theta: Tensor, axis: int, horizon: float) -> Tensor:
    """Return parameters (P,) whose functions of one coordinate stay what they are, where points have not been yet.

    Coefficients of splines whose Greville abscissae lie behind `horizon`, a fraction of the coordinate's interval,
    become the last one before it. Otherwise they would be what they were at the random start.
    """
    theta = theta.clone()
    for e, part in zip(network.layers[0].edges, network.layers[0].parts(network.weights(theta)[0].T), strict=True):
        if e.first == axis and isinstance(e.basis, BSpline) and not e.basis.periodic:
            before = int((e.basis.ramp()[0] <= 2 * horizon - 1 + 1e-9).sum())
            part[:, 0, before:] = part[:, 0, before - 1 : before].clone()
    return theta


def intervals(network: Network) -> int:
    """Return the number of intervals of the first layer's splines, of all inputs together."""
    return sum(e.basis.intervals for e in network.layers[0].edges if isinstance(e.basis, Learnable))


def price(network: Network) -> tuple[int, int]:
    """Return how many parameters one more interval in the first layer has, and one more product node."""
    first, second = network.layers[:2]
    return first.outputs, first.features + sum(e.basis.size for e in second.edges) * second.outputs
