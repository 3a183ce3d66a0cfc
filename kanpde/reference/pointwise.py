"""Functions that are known by their values: special functions, programs of a user, held-back measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.geometry import Geometry
from kanpde.multiindex import IndexSet
from kanpde.problem import NotKnown, Reference
from kanpde.reference.table import Scattered

EXACT = 1e-16
"""The error of measurements as a reference: what they are is what a function is compared with."""


class Pointwise(Reference):
    """Functions of arrays, one per unknown; they have no derivatives."""

    smooth = True

    def __init__(self, functions: tuple[Callable[..., Any], ...], error: float) -> None:
        self.functions, self.error = functions, error
        self.name = "function"
        self.error_source = "as given for the function"

    def __call__(self, at: Points) -> Tensor:
        """Return the values (N,) of the first one."""
        return self.taylor(at, IndexSet(at.names))[0, :, 0]

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return values (1, point, unknown); raise KanpdeError for derivatives and for values of another shape."""
        if indices.order > 0:
            raise NotKnown("the reference is known by its values only, and derivatives were asked for.")
        columns = [column.detach().cpu().numpy() for column in at.array().unbind(dim=1)]
        found = []
        for function in self.functions:
            values = np.asarray(function(*columns), dtype=np.float64)
            if values.shape != columns[0].shape:
                raise KanpdeError(
                    f"the function of the reference returned the shape {values.shape} at {len(at)} points: return"
                    " one number for each."
                )
            found.append(torch.from_numpy(values))
        return torch.stack(found, dim=-1)[None].to(at.array())


def pointwise(*functions: Callable[..., Any], error: float = 1e-13) -> Pointwise:
    """Return the reference for functions of arrays (N,), one per coordinate: `pointwise(scipy.special.jv)`.

    There is one for each unknown, and they are called for values only. `error` is the relative L2 error of these.
    Raises KanpdeError for none at all, for what is no function, and for an error that is not positive.
    """
    if not functions or not all(map(callable, functions)):
        given = ", ".join(type(function).__name__ for function in functions)
        raise KanpdeError(f"pointwise({given}): give a function of the coordinates for each unknown.")
    if not error > 0:
        raise KanpdeError(f"pointwise: error={error}: give a positive relative L2 error.")
    return Pointwise(functions, error)


def measured(points: Mapping[str, Any], *values: Any) -> Scattered:
    """Return the reference for values (N,) of each unknown that were measured at points, an array (N,) per coordinate.

    Errors against it are those at these points: a test set.
    Raises KanpdeError for arrays that are not of one length.
    """
    columns = [np.asarray(column, dtype=np.float64) for column in points.values()]
    fields = [np.asarray(field, dtype=np.float64) for field in values]
    shapes = {array.shape for array in (*columns, *fields)}
    if not columns or not fields or len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise KanpdeError(f"measured: arrays of the shapes {shapes or 'none'}: give arrays of one length N.")
    return Scattered("test set", tuple(points), np.stack(columns, axis=1), np.stack(fields, axis=1), EXACT)


class Labels(Scattered):
    """Labels at test points, -1 and 1, with which tanh(u / 2) is compared: u is the logit of 1, see `classify`.

    That is the mean label that u stands for, so that a relative L2 error is twice the root of the Brier score.
    """

    def compared(self, values: Tensor) -> Tensor:
        return torch.tanh(values / 2)

    def labels(self, geometry: Geometry) -> tuple[Tensor, Tensor]:
        found = self.rule(geometry)
        assert found is not None
        at, _ = found
        return at.array(), self.taylor(at, IndexSet(at.names))[0, :, 0]

    def verdict(self, values: Tensor) -> str:
        """Return which part of the test points u (point, 1) has the right sign at, and the cross-entropy there."""
        labels = torch.from_numpy(self.values).to(values)
        margins = labels * values
        right, entropy = float((margins > 0).double().mean()), float(torch.nn.functional.softplus(-margins).mean())
        return f"{100 * right:.1f} % of {len(labels):,} test points right, cross-entropy {entropy:.2g}"


def labelled(points: Mapping[str, Any], labels: Any) -> Labels:
    """Return the reference for labels (N,), 0 or 1, at test points, an array (N,) per coordinate.

    Errors are those of tanh(u / 2) from -1 and 1, of the logit u; how many labels are right is said besides.
    Raises KanpdeError for other labels, and for arrays that are not of one length.
    """
    read = measured(points, labels)
    if not np.isin(read.values, (0, 1)).all():
        raise KanpdeError("labelled: there are other labels than 0 and 1.")
    return Labels(read.name, read.names, read.points, 2 * read.values - 1, EXACT)
