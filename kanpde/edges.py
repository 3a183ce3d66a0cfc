"""The functions on the edges of a KAN, and how much each of them matters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpde.basis import BSpline, Learnable
from kanpde.floats import TINY
from kanpde.model import Graph, Network
from kanpde.model.layer import Layer
from kanpde.multiindex import IndexSet

SAMPLES = 401
"""Arguments at which a function is sampled."""
STRAIGHT = 1e-9
"""By how much a function may differ from a straight line that counts as one, relative to its largest value."""


@dataclass(frozen=True)
class LayerEdges:
    """The functions from I inputs of a layer to its nodes: first sums, then products of one function of every input.

    arguments: (sample, I), over the domain in the first layer and over what the nodes before take in deeper ones.
    values: (sample, I, node). knots: of the splines of each input. edges: the importance (I, node) of each function,
    and nodes (node,) that of each node.
    """

    sums: int
    arguments: Tensor
    values: Tensor
    knots: tuple[Tensor, ...]
    edges: Tensor
    nodes: Tensor

    @property
    def straight(self) -> Tensor:
        """Whether each function (I, node) is a straight line."""
        s = torch.linspace(-1, 1, len(self.values), dtype=self.values.dtype)[:, None, None]
        centred = self.values - self.values.mean(dim=0)
        rest = centred - s * (s * centred).sum(dim=0) / s.square().sum()
        return rest.abs().amax(dim=0) <= STRAIGHT * self.values.abs().amax(dim=0)


def has_edge_functions(network: Network) -> bool:
    """Whether edges have functions of their own, as in a KAN, and not weights."""
    return any(isinstance(edges.basis, Learnable) for layer in network.layers for edges in layer.edges)


def edge_functions(network: Network, theta: Tensor, points: Tensor) -> list[LayerEdges]:
    """Return the edges of every layer of a network with parameters theta (P,), scored over points (N, d)."""
    value = IndexSet(tuple(str(axis) for axis in range(points.shape[1])))
    _, passed = network.forward(theta, value, network.first(value, points), reverse=False)
    inputs = [network.embed(value, points)[0]]
    inputs += [layer.nodes(value, step.sums)[0] for layer, step in zip(network.layers, passed, strict=True)]
    score = importance(Graph.of(network, theta), points)
    of_nodes = score.nodes[points.shape[1] :].split([layer.outputs for layer in network.layers])
    of_edges = score.edges.split([layer.outputs * layer.inputs for layer in network.layers])
    found: list[LayerEdges] = []
    for number, (layer, w) in enumerate(zip(network.layers, network.weights(theta), strict=True)):
        z = inputs[number]
        low, high = (-torch.ones_like(z[0]), torch.ones_like(z[0])) if number == 0 else z.aminmax(dim=0)
        unit = torch.linspace(0, 1, SAMPLES, dtype=theta.dtype).to(theta)[:, None]
        sampled = low + (high - low) * unit
        knots = [theta.new_empty(0)] * layer.inputs
        for edges in layer.edges:
            if isinstance(edges.basis, BSpline):
                knots[edges.first : edges.last] = list(edges.basis.breaks)
        arguments = sampled
        if number == 0:
            middle, half = (network.upper + network.lower) / 2, (network.upper - network.lower) / 2
            arguments, knots = middle + half * sampled, [m + h * k for m, h, k in zip(middle, half, knots, strict=True)]
        values = functions(layer, w, sampled)
        shares = of_edges[number].view(layer.outputs, layer.inputs).T
        knots_here = tuple(k.cpu() for k in knots)
        found.append(
            LayerEdges(layer.sums, arguments.cpu(), values.cpu(), knots_here, shares.cpu(), of_nodes[number].cpu())
        )
    return found


def functions(layer: Layer, weights: Tensor, z: Tensor) -> Tensor:
    """Return the functions (N, I, node) of a layer with weights (f, node) at inputs z (N, I), without its bias."""
    value = IndexSet(("z",))
    features = layer.forward(value, z[None], reverse=False).features[0]
    found = z.new_zeros(len(z), layer.inputs, layer.outputs)
    groups = layer.groups()
    for i, columns in groups[: len(groups) - layer.bias]:
        found[:, i] += features[:, columns] @ weights[columns]
    return found


@dataclass(frozen=True)
class Importance:
    """Of edges (E,) and nodes (V,), and the range (E,) of the function on each edge over the points."""

    edges: Tensor
    nodes: Tensor
    ranges: Tensor


def importance(graph: Graph, points: Tensor) -> Importance:
    """Return the importance of edges and nodes over points (N, d).

    The attribution score of Liu et al. 2024b (KAN 2.0), from the outputs backwards with 1 for each: a sum gives each
    edge into it its own score times the ratio of two standard deviations over the points, of what the edge adds and of
    the sum. A product gives each factor that varies its own score. A node's score is the sum of those of the edges
    out of it.
    """
    nodes, shares = graph.evaluated(points)
    spread = shares.std(dim=0)
    score = nodes.new_zeros(len(graph.nodes))
    score.index_add_(0, torch.tensor(graph.outputs, device=score.device), score.new_ones(len(graph.outputs)))
    edges = shares.new_zeros(len(graph.edges))
    for number in reversed(range(len(graph.nodes))):
        for e in graph.entering[number]:
            if graph.nodes[number] == "product":
                varies = float(spread[e]) > TINY * float(shares[:, e].abs().max())
                edges[e] = score[number] * varies
            else:
                edges[e] = score[number] * spread[e] / nodes[:, number].std().clamp_min(TINY)
            score[graph.edges[e].source] += edges[e]
    return Importance(edges, score, shares.amax(dim=0) - shares.amin(dim=0))
