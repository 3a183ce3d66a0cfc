"""Error norms against a reference, by quadrature on points not trained on, and the table row that reports them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.geometry import Box, Geometry, at_known_values, shown, values_of, without_parameters
from kanpde.multiindex import IndexSet
from kanpde.problem import Problem, Reference
from kanpde.sampling import of_rule, tensor_rule

Taylor = Callable[[Points, IndexSet], Tensor]
"""Taylor coefficients (channel, point, unknown) at points: what a run, a reference and a FEM solution all offer."""

# An even number of panels puts a panel's end, where Gauss nodes are dense, in the middle of the box, where fronts
# stand; an even number of nodes keeps out the rational midpoints that uniform grids use.
PANELS = {1: 64, 2: 10, 3: 4}
NODES = {1: 16, 2: 18, 3: 10}
SOBOL_POINTS = 2**15
SOBOL_SEED = 90_001
CHUNK = 8192


@dataclass(frozen=True)
class Errors:
    """Relative L2 error, relative error in the full H1 norm (all coordinates, time included), largest absolute error.

    Several unknowns share each of these; `each` has the relative L2 error of every unknown by its name. With parameters
    they are over their values as well, without derivatives by them, and `at_values` has the relative L2 error at each
    value, by its text, "nu = 0.01". An error that cannot be measured is nan, and `note` says why. `floor` is the
    reference's own relative L2 error. `verdict` is what the reference says besides, such as how many classes are right.
    """

    rel_l2: float
    rel_h1: float
    max_error: float
    note: str = ""
    each: Mapping[str, float] = field(default_factory=dict)
    floor: float = 0.0
    at_values: Mapping[str, float] = field(default_factory=dict)
    verdict: str = ""

    @property
    def at_floor(self) -> bool:
        """Whether the L2 error is not above the reference's own, so that it says no more than that."""
        return self.rel_l2 <= self.floor


@dataclass(frozen=True)
class Method:
    """One row of the final table; `seconds` has the keys "setup", "train" and "evaluate_1e5".

    `scalars` are the values that were found for unknown ones.
    """

    name: str
    parameters: int
    errors: Errors | None
    seconds: dict[str, float]
    iterations: int
    stopped: str
    scalars: Mapping[str, float] = field(default_factory=dict)


def ranks(methods: Sequence[Method]) -> dict[str, int | None]:
    """Return the rank of every method by its relative L2 error, by name; None at the floor and without an error.

    Methods at the floor are better than all others, in an order that is not known, so that the others come after them.
    """
    measured = [(method.errors, method.name) for method in methods if method.errors is not None]
    above = sorted((errors.rel_l2, name) for errors, name in measured if errors.rel_l2 > errors.floor)
    first = 1 + sum(errors.at_floor for errors, _ in measured)
    return {method.name: None for method in methods} | {name: n for n, (_, name) in enumerate(above, first)}


class ErrorMeasure:
    """Measures errors against one reference, whose values are computed once for any number of methods.

    Raises KanpdeError if there is no reference.
    """

    def __init__(
        self, problem: Problem, reference: Reference | None = None, device: torch.device | str = "cpu"
    ) -> None:
        reference = reference or problem.reference
        if reference is None:
            raise KanpdeError(f"problem '{problem.name}' has no reference to compare with: give it reference=...")
        self.reference = reference
        self.unknowns = problem.unknowns
        self.at, self.weights = evaluation_rule(problem.geometry, device, reference)
        some = bool(problem.geometry.parameters) and reference.rule(problem.geometry) is None
        self.values = [shown(values) for values, _ in values_of(problem.geometry)] if some else []
        names, parameters = problem.geometry.names, problem.geometry.parameters
        axes = [axis for axis, name in enumerate(names) if name not in parameters]
        units = [tuple(int(i == axis) for i in range(len(names))) for axis in axes]
        self.note = ""
        try:
            self.indices = IndexSet(names, units)
            middle = at_known_values(problem.geometry, problem.middle().array())
            reference.taylor(Points.of(names, middle), self.indices)
        except KanpdeError as error:
            self.indices = IndexSet(names)
            self.note = f"no H1 error: {error}"

    @cached_property
    def expected(self) -> Tensor:
        """The reference's Taylor coefficients (channel, point, unknown)."""
        return self._evaluate(self.reference.taylor, "the reference")

    def of(self, taylor: Taylor) -> Errors:
        """Return the errors of a solution; an unknown whose reference is zero has no relative error of its own."""
        found = self._evaluate(taylor, "the solution")
        difference = self.reference.compared(found) - self.expected
        rel_h1 = math.nan if self.note else self._relative(difference, self.expected)
        each = {
            name: self._relative(difference[:1, :, [i]], self.expected[:1, :, [i]])
            for i, name in enumerate(self.unknowns)
        }
        rel_l2 = self._relative(difference[:1], self.expected[:1])
        largest = float(difference[0].abs().max())
        at_values, verdict = self._at_values(difference[:1]), self.reference.verdict(found[0])
        return Errors(rel_l2, rel_h1, largest, self.note, each, self.reference.error, at_values, verdict)

    def _at_values(self, difference: Tensor) -> dict[str, float]:
        """Return the relative errors at the values of parameters, each of which has as many points."""
        count, expected = len(self.at) // max(len(self.values), 1), self.expected[:1]
        parts = [slice(count * number, count * (number + 1)) for number in range(len(self.values))]
        return {
            text: self._relative(difference[:, part], expected[:, part], self.weights[part])
            for text, part in zip(self.values, parts, strict=True)
        }

    def _evaluate(self, taylor: Taylor, what: str) -> Tensor:
        values = evaluate_chunks(taylor, self.at, self.indices)
        shape = (len(self.indices), len(self.at), len(self.unknowns))
        if values.shape != shape:
            raise KanpdeError(
                f"{what} returned shape {tuple(values.shape)}: return (channel, point, unknown), here {shape}."
            )
        return values.to(self.weights)

    def _relative(self, difference: Tensor, expected: Tensor, weights: Tensor | None = None) -> float:
        weights = self.weights if weights is None else weights
        found, norm = (float(((c**2).sum(dim=(0, 2)) @ weights).sqrt()) for c in (difference, expected))
        return found / norm if norm > 0 else math.nan


