"""Changing the edges of a graph by hand: fix, unfix, lock, replace, connect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kanpde.basis import BSpline
from kanpde.basis.elementary import ELEMENTARY, Elementary
from kanpde.errors import KanpdeError
from kanpde.floats import TINY
from kanpde.interpret.recognise import Fit, fit, suggest
from kanpde.linalg import solve_least_squares
from kanpde.model import Graph
from kanpde.model.chain import (
    AFFINE,
    CONSTANT,
    elementary,
    function,
    function_of,
    is_constant,
    is_symbolic,
    one_to_one,
    through,
)
from kanpde.model.graph import Edge
from kanpde.multiindex import IndexSet

SAMPLES = 200
"""Arguments at which the function of an edge is sampled: quantiles of what the points reach."""
SPLINE_DEGREE, SPLINE_INTERVALS = 7, 8
VALUE = IndexSet(("z",))
FLAT = 1e-12
"""The range of a function, relative to its largest value, that counts as none."""
RIDGE = 1e-28
"""Of the fit of a spline, relative: some of its functions may have no samples."""
START = 1e-2
"""Coefficient with which a new product node begins."""


def checked(graph: Graph, edge: int) -> Edge:
    """Return an edge; raise KanpdeError if there is none of this number."""
    if not 0 <= edge < len(graph.edges):
        raise KanpdeError(f"edge {edge}: the edges are 0 to {len(graph.edges) - 1}.")
    return graph.edges[edge]


def splines(graph: Graph) -> list[int]:
    """Return the numbers of the edges with splines or other bases that are no elementary functions."""
    return [e for e, edge in enumerate(graph.edges) if not is_symbolic(edge.chain)]


def reached(graph: Graph, edge: int, nodes: Tensor) -> Tensor:
    """Return the arguments (N,) of an edge for values of all nodes (N, node), and the ends of an input's range."""
    source = graph.edges[edge].source
    if graph.nodes[source] != "input":
        return nodes[:, source]
    return torch.cat([nodes[:, source], graph.lower[source, None], graph.upper[source, None]])


