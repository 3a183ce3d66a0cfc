"""A network of single edges from left to right, with the functions on its edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from kanpde.floats import TINY
from kanpde.model import Graph
from kanpde.model.chain import is_constant
from kanpde.plot.layered import Layered, apart, layered, mean
from kanpde.plot.parts import HEIGHT, RADIUS, SIGNS, draw_curve, draw_node, line
from kanpde.plot.shown import MOST_FUNCTIONS, Shown
from kanpde.plot.style import styled

SAMPLES = 201
WIDTH = 1.45
"""Of the box of a function, in inches."""
FACTOR = 0.7
"""Of the factor of a line, in inches."""
BOX, LABEL, PLAIN, NODE = 0.58, 0.17, 0.24, 0.66
"""Heights of a box with the room around it, of the text under it, of a line, and of a node with its constant."""
SIDE, TOP, BOTTOM, LINE, END = 0.35, 0.5, 0.5, 0.19, 0.5
LEAST_WIDTH, LETTERS, LETTER = 5.6, 11.5, 0.065
"""Of the picture, letters of a title per inch, and inches per letter of other texts."""
LEAST_REACH, MOST_REACH, STEEP = 0.45, 1.6, 0.16
"""Inches between a node and the boxes behind it, and their part of the height."""
FRAME: dict[str, Any] = {"edgecolor": "0.1", "linewidth": 1.6}
"""Of what is not trained."""


@dataclass(frozen=True)
class Step:
    """What an edge needs between two columns: a box with a label, a label alone, or room to pass."""

    edge: int | None
    source: int
    target: int
    curved: bool = False
    label: str = ""

    @property
    def height(self) -> float:
        """The height that it needs."""
        return (BOX + (LABEL if self.label else 0.0)) if self.curved else PLAIN


@styled
def draw_graph(
    graph: Graph,
    importance_of_edges: Tensor,
    points: Tensor,
    inputs: Sequence[str],
    outputs: Sequence[str],
    name: str = "",
) -> Figure:
    """Draw a graph from its inputs on the left to its outputs on the right, with the functions on its edges.

    importance_of_edges: (E,), which lines are as wide as. points (N, d): those over which functions are drawn. inputs,
    outputs: their names. A straight line c z + d has no box; elementary functions are written under theirs. Constants
    stand at their nodes, and those of an edge too if it enters a sum. What is not trained has a dark frame. The most
    important nodes of each layer are drawn; the title says what is left out.
    """
    score = np.nan_to_num(importance_of_edges.detach().cpu().numpy().astype(float))
    names = tuple(inputs[n] if kind == "input" else "z" for n, kind in enumerate(graph.nodes))
    shown = Shown(graph, score, graph.evaluated(points)[0].detach(), names)
    item = {node: number for number, node in enumerate(shown.nodes)}
    ends = [(node, outputs[u]) for u, node in enumerate(graph.outputs) if node in item]
    links = [(item[graph.edges[e].source], item[graph.edges[e].target]) for e in shown.edges]
    links += [(item[node], len(item) + number) for number, (node, _) in enumerate(ends)]
    depth = [shown.depth[node] for node in shown.nodes]
    found = layered([*depth, *[max(depth) + 1] * len(ends)], links)
    gaps = [_steps(shown, found, gap) for gap in range(len(found.columns) - 1)]
    height = {i: NODE if i < len(item) + len(ends) else PLAIN for column in found.columns for i in column}
    y, lanes = _places(found, gaps, height)
    reach = min(max(STEEP * (max(y.values()) - min(y.values())), LEAST_REACH), MOST_REACH)
    middles = [WIDTH if any(s.curved for s in own) else FACTOR if any(s.label for s in own) else 0.0 for own in gaps]
    widths = [END if middle == 0 and gap == len(gaps) - 1 else 2 * reach + middle for gap, middle in enumerate(middles)]
    ranges = [shown.range(n) for n, kind in enumerate(graph.nodes) if kind == "input"]
    sides = [SIDE + LETTER * max(map(len, texts)) for texts in (ranges, outputs)]
    width = max(sum(sides) + sum(widths), LEAST_WIDTH)
    heading, caption = _title(shown, name, width), _caption(shown)
    low, high = min(y[i] - height[i] / 2 for i in y), max(y[i] + height[i] / 2 for i in y)
    for own, lane in zip(gaps, lanes, strict=True):
        low = min([low, *(at - step.height / 2 for at, step in zip(lane, own, strict=True))])
        high = max([high, *(at + step.height / 2 for at, step in zip(lane, own, strict=True))])
    bottom, top = low - BOTTOM - LINE * (len(caption) - 1), high + TOP + LINE * (len(heading) - 1)
    figure = Figure(figsize=(width, top - bottom))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(bottom, top))
    axes.axis("off")
    x = np.concatenate([[0.0], np.cumsum(widths)]) + (width + sides[0] - sides[1] - sum(widths)) / 2
    most = float(score[shown.edges].max(initial=0.0)) or 1.0
    for gap, (own, lane) in enumerate(zip(gaps, lanes, strict=True)):
        for step, at in zip(own, lane, strict=True):
            ends_of_line = (float(x[gap]), y[step.source]), (float(x[gap + 1]), y[step.target])
            _draw_step(axes, shown, step, ends_of_line, at, middles[gap], most)
    for column, own_items in enumerate(found.columns):
        for i in own_items:
            if i < len(item):
                _draw_node(axes, shown, shown.nodes[i], float(x[column]), y[i])
            elif i < len(item) + len(ends):
                axes.text(x[column] + 0.06, y[i], ends[i - len(item)][1], va="center", fontsize=11)
    axes.text(0.25, top - 0.14, "\n".join(heading), va="top", fontsize=10)
    axes.text(0.25, bottom + 0.12, "\n".join(caption), fontsize=8, color="0.35", va="bottom")
    return figure


def _steps(shown: Shown, found: Layered, gap: int) -> list[Step]:
    """Return the steps of all links between two columns, by the order of their targets and then of their sources."""
    place = [{item: n for n, item in enumerate(column)} for column in found.columns[gap : gap + 2]]
    steps = []
    for number, path in enumerate(found.paths):
        edge = shown.edges[number] if number < len(shown.edges) else None
        for source, target in pairwise(path):
            if source in place[0] and target in place[1]:
                if edge is not None and source == path[0]:
                    steps.append(Step(edge, source, target, shown.curved(edge), shown.label(edge)))
                else:
                    steps.append(Step(edge, source, target))
    return sorted(steps, key=lambda step: (place[1][step.target], place[0][step.source]))


def _places(
    found: Layered, gaps: Sequence[Sequence[Step]], height: Mapping[int, float]
) -> tuple[dict[int, float], list[list[float]]]:
    """Return the heights at which items stand, and those of the steps of each gap."""
    tall = max(sum(step.height for step in own) for own in gaps)
    first = found.columns[0]
    room = max(tall / 2 / len(first), NODE)
    y = {item: room * ((len(first) - 1) / 2 - n) for n, item in enumerate(first)}
    lanes = []
    for own, column in zip(gaps, found.columns[1:], strict=True):
        lanes.append(apart([y[step.source] for step in own], [step.height for step in own]))
        wanted = []
        for item in column:
            entering = [at for step, at in zip(own, lanes[-1], strict=True) if step.target == item]
            wanted.append(mean(entering, 0.0))
        y |= dict(zip(column, apart(wanted, [height[item] for item in column]), strict=True))
    return y, lanes


def _draw_step(
    axes: Axes,
    shown: Shown,
    step: Step,
    ends: tuple[tuple[float, float], tuple[float, float]],
    y: float,
    middle: float,
    most: float,
) -> None:
    """Draw the line of a step between its ends, and what it carries at the height y, in the middle of the gap."""
    (x0, y0), (x1, y1) = ends
    grey: dict[str, Any] = {"color": "0.6", "linewidth": 1}
    style = grey if step.edge is None else line(float(shown.score[step.edge]) / most)
    if middle == 0:
        axes.plot([x0, x1], [y0, y1], zorder=1, **style)
        return
    left, right = (x0 + x1 - middle) / 2, (x0 + x1 + middle) / 2
    at = y + LABEL / 2 if step.curved and step.label else y
    axes.plot([x0, left, right, x1], [y0, at, at, y1], zorder=1, **style)
    if step.edge is None:
        return
    frame = FRAME if shown.locked(step.edge) else {}
    if step.curved:
        source = shown.graph.edges[step.edge].source
        low, high = shown.values[:, source].aminmax()
        z = torch.linspace(0, 1, SAMPLES, dtype=low.dtype, device=low.device) * (high - low) + low
        values = shown.graph.function(step.edge, z).detach()
        draw_curve(axes, z.cpu().numpy(), values.cpu().numpy(), np.empty(0), (left, at), middle, **frame)
        below = at - HEIGHT / 2 - 0.03
        axes.text((left + right) / 2, below, step.label, ha="center", va="top", fontsize=7.5, zorder=4)
        axes.text(left, below + 0.01, str(step.edge), ha="left", va="top", fontsize=6, color="0.45", zorder=4)
    elif step.label:
        behind = {
            "facecolor": "white",
            "edgecolor": "none",
            "pad": 1.5,
            **({**frame, "linewidth": 1.0} if frame else {}),
        }
        axes.text((left + right) / 2, at, step.label, ha="center", va="center", fontsize=7.5, zorder=4, bbox=behind)


def _draw_node(axes: Axes, shown: Shown, node: int, x: float, y: float) -> None:
    """Draw an input with its range, or a sum or product with its constant."""
    kind = shown.graph.nodes[node]
    style: dict[str, Any] = {"fontsize": 7.5, "color": "0.2", "zorder": 4}
    if kind == "input":
        name = shown.names[node]
        draw_node(axes, x, y, name if len(name) < 3 else "", size=9)
        if len(name) >= 3:
            axes.text(x, y + RADIUS + 0.04, name, ha="right", va="bottom", fontsize=9, zorder=4)
        axes.text(x - RADIUS - 0.05, y, shown.range(node), ha="right", va="center", **style)
        return
    draw_node(axes, x, y, SIGNS[kind])
    last = not any(e in shown.edges for e in shown.graph.leaving[node])
    at = (x + RADIUS + 0.03, y - 0.06) if last else (x, y - RADIUS - 0.04)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    if text := shown.constant(node):
        axes.text(*at, text, ha="left" if last else "center", va="top", bbox=behind, **style)


def _title(shown: Shown, name: str, width: float) -> list[str]:
    """Return what is shown, and how much of it is left out, in lines."""
    graph = shown.graph
    total = sum(not is_constant(edge.chain) for edge in graph.edges)
    what = f"{counted(total, 'edge')}, {counted(graph.parameters, 'parameter')} left to train"
    lines = [f"{name}: {what}" if name else what]
    for depth in range(max(shown.depth) + 1):
        own, kept = shown.layer(depth), [n for n in shown.nodes if shown.depth[n] == depth]
        where = "inputs" if depth == 0 else f"nodes of layer {depth}"
        if len(kept) < len(own):
            part = 100 * float(shown.shares[kept].sum() / max(shown.shares[own].sum(), TINY))
            lines.append(f"the {len(kept)} most important of {len(own)} {where}, {part:.3g} % of the importance")
        curved = len(shown.between(depth))
        if curved > MOST_FUNCTIONS:
            lines.append(f"the {MOST_FUNCTIONS} most important of {curved} functions of the {where} that are shown")
    return [part for text in lines for part in wrap(text, int(LETTERS * (width - 0.5)))]


def _caption(shown: Shown) -> list[str]:
    """Return how the picture is to be read."""
    lines = ["Lines are as wide as their edges are important. Each curve fills its box; grey line: 0."]
    more = ["Under a box: number and function of the edge."] if any(map(shown.curved, shown.edges)) else []
    if any(shown.locked(e) and (shown.curved(e) or shown.label(e)) for e in shown.edges):
        more.append("Dark frame: held fixed.")
    if any(shown.names[shown.graph.edges[e].source] == "z" and shown.curved(e) and shown.label(e) for e in shown.edges):
        more.append("z: the node that the edge comes from.")
    return [*lines, " ".join(more)] if more else lines


def counted(number: int, what: str) -> str:
    """Return a number of things."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")
