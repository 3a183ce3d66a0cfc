"""Hard conditions hold whatever the parameters are; what cannot be hard stays soft; channels are derivatives."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from examples import small_kan
from oracles import close, points_in, random, taylor
from torch import Tensor, cos, exp, sin

from kanpde import (
    Box,
    Field,
    KanpdeError,
    Points,
    Problem,
    dirichlet,
    initial,
    initial_velocity,
    neumann,
    periodic,
    robin,
)
from kanpde.model import Ansatz
from kanpde.multiindex import IndexSet
from kanpde.problem import Condition
from kanpde.sampling import draw

Function = Callable[[Points], Tensor]


def laplace(u: Field, at: Points) -> Tensor:
    return u.d("xx")


def g(at: Points) -> Tensor:
    """Data that are compatible everywhere: one smooth function."""
    return exp(at.x) * sin(2 * at.y + 0.3)


def h(at: Points) -> Tensor:
    return cos(at.x) * exp(-at.t) + at.t * at.x**2


def h_t(at: Points) -> Tensor:
    return -cos(at.x) * exp(-at.t) + at.x**2


def s(at: Points) -> Tensor:
    return at.x * at.y + sin(at.t + at.x * at.y)


def own_lift(at: Points) -> Tensor:
    return cos(at.x) * exp(-3 * (at.t - 0.5)) + (at.t - 0.5) * at.x


def h_lift(at: Points) -> Tensor:
    return h(at) + (at.x + 1) * (at.t - 0.5)


SQUARE, STRIP = Box(x=(-1, 2), y=(0, 1)), Box(x=(-1, 2), t=(0.5, 2))
BOX = Box(x=(0, 1), y=(-1, 1), t=(0, 3))
CASES: dict[str, tuple[Box, dict[str, Condition]]] = {
    "all walls, constant": (SQUARE, {"walls": dirichlet("all", 0.0)}),
    "all walls": (SQUARE, {"walls": dirichlet("all", g)}),
    "one wall": (SQUARE, {"left": dirichlet("x-", g)}),
    "three walls": (SQUARE, {"sides": dirichlet("x", g), "top": dirichlet("y+", g)}),
    "one dimension": (Box(x=(0, 2)), {"left": dirichlet("x-", 3.0), "right": dirichlet("x+", -1.0)}),
    "initial value": (STRIP, {"start": initial(lambda at: sin(at.x))}),
    "initial value and walls in time": (STRIP, {"start": initial(h), "walls": dirichlet("x", h)}),
    "initial value, velocity": (STRIP, {"start": initial(h), "velocity": initial_velocity(h_t)}),
    "velocity, walls in time": (
        STRIP,
        {"velocity": initial_velocity(h_t), "walls": dirichlet("x", h), "start": initial(h)},
    ),
    "constant velocity": (STRIP, {"start": initial(0.0), "velocity": initial_velocity(2.0)}),
    "a lift of its own": (STRIP, {"start": initial(lambda at: cos(at.x), lift=own_lift)}),
    "a lift of its own and walls": (
        STRIP,
        {"walls": dirichlet("x", own_lift), "start": initial(lambda at: cos(at.x), lift=own_lift)},
    ),
    "a lift of walls, initial value": (
        STRIP,
        {"start": initial(h), "walls": dirichlet("x", h, lift=lambda at: h(at) + (at.x + 1) * (2 - at.x) * exp(at.t))},
    ),
    "a lift of a wall, all walls": (
        BOX,
        {
            "left": dirichlet("x-", s, lift=lambda at: s(at) + at.x * cos(at.y)),
            "start": initial(s),
            "others": dirichlet("y", s),
        },
    ),
    "one lift of two conditions": (
        STRIP,
        {"start": initial(h, lift=h_lift), "left": dirichlet("x-", h, lift=h_lift), "right": dirichlet("x+", h)},
    ),
    "space and time": (BOX, {"start": initial(s), "walls": dirichlet("all", s)}),
}


def solution(ansatz: Ansatz, at: Points, indices: IndexSet, seed: int = 0) -> Tensor:
    """Return u (C, N, U) for random parameters."""
    geometry = ansatz.problem.geometry
    lower, upper = (at.x.new_tensor(side) for side in (geometry.lower, geometry.upper))
    network = small_kan(width=(3,), grid=4).network(lower, upper, len(ansatz.problem.unknowns))
    return ansatz.taylor(network, random(network.parameters, like=lower, seed=seed), at, indices)


@pytest.mark.parametrize("name", CASES)
def test_hard_conditions_hold_for_any_parameters(name: str, device: torch.device) -> None:
    geometry, conditions = CASES[name]
    problem = Problem(geometry, {"e": laplace}, conditions)
    ansatz = Ansatz(problem)
    assert ansatz.soft == ()
    assert set(ansatz.hard) == set(conditions)
    like = torch.zeros((), dtype=torch.float64, device=device)
    indices = IndexSet(geometry.names, [(0,) * (geometry.dimension - 1) + (1,)])
    for condition in conditions.values():
        at = draw(geometry.boundary(condition.where), geometry.names, "sobol", 40, 0, like).at
        for seed in range(2):
            u = solution(ansatz, at, indices, seed)
            residual = condition.residual(Field.of("u", indices, u[..., 0]), at)
            assert float(residual.abs().max()) < 1e-12 * max(1.0, float(u.abs().max()))
            wrong = condition.residual(Field.of("u", indices, 1.01 * u[..., 0] + 1e-3), at)
            assert float(wrong.abs().max()) > 1e-5


@pytest.mark.parametrize("name", CASES)
def test_the_network_is_free_inside(name: str) -> None:
    geometry, conditions = CASES[name]
    ansatz = Ansatz(Problem(geometry, {"e": laplace}, conditions))
    like = torch.zeros((), dtype=torch.float64)
    at = draw((geometry.interior(),), geometry.names, "sobol", 40, 0, like).at
    factor = ansatz.frame(IndexSet(geometry.names), at).factor
    assert bool((factor > 0).all())


@pytest.mark.parametrize("name", CASES)
def test_channels_of_lift_and_factor_are_derivatives(name: str, device: torch.device) -> None:
    geometry, conditions = CASES[name]
    ansatz = Ansatz(Problem(geometry, {"e": laplace}, conditions))
    like = torch.zeros((), dtype=torch.float64, device=device)
    points = points_in(geometry.lower, geometry.upper, 5, like)
    value = IndexSet(geometry.names)
    indices = IndexSet(geometry.names, [(2,) + (1,) * (geometry.dimension - 1)])
    frame = ansatz.frame(indices, Points.of(geometry.names, points))

    for found, function in ((frame.lift, ansatz._lift(0)), (frame.factor, ansatz._q(0))):

        def evaluated(array: Tensor, function: Function | float = function) -> Tensor:
            at = Points.of(geometry.names, array)
            return (function(at) if callable(function) else torch.full_like(at.x, function))[:, None]

        wanted = taylor(evaluated, points, indices).detach()
        assert torch.allclose(found, wanted, rtol=1e-12, atol=1e-12)
    u = solution(ansatz, Points.of(geometry.names, points), indices)
    zero = solution(ansatz, Points.of(geometry.names, points), value)
    assert close(u[0], zero[0], 1e-13)


def test_the_product_rule_reaches_all_channels(device: torch.device) -> None:
    """u = A + q N: the whole solution's channels against nested autograd of its value."""
    ansatz = Ansatz(Problem(SQUARE, {"e": laplace}, CASES["all walls"][1]))
    like = torch.zeros((), dtype=torch.float64, device=device)
    points = points_in(SQUARE.lower, SQUARE.upper, 5, like)
    indices = IndexSet(SQUARE.names, [(2, 0), (1, 1), (0, 2)])
    output = random(len(indices), 5, 1, like=like)  # channels of some network
    frame = ansatz.frame(indices, Points.of(SQUARE.names, points))

    def value(array: Tensor) -> Tensor:
        dx = (array - points).unbind(dim=1)
        network = sum(
            (output[c, :, 0] * dx[0] ** a * dx[1] ** b for c, (a, b) in enumerate(indices.indices)), torch.zeros(())
        )
        at = Points.of(SQUARE.names, array)
        lift = ansatz._lift(0)
        assert callable(lift)
        return (lift(at) + ansatz._q(0)(at) * network)[:, None]

    wanted = taylor(value, points, indices).detach()
    assert close(frame.solution(output), wanted, 1e-12)
    assert not close(1.01 * frame.solution(output), wanted, 1e-12)
    adjoint = random(*wanted.shape, like=like, seed=5)
    left = ((frame.solution(output) - frame.lift) * adjoint).sum()
    assert left.item() == pytest.approx((output * frame.pull_back(adjoint)).sum().item(), rel=1e-12)


