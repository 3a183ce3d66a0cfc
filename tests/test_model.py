"""Every network: channels and factors in closed form are those of nested autograd, and changes of grids are exact."""

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from examples import small_kan
from oracles import close, jacobian, network_output, points_in, random, taylor
from torch import Tensor

from kanpde import KAN, MLP, Box, KanpdeError, Problem
from kanpde.library import load_problem
from kanpde.model import Network, jacobian_blocks, plain
from kanpde.model.factor import BLOCK_POINTS, neighbours
from kanpde.model.kan import NONLINEAR, REACH, SUMS, ladder
from kanpde.model.network import Stage
from kanpde.multiindex import IndexSet, parse

Model = KAN | MLP
NAMES = ("x", "y", "t")
CASES: dict[str, tuple[Model, int, int, Sequence[str]]] = {
    "kan 1d": (small_kan(width=(3,), grid=4, degree=(7, 5)), 1, 1, ["xxxx"]),
    "kan 2d": (small_kan(width=(3,), grid=6, degree=(11, 3)), 2, 1, ["xx", "yy"]),
    "kan 2d, order 4": (small_kan(width=(2,), grid=(4, 3), degree=7), 2, 1, ["xxyy", "xxxx"]),
    "kan 2d, deep, with base": (small_kan(width=(3, 2), grid=(4, 2, 3), degree=(5, 4, 3), base=True), 2, 2, ["xxy"]),
    "kan 3d, power law": (small_kan(width=(3,), grid=4, degree=5, initial="power", base=True), 3, 2, ["xyt", "xx"]),
    "kan 2d, no hidden layer": (small_kan(width=(), grid=4, degree=5), 2, 1, ["xx", "yy"]),
    "kan 2d, products": (small_kan(width=(1, 2), products=3, grid=4, degree=(6, 5, 3)), 2, 1, ["xx", "xy"]),
    "kan 2d, only products": (small_kan(products=3, width=(0,), grid=(5, 1), degree=(7, 1)), 2, 2, ["xx", "yy"]),
    "kan 3d, products": (small_kan(width=(1,), products=2, grid=4, degree=(6, 3), base=True), 3, 2, ["xyt", "xx"]),
    "kan 2d, periodic": (small_kan(width=(2,), products=1, grid=6, degree=(5, 3)), 2, 1, ["xx", "xxy"]),
    "kan 2d, waves": (small_kan(width=(2,), grid=3, degree=(5, 3), basis="fourier"), 2, 1, ["xx", "xy"]),
    "kan 2d, chebyshev": (small_kan(width=(3,), grid=(8, 4), basis="chebyshev"), 2, 1, ["xx", "yy"]),
    "kan 2d, six layers deep": (small_kan(width=(2,) * 5, grid=4, degree=(5,), hidden_grid=2), 2, 1, ["xx", "yy"]),
    "kan 2d, values only": (small_kan(width=(3,), grid=4), 2, 1, []),
    "tanh 1d": (MLP(width=(5,)), 1, 2, ["xxxx"]),
    "tanh 2d": (MLP(width=(4, 3)), 2, 1, ["xxyy"]),
    "tanh 2d, periodic": (MLP(width=(4,)), 2, 1, ["xx", "xy"]),
    "sine 3d": (MLP(width=(4,), activation="sine"), 3, 1, ["xyt", "xx"]),
}
KANS = [name for name in CASES if name.startswith("kan")]


class Case:
    """A model with random parameters and points in a box that is not [-1, 1]."""

    def __init__(self, name: str, device: torch.device, count: int = 7) -> None:
        self.model, d, outputs, asked = CASES[name]
        self.names = NAMES[:d]
        self.indices = IndexSet(self.names, [parse(word, self.names) for word in asked])
        like = torch.zeros((), dtype=torch.float64, device=device)
        lower, upper = (-1.0, 0.0, 0.5)[:d], (1.0, 3.0, 1.0)[:d]
        self.periodic = (0,) if "periodic" in name or "waves" in name else ()
        corners = like.new_tensor(lower), like.new_tensor(upper)
        self.network = self.model.network(*corners, outputs, periodic=self.periodic)
        self.points = points_in(lower, upper, count, like)
        generator = torch.Generator().manual_seed(3)
        theta = self.model.initial_parameters(self.network, generator)
        self.theta = theta + 0.3 * random(len(theta), like=theta)

    def taylor(self, network: Network, theta: Tensor) -> Tensor:
        return network.forward(theta, self.indices, network.first(self.indices, self.points))[0]

    def oracle(self, theta: Tensor) -> Tensor:
        return taylor(lambda points: network_output(self.network, theta, points), self.points, self.indices)


