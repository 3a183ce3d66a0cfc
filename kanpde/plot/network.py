"""A KAN as a network with the functions on its edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kanpde.edges import LayerEdges
from kanpde.plot.parts import RADIUS, SIGNS, draw_curve, draw_node, line
from kanpde.plot.style import styled

MOST_NODES = 8
"""Nodes of a layer that are shown, the most important ones."""
MOST_FUNCTIONS = 16
"""Functions of a deeper layer that are shown, the most important ones."""
WIDTH = 1.15
"""Of the box of a function, in inches."""
ROW, GAP, REACH = 0.64, 0.42, 1.5
"""Between the middles of rows, between boxes of a row, and of the lines between layers, in inches."""
SIDE, TOP, BOTTOM, LINE = 0.45, 1.0, 0.85, 0.2


@dataclass(frozen=True)
class Node:
    """A node in the picture: which one of its layer, and where it stands, in inches."""

    number: int
    x: float
    y: float


@styled
def draw_network(
    layers: Sequence[LayerEdges], inputs: Sequence[str], outputs: Sequence[str], name: str = "", note: str = ""
) -> Figure:
    """Draw the edges of a network with inputs and outputs of these names: the most important nodes of each layer.

    The first layer is a row per node with a function of each input. Products are marked with a cross, sums with a plus.
    Lines of deeper layers are as wide as their edges are important, and have no box where their function is a straight
    line. Each curve fills its box, ticks are knots. The title says how many nodes were left out.
    """
    shares = [_shares(layer.nodes) for layer in layers[:-1]]
    kept = [list(range(len(inputs))), *(_most(share, MOST_NODES) for share in shares), list(range(len(outputs)))]
    functions = [_functions(layer, before, after) for layer, before, after in zip(layers, kept, kept[1:], strict=False)]
    rows = [len(kept[1]), *(len(boxes) for boxes in functions[1:]), *map(len, kept[2:])]
    heading = _title(name, note, layers, kept, shares)
    height = TOP + LINE * heading.count("\n") + BOTTOM + ROW * max(rows)
    start = SIDE + RADIUS + 0.25
    first = start + len(inputs) * (WIDTH + GAP)
    reaches = [2 * REACH + WIDTH if boxes else REACH for boxes in functions[1:]]
    width = max(first + sum(reaches) + 1.3, 5.2)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    middle = BOTTOM + ROW * max(rows) / 2
    nodes = _draw_first(axes, layers[0], inputs, kept[1], start, middle)
    if len(layers) > 1:
        _write_shares(axes, nodes, shares[0])
    for number, (layer, boxes, reach) in enumerate(zip(layers[1:], functions[1:], reaches, strict=True), start=2):
        x = nodes[0].x + reach
        nodes = _draw_layer(axes, layer, nodes, boxes, kept[number], x, middle)
        if number < len(layers):
            _write_shares(axes, nodes, shares[number - 1])
    for node in nodes:
        label = outputs[node.number] if len(outputs) > 1 else ""
        axes.text(node.x + RADIUS + 0.08, node.y, f"$N_{{{label}}}$" if label else "$N$", va="center", fontsize=11)
    axes.text(SIDE, height - 0.22, heading, va="top", fontsize=10)
    caption = [
        "$A$ meets the hard conditions, and $q = 0$ where they hold.",
        "Per cent: share of the importance of a layer's nodes.",
        "Each curve fills its box; grey line: 0" + ("; ticks: knots." if any(map(len, layers[0].knots)) else "."),
    ]
    axes.text(SIDE, 0.12, "\n".join(caption), fontsize=8, color="0.35", va="bottom")
    return figure


def _title(
    name: str,
    note: str,
    layers: Sequence[LayerEdges],
    kept: Sequence[Sequence[int]],
    shares: Sequence[NDArray[np.float64]],
) -> str:
    """Return what is shown, and how much of it is left out."""
    what = ", ".join(part for part in (name, note) if part)
    lines = ["the network $N$ of $u = A + q\\,N$"]
    lines[0] = f"{what}: {lines[0]}" if what else lines[0]
    for layer, numbers, share in zip(layers[:-1], kept[1:], shares, strict=False):
        total = len(layer.nodes)
        kind = "product nodes" if layer.sums == 0 else "sum nodes" if layer.sums == total else "nodes"
        if len(numbers) < total:
            part = 100 * float(share[list(numbers)].sum())
            lines.append(f"the {len(numbers)} most important of {total} {kind}, {part:.3g} % of the importance")
        else:
            lines.append(f"{total} {kind if total > 1 else kind[:-1]}")
    for number, layer in enumerate(layers[1:], start=1):
        curved = int((~layer.straight[kept[number]][:, kept[number + 1]]).sum())
        if curved > MOST_FUNCTIONS:
            lines.append(f"the {MOST_FUNCTIONS} most important of {curved} functions between the nodes that are shown")
    return "\n".join(lines)


def _shares(importance: object) -> NDArray[np.float64]:
    """Return the importance of nodes as parts of their sum."""
    values = np.nan_to_num(np.asarray(importance))
    return values / (values.sum() or 1.0)


def _most(share: NDArray[np.float64], count: int) -> list[int]:
    """Return the most important nodes, the first one first."""
    return [int(number) for number in np.argsort(-share, kind="stable")[:count]]


def _functions(layer: LayerEdges, before: Sequence[int], after: Sequence[int]) -> list[tuple[int, int]]:
    """Return the edges (input, node) between shown nodes whose functions are drawn: not those that are lines."""
    straight = layer.straight
    edges = [(i, o) for o in after for i in before if not straight[i, o]]
    importance = [float(layer.edges[edge]) for edge in edges]
    chosen = sorted(np.argsort(-np.nan_to_num(importance), kind="stable")[:MOST_FUNCTIONS])
    return [edges[number] for number in chosen]


def _draw_first(
    axes: Axes, layer: LayerEdges, inputs: Sequence[str], kept: Sequence[int], start: float, middle: float
) -> list[Node]:
    """Draw the inputs on top of their functions, a row per node; return the nodes at the ends of the rows."""
    top = middle + ROW * len(kept) / 2 + 0.22
    ys = [middle + ROW * (len(kept) / 2 - 0.5 - row) for row in range(len(kept))]
    end = start + len(inputs) * (WIDTH + GAP)
    for i, name in enumerate(inputs):
        x = start + i * (WIDTH + GAP)
        low, high = (f"{float(layer.arguments[end, i]):.4g}".replace("-", "\N{MINUS SIGN}") for end in (0, -1))
        axes.plot([x - 0.14, x - 0.14], [ys[-1], top], color="0.6", linewidth=1, zorder=1)
        draw_node(axes, x - 0.14, top, name, size=9)
        axes.text(x + 0.06, top + 0.02, f"{low} to {high}", va="center", fontsize=8, color="0.35")
        for y, number in zip(ys, kept, strict=True):
            axes.plot([x - 0.14, x], [y, y], color="0.6", linewidth=1, zorder=1)
            _draw_function(axes, layer, (i, number), x, y)
            if i + 1 < len(inputs):
                axes.text(x + WIDTH + (GAP - 0.14) / 2, y, _sign(layer, number), ha="center", va="center", fontsize=10)
    nodes = [Node(number, end, y) for y, number in zip(ys, kept, strict=True)]
    for node in nodes:
        axes.plot([end - GAP, end], [node.y, node.y], color="0.6", linewidth=1, zorder=1)
        draw_node(axes, node.x, node.y, _sign(layer, node.number))
    return nodes


def _draw_layer(
    axes: Axes,
    layer: LayerEdges,
    before: Sequence[Node],
    boxes: Sequence[tuple[int, int]],
    kept: Sequence[int],
    x: float,
    middle: float,
) -> list[Node]:
    """Draw the lines from shown nodes to those of the next layer at x, through boxes or straight on; return these."""
    places = {edge: middle + ROW * (len(boxes) / 2 - 0.5 - row) for row, edge in enumerate(boxes)}
    even = [middle + ROW * (len(kept) / 2 - 0.5 - row) for row in range(len(kept))]
    nodes = []
    for y, output in zip(even, kept, strict=True):
        own = [place for (_, o), place in places.items() if o == output]
        nodes.append(Node(output, x, sum(own) / len(own) if own else y))
    most = float(np.nan_to_num(np.asarray(layer.edges)).max()) or 1.0
    straight = layer.straight
    for node in nodes:
        for source in before:
            edge = source.number, node.number
            style = line(float(layer.edges[edge]) / most)
            if edge in places:
                left = source.x + REACH
                axes.plot([source.x, left], [source.y, places[edge]], zorder=1, **style)
                axes.plot([left + WIDTH, node.x], [places[edge], node.y], zorder=1, **style)
                _draw_function(axes, layer, edge, left, places[edge])
            elif straight[edge]:
                axes.plot([source.x, node.x], [source.y, node.y], zorder=1, **style)
        draw_node(axes, node.x, node.y, _sign(layer, node.number))
    return nodes


def _sign(layer: LayerEdges, node: int) -> str:
    """Return the sign of a node of a layer."""
    return SIGNS["product" if node >= layer.sums else "sum"]


def _write_shares(axes: Axes, nodes: Sequence[Node], share: NDArray[np.float64]) -> None:
    for node in nodes:
        part = 100 * float(share[node.number])
        text = f"{part:.0f} %" if part >= 1 else f"{part:.1g} %" if part >= 0.001 else "< 0.001 %"
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.text(node.x, node.y + RADIUS + 0.04, text, ha="center", va="bottom", fontsize=7.5, zorder=4, bbox=behind)


def _draw_function(axes: Axes, layer: LayerEdges, edge: tuple[int, int], left: float, y: float) -> None:
    """Draw the function of an edge in a box whose left side has its middle at (left, y)."""
    i, node = edge
    x, values, knots = layer.arguments[:, i], layer.values[:, i, node], layer.knots[i]
    draw_curve(axes, x.numpy(), values.numpy(), knots.numpy(), (left, y), WIDTH)
