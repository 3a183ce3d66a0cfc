"""Formulas of surfaces: signs of their levels, complements, and the same formulas in more coordinates."""

from math import pi

import pytest
import torch
from torch import Tensor

from kanpde.geometry.implicit import And, Corner, Formula, Or, Side, Surface

GENERATOR = torch.Generator().manual_seed(0)
POINTS = 2 * torch.rand(500, 2, generator=GENERATOR, dtype=torch.float64) - 1


def line(axis: int, sign: float) -> Surface:
    return Surface(lambda x: sign * x[:, axis], lambda x: -sign * x[:, axis])


LEFT, BELOW, RIGHT = Side(line(0, -1.0)), Side(line(1, -1.0)), Side(line(0, 1.0))
QUADRANT = And(RIGHT, BELOW)
FORMULAS: dict[str, tuple[Formula, Tensor]] = {  # and the points that lie in them
    "and": (QUADRANT, (POINTS[:, 0] > 0) & (POINTS[:, 1] < 0)),
    "or": (Or(LEFT, QUADRANT), (POINTS[:, 0] < 0) | (POINTS[:, 1] < 0)),
    "corner": (Corner(LEFT, BELOW, (0.0, 0.0), 5 * pi / 4, 3 * pi / 2), (POINTS[:, 0] < 0) | (POINTS[:, 1] < 0)),
    "corner in another": (And(Corner(LEFT, BELOW, (0.0, 0.0), 5 * pi / 4, 3 * pi / 2), LEFT), POINTS[:, 0] < 0),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_levels_are_positive_inside(name: str) -> None:
    formula, inside = FORMULAS[name]
    assert torch.equal(formula.level(POINTS) > 0, inside)
    assert torch.equal(formula.complement().level(POINTS) < 0, inside)


@pytest.mark.parametrize("name", FORMULAS)
def test_moved_formulas_have_the_same_levels_further_on(name: str) -> None:
    formula, _ = FORMULAS[name]
    surfaces = {surface: surface.of(slice(1, 3)) for surface in formula.surfaces}
    moved = formula.moved(surfaces, 1)
    more = torch.cat([torch.rand(500, 1, generator=GENERATOR, dtype=torch.float64), POINTS], dim=1)
    assert type(moved) is type(formula)
    assert moved.leaves == tuple(surfaces[leaf] for leaf in formula.leaves)
    assert torch.equal(moved.level(more), formula.level(POINTS))
    assert not torch.equal(moved.level(1.01 * more), formula.level(POINTS))