@pytest.mark.parametrize("name", CASES)
def test_channels_are_the_derivatives(name: str, device: torch.device) -> None:
    case = Case(name, device)
    found, wanted = case.taylor(case.network, case.theta), case.oracle(case.theta).detach()
    assert found.dtype == torch.float64
    assert found.device.type == device.type
    for c, index in enumerate(case.indices.indices):
        assert close(found[c], wanted[c], 1e-10), index
    assert not close(1.01 * found, wanted, 1e-10)


@pytest.mark.parametrize("name", CASES)
def test_factors_are_the_jacobian(name: str, device: torch.device) -> None:
    case = Case(name, device, count=3)
    first = case.network.first(case.indices, case.points, [slice(0, 1), slice(1, 3)])
    output, passed = case.network.forward(case.theta, case.indices, first)
    adjoint = random(*output.shape, like=output)
    factors = case.network.factors(case.theta, case.indices, first, passed, adjoint)
    rows = torch.cat([factor.rows() for factor in factors], dim=1)
    wanted = jacobian(lambda theta: (adjoint * case.oracle(theta)).sum(dim=(0, 2)), case.theta)
    assert close(rows, wanted, 1e-10)
    assert not close(1.01 * rows, wanted, 1e-10)
    assert torch.equal(torch.cat([factor.rows() for factor in plain(factors)], dim=1), rows)
    blocks = torch.zeros_like(rows)
    for part, columns, entries in jacobian_blocks(factors):
        widths = [where.stop - where.start for where in columns]
        for where, share in zip(columns, entries.split(widths, dim=1), strict=True):
            blocks[part, where] = share
    assert torch.equal(blocks, rows)
    v, w = random(case.network.parameters, like=output), random(len(rows), like=output)
    parts = zip(factors, case.network.weights(v), strict=True)
    assert close(sum((f.times(part) for f, part in parts), torch.zeros_like(w)), rows @ v, 1e-12)
    assert close(torch.cat([f.transposed_times(w) for f in factors]), rows.T @ w, 1e-12)


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("name", KANS)
def test_refinement_is_exact(name: str, factor: int, device: torch.device) -> None:
    case = Case(name, device)
    _, case.theta = cover(case)
    finer, change = case.network.refined([factor] * len(case.network.layers))
    theta = change.parameters(case.theta)
    assert len(theta) == finer.parameters > case.network.parameters
    before, after = case.taylor(case.network, case.theta), case.taylor(finer, theta)
    for c in range(len(case.indices)):
        assert close(after[c], before[c], 1e-12 * 10 ** max(0, case.indices.orders[c] - 2))
    assert not close(after, 1.01 * before, 1e-10)


def cover(case: Case) -> tuple[Network, Tensor]:
    """Let the case's inner grids cover its activations, and return the network it had."""
    old = case.network
    case.network, change = old.covering(case.theta, case.points)
    return old, change.parameters(case.theta)


@pytest.mark.parametrize("name", KANS)
def test_covering_is_exact(name: str, device: torch.device) -> None:
    case = Case(name, device)
    old, theta = cover(case)
    before, after = case.taylor(old, case.theta), case.taylor(case.network, theta)
    for c in range(len(case.indices)):
        assert close(after[c], before[c], 1e-10)
    assert not close(after, 1.01 * before, 1e-10)


@pytest.mark.parametrize("name", KANS)
def test_a_network_that_changed_comes_back_from_what_is_saved(name: str, device: torch.device) -> None:
    case = Case(name, device)
    changed = case.network
    if any(breaks is not None for breaks in changed.grids()):
        masks = [torch.arange(len(b) - 1, device=device) % 3 == 0 for b in changed.grids() if b is not None]
        changed, _ = changed.bisected(masks)
    else:
        changed, _ = changed.refined([2] * len(changed.layers))
    theta = 0.3 * random(changed.parameters, like=case.theta)
    changed, cover = changed.covering(theta, case.points)
    theta = cover.parameters(theta)
    again = case.network.restored(changed.saved())
    assert again.parameters == changed.parameters
    assert torch.equal(case.taylor(again, theta), case.taylor(changed, theta))