def sampled(graph: Graph, edge: int, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return arguments (n,) of an edge that ascend over what the points (N, d) reach, and its values there (n,).

    Raises KanpdeError for a constant edge, and for one whose source does not vary.
    """
    if is_constant(checked(graph, edge).chain):
        raise KanpdeError(f"edge {edge} is a constant: it has no function.")
    there = reached(graph, edge, graph.evaluated(points)[0]).sort().values
    z = there[torch.linspace(0, len(there) - 1, SAMPLES, device=there.device).round().long()]
    if not float(z[-1] - z[0]) > TINY:
        raise KanpdeError(f"edge {edge}: its node {graph.edges[edge].source} does not vary over the domain.")
    return z, graph.function(edge, z)


def flattened(graph: Graph, points: Tensor) -> Graph:
    """Return the graph whose splines that do not vary over points (N, d) are constants."""
    _, shares = graph.evaluated(points)
    for e in splines(graph):
        own = shares[:, e]
        if not float(own.max() - own.min()) > FLAT * max(float(own.abs().max()), TINY):
            graph = graph.with_edge(e, (CONSTANT,), own.mean()[None])
    return graph


def check_defined(graph: Graph, points: Tensor) -> None:
    """Raise KanpdeError for an edge with a function that is not defined for all arguments that points (N, d) reach."""
    nodes, _ = graph.evaluated(points)
    weights = graph.weights(graph.values)
    for e, edge in enumerate(graph.edges):
        z = reached(graph, e, nodes)
        for layer, w in zip(edge.chain, weights[e], strict=True):
            if is_symbolic((layer,)) and layer.edges:
                try:
                    function_of(layer).check(float(z.min()), float(z.max()))
                except KanpdeError as error:
                    raise KanpdeError(f"edge {e}: {error}") from None
            z = through((layer,), [w], VALUE, z[None, :, None], False)[0][0, :, 0]


def suggested(
    graph: Graph, edge: int, points: Tensor, library: Mapping[str, Elementary] = ELEMENTARY, most: int = 5
) -> list[Fit]:
    """Return the elementary functions that are closest to that of an edge, by error and complexity together."""
    z, y = sampled(graph, edge, points)
    return suggest(z, y, library, most)


def fixed(graph: Graph, edge: int, points: Tensor, found: str | Fit) -> Graph:
    """Return the graph with c f(a z + b) + d on an edge, fitted to its function over what the points (N, d) reach.

    Constants that the fit has left at 1 and 0 are not trained: they would change nothing that others do not.
    Raises KanpdeError for an unknown function and one that is not defined there.
    """
    if isinstance(found, str):
        found = fit(*sampled(graph, edge, points), function(found))
    values = graph.values.new_tensor([found.a, found.b, found.c, found.d])
    changed = graph.with_edge(edge, elementary(found.function.name), values)
    trained = changed.trained.clone()
    span = changed.spans[edge]
    trained[span] = torch.tensor([abs(found.a) != 1, found.b != 0, True, True], device=trained.device)
    return gathered(replace(changed, trained=trained), edge)


def gathered(graph: Graph, edge: int) -> Graph:
    """Return the graph in which a sum's own constant has taken up the shift of an edge, if it is trained.

    Functions on edges have large shifts that cancel, as only their sum is known; apart they would cost digits.
    """
    target = graph.edges[edge].target
    own = [e for e in graph.entering[target] if is_constant(graph.edges[e].chain) and not held(graph, e)]
    if graph.nodes[target] != "sum" or not own:
        return graph
    values, trained = graph.values.clone(), graph.trained.clone()
    place, shift = graph.spans[own[0]].stop - 1, graph.spans[edge].stop - 1
    values[place] += values[shift]
    values[shift], trained[shift] = 0.0, False
    return replace(graph, values=values, trained=trained)


def held(graph: Graph, edge: int) -> bool:
    """Return whether an edge has weights of which none is trained."""
    return not bool(graph.trained[graph.spans[edge]].any())


def unfixed(
    graph: Graph,
    edge: int,
    points: Tensor,
    degree: int = SPLINE_DEGREE,
    intervals: int = SPLINE_INTERVALS,
    periodic: Sequence[int] = (),
) -> Graph:
    """Return the graph with a spline on an edge, as close to its function as it can be over what the points reach.

    Edges from the inputs `periodic` get splines that repeat.
    """
    z, y = sampled(graph, edge, points)
    basis = BSpline.uniform(degree, intervals, z[:1], z[-1:], graph.edges[edge].source in periodic)
    values = basis.taylor(z[:, None], 0)[0][:, 0]
    coefficients = solve_least_squares(values, y, RIDGE)
    if coefficients is None:
        raise KanpdeError(f"edge {edge}: its function is not finite over what the points reach.")
    return graph.with_edge(edge, (one_to_one([basis]),), coefficients)


def locked(graph: Graph, edge: int, lock: bool = True) -> Graph:
    """Return the graph with the weights of an edge held as they are, or trained again.

    What brings an input to the range of a spline is never trained.
    """
    chain, span = checked(graph, edge).chain, graph.spans[edge]
    scaled = len(chain) > 1 and not is_symbolic(chain)
    trained = graph.trained.clone()
    trained[span] = not lock
    if scaled:
        trained[span.start : span.start + chain[0].parameters] = False
    return replace(graph, trained=trained)


def replaced(graph: Graph, edge: int, name: str, a: float, b: float, c: float, d: float) -> Graph:
    """Return the graph with c f(a z + b) + d on an edge, all constants as given and trained."""
    checked(graph, edge)
    return graph.with_edge(edge, elementary(function(name).name), graph.values.new_tensor([a, b, c, d]))


def with_product(graph: Graph, factors: Sequence[Sequence[int]], target: int, periodic: Sequence[int] = ()) -> Graph:
    """Return the graph with one more product node, which enters the sum `target` with a small coefficient.

    factors: for each factor, which is a sum of splines, the inputs that it sees: [[0], [0, 1]] is f(x) (g(x) + h(y)).
    Splines of the inputs `periodic` repeat, and begin as a sine.
    Raises KanpdeError for a target that is no sum, and for inputs that are not there.
    """
    inputs = range(len(graph.lower))
    if not 0 <= target < len(graph.nodes) or graph.nodes[target] != "sum":
        sums = [n for n, kind in enumerate(graph.nodes) if kind == "sum"]
        raise KanpdeError(f"node {target} is no sum: a product enters one of the nodes {sums}.")
    if len(factors) < 2 or any(not own or not set(own) <= set(inputs) for own in factors):
        raise KanpdeError(f"factors {[list(own) for own in factors]}: give two or more lists of inputs {list(inputs)}.")
    kinds = [*graph.nodes[:target], *["sum"] * len(factors), "product", *graph.nodes[target:]]
    moved = [n if n < target else n + len(factors) + 1 for n in range(len(graph.nodes))]
    edges = [replace(e, source=moved[e.source], target=moved[e.target]) for e in graph.edges]
    values, product = [graph.values], target + len(factors)
    for number, own in enumerate(factors):
        for i in own:
            basis = BSpline.uniform(
                SPLINE_DEGREE, SPLINE_INTERVALS, graph.lower[i : i + 1], graph.upper[i : i + 1], i in periodic
            )
            edges.append(Edge(i, target + number, (one_to_one([basis]),)))
            ramp = basis.ramp()[0]
            values.append(ramp if i in periodic else (ramp - graph.lower[i]) / (graph.upper[i] - graph.lower[i]))
        edges.append(Edge(target + number, product, (AFFINE,)))
        values.append(graph.values.new_tensor([1.0, 0.0]))
    edges.append(Edge(product, moved[target], (AFFINE,)))
    values.append(graph.values.new_tensor([START, 0.0]))
    every = torch.cat(values)
    trained = torch.cat([graph.trained, torch.ones(len(every) - len(graph.values), dtype=torch.bool).to(graph.trained)])
    outputs = tuple(moved[output] for output in graph.outputs)
    return replace(graph, nodes=tuple(kinds), edges=tuple(edges), outputs=outputs, values=every, trained=trained)
