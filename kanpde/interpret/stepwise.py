"""From a network to a formula edge by edge: take away what matters little, then fix elementary functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from time import perf_counter

from kanpde.basis.elementary import ELEMENTARY, Elementary
from kanpde.errors import KanpdeError
from kanpde.interpret.edit import splines
from kanpde.interpret.model import ROUNDING, Model
from kanpde.interpret.simplify import NoFormula, Simplified

THRESHOLDS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
"""Importances below which edges are taken away, relative to the largest: the first that the residual allows counts."""


def stepwise(
    model: Model,
    enough: float,
    *,
    library: Mapping[str, Elementary] = ELEMENTARY,
    seconds: float = 60.0,
    say: Callable[[str], None] = lambda line: None,
) -> Simplified:
    """Return the model with as few edges as a relative residual of `enough` allows, all elementary functions.

    Prune, refit, fix functions, refit, as Liu et al. 2024 (section 2.5) do by eye; at last constants become simple
    numbers. Edges whose turn does not come within `seconds` stay splines.
    Raises NoFormula with the model if splines are left.
    """
    end = perf_counter() + seconds
    steps: list[str] = []

    def note(line: str) -> None:
        steps.append(line)
        say(line)

    count = len(model.graph.edges)
    for threshold in THRESHOLDS:
        if perf_counter() > end:
            break
        try:
            smaller = model.prune(threshold=threshold, tolerance=inf)
        except KanpdeError:  # nothing would be left
            continue
        if smaller.residual <= enough:
            model = smaller
            break
    note(f"{len(model.graph.edges)} of {count} edges are left: relative residual {model.residual:.1e}")
    model = model.fix_all(library, enough / max(model.residual, ROUNDING), max(0.0, end - perf_counter()), note)
    left = len(splines(model.graph))
    if left:
        raise NoFormula(f"Edge by edge, {left} of {len(model.graph.edges)} stay splines.", model)
    model = model.simple_constants(note)
    return Simplified(model, model.residual, tuple(steps))