@pytest.mark.parametrize("name", [name for name in KANS if "waves" not in name and "chebyshev" not in name])
def test_cutting_some_intervals_is_exact(name: str, device: torch.device) -> None:
    case = Case(name, device)
    network, theta = case.network, case.theta
    before = case.taylor(network, theta)
    for last in (True, False):  # next to an end, and again somewhere else
        masks = []
        for breaks in network.grids():
            assert breaks is not None
            mask = torch.zeros(len(breaks) - 1, dtype=torch.bool, device=device)
            mask[[-1] if last else [0, 1]] = True
            masks.append(mask)
        network, change = network.bisected(masks)
        theta = change.parameters(theta)
    assert len(theta) == network.parameters > case.network.parameters
    after = case.taylor(network, theta)
    for c in range(len(case.indices)):
        assert close(after[c], before[c], 1e-12 * 10 ** max(0, case.indices.orders[c] - 2))
    assert not close(after, 1.01 * before, 1e-10)


@pytest.mark.parametrize("name", ["kan 2d, periodic", "kan 2d, waves", "tanh 2d, periodic"])
def test_periodic_networks_repeat(name: str, device: torch.device) -> None:
    case = Case(name, device)
    length = torch.zeros_like(case.points)
    length[:, 0] = case.network.upper[0] - case.network.lower[0]
    here = case.taylor(case.network, case.theta)
    case.points = case.points + length
    assert close(case.taylor(case.network, case.theta), here, 1e-12)
    case.points = case.points - 0.1 * length
    assert not close(case.taylor(case.network, case.theta), here, 1e-3)


@pytest.mark.parametrize("intervals", [(9, 9), (40, 3), (1, 6), (1, 1)])
def test_neighbours_are_all_points_in_cells_of_whole_intervals(
    intervals: tuple[int, int], device: torch.device
) -> None:
    count = 12 * BLOCK_POINTS
    points = points_in((0.0, 0.0), (1.0, 1.0), count, torch.zeros((), dtype=torch.float64, device=device))
    grids = [torch.linspace(0, 1, n + 1, dtype=torch.float64, device=device) ** 2 for n in intervals]
    order, parts = neighbours([grids[0], None] if intervals == (9, 9) else grids, points)
    assert torch.equal(order.sort().values, torch.arange(count, device=device))
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == count
    assert len(parts) <= 12
    assert len(parts) > 4 or max(intervals) == 1
    if max(intervals) > 1:  # cut along the axis with most
        axis = intervals.index(max(intervals))
        places = torch.searchsorted(grids[axis], points[order][:, axis].contiguous())
        assert all(len(places[part].unique()) <= max(intervals) / 3 for part in parts)


