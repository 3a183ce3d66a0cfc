"""Graphs of elementary functions from structures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kanpde.interpret.recognise import Candidate
from kanpde.interpret.structure import Structure
from kanpde.model import Graph
from kanpde.model.chain import AFFINE, CONSTANT, IDENTITY, Chain, elementary
from kanpde.model.graph import Edge
from kanpde.problem import Problem

Weighted = tuple[Chain, list[float], list[bool]]
"""The chain of an edge, its weights, and which of these are trained."""


class Builder:
    """Collects nodes and edges."""

    def __init__(self, inputs: int) -> None:
        self.nodes: list[str] = ["input"] * inputs
        self._edges: list[tuple[int, int, Weighted]] = []

    def node(self, kind: str) -> int:
        """Add a node and return its number."""
        self.nodes.append(kind)
        return len(self.nodes) - 1

    def edge(self, source: int, target: int, function: Weighted) -> None:
        """Add an edge."""
        self._edges.append((source, target, function))

    def graph(self, outputs: Sequence[int], lower: Tensor, upper: Tensor) -> Graph:
        """Return the graph; nodes were added in an order in which edges go forward."""
        values = [w for _, _, (_, weights, _) in self._edges for w in weights]
        trained = [t for _, _, (_, _, mask) in self._edges for t in mask]
        return Graph(
            tuple(self.nodes),
            tuple(Edge(source, target, chain) for source, target, (chain, _, _) in self._edges),
            tuple(outputs),
            lower,
            upper,
            lower.new_tensor(values),
            torch.tensor(trained, dtype=torch.bool, device=lower.device),
        )


def times(coefficient: float, trained: bool = True) -> Weighted:
    """Return the edge c z."""
    return (AFFINE,), [coefficient, 0.0], [trained, False]


def of_candidate(found: Candidate, coefficient: float | None = None) -> Weighted:
    """Return the edge c f(a h(x) + b), where c is 1 and not trained if it is not given.

    Of a and b those are trained that are not 1 and 0, which stand for what changes nothing but c.
    """
    c, own = (1.0, False) if coefficient is None else (coefficient, True)
    if found.outer.name == IDENTITY and found.inner is None:
        return (AFFINE,), [c * found.a, c * found.b], [own, found.b != 0]
    inner = IDENTITY if found.inner is None else found.inner.name
    if found.outer.name == IDENTITY:
        return elementary(inner)[1:], [c * found.a, c * found.b], [own, found.b != 0]
    weights = [found.a, found.b, c, 0.0]
    return elementary(found.outer.name, inner), weights, [found.a != 1, found.b != 0, own, False]


def graph_of(structures: Sequence[Structure], lower: Tensor, upper: Tensor) -> Graph:
    """Return the graph of one structure for each unknown; a function that several terms use is a node."""
    builder = Builder(len(lower))
    outputs = []
    for structure in structures:
        uses = Counter(place for term in structure.terms for place in term.functions)
        shared = {}
        for i, k in sorted(place for place, count in uses.items() if count > 1):
            shared[i, k] = builder.node("sum")
            builder.edge(i, shared[i, k], of_candidate(structure.functions[i][k]))
        products = {}
        for number, term in enumerate(structure.terms):
            if len(term.functions) > 1:
                products[number] = builder.node("product")
                for i, k in term.functions:
                    alone = (i, k) not in shared
                    function = of_candidate(structure.functions[i][k]) if alone else times(1.0, trained=False)
                    builder.edge(i if alone else shared[i, k], products[number], function)
        total = builder.node("sum")
        for number, term in enumerate(structure.terms):
            if number in products:
                builder.edge(products[number], total, times(term.coefficient))
            elif not term.functions:
                builder.edge(0, total, ((CONSTANT,), [term.coefficient], [True]))
            else:
                ((i, k),) = term.functions
                alone = (i, k) not in shared
                found = structure.functions[i][k]
                function = of_candidate(found, term.coefficient) if alone else times(term.coefficient)
                builder.edge(i if alone else shared[i, k], total, function)
        if structure.outer.name == IDENTITY:
            outputs.append(total)
        else:
            outputs.append(builder.node("sum"))
            chain = elementary(structure.outer.name)
            builder.edge(total, outputs[-1], (chain, [1.0, 0.0, structure.sign, 0.0], [False] * 4))
    return builder.graph(outputs, lower, upper)


def with_scalars(graph: Graph, problem: Problem, known: Mapping[str, float]) -> Graph:
    """Return the graph with the unknown scalars of a problem, trained from these values or where they start."""
    values = graph.values.new_tensor(
        [(known.get(name, scalar.start) - scalar.start) / scalar.size for name, scalar in problem.scalars.items()]
    )
    mask = torch.ones(len(values), dtype=torch.bool, device=graph.trained.device)
    return replace(
        graph, values=torch.cat([values, graph.values]), trained=torch.cat([mask, graph.trained]), scalars=len(values)
    )
