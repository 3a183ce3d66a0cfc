"""Nested dissection (George 1973): an order in which degrees of freedom are eliminated with little fill."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

LEAF = 4


def elimination_order(element_dofs: ndarray, centres: ndarray, leaf: int = LEAF) -> ndarray:
    """Return the degrees of freedom (dof,) of elements (dof of the element, T) with centres (d, T) in an order.

    Elements are divided in halves along the longer side again and again, until there are `leaf` of them. What only one
    half has comes first, then what both share, in each group by number: where pressures have larger numbers than the
    velocities beside them, no pivot on the diagonal vanishes.
    """
    dofs, ordered = element_dofs.T, []
    taken = np.zeros(dofs.max() + 1, dtype=bool)

    def order(elements: ndarray) -> None:
        if len(elements) <= leaf:
            group = np.unique(dofs[elements])
        else:
            places = centres[:, elements]
            along = np.argsort(places[np.argmax(np.ptp(places, axis=1))], kind="stable")
            halves = np.split(elements[along], [len(elements) // 2])
            group = np.intersect1d(dofs[halves[0]], dofs[halves[1]])
        group = group[~taken[group]]
        taken[group] = True
        if len(elements) > leaf:
            for half in halves:
                order(half)
        ordered.append(group)

    order(np.arange(len(dofs)))
    return np.concatenate(ordered)