@pytest.mark.parametrize("name", KANS)
def test_products_of_steps_and_gradients_are_kept(name: str, device: torch.device) -> None:
    case = Case(name, device)
    _, change = case.network.refined([2] * len(case.network.layers))
    s, y = random(2, case.network.parameters, like=case.theta)
    kept = change.parameters(s) @ change.gradient(y)
    assert kept.item() == pytest.approx((s @ y).item(), rel=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_initial_parameters_are_the_same_everywhere(name: str, device: torch.device) -> None:
    case = Case(name, device)

    def draw(seed: int, to: torch.device) -> Tensor:
        network = case.model.network(case.network.lower.to(to), case.network.upper.to(to), 1, periodic=case.periodic)
        return case.model.initial_parameters(network, torch.Generator().manual_seed(seed))

    theta = draw(0, device)
    assert theta.device.type == device.type
    assert torch.equal(theta, draw(0, device))
    assert torch.equal(theta.cpu(), draw(0, torch.device("cpu")))
    assert len(theta) == sum(
        layer.parameters for layer in case.model.network(*box(case), 1, periodic=case.periodic).layers
    )
    if len(case.network.layers) > 1:
        assert not torch.equal(theta, draw(1, device))


def box(case: Case) -> tuple[Tensor, Tensor]:
    return case.network.lower, case.network.upper


def test_hidden_units_start_as_linear_functions(device: torch.device) -> None:
    model = small_kan(width=(4,), grid=4, noise=0.0)
    like = torch.zeros((), dtype=torch.float64, device=device)
    network = model.network(like.new_tensor([-1.0, 0.0]), like.new_tensor([1.0, 2.0]), 1)
    theta = model.initial_parameters(network, torch.Generator().manual_seed(0))
    points = points_in((-1.0, 0.0), (1.0, 2.0), 9, like)
    indices = IndexSet(("x", "y"), [(2, 0), (1, 1), (0, 2)])
    hidden = network.first(indices, points).times(network.weights(theta)[0])
    assert float(hidden[0].abs().max()) <= 0.9 + 1e-12
    assert float(hidden[3:].abs().max()) < 1e-10
    assert float(hidden[1:3].abs().sum(dim=0).min()) > 0.5
    assert not network.weights(theta)[1].any()


@pytest.mark.parametrize("depth", range(2, 7))
@pytest.mark.parametrize("initial", ["linear", "power"])
def test_activations_of_deep_networks_keep_their_size(initial: str, depth: int, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    for products in (0, 2):
        model = small_kan((4,) * (depth - 1), 8, 5, products=products, hidden_grid=2, initial=initial)
        network = model.network(like.new_tensor([-1.0, 0.0]), like.new_tensor([1.0, 2.0]), 1)
        theta = model.initial_parameters(network, torch.Generator().manual_seed(depth))
        points = points_in((-1.0, 0.0), (1.0, 2.0), 500, like)
        value = IndexSet(("x", "y"))
        _, passed = network.forward(theta, value, network.first(value, points))
        for layer, (_, sums) in zip(network.layers[:-1], passed[:-1], strict=True):
            nodes = layer.nodes(value, sums)[0]
            assert 0.1 <= float(nodes.var(dim=0).mean()) * 3 <= 10  # inputs have the variance 1 / 3
            assert float(sums[0].abs().max()) < 1.5 * REACH


def test_stages_double_up_to_the_grid() -> None:
    assert ladder(20, 5) == [5, 10, 20]
    assert ladder(20, 6) == [10, 20]
    assert ladder(27, 2) == [3, 9, 27]
    assert ladder(7, 10) == [7]
    model = small_kan(width=(3, 3), grid=20, hidden_grid=2, start_grid=5)
    assert model.grids == (20, 2, 2)
    assert replace(model, degree=(5, 3), basis="chebyshev").grids == (20, 3, 3)
    assert model.stages() == [Stage((n, 2, 2), 0) for n in (5, 10, 20)]
    both = small_kan(width=(3,), grid=(8, 4), start_grid=2).stages()
    assert both == [Stage(grids, 0) for grids in ((2, 2), (4, 2), (8, 4))]
    for coarse, fine in pairwise(both):
        assert all(b % a == 0 for a, b in zip(coarse.grids, fine.grids, strict=True))
    assert MLP().stages() == [Stage()]


def test_adaptive_stages_say_where_growth_starts_and_ends() -> None:
    model = small_kan(width=(0,), products=6, start_products=2, grid=30, start_grid=10, knots="adaptive")
    assert model.stages() == [Stage((10, 1), 2), Stage((30, 1), 6)]
    assert replace(model, start_products=None).stages() == [Stage((10, 1), 6), Stage((30, 1), 6)]
    assert replace(model, start_products=9, grid=3).stages() == [Stage((3, 1), 6)] * 2
    assert len(replace(model, basis="chebyshev", start_grid=30).stages()) == 1


def test_a_network_that_grows_is_tried_small_and_even_first() -> None:
    model = small_kan(width=(0,), products=6, start_products=4, grid=45, start_grid=10, knots="adaptive")
    smooth, last = model.attempts()
    assert last == model
    assert smooth.stages() == [Stage((grid, 1), 2) for grid in (10, 20)]
    assert replace(model, start_products=None).attempts() == [replace(model, start_products=None)]
    assert MLP().attempts() == [MLP()]
    even = replace(model, knots="uniform")
    few, all_of_them = even.attempts()
    assert few.stages() == [Stage((grid, 1), 4) for grid in (15, 45)]
    assert {stage.products for stage in all_of_them.stages()} == {6}
    assert all_of_them.stages()[0].grids[0] >= 20
    assert replace(even, start_products=6).attempts() == [replace(even, start_products=6)]


def test_affine_equations_of_two_coordinates_are_tried_again_on_adaptive_knots() -> None:
    model = KAN().suited(load_problem("torsion"))
    few, many = model.attempts()
    assert (few.products, few.knots, many.products, many.knots) == (3, "uniform", 40, "adaptive")
    assert many.grids == (2 * few.grids[0], 1)
    assert many.limit == NONLINEAR["parameters"]
    assert few.limit > many.limit
    for name in ("poisson3d", "poisson_holes", "heat1d_parametric", "poisson1d"):
        assert KAN().suited(load_problem(name)).parameters is None
    for asked in (KAN(basis="chebyshev"), KAN(knots="uniform")):
        assert asked.suited(load_problem("torsion")).parameters is None


def test_with_one_coordinate_there_is_a_finer_node_for_each_unknown() -> None:
    model = KAN().suited(load_problem("poisson1d"))
    assert (model.products, model.start_products, model.grids[0]) == (1, None, 240)
    equations = {"u": lambda u, v, at: u.d("t") + u * v, "v": lambda u, v, at: v.d("t") - u * v}
    model = KAN().suited(Problem(Box(t=(0, 1)), equations))
    assert (model.products, model.start_products, model.knots) == (2, None, "adaptive")
    assert KAN(grid=30, products=4).suited(load_problem("poisson1d")).grids[0] == 30
    assert KAN(width=(3,)).suited(load_problem("poisson1d")).grids[0] == SUMS["grid"]


@pytest.mark.parametrize("name", ["poisson1d", "poisson2d", "burgers1d", "burgers_inverse"])
@pytest.mark.parametrize("settings", [{}, {"width": (3, 3)}, {"products": 2}, {"width": (2,), "products": 1}])
def test_what_is_chosen_can_multiply_coordinates(name: str, settings: dict[str, Any]) -> None:
    problem = load_problem(name)
    model = KAN(**settings).suited(problem)
    model.check(problem.order)
    assert not any(
        getattr(model, f.name) is None for f in fields(KAN) if f.name not in ("start_products", "parameters")
    )
    for given, value in settings.items():
        assert getattr(model, given) == value
    nonlinear = any(k > 1 or g > 1 for k, g in zip(model.degrees[1:], model.grids[1:], strict=True))
    assert nonlinear or model.products
    assert model.suited(problem) == model


def test_settings_of_layers_repeat() -> None:
    assert small_kan(width=(3, 3), degree=7).degrees == (7, 7, 7)
    assert small_kan(width=(3, 3), degree=(11, 5)).degrees == (11, 5, 5)
    assert small_kan(width=(3, 3), grid=(8, 4)).grids == (8, 4, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": 0}, "grid=0: a spline needs at least 1 interval"),
        ({"grid": (4, -1)}, "grid=-1: a spline needs at least 1 interval"),
        ({"hidden_grid": 0}, "hidden_grid=0"),
        ({"start_grid": 0}, "start_grid=0"),
        ({"degree": 12}, "degree=12: B-splines of degree 1 to 11"),
        ({"degree": 0}, "degree=0"),
        ({"width": (0,)}, r"width=\[0\]: every hidden layer needs at least one unit"),
        ({"width": (2, 0), "products": 1}, r"width=\[2, 0\]: every hidden layer needs at least one unit"),
        ({"width": (-1,), "products": 1}, r"width=\[-1\]: every hidden layer needs at least one unit"),
        ({"width": (), "products": 1}, r"products=1: .* needs a hidden layer"),
        ({"width": None, "products": 0}, r"products=0: .* give width"),
        ({"products": -1}, r"products=-1: a number of nodes is not negative"),
        ({"start_products": -1}, r"start_products=-1: a number of nodes is not negative"),
        ({"knots": "adaptiv"}, "unknown knots 'adaptiv': did you mean 'adaptive'"),
        ({"basis": "spline"}, "unknown basis 'spline': did you mean 'bspline'"),
        ({"noise": -0.1}, "noise=-0.1: a standard deviation is not negative"),
        ({"initial": "liner"}, "unknown initialisation 'liner': did you mean 'linear'"),
    ],
)
def test_wrong_settings_of_a_kan(settings: dict[str, object], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        KAN(**{"width": (3,), **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [(1, 2, 3), ()])
def test_lists_have_one_entry_per_layer(values: tuple[int, ...]) -> None:
    with pytest.raises(KanpdeError, match=rf"has {len(values)} entries: give 1 to 2, one per layer"):
        small_kan(width=(3,), grid=values).stages()
    with pytest.raises(KanpdeError, match=rf"has {len(values)} entries: give 1 to 2, one per layer"):
        small_kan(width=(3,), degree=values).check(2)


def test_wrong_settings_of_an_mlp() -> None:
    with pytest.raises(KanpdeError, match="unknown activation 'tan': did you mean 'tanh'"):
        MLP(activation="tan")
    for width in ((), (3, 0)):
        with pytest.raises(KanpdeError, match="at least one hidden layer"):
            MLP(width=width)


def test_rough_splines_are_refused() -> None:
    small_kan(degree=(11, 3), hidden_grid=2).check(2)
    small_kan(degree=(11, 1), hidden_grid=1).check(2)
    MLP().check(9)
    with pytest.raises(KanpdeError, match=r"degree=3 is too low for an equation of order 3: .* model.degree >= 4"):
        small_kan(degree=(11, 3), hidden_grid=2).check(3)
