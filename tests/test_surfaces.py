"""Hard conditions on domains of every kind: exact on the boundary for any parameters, and what stays soft."""

from collections.abc import Mapping

import pytest
import torch
from domains import COMB, DOMAINS, STAR, ring_arrays
from examples import small_kan
from oracles import random
from torch import Tensor, cos, exp, sin

from kanpde import (
    Box,
    Disk,
    Ellipse,
    Field,
    KanpdeError,
    LShape,
    Points,
    Polygon,
    Problem,
    dirichlet,
    initial,
    initial_velocity,
    neumann,
)
from kanpde.geometry import Geometry, Mesh
from kanpde.model import Ansatz
from kanpde.multiindex import IndexSet
from kanpde.problem import Condition
from kanpde.sampling import draw

RING = Disk().named("rim") - Disk((0.2, 0), 0.3).named("hole")
CYLINDER = RING * Box(t=(0.5, 2))
BORDER = 1e-11


def laplace(u: Field, at: Points) -> Tensor:
    return u.d("xx")


def g(at: Points) -> Tensor:
    return exp(at.x) * sin(2 * at.y + 0.3)


def h(at: Points) -> Tensor:
    return g(at) * cos(at.t) + at.t * at.x


def h_start(at: Points) -> Tensor:
    return g(at) * cos(torch.full_like(at.x, 0.5)) + 0.5 * at.x


def h_rate(at: Points) -> Tensor:
    return -g(at) * sin(torch.full_like(at.x, 0.5)) + at.x


def g_lift(at: Points) -> Tensor:
    return g(at) + torch.log(at.x**2 + at.y**2)


def h_lift(at: Points) -> Tensor:
    hole = (at.x - 0.2) ** 2 + at.y**2 - 0.09
    return h(at) + hole * (1 - at.x**2 - at.y**2) * at.t


CASES: dict[str, tuple[Geometry, dict[str, Condition]]] = {
    "disk": (Disk(), {"rim": dirichlet("all", g)}),
    "ellipse, constant": (Ellipse(angle=0.4), {"rim": dirichlet("all", 3.0)}),
    "ring, two values": (RING, {"rim": dirichlet("rim", 0.0), "hole": dirichlet("hole", 1.0)}),
    "ring, two functions": (RING, {"hole": dirichlet("hole", lambda at: 1 + at.x), "rim": dirichlet("rim", g)}),
    "L-shape": (LShape(), {"walls": dirichlet("all", g)}),
    "L-shape, each edge": (LShape(), {f"e{i}": dirichlet(f"edge{i}", g) for i in range(6)}),
    "L-shape, inner edge": (LShape(), {"inner": dirichlet("edge0", g)}),
    "L-shape, all but an inner edge": (LShape(), {f"e{i}": dirichlet(f"edge{i}", g) for i in range(5)}),
    "comb": (Polygon(COMB), {"walls": dirichlet("all", g)}),
    "comb, every other edge": (Polygon(COMB), {f"e{i}": dirichlet(f"edge{i}", g) for i in range(0, 14, 2)}),
    "star": (Polygon(STAR), {"walls": dirichlet("all", g)}),
    "keyhole": (DOMAINS["keyhole"], {"disk": dirichlet("all", g)}),
    "keyhole, one side": (DOMAINS["keyhole"], {"end": dirichlet("x+", 2.0)}),
    "lens": (DOMAINS["lens"], {"all": dirichlet("all", g)}),
    "box with holes": (DOMAINS["box with holes"], {"w": dirichlet("walls", 1.0), "h": dirichlet("holes", g)}),
    "ball": (DOMAINS["ball"], {"all": dirichlet("all", lambda at: at.x * at.z)}),
    "shell": (DOMAINS["shell"], {"inner": dirichlet("inner", 1.0)}),
    "cylinder": (DOMAINS["cylinder"], {"side": dirichlet("side", 1.0), "z": dirichlet("z", lambda at: at.x)}),
    "mesh in time": (Mesh(*ring_arrays()) * Box(t=(0.5, 1)), {"start": initial(g)}),
    "start only": (CYLINDER, {"start": initial(g)}),
    "start and walls": (CYLINDER, {"start": initial(h_start), "rim": dirichlet("all", h)}),
    "start and two walls": (
        CYLINDER,
        {"start": initial(0.0), "rim": dirichlet("rim", lambda at: (at.t - 0.5) * at.x), "hole": dirichlet("hole")},
    ),
    "start, velocity, walls": (
        CYLINDER,
        {"speed": initial_velocity(h_rate), "start": initial(h_start), "rim": dirichlet("all", h)},
    ),
    "a lift of its own": (
        CYLINDER,
        {"start": initial(h_start, lift=lambda at: h_start(at) * exp(0.5 - at.t)), "rim": dirichlet("all", h)},
    ),
    "ring, a lift": (RING, {"rim": dirichlet("rim", g, lift=g_lift), "hole": dirichlet("hole", 1.0)}),
    "start, a lift of the walls": (CYLINDER, {"start": initial(h_start), "all": dirichlet("all", h, lift=h_lift)}),
    "a lift at the start by its place": (
        CYLINDER,
        {"start": dirichlet("t-", h_start, lift=h), "rim": dirichlet("rim", h)},
    ),
}


