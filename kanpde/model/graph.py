"""A network of single edges, which can be looked at, taken away, replaced and held fixed one by one.

Nodes are inputs, sums and products (of the functions on the edges that enter them), each behind those that it reads. An
edge is a chain of layers with one input and one sum: a spline alone, or c f(a z + b) + d with an elementary function f,
whose constants are trained like all other parameters. Derivative channels go through it as through a `Network`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.model.chain import AFFINE, Chain, described, one_to_one, restored, straightened, through
from kanpde.model.factor import Factor
from kanpde.model.layer import Tape
from kanpde.model.network import Network
from kanpde.multiindex import IndexSet

PART = 256
"""Points of a part; every point depends on all parameters, so that parts only bound the memory of a chunk."""


@dataclass(frozen=True, eq=False)
class Edge:
    """A function from the node `source` to the node `target`: layers of one input and one sum, one after the other."""

    source: int
    target: int
    chain: Chain

    @property
    def parameters(self) -> int:
        """The number of its weights."""
        return sum(layer.parameters for layer in self.chain)


@dataclass(frozen=True)
class Inputs:
    """Coordinates as Taylor coefficients (C, N, d)."""

    channels: Tensor

    @property
    def entries(self) -> int:
        """The numbers that are held."""
        return self.channels.numel()


@dataclass(frozen=True)
class PassedEdge:
    """What an edge added to its node (C, N, 1), and what the reverse pass of each of its layers needs."""

    share: Tensor
    tapes: tuple[Tape, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes of the kinds `nodes`, the first d of them inputs, and edges between them that go forward.

    outputs: the node of each unknown. values (Q,): the weights of all edges, one after the other, and before them the
    unknown `scalars`. trained (Q,): which of these are parameters; the others are constants.
    Raises KanpdeError for edges that go back or into an input, and for outputs that are not there.
    """

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]
    outputs: tuple[int, ...]
    lower: Tensor
    upper: Tensor
    values: Tensor
    trained: Tensor
    scalars: int = 0

    def __post_init__(self) -> None:
        last = len(self.nodes) - 1
        for edge in self.edges:
            if not 0 <= edge.source < edge.target <= last or self.nodes[edge.target] == "input":
                raise KanpdeError(
                    f"an edge goes from node {edge.source} to node {edge.target}: edges go to a later node that is no"
                    f" input; there are the nodes 0 to {last}, and the first {len(self.lower)} are inputs."
                )
        if any(not 0 <= output <= last for output in self.outputs):
            raise KanpdeError(f"outputs {list(self.outputs)}: there are the nodes 0 to {last}.")
        total = self.scalars + sum(edge.parameters for edge in self.edges)
        assert len(self.values) == len(self.trained) == total, "one value for each weight"

    @classmethod
    def of(cls, network: Network, theta: Tensor) -> Graph:
        """Return a layered network with parameters theta (P,) as a graph; edges that are straight become c z + d.

        Inputs are mapped to [-1, 1] by constants on the first edges.
        """
        dimension = len(network.lower)
        nodes, edges = ["input"] * dimension, []
        values = [theta[: network.scalars]]
        trained = [torch.ones(network.scalars, dtype=torch.bool)]
        before = list(range(dimension))
        slope = 2.0 / (network.upper - network.lower)
        for number, (layer, w) in enumerate(zip(network.layers, network.weights(theta), strict=True)):
            if layer.bias:
                raise KanpdeError("the network is an MLP, which has no functions on its edges: use model=kan.")
            first = len(nodes)
            nodes += ["sum"] * layer.sums + ["product"] * layer.products
            own = [layer.of_input(i) for i in range(layer.inputs)]
            for o in range(layer.outputs):
                for i, (bases, columns) in enumerate(own):
                    chain, weights = straightened(bases, w[columns, o])
                    if number == 0:
                        chain = (AFFINE, *chain)
                        values.append(torch.stack([slope[i], -1.0 - slope[i] * network.lower[i]]))
                        trained.append(torch.zeros(2, dtype=torch.bool))
                    edges.append(Edge(before[i], first + o, chain))
                    values.append(weights)
                    trained.append(torch.ones(len(weights), dtype=torch.bool))
            before = list(range(first, len(nodes)))
        return cls(
            tuple(nodes),
            tuple(edges),
            tuple(before),
            network.lower,
            network.upper,
            torch.cat(values),
            torch.cat(trained).to(theta.device),
            network.scalars,
        )

    # As an approximation: what residuals and solvers need of it.

    @cached_property
    def parameters(self) -> int:
        """The number of parameters P: of the values that are trained."""
        return int(self.trained.sum())

    @property
    def row_entries(self) -> int:
        """The parameters that a row of the Jacobian depends on."""
        return max(1, self.parameters)

    @property
    def width(self) -> int:
        """Numbers that are held for each point and channel."""
        return len(self.nodes) + sum(layer.features + 1 for edge in self.edges for layer in edge.chain)

    @property
    def places(self) -> tuple[slice, ...]:
        """Where the weights of layers stand among the parameters: together, as they do not enter linearly."""
        return (slice(0, self.parameters),)

    @property
    def perceptron(self) -> bool:
        """Whether its layers have biases and no functions of their own, as those of an MLP."""
        return False

    @property
    def theta(self) -> Tensor:
        """The parameters (P,)."""
        return self.values[self.trained]

    def at(self, theta: Tensor) -> Graph:
        """Return the graph with parameters theta (P,)."""
        return replace(self, values=self.complete(theta))

    def complete(self, theta: Tensor) -> Tensor:
        """Return all values (Q,) for parameters theta (P,)."""
        values = self.values.clone()
        values[self.trained] = theta
        return values

    def neighbours(self, points: Tensor) -> tuple[Tensor, list[slice]]:
        """Return an order (N,) of points (N, d), and parts of it; every point depends on all parameters."""
        count = len(points)
        parts = [slice(start, min(start + PART, count)) for start in range(0, count, PART)]
        return torch.arange(count, device=points.device), parts

    def grids(self) -> list[Tensor | None]:
        """Return for every coordinate the breaks of its splines: None, as each edge has its own."""
        return [None] * len(self.lower)

    def first(self, indices: IndexSet, points: Tensor, parts: object = None) -> Inputs:
        """Return the coordinates of points (N, d)."""
        channels = points.new_zeros(len(indices), *points.shape)
        channels[0] = points
        for axis in range(points.shape[1]):
            channel = indices.unit(axis)
            if channel is not None:
                channels[channel, :, axis] = 1.0
        return Inputs(channels)

    def forward(
        self, theta: Tensor, indices: IndexSet, first: Inputs, reverse: bool = True
    ) -> tuple[Tensor, list[PassedEdge]]:
        """Return the outputs (C, N, U) and then the scalars, and how each edge was passed."""
        nodes, passed = self.states(self.complete(theta), indices, first, reverse)
        columns = [nodes[output] for output in self.outputs]
        if self.scalars:
            constant = first.channels.new_zeros(*first.channels.shape[:2], self.scalars)
            constant[0] = self.complete(theta)[: self.scalars]
            columns.append(constant)
        return torch.cat(columns, dim=-1), passed

    def states(
        self, values: Tensor, indices: IndexSet, first: Inputs, reverse: bool = False
    ) -> tuple[list[Tensor], list[PassedEdge]]:
        """Return every node (C, N, 1) and how each edge was passed."""
        weights, shape = self.weights(values), first.channels[..., :1].shape
        nodes: list[Tensor] = []
        passed: list[PassedEdge | None] = [None] * len(self.edges)
        for number, kind in enumerate(self.nodes):
            if kind == "input":
                nodes.append(first.channels[..., number : number + 1])
                continue
            shares = []
            for e in self.entering[number]:
                edge = self.edges[e]
                share, tapes = through(edge.chain, weights[e], indices, nodes[edge.source], reverse)
                passed[e] = PassedEdge(share, tapes)
                shares.append(share)
            if kind == "sum":
                nodes.append(torch.stack(shares).sum(dim=0) if shares else first.channels.new_zeros(shape))
            elif shares:
                nodes.append(reduce(indices.multiply, shares))
            else:
                nodes.append(first.channels.new_zeros(shape))
                nodes[-1][0] = 1.0
        return nodes, [step for step in passed if step is not None]

    def factors(
        self, theta: Tensor, indices: IndexSet, first: Inputs, passed: list[PassedEdge], adjoint: Tensor
    ) -> list[Factor]:
        """Return the factors of the Jacobian of sum over channels of adjoint (C, N, U) times the output."""
        adjoints = [adjoint.new_zeros(*adjoint.shape[:2], 1) for _ in self.nodes]
        for u, output in enumerate(self.outputs):
            adjoints[output] += adjoint[..., u : u + 1]
        found = self._pulled(theta, indices, passed, adjoints, {})
        constant = adjoint[:1, :, len(self.outputs) :]
        scalars = (
            [Factor(column, torch.ones_like(column)) for column in constant.split(1, dim=-1)] if self.scalars else []
        )
        return self._of_trained([*scalars, *found])

    def edge_factors(
        self, theta: Tensor, indices: IndexSet, passed: list[PassedEdge], adjoints: dict[int, Tensor]
    ) -> list[Factor]:
        """Return the factors of the Jacobian of a sum over edges: of adjoints (C, N, 1) times what they add."""
        zero = torch.zeros_like(next(iter(adjoints.values())))
        found = self._pulled(theta, indices, passed, [zero.clone() for _ in self.nodes], adjoints)
        none = Factor(zero[:1], torch.ones_like(zero[:1]))
        return self._of_trained([*[none] * self.scalars, *found])

    def _pulled(
        self,
        theta: Tensor,
        indices: IndexSet,
        passed: list[PassedEdge],
        adjoints: list[Tensor],
        of_edges: dict[int, Tensor],
    ) -> list[Factor]:
        """Return the factors of all layers of all edges, for adjoints of nodes and of what some edges add."""
        weights = self.weights(self.complete(theta))
        found: list[list[Factor]] = [[] for _ in self.edges]
        for number in reversed(range(len(self.nodes))):
            own = self.entering[number]
            for e in own:
                edge, behind = self.edges[e], adjoints[number]
                others = [passed[other].share for other in own if other != e]
                if self.nodes[number] == "product" and others:
                    behind = indices.multiply_adjoint(reduce(indices.multiply, others), behind)
                if e in of_edges:
                    behind = behind + of_edges[e]
                for layer, tape, w in reversed(list(zip(edge.chain, passed[e].tapes, weights[e], strict=True))):
                    found[e].insert(0, Factor(behind, tape.features))
                    behind = layer.pull_back(indices, tape, w, behind)
                adjoints[edge.source] += behind
        return [factor for factors in found for factor in factors]

    def _of_trained(self, factors: list[Factor]) -> list[Factor]:
        """Return the factors of scalars and layers, as far as their values are trained."""
        masks = [self.trained[place] for place in self._layers]
        return [
            factor if bool(mask.all()) else Factor(factor.adjoint, factor.features[..., mask])
            for factor, mask in zip(factors, masks, strict=True)
            if bool(mask.any())
        ]

    def directions(self, direction: Tensor) -> list[Tensor]:
        """Return the weights (f, 1) that each of the factors meets, for a direction (P,)."""
        counts = [int(self.trained[place].sum()) for place in self._layers]
        return [part[:, None] for part in direction.split([count for count in counts if count])]

    # As a thing to look at and to change.

    @cached_property
    def entering(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of the edges into each node."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for number, edge in enumerate(self.edges):
            found[edge.target].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def leaving(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of the edges out of each node."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for number, edge in enumerate(self.edges):
            found[edge.source].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def _layers(self) -> tuple[slice, ...]:
        """Where the values of each scalar and of each layer of each edge stand."""
        sizes = [1] * self.scalars + [layer.parameters for edge in self.edges for layer in edge.chain]
        ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
        return tuple(slice(start, end) for start, end in pairwise(ends))

    @cached_property
    def spans(self) -> tuple[slice, ...]:
        """Where the values of each edge stand."""
        ends = torch.tensor([self.scalars, *(edge.parameters for edge in self.edges)]).cumsum(0).tolist()
        return tuple(slice(start, end) for start, end in pairwise(ends))

    def weights(self, values: Tensor) -> list[list[Tensor]]:
        """Return the weights (f, 1) of each layer of each edge, as views of values (Q,)."""
        found = []
        for edge, span in zip(self.edges, self.spans, strict=True):
            sizes = [layer.parameters for layer in edge.chain]
            found.append([part[:, None] for part in values[span].split(sizes)])
        return found

    def function(self, edge: int, z: Tensor) -> Tensor:
        """Return the function of an edge (N,) at arguments z (N,)."""
        value = IndexSet(("z",))
        share, _ = through(self.edges[edge].chain, self.weights(self.values)[edge], value, z[None, :, None], False)
        return share[0, :, 0]

    def evaluated(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values of all nodes (N, node) and what all edges add to theirs (N, edge), at points (N, d)."""
        value = IndexSet(tuple(map(str, range(points.shape[1]))))
        nodes, passed = self.states(self.values, value, self.first(value, points))
        shares = [step.share[0] for step in passed]
        empty = points.new_empty(len(points), 0)
        return torch.cat([node[0] for node in nodes], dim=1), torch.cat(shares, dim=1) if shares else empty

    def with_edge(self, number: int, chain: Chain, values: Tensor, trained: bool = True) -> Graph:
        """Return the graph with another function on an edge."""
        mask = torch.full((len(values),), trained, device=self.trained.device)
        edges = [replace(e, chain=chain) if n == number else e for n, e in enumerate(self.edges)]
        parts, masks = ([own[span] for span in self.spans] for own in (self.values, self.trained))
        parts[number], masks[number] = values, mask
        scalars = slice(0, self.scalars)
        return replace(
            self,
            edges=tuple(edges),
            values=torch.cat([self.values[scalars], *parts]),
            trained=torch.cat([self.trained[scalars], *masks]),
        )

    def kept(self, nodes: Sequence[int], edges: Sequence[int]) -> Graph:
        """Return the graph of some nodes and edges, inputs and outputs among them."""
        place = {old: new for new, old in enumerate(nodes)}
        parts = [slice(0, self.scalars), *(self.spans[e] for e in edges)]
        return replace(
            self,
            nodes=tuple(self.nodes[n] for n in nodes),
            edges=tuple(
                replace(e, source=place[e.source], target=place[e.target]) for e in (self.edges[n] for n in edges)
            ),
            outputs=tuple(place[output] for output in self.outputs),
            values=torch.cat([self.values[part] for part in parts]),
            trained=torch.cat([self.trained[part] for part in parts]),
        )

    def to(self, like: Tensor) -> Graph:
        """Return the graph on the device of a tensor, and with its precision."""
        return self.restored(self.saved(), like)

    def saved(self) -> dict[str, Any]:
        """Return the graph as plain data."""
        return {
            "nodes": list(self.nodes),
            "edges": [
                {
                    "source": edge.source,
                    "target": edge.target,
                    "chain": [
                        {"bases": [described(e.basis) for e in layer.edges], "bias": layer.bias} for layer in edge.chain
                    ],
                }
                for edge in self.edges
            ],
            "outputs": list(self.outputs),
            "lower": self.lower,
            "upper": self.upper,
            "values": self.values,
            "trained": self.trained,
            "scalars": self.scalars,
        }

    @staticmethod
    def restored(saved: dict[str, Any], like: Tensor | None = None) -> Graph:
        """Return the graph of plain data, on the device of a tensor if one is given."""
        like = saved["lower"] if like is None else like
        edges = [
            Edge(
                row["source"],
                row["target"],
                tuple(one_to_one([restored(b, like) for b in x["bases"]], x["bias"]) for x in row["chain"]),
            )
            for row in saved["edges"]
        ]
        return Graph(
            tuple(saved["nodes"]),
            tuple(edges),
            tuple(saved["outputs"]),
            saved["lower"].to(like),
            saved["upper"].to(like),
            saved["values"].to(like),
            saved["trained"].to(like.device),
            saved["scalars"],
        )
