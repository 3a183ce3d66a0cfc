"""Small models with every setting given, so that tests do not depend on what defaults suit a problem; and problems."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from kanpde import KAN

LONG_REFERENCES = {
    "burgers2d",
    "cavity",
    "channel_cylinder",
    "gray_scott",
    "kuramoto_sivashinsky",
    "stokes_cavity",
}
"""Problems whose references take a minute or two; they are kept on disk afterwards, but tests start from no file."""


def with_long_references_slow(names: Iterable[str]) -> list[Any]:
    """Return names of problems as parameters of a test, those with long references marked as slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG_REFERENCES)) for name in names]


def small_kan(
    width: Sequence[int] = (3,), grid: int | Sequence[int] = 4, degree: int | Sequence[int] = (7, 4), **settings: Any
) -> KAN:
    """Return a KAN with few parameters."""
    return KAN(width, grid, degree, **{"hidden_grid": 1, "start_grid": 10, "noise": 0.1, **settings})