def problem_of(name: str) -> Problem:
    domain, conditions = CASES[name]
    return Problem(domain, {"e": laplace}, conditions)


def solution(ansatz: Ansatz, at: Points, indices: IndexSet, seed: int = 0) -> Tensor:
    """Return u (C, N) for random parameters."""
    geometry = ansatz.problem.geometry
    lower, upper = (torch.tensor(side, dtype=torch.float64).to(at.x) for side in (geometry.lower, geometry.upper))
    network = small_kan(width=(3,), grid=4).network(lower, upper, 1)
    return ansatz.taylor(network, random(network.parameters, like=lower, seed=seed), at, indices)[..., 0]


@pytest.mark.parametrize("name", CASES)
def test_conditions_hold_for_any_parameters(name: str, device: torch.device) -> None:
    problem = problem_of(name)
    geometry, ansatz = problem.geometry, Ansatz(problem)
    assert ansatz.soft == ()
    like = torch.zeros((), dtype=torch.float64, device=device)
    time = (0, 0, 1) if geometry.time else (0,) * geometry.dimension
    for condition in problem.conditions.values():
        at = draw(geometry.boundary(condition.where), geometry.names, "sobol", 60, 0, like).at
        indices = IndexSet(geometry.names, [time] if condition.kind == "initial velocity" else [])
        for seed in range(2):
            u = solution(ansatz, at, indices, seed)
            residual = condition.residual(Field.of("u", indices, u), at)
            assert float(residual.abs().max()) < BORDER * max(1.0, float(u.abs().max()))
            wrong = condition.residual(Field.of("u", indices, 1.01 * u + 1e-3), at)
            assert float(wrong.abs().max()) > 1e-5


@pytest.mark.parametrize("name", CASES)
def test_the_network_is_free_elsewhere_and_channels_are_finite(name: str) -> None:
    problem = problem_of(name)
    geometry, ansatz = problem.geometry, Ansatz(problem)
    at = Points.of(geometry.names, geometry.sample(500))
    orders = [tuple(2 * (i == j) for i in range(geometry.dimension)) for j in range(geometry.dimension)]
    frame = ansatz.frame(IndexSet(geometry.names, orders), at)
    assert bool((frame.factor[0] > 0).all())
    assert float(frame.factor[0].max()) <= 1.5
    assert float(frame.factor[0].max()) > 0.2
    assert bool(torch.isfinite(frame.factor).all())
    held = {patch for c in problem.conditions.values() for patch in geometry.boundary(c.where)}
    for patch in geometry.boundary("all"):
        if patch not in held:
            points = draw((patch,), geometry.names, "sobol", 50, 0, torch.zeros((), dtype=torch.float64)).at
            assert float(ansatz.frame(IndexSet(geometry.names), points).factor.abs().min()) > 1e-9


def test_poisson_on_a_disk_is_the_factor() -> None:
    """-Lap u = 1 with u = 0 on the rim has the solution (1 - r^2) / 4, a multiple of the factor."""
    at = Points.of(("x", "y"), Disk().sample(50))
    frame = Ansatz(problem_of("disk")).frame(IndexSet(("x", "y"), [(2, 0), (0, 2)]), at)
    found = frame.factor[0, :, 0] / (1 - at.x**2 - at.y**2)
    assert float((found / found[0] - 1).abs().max()) < 1e-12


def test_polygons_are_smooth_at_convex_corners() -> None:
    """The factor of a convex polygon is a polynomial: its fifth derivative along x vanishes for four edges."""
    square = Polygon([(0, 0), (2, 0.5), (2, 2), (0, 1)])
    ansatz = Ansatz(Problem(square, {"e": laplace}, {"walls": dirichlet("all")}))
    frame = ansatz.frame(IndexSet(("x", "y"), [(5, 0)]), Points.of(("x", "y"), square.sample(20)))
    assert float(frame.factor[-1].abs().max()) < 1e-11


def test_data_are_joined_over_the_width_between_parts() -> None:
    """Weights of distances in other units would change within a hundredth of the width."""
    geometry = Box(x=(-1, 1), y=(-1, 1)).named("walls") - Disk(radius=0.1).named("hole")
    conditions = {"walls": dirichlet("walls", 1.0), "hole": dirichlet("hole", 0.0)}
    x = torch.tensor([0.12, 0.2, 0.4, 0.8], dtype=torch.float64)
    at = Points.of(("x", "y"), torch.stack([x, torch.zeros_like(x)], dim=1))
    problem = Problem(geometry, {"laplace": laplace}, conditions)
    (lift,) = Ansatz(problem).frame(IndexSet(("x", "y")), at).lift[0].T
    assert bool((lift.diff() > 0).all())
    assert 0.02 < float(lift[0]) < 0.1
    assert 0.1 < float(lift[2]) < 0.7


