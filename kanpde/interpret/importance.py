"""How much each edge and node of a graph matters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpde.floats import TINY
from kanpde.model import Graph


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
