"""Kolmogorov-Arnold networks: B-splines on the edges, sums at the nodes (Liu et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import pi
from typing import Any

import torch
from torch import Tensor

from kanpde.basis import Activation, BSpline
from kanpde.errors import KanpdeError, unknown_name
from kanpde.model.layer import Layer
from kanpde.model.network import Network
from kanpde.problem import Problem

INITIALISATIONS = ("linear", "power")
AFFINE: dict[str, Any] = {"width": (5,), "degree": (11, 3), "hidden_grid": 1, "start_grid": 10, "noise": 0.1}
NONLINEAR: dict[str, Any] = {"width": (4, 4, 4), "degree": (5,), "hidden_grid": 6, "start_grid": 16, "noise": 0.02}
UNSUITED = "settings with None: call suited(problem) first"


@dataclass(frozen=True)
class KAN:
    """Settings of a KAN. None lets `suited` choose from the problem.

    width: numbers of hidden units, one per hidden layer.
    grid: intervals of the splines in the last stage. An integer is for the first layer, which resolves the solution;
        deeper layers, which combine a few smooth functions, get `hidden_grid`. A list gives every layer its own; its
        last entry repeats.
    degree: of the splines, 1 to 11; an integer for all layers, or a list whose last entry repeats.
    start_grid: the first stage has the coarsest grid of at least this many intervals that divides `grid`; stages
        double it (or multiply by the smallest possible factor) up to `grid`.
    base: add a smooth silu branch to every edge.
    initial: "linear" starts hidden units as linear functions in spread directions and the output at zero; "power"
        draws all coefficients with the power law of Rigas et al. 2025 (exponents 0.25 and 0.75).
    noise: standard deviation of white noise on the coefficients of the hidden layers ("linear").
    """

    width: Sequence[int] | None = None
    grid: int | Sequence[int] = 20
    degree: int | Sequence[int] | None = None
    hidden_grid: int | None = None
    start_grid: int | None = None
    base: bool = False
    initial: str = "linear"
    noise: float | None = None

    name = "kan"

    def __post_init__(self) -> None:
        if self.width is not None and any(w < 1 for w in self.width):
            raise KanpdeError(f"width={list(self.width)}: every hidden layer needs at least one unit.")
        grids = [self.grid] if isinstance(self.grid, int) else self.grid
        for what, values in (("grid", grids), ("hidden_grid", [self.hidden_grid]), ("start_grid", [self.start_grid])):
            for g in values:
                if g is not None and g < 1:
                    raise KanpdeError(f"{what}={g}: a spline needs at least 1 interval.")
        for k in [self.degree] if isinstance(self.degree, int) else self.degree or ():
            if not 1 <= k <= 11:
                raise KanpdeError(f"degree={k}: B-splines of degree 1 to 11 are supported.")
        if self.noise is not None and not self.noise >= 0:
            raise KanpdeError(f"noise={self.noise}: a standard deviation is not negative.")
        if self.initial not in INITIALISATIONS:
            raise unknown_name("initialisation", self.initial, INITIALISATIONS)

    def suited(self, problem: Problem) -> KAN:
        """Return these settings with every None chosen for a problem, by the kind of its equations.

        Affine equations: one hidden layer, inputs of high degree and outer functions that are one cubic each, which
        can multiply functions of one variable. Nonlinear ones form fronts: three hidden layers of moderate splines,
        from the final grid on. `docs/solvers.md` has the measurements.
        """
        choice = AFFINE if problem.affine else NONLINEAR
        missing = {name: value for name, value in choice.items() if getattr(self, name) is None}
        return replace(self, **missing)

    @property
    def grids(self) -> tuple[int, ...]:
        """The numbers of intervals of the last stage, per layer."""
        assert self.width is not None, UNSUITED
        if isinstance(self.grid, int):
            assert self.hidden_grid is not None, UNSUITED
            return (self.grid, *[self.hidden_grid] * len(self.width))
        return per_layer(self.grid, len(self.width) + 1)

    @property
    def degrees(self) -> tuple[int, ...]:
        """The degrees, per layer."""
        assert self.width is not None, UNSUITED
        assert self.degree is not None, UNSUITED
        return per_layer([self.degree] if isinstance(self.degree, int) else self.degree, len(self.width) + 1)

    def check(self, order: int) -> None:
        """Raise KanpdeError unless the splines are smooth enough for residuals of a PDE of this order."""
        if min(self.degrees) < order + 1:
            raise KanpdeError(
                f"degree={min(self.degrees)} is too low for an equation of order {order}: a continuous residual needs"
                f" model.degree >= {order + 1}."
            )

    def stages(self) -> list[tuple[int, ...]]:
        """Return the grids of each stage, coarse to fine; each is a multiple of the one before."""
        assert self.start_grid is not None, UNSUITED
        ladders = [ladder(g, self.start_grid) for g in self.grids]
        count = max(map(len, ladders))
        return [tuple(steps[max(0, i - count + len(steps))] for steps in ladders) for i in range(count)]

    def network(self, lower: Tensor, upper: Tensor, outputs: int, grids: Sequence[int] | None = None) -> Network:
        """Return the network on the box [lower, upper] (d,), by default with the grids of the first stage."""
        assert self.width is not None, UNSUITED
        widths = (len(lower), *self.width, outputs)
        layers = []
        for inputs, count, intervals, degree in zip(
            widths[:-1], widths[1:], grids or self.stages()[0], self.degrees, strict=True
        ):
            start = lower.new_full((inputs,), -1.0)
            spline = BSpline(degree, intervals, start, lower.new_full((inputs,), 2.0 / intervals))
            layers.append(Layer(inputs, count, (spline, Activation("silu")) if self.base else (spline,)))
        return Network(tuple(layers), lower, upper)

    def initial_parameters(self, network: Network, generator: torch.Generator) -> Tensor:
        """Return random parameters (P,); `generator` lives on the CPU, so that all devices start alike."""
        assert self.noise is not None, UNSUITED
        draw = linear_weights if self.initial == "linear" else power_law_weights
        weights = [
            draw(layer, i == len(network.layers) - 1, self.noise, generator) for i, layer in enumerate(network.layers)
        ]
        return torch.cat([w.reshape(-1) for w in weights]).to(network.lower)


def linear_weights(layer: Layer, last: bool, noise: float, generator: torch.Generator) -> Tensor:
    """Return weights (f, O) of linear functions in spread directions plus noise; zero in the last layer.

    The directions of two inputs are equally spread over the half circle with a random shift; each is scaled to
    |z| <= 0.9, so that the next grid [-1, 1] is reached. The Greville abscissae make splines exactly linear.
    """
    w = torch.zeros(layer.features, layer.outputs, dtype=torch.float64)
    if last:
        return w
    if layer.inputs == 2:
        shift = torch.rand(layer.outputs, generator=generator, dtype=torch.float64)
        angles = pi * (torch.arange(layer.outputs, dtype=torch.float64) + shift) / layer.outputs
        directions = torch.stack([torch.cos(angles), torch.sin(angles)])
    else:
        directions = torch.randn(layer.inputs, layer.outputs, generator=generator, dtype=torch.float64)
    directions = 0.9 * directions / directions.abs().sum(dim=0)
    for basis, part in zip(layer.bases, layer.parts(w.T), strict=True):
        if isinstance(basis, BSpline):
            part += directions.T[..., None] * basis.nodes().cpu()
            part += noise * torch.randn(part.shape, generator=generator, dtype=torch.float64)
    return w


def power_law_weights(layer: Layer, last: bool, noise: float, generator: torch.Generator) -> Tensor:
    """Return normal weights (f, O) with standard deviation (G + k + 1)^-q I^-q / sqrt 3, q = 0.75 (base: 0.25)."""
    w = torch.zeros(layer.features, layer.outputs, dtype=torch.float64)
    size = 1 + max(basis.size for basis in layer.bases)
    for basis, part in zip(layer.bases, layer.parts(w.T), strict=True):
        q = 0.75 if isinstance(basis, BSpline) else 0.25
        part += torch.randn(part.shape, generator=generator, dtype=torch.float64) / (size * layer.inputs) ** q
    return w


def per_layer(values: Sequence[int], layers: int) -> tuple[int, ...]:
    """Return one value per layer; the last one repeats. Raise KanpdeError for an empty or too long list."""
    if not 1 <= len(values) <= layers:
        raise KanpdeError(f"{list(values)} has {len(values)} entries: give 1 to {layers}, one per layer.")
    return (*values, *[values[-1]] * (layers - len(values)))


def ladder(grid: int, start: int) -> list[int]:
    """Return ascending divisors of `grid`, each a multiple of the one before, from the coarsest one >= start."""
    steps = [grid]
    while True:
        below = [steps[0] // p for p in range(2, steps[0] + 1) if steps[0] % p == 0 and steps[0] // p >= start]
        if not below:
            return steps
        steps.insert(0, below[0])
