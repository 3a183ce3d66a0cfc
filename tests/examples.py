"""Small models with every setting given, so that tests do not depend on what defaults suit a problem."""

from collections.abc import Sequence
from typing import Any

from kanpde import KAN


def small_kan(
    width: Sequence[int] = (3,), grid: int | Sequence[int] = 4, degree: int | Sequence[int] = (7, 4), **settings: Any
) -> KAN:
    """Return a KAN with few parameters."""
    return KAN(width, grid, degree, **{"hidden_grid": 1, "start_grid": 10, "noise": 0.1, **settings})