def test_soft_conditions_stay_in_the_loss() -> None:
    conditions = {
        "walls": dirichlet("x-", 1.0),
        "flux": neumann("x+", 0.0),
        "mixed": robin("y-", 1.0),
    }
    problem = Problem(SQUARE, {"e": laplace}, conditions)
    assert (Ansatz(problem).hard, Ansatz(problem).soft) == (("walls",), ("flux", "mixed"))
    assert Ansatz(problem, "soft").soft == tuple(conditions)
    at = Points.of(SQUARE.names, torch.rand(3, 2, dtype=torch.float64))
    frame = Ansatz(problem, "soft").frame(IndexSet(SQUARE.names, [(1, 0)]), at)
    assert not frame.lift.any()
    assert torch.equal(frame.factor[0], torch.ones_like(frame.factor[0]))


@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_periodic_conditions_are_hard_and_leave_the_ansatz_alone(mode: str) -> None:
    at = Points.of(STRIP.names, torch.rand(5, 2, dtype=torch.float64))
    indices = IndexSet(STRIP.names, [(2, 0)])
    start: dict[str, Condition] = {"start": initial(h)}
    ansatz = Ansatz(Problem(STRIP, {"e": laplace}, {**start, "sides": periodic("x")}), mode)
    assert "sides" in ansatz.hard
    assert "sides" not in ansatz.soft
    found, wanted = (a.frame(indices, at) for a in (ansatz, Ansatz(Problem(STRIP, {"e": laplace}, start), mode)))
    assert torch.equal(found.lift, wanted.lift)
    assert torch.equal(found.factor, wanted.factor)


