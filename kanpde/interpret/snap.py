"""Constants of a graph that become simple numbers, where the residuals allow it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from time import perf_counter

import torch
from torch import Tensor

from kanpde.floats import TINY
from kanpde.interpret.constants import simple
from kanpde.interpret.refit import Refit, refit
from kanpde.model import Ansatz, Graph
from kanpde.problem import Problem
from kanpde.sampling import Sampling
from kanpde.training_points import Collocation

Say = Callable[[str], None]

LARGER, LARGER_NOISE = 3.0, 1.02
"""By how much the residual may grow for simple constants, as a factor: of equations, and of data, where it is noise."""
SURE = 4.0
"""Standard errors within which a simple number has to lie."""
ROUNDING = 1e-14
NOISE = 1e-8
"""A relative residual of data above this is noise."""
FREE = 1e-6
"""A parameter with a larger share of directions that change nothing is not known at all."""
NOTHING = 1e-13
"""Singular values of the Jacobian below this, relative to the largest, are directions in which nothing changes."""


def with_simple_constants(
    graph: Graph, ansatz: Ansatz, residual: float, seed: int, note: Say, seconds: float = 60.0
) -> tuple[Graph, float]:
    """Return the graph with as many constants as residuals allow at simple values, and its relative residual.

    What is simple depends on how well a constant is known: its standard error, from the Jacobian and the residuals.
    All that have a simple value near get it at once; if that is too much, one after the other, the best known first.
    Before, constants that only multiply each other are made fewer: see `without_redundant`. After `seconds` no other
    constant is tried.
    """
    end, changed = perf_counter() + seconds, 0
    noisy = not ansatz.problem.equations and residual > NOISE
    limit = (LARGER_NOISE if noisy else LARGER) * residual

    def refitted(graph: Graph) -> Refit:
        return refit(graph, ansatz, seed=seed, seconds=max(1.0, end - perf_counter()))

    def accepted(graph: Graph) -> Graph | None:
        fitted = refitted(graph)
        return fitted.graph if fitted.after <= limit else None

    graph = without_redundant(graph, ansatz, seed, accepted)
    taken = True
    while taken and perf_counter() < end:
        near, taken = nearest(graph, ansatz, residual, seed), False
        choices = [near, *([one] for one in near)] if len(near) > 1 else [[one] for one in near]
        for choice in choices:
            fitted = refitted(snapped(graph, choice))
            if fitted.after <= limit:
                graph, changed, taken = fitted.graph, changed + len(choice), True
            if (choice is near and taken) or perf_counter() > end:
                break
    left = refitted(graph)
    total = changed + left.graph.parameters
    note(f"{changed} of {total} constants are simple numbers: relative residual {left.after:.1e}")
    return left.graph, left.after


def without_redundant(graph: Graph, ansatz: Ansatz, seed: int, accepted: Callable[[Graph], Graph | None]) -> Graph:
    """Return the graph with constants held fixed until all that are trained matter apart from the others.

    Of those that change nothing together, as the factors of a product do, the one nearest to 1 or -1 becomes that if
    the graph that it makes is `accepted` with a refit, and else stays what it is.
    """
    while graph.parameters:
        _, directions = decomposed(graph, ansatz, seed)
        if not len(directions):
            break
        places = graph.trained.nonzero()[:, 0]
        values = graph.values[places]
        part = directions[0].abs() > 0.1 * directions[0].abs().max()
        distance = torch.where(part & (values != 0), values.abs().clamp_min(TINY).log().abs(), torch.inf)
        number = int(distance.argmin()) if bool(torch.isfinite(distance).any()) else int(directions[0].abs().argmax())
        place, value = int(places[number]), float(values[number])
        one = snapped(graph, [(place, 1.0 if value > 0 else -1.0)]) if value else graph
        graph = (accepted(one) if value else None) or snapped(graph, [(place, value)])
    return graph


def standard_errors(graph: Graph, ansatz: Ansatz, residual: float, seed: int) -> Tensor:
    """Return how well the parameters (P,) are known for a residual; infinite where others can stand for them."""
    errors, directions = decomposed(graph, ansatz, seed)
    free = directions.square().sum(dim=0) > FREE if len(directions) else torch.zeros_like(errors, dtype=torch.bool)
    return torch.where(free, torch.inf, residual * errors)


def decomposed(graph: Graph, ansatz: Ansatz, seed: int) -> tuple[Tensor, Tensor]:
    """Return standard errors (P,) of parameters for residuals of 1, and directions (n, P) that change nothing.

    The errors are the square roots of diag (J^T J)^+ on held-out points; directions are for columns of J of norm 1.
    """
    collocation = Collocation(ansatz, Sampling(), seed, graph.lower)
    _, j = collocation.held_out(graph, 0).linearised(graph.theta).dense()
    scale = j.norm(dim=0).clamp_min(TINY)
    _, s, vh = torch.linalg.svd(j / scale, full_matrices=True)
    there = torch.zeros(len(vh), dtype=torch.bool, device=s.device)
    there[: len(s)] = s > NOTHING * s[0]
    errors = (vh[there].T / s[there[: len(s)]]).norm(dim=1) / scale
    if not ansatz.problem.equations:
        errors = errors / len(j) ** 0.5  # residuals of data are independent
    return errors, vh[~there]


def nearest(graph: Graph, ansatz: Ansatz, residual: float, seed: int) -> list[tuple[int, float]]:
    """Return the places of trained values that have a simple number near, and that number, the best known first."""
    if not graph.parameters:
        return []
    errors = standard_errors(graph, ansatz, residual, seed)
    places = graph.trained.nonzero()[:, 0].tolist()
    found = []
    for place, error in zip(places, errors.tolist(), strict=True):
        start, size = offset(ansatz.problem, place)
        value = start + size * float(graph.values[place])
        tolerance = max(SURE * size * error, ROUNDING * max(1.0, abs(value))) if isfinite(error) else 0.0
        numbers = simple(value, tolerance)
        if numbers:
            near = (float(numbers[0].evalf(30)) - start) / size
            found.append((tolerance / max(abs(value), 1.0), place, near))
    return [(place, value) for _, place, value in sorted(found)]


def offset(problem: Problem, place: int) -> tuple[float, float]:
    """Return where the value at a place of a graph starts and its unit: those of a scalar, 0 and 1 for weights."""
    scalars = list(problem.scalars.values())
    return (scalars[place].start, scalars[place].size) if place < len(scalars) else (0.0, 1.0)


def snapped(graph: Graph, near: Sequence[tuple[int, float]]) -> Graph:
    """Return the graph with some values at given numbers, as constants."""
    values, trained = graph.values.clone(), graph.trained.clone()
    for place, value in near:
        values[place], trained[place] = value, False
    return replace(graph, values=values, trained=trained)
