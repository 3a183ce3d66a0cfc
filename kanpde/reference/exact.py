"""Solutions known in closed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points, taylor_coefficients
from kanpde.multiindex import IndexSet
from kanpde.problem import Reference


class Exact(Reference):
    """A closed form, one function of the points per unknown; derivatives by nested autograd."""

    name = "exact"
    error = 1e-15
    error_source = "closed form, rounding only"
    smooth = True

    def __init__(self, *functions: Callable[[Points], Tensor]) -> None:
        self.functions = functions

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        return torch.stack([taylor_coefficients(f, at, indices) for f in self.functions], dim=-1)


def exact(*functions: Callable[[Points], Tensor]) -> Exact:
    """Return the reference for a closed form, one function of the points per unknown.

    Raises KanpdeError for none at all, and for what is no function.
    """
    if not functions or not all(map(callable, functions)):
        given = ", ".join(type(function).__name__ for function in functions)
        raise KanpdeError(f"exact({given}): give a function of the points for each unknown, exact(lambda at: at.x**2).")
    return Exact(*functions)