def test_a_velocity_without_an_initial_value_is_soft() -> None:
    problem = Problem(STRIP, {"e": laplace}, {"velocity": initial_velocity(1.0)})
    assert Ansatz(problem).soft == ("velocity",)


def test_each_unknown_has_its_conditions(device: torch.device) -> None:
    def equation(u: Field, v: Field, at: Points) -> Tensor:
        return u.d("x") - v

    conditions = {"left": dirichlet("x-", 2.0, "u"), "top": dirichlet("y+", -1.0, "v")}
    ansatz = Ansatz(Problem(SQUARE, {"e": equation}, conditions))
    like = torch.zeros((), dtype=torch.float64, device=device)
    for where, unknown, value in (("x-", 0, 2.0), ("y+", 1, -1.0)):
        at = draw(SQUARE.boundary(where), SQUARE.names, "sobol", 10, 0, like).at
        u = solution(ansatz, at, IndexSet(SQUARE.names))[0]
        assert torch.allclose(u[:, unknown], torch.full_like(at.x, value), atol=1e-13)
        assert float((u[:, 1 - unknown] - value).abs().max()) > 1e-3


def test_a_lift_of_its_own_is_taken_as_it_is() -> None:
    start = initial(lambda at: cos(at.x), lift=own_lift)
    at = Points.of(STRIP.names, points_in(STRIP.lower, STRIP.upper, 9, torch.zeros((), dtype=torch.float64)))
    value = IndexSet(STRIP.names)
    frame = Ansatz(Problem(STRIP, {"e": laplace}, {"start": start})).frame(value, at)
    assert close(frame.lift[0, :, 0], own_lift(at), 1e-15)
    assert not Ansatz(Problem(STRIP, {"e": laplace}, {"start": start}), "soft").frame(value, at).lift.any()


def test_a_lift_of_walls_is_taken_as_it_is() -> None:
    """It may be singular where another wall begins, so it is not looked at on the walls that it satisfies."""

    def lift(at: Points) -> Tensor:
        return at.x * torch.log(at.x + at.t)  # 0 at x = 0

    walls, end = dirichlet("x-", 0.0, lift=lift), dirichlet("x+", 2.0)
    problem = Problem(Box(x=(0, 1), t=(0, 1)), {"e": laplace}, {"wall": walls, "end": end})
    at = Points.of(("x", "t"), points_in((0.0, 0.0), (1.0, 1.0), 30, torch.zeros((), dtype=torch.float64)))
    value = IndexSet(("x", "t"))
    frame = Ansatz(problem, "hard").frame(value, at)
    blend = 2.0 - torch.log(1 + at.t)  # what is missing at x = 1 is added in proportion to x
    assert close(frame.lift[0, :, 0], lift(at) + at.x * blend, 1e-14)
    alone = Ansatz(replace(problem, conditions={"wall": walls}), "hard").frame(value, at)
    assert torch.equal(alone.lift[0, :, 0], lift(at))


