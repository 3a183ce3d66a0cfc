"""Solutions known in closed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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
    """Return the reference for a closed form, one function of the points per unknown."""
    return Exact(*functions)
