"""Where the nodes of a network stand: in columns, with as few crossings of lines as a few sweeps find.

The method of Sugiyama, Tagawa & Toda 1981: an edge over several columns passes through a place in each of them, and the
places of a column are ordered by the mean place of their neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import isotonic_regression

SWEEPS = 4


@dataclass(frozen=True)
class Layered:
    """columns: the items of each column from top to bottom. paths: the items that each link passes."""

    columns: list[list[int]]
    paths: list[list[int]]


def layered(depth: Sequence[int], links: Sequence[tuple[int, int]]) -> Layered:
    """Return the columns of items of some depths, and the paths of links that go to greater depths.

    Items beyond the given ones are places that links pass. The first column keeps its order.
    """
    depths, paths = list(depth), []
    for source, target in links:
        path = [source]
        for between in range(depth[source] + 1, depth[target]):
            path.append(len(depths))
            depths.append(between)
        paths.append([*path, target])
    columns = [[item for item, own in enumerate(depths) if own == d] for d in range(max(depths) + 1)]
    before: list[list[int]] = [[] for _ in depths]
    behind: list[list[int]] = [[] for _ in depths]
    for path in paths:
        for a, b in pairwise(path):
            before[b].append(a)
            behind[a].append(b)
    for sweep in range(SWEEPS):
        forth = list(range(1, len(columns)))
        for neighbours, order in ((before, forth), (behind, forth[-2::-1])):
            if sweep == SWEEPS - 1 and neighbours is behind:
                break
            for d in order:
                place = {item: n for column in columns for n, item in enumerate(column)}
                columns[d].sort(key=lambda item: mean([place[n] for n in neighbours[item]], place[item]))
    return Layered(columns, paths)


def mean(values: Sequence[float], otherwise: float) -> float:
    """Return the mean of some values, another one if there are none."""
    return sum(values) / len(values) if values else otherwise


def apart(wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Return places, from the top downwards, that are near wanted ones and leave room for items of these sizes.

    The places are in the order of the items, and their squared distances from the wanted ones are least.
    """
    if not wanted:
        return []
    half = np.asarray(sizes, dtype=float) / 2
    offsets = np.concatenate([[0.0], np.cumsum(half[:-1] + half[1:])])
    found = isotonic_regression(np.asarray(wanted) + offsets, increasing=False).x - offsets
    return [float(place) for place in found]
