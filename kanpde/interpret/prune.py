"""Taking away edges, nodes and inputs that matter little."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from kanpde.edges import importance
from kanpde.errors import KanpdeError
from kanpde.model import Graph
from kanpde.model.chain import CONSTANT, is_constant


def prune(
    graph: Graph,
    points: Tensor,
    *,
    threshold: float | None = None,
    edges: int | None = None,
    nodes: int | None = None,
    inputs: Iterable[int] | None = None,
) -> Graph:
    """Return the graph without what matters least at points (N, d); edges that are left out become their mean.

    threshold: edges of less than this importance, relative to the largest one. edges, nodes: how many edges, or
    inner nodes, stay. inputs: the coordinates that edges may see. What no output depends on then is taken away too.
    Raises KanpdeError unless exactly one of them is given, and where nothing would be left.
    """
    if sum(choice is not None for choice in (threshold, edges, nodes, inputs)) != 1:
        raise KanpdeError("prune: give one of threshold, edges, nodes and inputs.")
    found = importance(graph, points)
    varying = [e for e, edge in enumerate(graph.edges) if not is_constant(edge.chain)]
    if threshold is not None:
        if not 0 <= threshold < 1:
            raise KanpdeError(f"prune(threshold={threshold}): give a number from 0 to 1, such as 0.01.")
        least = threshold * float(found.edges.max())
        dropped = [e for e in varying if not float(found.edges[e]) >= least]
    elif edges is not None:
        if edges < 1:
            raise KanpdeError(f"prune(edges={edges}): keep at least 1.")
        dropped = sorted(varying, key=lambda e: -float(found.edges[e]))[edges:]
    elif nodes is not None:
        if nodes < 0:
            raise KanpdeError(f"prune(nodes={nodes}): a number of nodes is not negative.")
        inner = [n for n, kind in enumerate(graph.nodes) if kind != "input" and n not in graph.outputs]
        least_first = sorted(inner, key=lambda n: -float(found.nodes[n]))[nodes:]
        dropped = [e for n in least_first for e in graph.leaving[n]]
    else:
        wanted = set(inputs or ())
        known = range(len(graph.lower))
        if not wanted <= set(known):
            raise KanpdeError(f"prune(inputs={sorted(wanted)}): the inputs are {list(known)}.")
        dropped = [e for e in varying if graph.edges[e].source in set(known) - wanted]
    return without(graph, points, dropped)


def without(graph: Graph, points: Tensor, dropped: Iterable[int]) -> Graph:
    """Return the graph with some edges replaced by their means at points (N, d), less what nothing depends on then.

    Raises KanpdeError if no output would depend on any input.
    """
    _, shares = graph.evaluated(points)
    for e in dropped:
        graph = graph.with_edge(e, (CONSTANT,), shares[:, e].mean()[None])
    graph = trimmed(graph, points)
    if all(is_constant(edge.chain) for edge in graph.edges):
        raise KanpdeError("prune: no output would depend on any input: prune less.")
    return graph


def trimmed(graph: Graph, points: Tensor) -> Graph:
    """Return the graph less nodes that do not vary or that no output depends on; what they add becomes constants."""
    varies = [kind == "input" for kind in graph.nodes]
    for n, _ in enumerate(graph.nodes):
        varies[n] |= any(
            not is_constant(graph.edges[e].chain) and varies[graph.edges[e].source] for e in graph.entering[n]
        )
    _, shares = graph.evaluated(points)
    for e, edge in enumerate(graph.edges):
        if not is_constant(edge.chain) and not varies[edge.source]:
            graph = graph.with_edge(e, (CONSTANT,), shares[:, e].mean()[None])
    needed = set(graph.outputs)
    for n in reversed(range(len(graph.nodes))):
        if n in needed:
            needed |= {graph.edges[e].source for e in graph.entering[n] if not is_constant(graph.edges[e].chain)}
    nodes = [n for n, kind in enumerate(graph.nodes) if kind == "input" or n in needed]
    kept = [e for e, edge in enumerate(graph.edges) if edge.target in needed]
    graph = merged(graph, kept)
    return graph.kept(nodes, [e for e, edge in enumerate(graph.edges) if edge.target in needed])


def merged(graph: Graph, kept: list[int]) -> Graph:
    """Return the graph whose nodes have at most one constant edge each, which comes from input 0."""
    edges = [replace(edge, source=0) if is_constant(edge.chain) else edge for edge in graph.edges]
    graph = replace(graph, edges=tuple(edges))
    drop: set[int] = set(range(len(graph.edges))) - set(kept)
    for n, kind in enumerate(graph.nodes):
        own = [e for e in graph.entering[n] if e not in drop and is_constant(graph.edges[e].chain)]
        if len(own) > 1:
            every = torch.stack([graph.values[graph.spans[e]][-1] for e in own])
            total = every.prod() if kind == "product" else every.sum()
            trained = any(bool(graph.trained[graph.spans[e]].any()) for e in own)
            graph = graph.with_edge(own[0], (CONSTANT,), total[None], trained)
            drop |= set(own[1:])
    return graph.kept(range(len(graph.nodes)), [e for e in range(len(graph.edges)) if e not in drop])