def test_fluxes_and_meshes_stay_soft() -> None:
    conditions: Mapping[str, Condition] = {"rim": dirichlet("rim", 1.0), "hole": neumann("hole", 0.0)}
    ansatz = Ansatz(Problem(RING, {"e": laplace}, conditions))
    assert (ansatz.hard, ansatz.soft) == (("rim",), ("hole",))
    assert Ansatz(Problem(RING, {"e": laplace}, conditions), "soft").soft == ("rim", "hole")
    mesh = Mesh(*ring_arrays())
    conditions = {"in": dirichlet("inner", 1.0), "start": initial(g)}
    ansatz = Ansatz(Problem(mesh, {"e": laplace}, {"in": dirichlet("inner", 1.0)}))
    assert ansatz.soft == ("in",)
    frame = ansatz.frame(IndexSet(("x", "y"), [(1, 0)]), Points.of(("x", "y"), mesh.sample(5)))
    assert not frame.lift.any()
    assert torch.equal(frame.factor[..., 0], torch.tensor([[1.0] * 5, [0.0] * 5], dtype=torch.float64))
    ansatz = Ansatz(Problem(mesh * Box(t=(0, 1)), {"e": laplace}, conditions))
    assert (ansatz.hard, ansatz.soft) == (("start",), ("in",))


def test_initial_data_that_do_not_agree_are_joined_by_weights() -> None:
    conditions: Mapping[str, Condition] = {
        "start": initial(1.0),
        "rim": dirichlet("all", 0.0),
        "speed": initial_velocity(0.0),
    }
    problem = Problem(Disk() * Box(t=(0, 1)), {"e": laplace}, conditions)
    ansatz = Ansatz(problem)
    assert ansatz.soft == ("speed",)
    like = torch.zeros((), dtype=torch.float64)
    for label in ("start", "rim"):
        at = draw(problem.geometry.boundary(conditions[label].where), problem.geometry.names, "sobol", 60, 0, like).at
        assert float((solution(ansatz, at, IndexSet(at.names))[0] - float(label == "start")).abs().max()) < BORDER


def test_a_velocity_that_walls_contradict_stays_soft() -> None:
    conditions: Mapping[str, Condition] = {
        "start": initial(0.0),
        "rim": dirichlet("all", 0.0),
        "speed": initial_velocity(1.0),
    }
    assert Ansatz(Problem(Disk() * Box(t=(0, 1)), {"e": laplace}, conditions)).soft == ("speed",)


def test_two_values_on_one_part_are_refused() -> None:
    conditions = {"walls": dirichlet("all", 0.0), "hole": dirichlet("hole", 1.0)}
    with pytest.raises(KanpdeError, match="condition 'hole' sets a part of the boundary that has a value from 'walls'"):
        Ansatz(Problem(RING, {"e": laplace}, conditions))


def test_a_lift_of_a_wall_is_taken_as_it_is() -> None:
    at = Points.of(("x", "y"), Disk().sample(50))
    walls = dirichlet("all", g, lift=g_lift)
    frame = Ansatz(Problem(Disk(), {"e": laplace}, {"walls": walls})).frame(IndexSet(("x", "y")), at)
    assert torch.equal(frame.lift[0, :, 0], g_lift(at))


def test_a_lift_of_walls_that_is_singular_at_the_start_agrees_with_it() -> None:
    """Whether walls and initial values agree is seen from the values, not from the lift, which is nan there."""

    def lift(at: Points) -> Tensor:
        distance = 1 - at.x**2 - at.y**2
        return distance * torch.log(distance.clamp_min(0) + at.t)

    geometry = Disk() * Box(t=(0, 1))
    conditions = {"start": initial(0.0), "rim": dirichlet("all", 0.0, lift=lift)}
    at = Points.of(geometry.names, geometry.sample(50))
    frame = Ansatz(Problem(geometry, {"e": laplace}, conditions)).frame(IndexSet(geometry.names), at)
    assert torch.allclose(frame.lift[0, :, 0], lift(at) - lift(at.moved(t=0 * at.t)), rtol=0, atol=1e-14)


def test_a_lift_that_does_not_fit_is_refused() -> None:
    with pytest.raises(KanpdeError, match="lift of condition 'rim' differs from its value by"):
        Ansatz(Problem(Disk(), {"e": laplace}, {"rim": dirichlet("all", 0.0, lift=g)}))
    start = initial(h_start, lift=lambda at: 1.001 * h_start(at))
    with pytest.raises(KanpdeError, match="lift of condition 'start' differs from its value by"):
        Ansatz(Problem(CYLINDER, {"e": laplace}, {"start": start}))
