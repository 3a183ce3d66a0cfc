"""Kolmogorov-Arnold networks: B-splines on the edges, sums and products at the nodes (Liu et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, pi
from sys import maxsize
from typing import Any

import torch
from torch import Tensor

from kanpde.basis import Activation, BSpline, Chebyshev, Fourier, Learnable
from kanpde.errors import KanpdeError, unknown_name
from kanpde.floats import TINY
from kanpde.geometry import Box
from kanpde.model.layer import Edges, Layer
from kanpde.model.network import Network, Stage
from kanpde.multiindex import IndexSet
from kanpde.problem import Problem

BASES = ("bspline", "chebyshev", "fourier")
INITIALISATIONS = ("linear", "power")
KNOTS = ("adaptive", "uniform")
AFFINE: dict[str, Any] = {
    "width": (0,),
    "products": 6,
    "start_products": 3,
    "grid": 60,
    "degree": (11, 1),
    "hidden_grid": 1,
    "start_grid": 15,
    "knots": "uniform",
    "noise": 0.3,
}
NONLINEAR: dict[str, Any] = {
    "width": (0,),
    "products": 24,
    "start_products": 8,
    "parameters": 2900,
    "grid": 120,
    "degree": (9, 1),
    "hidden_grid": 1,
    "start_grid": 16,
    "knots": "adaptive",
    "noise": 0.3,
}
SEPARATED: dict[str, Any] = {"products": 40, "parameters": NONLINEAR["parameters"]}
"""What differs where product nodes can be taken from a solution with all products of splines."""
ONE_COORDINATE: dict[str, Any] = {"grid": 240, "start_products": None}
"""What differs where there is one coordinate: nodes are functions of it, and each unknown needs one, so it is finer."""
SUMS: dict[str, Any] = {
    "products": 0,
    "grid": 20,
    "degree": (11, 3),
    "hidden_grid": 1,
    "start_grid": 10,
    "knots": "uniform",
    "noise": 0.1,
}
GENERAL: dict[str, Any] = {"products": 12, "start_products": None, "degree": (9, 1)}
"""What differs for affine equations where the domain is no box: its factor is no product of functions."""
PARAMETRIC: dict[str, Any] = {"products": 20, "start_products": None, "grid": 20, "start_grid": 5}
"""What differs for affine equations with parameters: a solution that is separable for each value is none for all."""
DATA: dict[str, Any] = {**NONLINEAR, "products": 40, "start_products": 2, "grid": 64, "start_grid": 1}
"""Where there are data alone: a function of few parameters that grows as long as that helps on held-out data."""
STRUCTURES: tuple[tuple[tuple[int, ...], int, int, int], ...] = (((0,), 3, 7, 16), ((5, 2), 0, 5, 4))
"""Sum nodes, product nodes, degree and most intervals of what is tried before on data: three separable functions, and
deeper sums."""
DATA_DEGREES = (7, 5, 3)
"""Degrees for data, the first of which has polynomials in three nodes that need a quarter of the parameters."""
PER_RADIUS = 3
"""Intervals of the first grid per smallest radius of a boundary: training does not find back from a coarser one."""
UNSUITED = "settings with None: call suited(problem) first"
REACH = 0.9
"""The largest activation at the start: within the next grid, [-1, 1]."""
LEVEL_POINTS = 256


@dataclass(frozen=True)
class KAN:
    """Settings of a KAN. None lets `suited` choose from the problem.

    width: numbers of hidden sum nodes, one per hidden layer.
    products: number of product nodes in the first hidden layer, each a product of one function of every coordinate;
        none if only `width` is given.
    start_products: the number of product nodes to begin with. With even knots all `products` start anew, on a first
        grid twice as fine, if these leave a large residual. With adaptive knots others are added where knots alone do
        not help; before, half as many try whether the solution is smooth, and if so they stay, and their knots are
        refined evenly. By default there is one number of them in all stages.
    parameters: with adaptive knots, the number of parameters that a network grows to, at most. None sets no limit. With
        even knots and `start_products`, a network with adaptive knots and so many parameters is the second attempt.
    grid: intervals of the splines in the last stage. An integer is for the first layer, which resolves the solution;
        deeper layers, which combine a few smooth functions, get `hidden_grid`. A list gives every layer its own; its
        last entry repeats.
    degree: of the splines, 1 to 11; an integer for all layers, or a list whose last entry repeats.
    start_grid: the first stage has the coarsest grid of at least this many intervals that divides `grid`; stages
        double it (or multiply by the smallest possible factor) up to `grid`.
    knots: "uniform" cuts all intervals of the first layer alike; "adaptive" cuts those that promise the largest
        decrease of the loss, as long as that helps, up to `grid` intervals per input on average.
    basis: "bspline", "chebyshev" (polynomials, with `grid` for the degree), or "fourier" (splines, but waves, with
        `grid` for the number of harmonics, where an input is periodic).
    base: add a smooth silu branch to every edge.
    initial: "linear" starts hidden units as linear functions in spread directions and the output at zero; "power"
        draws all coefficients with the power law of Rigas et al. 2025 (exponents 0.25 and 0.75). Either way activations
        of deeper layers start as large as the grids.
    noise: standard deviation of white noise on the coefficients of the hidden layers ("linear").
    alternatives: networks to train before this one on data alone; the one with the lowest held-out loss is the result.
        `suited` fills them in where nothing is asked for.
    """

    width: Sequence[int] | None = None
    grid: int | Sequence[int] | None = None
    degree: int | Sequence[int] | None = None
    products: int | None = None
    start_products: int | None = None
    parameters: int | None = None
    hidden_grid: int | None = None
    start_grid: int | None = None
    knots: str | None = None
    basis: str = "bspline"
    base: bool = False
    initial: str = "linear"
    noise: float | None = None
    alternatives: Sequence[KAN] = ()

    name = "kan"

    def __post_init__(self) -> None:
        if self.parameters is not None and self.parameters < 1:
            raise KanpdeError(f"parameters={self.parameters}: give a positive number, or null for no limit.")
        for what, count in (("products", self.products), ("start_products", self.start_products)):
            if count is not None and count < 0:
                raise KanpdeError(f"{what}={count}: a number of nodes is not negative.")
        if self.products and self.width is not None and not self.width:
            raise KanpdeError(f"products={self.products}: a product node needs a hidden layer: give width=[0].")
        if self.products == 0 and self.width is None:
            raise KanpdeError("products=0: without product nodes give width, the numbers of sum nodes.")
        for number, w in enumerate(self.width or ()):
            if w < (0 if number == 0 and self.products else 1):
                raise KanpdeError(f"width={list(self.width or ())}: every hidden layer needs at least one unit.")
        grids = [self.grid] if isinstance(self.grid, int) else self.grid or ()
        for what, values in (("grid", grids), ("hidden_grid", [self.hidden_grid]), ("start_grid", [self.start_grid])):
            for g in values:
                if g is not None and g < 1:
                    raise KanpdeError(f"{what}={g}: a spline needs at least 1 interval.")
        for k in [self.degree] if isinstance(self.degree, int) else self.degree or ():
            if not 1 <= k <= 11:
                raise KanpdeError(f"degree={k}: B-splines of degree 1 to 11 are supported.")
        if self.noise is not None and not self.noise >= 0:
            raise KanpdeError(f"noise={self.noise}: a standard deviation is not negative.")
        for what, name, known in (
            ("initialisation", self.initial, INITIALISATIONS),
            ("knots", self.knots, KNOTS),
            ("basis", self.basis, BASES),
        ):
            if name is not None and name not in known:
                raise unknown_name(what, name, known)

    def suited(self, problem: Problem) -> KAN:
        """Return these settings with every None chosen for a problem, by the kind of its equations.

        Product nodes, whose sum is the solution. Affine equations: a few for each unknown, on splines of high degree
        that are refined evenly; more where the domain is no box, and where there are parameters. With two coordinates
        of a box more, on adaptive knots, are the second attempt. With one coordinate a node is a function of it, and
        there is one for each unknown. Nonlinear equations may form fronts: a few nodes to start with, whose number and
        knots grow. Data alone: the same from one or two nodes and one interval, with fewer parameters than half of the
        data. Sums, if `width` asks for them: inputs of high degree and outer functions that are one cubic each,
        which can multiply functions of one variable.
        `docs/solvers.md` has the measurements.
        """
        geometry, count = problem.geometry, len(problem.unknowns)
        affine = {**AFFINE, "products": AFFINE["products"] * count, "start_products": AFFINE["start_products"] * count}
        if not isinstance(geometry, Box):
            resolving = ceil(PER_RADIUS * geometry.size * geometry.curvature - 0.1)
            least = (PARAMETRIC if geometry.parameters else AFFINE)["start_grid"]
            affine = {**AFFINE, **GENERAL, "start_grid": min(max(least, resolving), AFFINE["grid"])}
        elif geometry.parameters:
            affine = {**affine, **PARAMETRIC, "products": PARAMETRIC["products"] * count}
        nonlinear = {**NONLINEAR, "products": NONLINEAR["products"] * count}
        if self.basis != "bspline" or self.knots == "uniform":
            nonlinear["parameters"] = None  # there are to be no adaptive knots
        elif separable(problem) and geometry.dimension == 2 and not geometry.parameters:
            separated = {**SEPARATED, "products": SEPARATED["products"] * count}
            affine, nonlinear = {**affine, **separated}, {**nonlinear, **separated}
        choice = affine if problem.affine else nonlinear
        if not problem.equations:
            choice = for_data(problem)
        if self.width is not None:
            choice = {
                **SUMS,
                **({"degree": (choice["degree"][0], 3), "start_grid": 1} if not problem.equations else {}),
            }
        elif problem.geometry.dimension == 1:
            choice = {**choice, **ONE_COORDINATE, "products": count}
        if self.products is not None:
            choice = {**choice, "start_products": None}
        asked = self.width, self.grid, self.degree, self.products, self.parameters, self.knots
        if not problem.equations and all(each is None for each in asked) and self.basis == "bspline":
            others = self.alternatives or alternatives(problem)
        else:
            others = tuple(self.alternatives)
        missing = {name: value for name, value in choice.items() if getattr(self, name) is None}
        return replace(self, **missing, alternatives=tuple(other.suited(problem) for other in others))

    @property
    def grids(self) -> tuple[int, ...]:
        """The numbers of intervals of the last stage, per layer; of polynomials the degrees, at least `degree`."""
        assert self.width is not None, UNSUITED
        assert self.grid is not None, UNSUITED
        if isinstance(self.grid, int):
            assert self.hidden_grid is not None, UNSUITED
            grids: tuple[int, ...] = (self.grid, *[self.hidden_grid] * len(self.width))
        else:
            grids = per_layer(self.grid, len(self.width) + 1)
        return tuple(map(max, grids, self.degrees)) if self.basis == "chebyshev" else grids

    @property
    def degrees(self) -> tuple[int, ...]:
        """The degrees, per layer."""
        assert self.width is not None, UNSUITED
        assert self.degree is not None, UNSUITED
        return per_layer([self.degree] if isinstance(self.degree, int) else self.degree, len(self.width) + 1)

    @property
    def adaptive(self) -> bool:
        """Whether stages choose the intervals that they cut."""
        return self.knots == "adaptive" and self.basis == "bspline"

    @property
    def limit(self) -> int:
        """The number of parameters that a network grows to, at most."""
        return self.parameters if self.parameters is not None and self.adaptive else maxsize

    def check(self, order: int) -> None:
        """Raise KanpdeError unless the splines are smooth enough for residuals of a PDE of this order."""
        rough = [k for k, g in zip(self.degrees, self.grids, strict=True) if g > 1 and k < order + 1]
        if self.basis != "chebyshev" and rough:
            raise KanpdeError(
                f"degree={min(rough)} is too low for an equation of order {order}: a continuous residual needs"
                f" model.degree >= {order + 1}."
            )

    def stages(self) -> list[Stage]:
        """Return the stages, coarse to fine; each grid is a multiple of the one before.

        With adaptive knots they are two: where growth starts, and the most knots and nodes there may be.
        """
        assert self.start_grid is not None, UNSUITED
        last = self.products or 0
        if self.adaptive:
            first, *deeper = self.grids
            few = last if self.start_products is None else min(self.start_products, last)
            return [Stage((min(first, self.start_grid), *deeper), few), Stage(self.grids, last)]
        ladders = [ladder(g, self.start_grid) for g in self.grids]
        count = max(map(len, ladders))
        steps = [tuple(rungs[max(0, i - count + len(rungs))] for rungs in ladders) for i in range(count)]
        return [Stage(grids, last) for grids in steps]

    def attempts(self) -> list[KAN]:
        """Return what to train, in order, each if the one before turns out too simple for the solution.

        With even knots these are `start_products` nodes and then all of them, on adaptive knots of up to twice as many
        intervals if the number of `parameters` is limited, or else from a finer first grid. A network that grows is
        preceded by half of `start_products` nodes on at most half as many and even knots, which suffice for a smooth
        solution.
        """
        assert self.start_grid is not None, UNSUITED
        if self.alternatives:
            return [*self.alternatives, replace(self, alternatives=())]
        few, last = self.start_products, self.products or 0
        if few is None or (few >= last and not self.adaptive):
            return [self]
        first, *deeper = self.grids
        if not self.adaptive:
            following = (
                replace(self, start_products=None, start_grid=2 * self.start_grid)
                if self.parameters is None
                else replace(self, knots="adaptive", grid=(2 * first, *deeper))
            )
            return [replace(self, products=few), following]
        grid = min(self.start_grid, first)
        while 4 * grid <= first:
            grid *= 2
        smooth = replace(self, products=max(1, few // 2), knots="uniform", grid=(grid, *deeper))
        return [smooth, self]

    def network(
        self,
        lower: Tensor,
        upper: Tensor,
        outputs: int,
        stage: Stage | None = None,
        periodic: Sequence[int] = (),
        scalars: int = 0,
    ) -> Network:
        """Return the network on the box [lower, upper] (d,), by default that of the first stage.

        `periodic` are the axes along which it repeats with the length of the box; `scalars` more outputs are constant.
        """
        assert self.width is not None, UNSUITED
        grids, products = stage or self.stages()[0]
        sums = (*self.width, outputs)
        layers: list[Layer] = []
        for number, (g, k) in enumerate(zip(grids, self.degrees, strict=True)):
            inputs = layers[-1].outputs if layers else len(lower)
            # Every coordinate has its own knots; hidden units share the number of intervals.
            groups = [(i, i + 1) for i in range(inputs)] if number == 0 else [(0, inputs)]
            edges = [
                Edges(self.edge_basis(k, g, lower.new_ones(b - a), number == 0 and a in periodic), a, b)
                for a, b in groups
            ]
            if self.base:
                # A silu does not repeat, so periodic inputs have none.
                edges += [Edges(Activation("silu"), a, b) for a, b in groups if number or a not in periodic]
            layers.append(Layer(inputs, tuple(edges), sums[number], 0 if number else products))
        return Network(tuple(layers), lower, upper, scalars)

    def edge_basis(self, degree: int, intervals: int, one: Tensor, periodic: bool) -> Learnable:
        """Return the basis on [-1, 1] for as many inputs as `one` (I,) has entries."""
        if periodic and self.basis != "bspline":
            return Fourier(intervals, -one, one)
        if self.basis == "chebyshev":
            return Chebyshev(intervals, -one, one)
        return BSpline.uniform(degree, intervals, -one, one, periodic)

    def initial_parameters(self, network: Network, generator: torch.Generator) -> Tensor:
        """Return random parameters (P,); `generator` lives on the CPU, so that all devices start alike."""
        assert self.noise is not None, UNSUITED
        draw = linear_weights if self.initial == "linear" else power_law_weights
        weights = [draw(layer, self.noise, generator) for layer in network.layers[:-1]]
        weights.append(last_weights(network.layers[-1], network.layers[-2].sums if weights else len(network.lower)))
        zero = torch.zeros(network.scalars, dtype=torch.float64)
        theta = torch.cat([zero, *(w.reshape(-1) for w in weights)]).to(network.lower)
        return levelled(network, theta, 1 if self.initial == "linear" else 0)


def for_data(problem: Problem) -> dict[str, Any]:
    """Return the settings for data alone."""
    most, count = max(problem.data // 2, 1), len(problem.unknowns)
    nodes = 3 * count * problem.geometry.dimension
    degree = next((k for k in DATA_DEGREES if 4 * nodes * (k + 1) <= most), DATA_DEGREES[-1])
    more = {"products": DATA["products"] * count, "start_products": DATA["start_products"] * count}
    return {**DATA, **more, "degree": (degree, 1), "parameters": most}


def alternatives(problem: Problem) -> tuple[KAN, ...]:
    """Return networks of few nodes for data in several coordinates, with at most half as many parameters as data."""
    inputs, outputs, found = problem.geometry.dimension, len(problem.unknowns), []
    for width, products, degree, most in STRUCTURES if inputs > 1 else ():
        sums, linear = tuple(w * outputs for w in width), width == (0,)
        nodes = [inputs, sums[0] + products * outputs, *sums[1:], outputs]
        edges = [a * b for a, b in pairwise(nodes)]
        room = problem.data // 2 - 2 * edges[1] if linear else problem.data // 2
        intervals = room // (edges[0] if linear else sum(edges)) - degree
        if intervals < 1:
            continue
        grid = 2 ** (min(intervals, most).bit_length() - 1)
        found.append(
            KAN(
                width=sums,
                products=products * outputs or None,
                grid=(grid, 1) if linear else (grid,),
                degree=(degree, 1) if linear else (degree,),
                hidden_grid=1,
                start_grid=1,
                knots="uniform",
                noise=AFFINE["noise"] if linear else SUMS["noise"],
            )
        )
    return tuple(found)


def separable(problem: Problem) -> bool:
    """Whether a network of one or two coordinates can be found by solving with all products of their splines.

    One of them is not periodic, there are equations, and nothing that all rows of residuals share enters them.
    """
    geometry = problem.geometry
    if not isinstance(geometry, Box) or geometry.dimension > 2 or problem.scalars or not problem.equations:
        return False
    return len(problem.periodic) < geometry.dimension


def last_weights(layer: Layer, sums: int) -> Tensor:
    """Return weights (f, O) of the last layer for which outputs are the sum of all inputs after the first `sums`."""
    w = torch.zeros(layer.features, layer.outputs, dtype=torch.float64)
    for e, part in zip(layer.edges, layer.parts(w.T), strict=True):
        if isinstance(e.basis, Learnable):
            part[:, sums:] += e.basis.ramp()[sums:].cpu()
    return w


def linear_weights(layer: Layer, noise: float, generator: torch.Generator) -> Tensor:
    """Return weights (f, S + M): sums are linear functions in spread directions plus noise, factors are noise.

    The directions of two inputs are equally spread over the half circle with a random shift; each is scaled to
    |z| <= REACH, so that the next grid [-1, 1] is reached. The Greville abscissae make splines exactly linear.
    """
    w = torch.zeros(layer.features, layer.outputs, dtype=torch.float64)
    if layer.inputs == 2:
        shift = torch.rand(layer.sums, generator=generator, dtype=torch.float64)
        angles = pi * (torch.arange(layer.sums, dtype=torch.float64) + shift) / max(1, layer.sums)
        directions = torch.stack([torch.cos(angles), torch.sin(angles)])
    else:
        directions = torch.randn(layer.inputs, layer.sums, generator=generator, dtype=torch.float64)
    directions *= REACH / directions.abs().sum(dim=0)
    for e, part in zip(layer.edges, layer.parts(w.T), strict=True):
        if isinstance(e.basis, Learnable):
            part[: layer.sums] += directions.T[:, e.first : e.last, None] * e.basis.ramp().cpu()
            part += noise * torch.randn(part.shape, generator=generator, dtype=torch.float64)
    return w


def power_law_weights(layer: Layer, noise: float, generator: torch.Generator) -> Tensor:
    """Return normal weights (f, S + M) with standard deviation (K + 1)^-q I^-q, q = 0.75 (base: 0.25)."""
    w = torch.zeros(layer.features, layer.outputs, dtype=torch.float64)
    size = 1 + max(e.basis.size for e in layer.edges)
    for e, part in zip(layer.edges, layer.parts(w.T), strict=True):
        q = 0.75 if isinstance(e.basis, Learnable) else 0.25
        part += torch.randn(part.shape, generator=generator, dtype=torch.float64) / (size * layer.inputs) ** q
    return w


def levelled(network: Network, theta: Tensor, first: int) -> Tensor:
    """Return the parameters with every sum of the hidden layers from `first` on stretched to [-REACH, REACH].

    Without it the variance shrinks from layer to layer. One layer after the other, by what it is at fixed points
    (Mishkin & Matas 2016, but with the range for the variance, since splines beyond their grids are polynomials).
    """
    theta, dimension = theta.clone(), len(network.lower)
    unit = torch.quasirandom.SobolEngine(dimension).draw(LEVEL_POINTS, dtype=torch.float64).to(theta)
    value = IndexSet(tuple(str(axis) for axis in range(dimension)))
    features = network.first(value, network.lower + (network.upper - network.lower) * unit)
    for number, (layer, w) in enumerate(zip(network.layers[:-1], network.weights(theta), strict=False)):
        if number < first:
            continue
        _, passed = network.forward(theta, value, features, reverse=False)
        plain = w[:, : layer.sums]
        low, high = passed[number].sums[0, :, : layer.sums].aminmax(dim=0)
        slope = 2 * REACH / (high - low).clamp_min(TINY)
        plain *= slope
        basis, part = layer.edges[0].basis, next(layer.parts(plain.T))
        assert isinstance(basis, Learnable)
        part[:, 0] -= (0.5 * slope * (high + low))[:, None] * basis.one()[0]
    return theta


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