def test_a_lift_of_walls_may_be_singular_at_the_start() -> None:
    """The initial value is corrected first; that this changes no wall is not found from values of the lift there."""

    def lift(at: Points) -> Tensor:
        return at.x * torch.log(at.x**2 + at.t)  # 0 at x = 0

    conditions = {"wall": dirichlet("x-", 0.0, lift=lift), "start": initial(lambda at: at.x)}
    ansatz = Ansatz(Problem(Box(x=(0, 1), t=(0, 1)), {"e": laplace}, conditions))
    at = Points.of(("x", "t"), points_in((0.0, 0.0), (1.0, 1.0), 30, torch.zeros((), dtype=torch.float64)))
    found = ansatz.frame(IndexSet(("x", "t")), at).lift[0, :, 0]
    assert close(found, lift(at) + at.x - at.x * torch.log(at.x**2), 1e-14)


def test_walls_that_contradict_the_start_hold_beside_a_lift() -> None:
    lift: Function = lambda at: 2.0 + sin(at.x) * at.t  # noqa: E731
    conditions = {"start": initial(5.0), "wall": dirichlet("x-", 2.0, lift=lift)}
    box = Box(x=(0, 1), t=(0, 1))
    t = torch.linspace(0.1, 1, 10, dtype=torch.float64)
    u = solution(
        Ansatz(Problem(box, {"e": laplace}, conditions)), Points(("x", "t"), {"x": 0 * t, "t": t}), IndexSet(box.names)
    )
    assert float((u - 2.0).abs().max()) < 1e-14


def test_two_lifts_of_an_unknown_are_refused() -> None:
    conditions = {"start": initial(h, lift=h_lift), "left": dirichlet("x-", h, lift=h)}
    with pytest.raises(KanpdeError, match="conditions 'start' and 'left' have two lifts for one unknown"):
        Ansatz(Problem(STRIP, {"e": laplace}, conditions))
    conditions["left"] = dirichlet("x-", h, "v", lift=h)
    conditions["start"] = initial(h, "u", lift=h_lift)
    Ansatz(Problem(STRIP, {"e": lambda u, v, at: u.d("xx") + v}, conditions))


def test_a_lift_that_does_not_fit_is_refused() -> None:
    start = initial(lambda at: 1.001 * cos(at.x), lift=own_lift)
    with pytest.raises(KanpdeError, match=r"lift of condition 'start' differs from its value by 1.0e-03"):
        Ansatz(Problem(STRIP, {"e": laplace}, {"start": start}))
    start = initial(1.0, lift=lambda at: 1 + 0 * torch.log(at.t - 0.5))
    with pytest.raises(KanpdeError, match=r"lift of condition 'start' differs from its value by nan"):
        Ansatz(Problem(STRIP, {"e": laplace}, {"start": start}))
    conditions = {"start": initial(lambda at: cos(at.x), lift=own_lift), "velocity": initial_velocity(1.0)}
    with pytest.raises(KanpdeError, match="'start' has a lift, which 'velocity' would change: leave out one"):
        Ansatz(Problem(STRIP, {"e": laplace}, conditions))


def test_two_conditions_on_a_face_are_refused() -> None:
    conditions = {"walls": dirichlet("all", 0.0), "left": dirichlet("x-", 1.0)}
    with pytest.raises(KanpdeError, match="condition 'left' sets the face x-, which has a value already"):
        Ansatz(Problem(SQUARE, {"e": laplace}, conditions))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(KanpdeError, match="unknown way to impose conditions 'hart': did you mean 'hard'"):
        Ansatz(Problem(SQUARE, {"e": laplace}), "hart")


def test_data_that_are_not_finite_are_refused() -> None:
    problem = Problem(SQUARE, {"e": laplace}, {"left": dirichlet("x-", lambda at: torch.log(at.y - 2))})
    at = Points.of(SQUARE.names, torch.rand(3, 2, dtype=torch.float64))
    with pytest.raises(KanpdeError, match="not finite inside the domain: use conditions=soft"):
        Ansatz(problem).frame(IndexSet(SQUARE.names, [(2, 0)]), at)