def errors(
    taylor: Taylor, problem: Problem, reference: Reference | None = None, device: torch.device | str = "cpu"
) -> Errors:
    """Return the errors of a solution against `reference`, by default the problem's own.

    Raises KanpdeError if there is no reference. To measure several solutions use one `ErrorMeasure`.
    """
    return ErrorMeasure(problem, reference, device).of(taylor)


def evaluation_rule(
    geometry: Geometry, device: torch.device | str = "cpu", reference: Reference | None = None
) -> tuple[Points, Tensor]:
    """Return points and weights (N,): composite Gauss-Legendre on boxes up to three dimensions, else Sobol points.

    Of a reference that is known at some points only these are returned. With parameters there are such points at each
    of a few values, one value after the other.
    """
    own = None if reference is None else reference.rule(geometry)
    if own is not None:
        at, weights = own
        return Points.of(at.names, at.array().to(device)), weights.to(device)
    if geometry.parameters:
        at, weights = evaluation_rule(without_parameters(geometry), device)
        like, sets = at.array(), values_of(geometry)
        parts = [at.moved(**{n: torch.full_like(like[:, 0], v) for n, v in values.items()}) for values, _ in sets]
        arrays = [torch.stack([getattr(part, name) for name in geometry.names], dim=1) for part in parts]
        return Points.of(geometry.names, torch.cat(arrays)), torch.cat([share * weights for _, share in sets])
    patch = geometry.interior()
    if patch.dimension in PANELS and isinstance(geometry, Box):
        nodes, weights = _composite_gauss(PANELS[patch.dimension], NODES[patch.dimension])
        unit, weight = tensor_rule([(nodes, weights)] * patch.dimension)
    else:
        unit, weight = of_rule(patch, "sobol", SOBOL_POINTS, SOBOL_SEED)
        weight = weight / weight.sum()
    return Points.of(geometry.names, patch.place(unit.to(device))), patch.measure * weight.to(device)


def evaluate_chunks(taylor: Taylor, at: Points, indices: IndexSet) -> Tensor:
    """Return Taylor coefficients (channel, point, unknown), computed in chunks of points so that memory is bounded."""
    with torch.no_grad():
        return torch.cat([taylor(Points.of(at.names, part), indices) for part in at.array().split(CHUNK)], dim=1)


def evaluation_seconds(
    taylor: Taylor, problem: Problem, count: int = 100_000, device: torch.device | str = "cpu"
) -> float:
    """Return the seconds that values at `count` random points take: the best of three, after a warm-up."""
    points = at_known_values(problem.geometry, problem.geometry.sample(count))
    at = Points.of(problem.geometry.names, points.to(device))
    indices = IndexSet(problem.geometry.names)

    def once() -> float:
        start = perf_counter()
        values = evaluate_chunks(taylor, at, indices)
        if values.is_cuda:
            torch.cuda.synchronize(values.device)
        return perf_counter() - start

    once()
    return min(once() for _ in range(3))


def _composite_gauss(panels: int, nodes: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of the composite Gauss-Legendre rule on (0, 1)."""
    x, w = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(nodes))
    starts = torch.arange(panels, dtype=torch.float64)[:, None]
    return ((starts + (1 + x) / 2) / panels).flatten(), (w / (2 * panels)).repeat(panels)
