"""The formula of a graph whose edges are elementary functions, as expressions of sympy."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from kanpde.errors import KanpdeError
from kanpde.interpret.constants import recognised
from kanpde.interpret.edit import splines
from kanpde.model import Graph
from kanpde.model.chain import function_of


def formulas(
    graph: Graph,
    names: Sequence[str],
    unknowns: Sequence[str],
    scalars: Sequence[float] = (),
    exact: bool = True,
) -> dict[str, sympy.Expr]:
    """Return the formula of each unknown, and the values of unknown `scalars` after them, by name.

    names: of the coordinates. unknowns: the names of both.
    exact: whether constants that are simple numbers to rounding are written as these.
    Raises KanpdeError for an edge with a spline.
    """
    spline = splines(graph)
    if spline:
        some = ", ".join(map(str, spline[:5])) + (", ..." if len(spline) > 5 else "")
        raise KanpdeError(
            f"there is no formula: {len(spline)} of {len(graph.edges)} edges are splines (edges {some}): fix an"
            " elementary function on each of them first, with `fix` or `kanpde simplify`."
        )
    nodes: list[sympy.Expr] = []
    for node, kind in enumerate(graph.nodes):
        if kind == "input":
            nodes.append(sympy.Symbol(names[node], real=True))
            continue
        shares = [through(graph, e, nodes[graph.edges[e].source]) for e in graph.entering[node]]
        nodes.append(sympy.Add(*shares) if kind == "sum" else sympy.Mul(*shares))
    values = [nodes[output] for output in graph.outputs] + [number(value) for value in scalars]
    return {u: recognised(value) if exact else value for u, value in zip(unknowns, values, strict=True)}


def through(graph: Graph, edge: int, z: sympy.Expr) -> sympy.Expr:
    """Return the function of an edge at z."""
    for layer, w in zip(graph.edges[edge].chain, graph.weights(graph.values)[edge], strict=True):
        *scale, shift = w[:, 0].tolist()
        shifted = number(shift)
        z = shifted if not layer.edges else number(scale[0]) * function_of(layer).expression(z) + shifted
    return z


def number(value: float) -> sympy.Expr:
    """Return an integer as such, and any other value as a float of 17 digits."""
    return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value, 17)
