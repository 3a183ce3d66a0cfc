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

SPECTRAL = {"allen_cahn", "cahn_hilliard", "fisher_kpp", "kdv"}
"""Problems whose references take ten seconds."""

WITHOUT_FILE = {"fit_table"}
"""Problems that need a file of the user."""


def without_files(names: Iterable[str]) -> list[str]:
    """Return the names of problems that can be loaded as they are."""
    return [name for name in names if name not in WITHOUT_FILE]


def with_long_references_slow(names: Iterable[str], others: Iterable[str] = ()) -> list[Any]:
    """Return names of problems that can be loaded as parameters of a test, long references and others marked slow."""
    long = LONG_REFERENCES | set(others)
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in long)) for name in without_files(names)]


def small_kan(
    width: Sequence[int] = (3,), grid: int | Sequence[int] = 4, degree: int | Sequence[int] = (7, 4), **settings: Any
) -> KAN:
    """Return a KAN with few parameters."""
    return KAN(width, grid, degree, **{"hidden_grid": 1, "start_grid": 10, "noise": 0.1, **settings})
