"""The part of a graph that is drawn: its most important nodes and edges, and what is written at them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kanpde.model import Graph
from kanpde.model.chain import is_constant
from kanpde.plot.parts import FLAT
from kanpde.plot.written import MINUS, TIMES, ZERO, Written, number, written

MOST_NODES = 10
"""Nodes of a layer that are shown, the most important ones."""
MOST_FUNCTIONS = 20
"""Functions between two layers that are shown, the most important ones."""


@dataclass(frozen=True)
class Shown:
    """The part of a graph that is drawn, and how it is called; nodes and edges by their numbers in the graph."""

    graph: Graph
    score: NDArray[np.float64]
    values: Tensor
    names: tuple[str, ...]

    @cached_property
    def depth(self) -> list[int]:
        """The layer of each node: one more than that of the last node that it reads; outputs are in the last layer."""
        depth = [0 if kind == "input" else 1 for kind in self.graph.nodes]
        for n, kind in enumerate(self.graph.nodes):
            if kind != "input":
                depth[n] += max((depth[self.graph.edges[e].source] for e in self.entering(n)), default=0)
        last = max(depth)
        leaving = {edge.source for edge in self.graph.edges if not is_constant(edge.chain)}
        return [last if n in self.graph.outputs and n not in leaving else d for n, d in enumerate(depth)]

    def entering(self, node: int) -> list[int]:
        """Return the edges into a node that are no constants."""
        return [e for e in self.graph.entering[node] if not is_constant(self.graph.edges[e].chain)]

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """The score of each node: those of the edges out of it, and 1 for an output."""
        found = np.zeros(len(self.graph.nodes))
        found[list(self.graph.outputs)] = 1.0
        np.add.at(found, [edge.source for edge in self.graph.edges], self.score)
        return found

    def layer(self, depth: int) -> list[int]:
        """Return the nodes of a layer."""
        return [n for n, own in enumerate(self.depth) if own == depth]

    @cached_property
    def nodes(self) -> list[int]:
        """The most important nodes of each layer, in their order."""
        found = []
        for depth in range(max(self.depth) + 1):
            own = self.layer(depth)
            found += sorted(sorted(own, key=lambda n: -self.shares[n])[:MOST_NODES])
        return found

    @cached_property
    def text(self) -> list[Written | None]:
        """How the function of each edge is written, None for splines."""
        weights = self.graph.weights(self.graph.values)
        return [
            written(edge.chain, own, self.names[edge.source])
            for edge, own in zip(self.graph.edges, weights, strict=True)
        ]

    def curved(self, edge: int) -> bool:
        """Return whether an edge has a box."""
        text = self.text[edge]
        return text is None or not text.plain

    def between(self, depth: int) -> list[int]:
        """Return the curved edges between nodes that are shown, from those of a layer, the most important first."""
        kept = set(self.nodes)
        own = [
            e
            for e, edge in enumerate(self.graph.edges)
            if {edge.source, edge.target} <= kept and self.depth[edge.source] == depth and self.curved(e)
        ]
        return sorted(own, key=lambda e: -self.score[e])

    @cached_property
    def edges(self) -> list[int]:
        """The edges that are shown; constants are none of them."""
        kept = set(self.nodes)
        left_out = {e for depth in range(max(self.depth)) for e in self.between(depth)[MOST_FUNCTIONS:]}
        return [
            e
            for e, edge in enumerate(self.graph.edges)
            if {edge.source, edge.target} <= kept and not is_constant(edge.chain) and e not in left_out
        ]

    def locked(self, edge: int) -> bool:
        """Return whether an edge has weights of which none is trained."""
        return not bool(self.graph.trained[self.graph.spans[edge]].any())

    def constant(self, node: int) -> str:
        """Return the constants that enter a node, as it is written beside it: those of edges too where they add up."""
        own = [self.text[e] for e in self.graph.entering[node]]
        known = [text for text in own if text is not None]
        if self.graph.nodes[node] == "product":
            factors = [text.shift for text in known if text.factor == 0]
            return f"{TIMES} {number(float(np.prod(factors)))}" if factors else ""
        total = sum(text.shift for text in known)
        if abs(total) <= FLAT * float(self.values[:, node].abs().max()):
            return ""
        return f"{MINUS if total < 0 else '+'} {number(abs(total))}"

    def range(self, node: int) -> str:
        """Return the ends of an input in the box around the domain."""
        return " to ".join(
            f"{float(end[node]):.4g}".replace("-", MINUS) for end in (self.graph.lower, self.graph.upper)
        )

    def label(self, edge: int) -> str:
        """Return what is written at an edge: its function, or the factor of a line if it is not 1."""
        text = self.text[edge]
        if text is None:
            return ""
        shifted = self.graph.nodes[self.graph.edges[edge].target] == "product"
        if not text.plain or (shifted and abs(text.shift) > ZERO):
            return text.text(shifted)
        return "" if number(text.factor) == "1" else f"{TIMES} {number(text.factor)}"
