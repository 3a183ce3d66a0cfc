"""Searches begin where functions are defined, and near every constant that matters."""

from math import pi

import pytest
import torch

from kanpde.basis import ELEMENTARY
from kanpde.interpret.search import grids, limits, lowest

LIKE = torch.zeros((), dtype=torch.float64)
RANGES = [(-1.0, 1.0), (0.1, 0.9), (-3.0, -1.0), (20.0, 50.0)]


@pytest.mark.parametrize("ends", RANGES, ids=str)
@pytest.mark.parametrize("name", ELEMENTARY)
def test_functions_are_defined_on_their_grids(name: str, ends: tuple[float, float]) -> None:
    function = ELEMENTARY[name]
    for one in (False, True):
        found = grids(function, *ends, 50, one, LIKE)
        assert found
        for grid in found:
            assert grid.a.shape == grid.b.shape
            assert grid.a.ndim == 2
            a, b = grid.a.reshape(-1).tolist(), grid.b.reshape(-1).tolist()
            inside = [
                function.defined(*sorted((a_ * ends[0] + b_, a_ * ends[1] + b_)))
                for a_, b_ in zip(a, b, strict=True)
                if a_ == a_
            ]
            # Without a shift a function may be defined on one side of 0 only.
            assert all(inside) or (not bool(grid.b.any()) and function.search in ("branch", "logarithm", "bounded"))


def test_frequencies_reach_what_points_resolve() -> None:
    waves = grids(ELEMENTARY["sin"], 0.0, 2.0, 100, True, LIKE)
    for grid in waves:
        assert float(grid.a.max()) == pytest.approx(pi * 100 / 4)
        assert float(grid.a[:, 0].diff().max()) <= pi / 8 * 1.001
    least, largest = limits(ELEMENTARY["sin"], 0.0, 2.0, 100)
    assert least < float(waves[0].a.min()) < float(waves[0].a.max()) < largest
    assert limits(ELEMENTARY["exp"], 0.0, 2.0, 100)[0] < least


def test_the_lowest_places_are_apart() -> None:
    values = torch.full((9, 9), torch.inf, dtype=torch.float64)
    values[4, 4], values[4, 5], values[0, 8], values[8, 0] = 1.0, 1.5, 2.0, 3.0
    assert lowest(values, 2) == [(4, 4), (0, 8)]
    assert lowest(values, 9) == [(4, 4), (0, 8), (8, 0)]
    assert float(values[4, 4]) == 1
