"""Checks of a problem before any training: points on every condition, derivatives, residuals of the exact solution."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kanpde.constraint import Groups
from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.geometry import Patch, at_known_values
from kanpde.model import KAN, MLP, Ansatz
from kanpde.multiindex import IndexSet, spell
from kanpde.problem import NotKnown, Periodic, Problem
from kanpde.residual import residual_scales
from kanpde.sampling import PointSet, Sampling, draw

TOLERANCE = 1e-8
"""Residuals of an exact solution up to this size are rounding; others may have residuals as large as their error."""


@dataclass(frozen=True)
class Row:
    """What was found about an equation, condition or constraint.

    `points` would be drawn for training; a `hard` condition needs none, since the network's ansatz satisfies it.
    `residual` is the largest residual of the reference, in units of the largest derivative that enters it; None if
    the reference does not have these derivatives. A periodic condition has no points: its residual is the difference
    of the reference between both faces.
    """

    label: str
    kind: str
    points: int
    hard: bool
    derivatives: tuple[str, ...]
    residual: float | None
    tolerance: float = TOLERANCE

    @property
    def vanishes(self) -> bool:
        """Whether the residual of the reference is zero up to rounding, its error and noise of data, or not known."""
        return self.residual is None or self.residual <= self.tolerance


def check(
    problem: Problem,
    model: KAN | MLP | None = None,
    *,
    sampling: Sampling | None = None,
    conditions: str = "hard",
    seed: int = 0,
) -> list[Row]:
    """Return a row per equation, condition and constraint, with as many points as training `model` would draw.

    Raises KanpdeError for an empty point set, a function that returns a wrong shape or values that are not finite,
    and a model that is not smooth enough for the equations.
    """
    problem.require_complete()
    model, sampling = (model or KAN()).suited(problem), sampling or Sampling()
    ansatz = Ansatz(problem, conditions)
    geometry = problem.geometry
    sampling.check(geometry)
    model.check(problem.order)
    like = torch.zeros(0, dtype=torch.float64)
    interior = sampling.interior_count(most_parameters(problem, model))
    tolerance = TOLERANCE if problem.reference is None else max(TOLERANCE, problem.reference.error)

    def examine(label: str, kind: str, patches: tuple[Patch, ...], count: int) -> Row:
        points = draw(patches, geometry.names, sampling.rule, count, seed, like)
        residual_scales(ansatz, {(label,): points})  # refuses what is not finite
        asked = derivatives_asked_for(problem, label, points.at)
        residual = residual_of_reference(problem, label, points)
        return Row(label, kind, len(points.at), label in ansatz.hard, asked, residual, tolerance)

    rows = [examine(label, "equation", (geometry.interior(),), interior) for label in problem.equations]
    for label, condition in problem.conditions.items():
        count = sampling.boundary_count(interior, geometry.dimension)
        if isinstance(condition, Periodic):
            faces = draw(geometry.boundary(f"{condition.where}-"), geometry.names, sampling.rule, count, seed, like)
            jump = jump_of_reference(problem, condition.where, faces)
            rows.append(Row(label, condition.kind, 0, True, ("all",), jump, tolerance))
        else:
            rows.append(examine(label, condition.kind, geometry.boundary(condition.where), count))
    for label, constraint in problem.constraints.items():
        groups = constraint.groups(geometry)
        asked = derivatives_asked_for(problem, label, groups.at)
        missed = constraint_of_reference(problem, label, groups)
        noise = max(tolerance, constraint.tolerance)
        rows.append(Row(label, constraint.kind, len(groups.at), False, asked, missed, noise))
    return rows


def derivatives_asked_for(problem: Problem, label: str, at: Points) -> tuple[str, ...]:
    """Return the names of the derivatives that an equation, condition or constraint asks for, low orders first."""
    asked = sorted(problem.derivatives((label,), at), key=lambda a: (sum(a), [-n for n in a]))
    return tuple(spell(index, problem.geometry.names) or "value" for index in asked)


def most_parameters(problem: Problem, model: KAN | MLP) -> int:
    """Return the number of parameters that a model has for a problem in the end, at most, unless it is tried again."""
    model = model.suited(problem)
    model = model if isinstance(model, KAN) and model.adaptive else model.attempts()[0]
    lower, upper = (
        torch.tensor(side, dtype=torch.float64) for side in (problem.geometry.lower, problem.geometry.upper)
    )
    periodic = [problem.geometry.names.index(name) for name in problem.periodic]
    last = model.network(lower, upper, len(problem.unknowns), model.stages()[-1], periodic, len(problem.scalars))
    return min(last.parameters, model.limit)


def fewest_rows(problem: Problem, parameters: int, sampling: Sampling) -> int:
    """Return the number of residual rows of the equations, or of the constraints where there are none."""
    equations = len(problem.equations)
    return sampling.interior_count(parameters) * equations if equations else problem.data


def residual_of_reference(problem: Problem, label: str, points: PointSet) -> float | None:
    """Return the largest residual of the reference, in units of the largest derivative that enters it.

    None without a reference that has these derivatives, and for a scalar whose exact value is not known. Raises
    KanpdeError where the residual is not finite.
    """
    if problem.reference is None or not (problem.reference.smooth and known(problem)):
        return None
    indices = IndexSet(problem.geometry.names, problem.derivatives((label,), points.at))
    at = known_points(problem, points.at)
    try:
        u = problem.reference.taylor(at, indices)
    except NotKnown:
        return None
    residual = problem.residual_function(label)(*problem.fields(indices, u), at)
    if not bool(torch.isfinite(residual).all()):
        raise KanpdeError(f"'{label}' is not finite for the reference: check its data and the reference.")
    factorials = u.new_tensor(indices.factorials)[:, None, None]
    return float(residual.abs().max()) / max(float((u * factorials).abs().max()), 1.0)


def known_points(problem: Problem, at: Points) -> Points:
    """Return points with parameters only of the values for which every reference is known."""
    array = at_known_values(problem.geometry, at.array())
    return at.moved(**{name: array[:, at.names.index(name)] for name in problem.geometry.parameters})


def constraint_of_reference(problem: Problem, label: str, groups: Groups) -> float | None:
    """Return by how much the reference misses the rows of a constraint, at most; None without such a reference."""
    if problem.reference is None or not (problem.reference.smooth and known(problem)):
        return None
    indices = IndexSet(problem.geometry.names, problem.derivatives((label,), groups.at))
    try:
        u = problem.reference.taylor(groups.at, indices)
    except NotKnown:  # a reference for a few values of parameters does not have those of the data
        return None
    g = problem.residual_function(label)(*problem.fields(indices, u), groups.at)
    return float(groups.sums(g).abs().max())


def known(problem: Problem) -> bool:
    """Whether the exact values of all unknown scalars are known."""
    return all(value.exact is not None for value in problem.scalars.values())


def jump_of_reference(problem: Problem, coordinate: str, lower: PointSet) -> float | None:
    """Return by how much the reference's derivatives differ between points of a lower face and the upper one.

    In units of the largest of each derivative; of all derivatives in the equations, or of the values of a reference
    that has no more. None without a reference.
    """
    if problem.reference is None:
        return None
    names, indices = problem.geometry.names, problem.indices
    if not problem.reference.smooth:
        indices = IndexSet(names)
    at = known_points(problem, lower.at)
    x = getattr(at, coordinate)
    upper = at.moved(**{coordinate: torch.full_like(x, problem.geometry.upper[names.index(coordinate)])})
    below, above = (problem.reference.taylor(at, indices) for at in (at, upper))
    return float(((above - below).abs().amax(dim=(1, 2)) / below.abs().amax(dim=(1, 2)).clamp_min(1.0)).max())
