"""Chebyshev collocation: against closed forms, other solvers and rates; stiffness; the numbers of conditions."""

from math import log, pi
from typing import Any

import numpy as np
import pytest
import torch
from oracles import close, points_in
from scipy.integrate import solve_ivp
from torch import Tensor

from kanpde import Box, KanpdeError, Points, dirichlet, initial, initial_velocity, neumann, periodic, robin
from kanpde.multiindex import IndexSet
from kanpde.reference import burgers_cole_hopf, collocation
from kanpde.reference.collocation import radau

XT = Box(x=(-1, 1), t=(0, 1))


def somewhere(box: Box, count: int = 200) -> Points:
    return Points.of(box.names, points_in(box.lower, box.upper, count, torch.zeros((), dtype=torch.float64)))


def difference(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def at_end(solution: Any, end: float) -> np.ndarray:
    values = solution.taylor(Points.of(("t",), torch.tensor([[end]], dtype=torch.float64)), IndexSet(("t",), [(1,)]))
    return values[:, 0].numpy()


@pytest.mark.parametrize(("mu", "end", "method"), [(1.0, 10.0, "DOP853"), (100.0, 150.0, "Radau")])
def test_an_oscillator_agrees_with_another_solver_also_if_it_is_stiff(mu: float, end: float, method: str) -> None:
    def equation(u: Any, at: Points) -> Tensor:
        return u.d("tt") - mu * (1 - u**2) * u.d("t") + u

    start = {"u": initial(2.0), "v": initial_velocity(0.0)}
    solution = collocation(Box(t=(0, end)), {"equation": equation}, start)
    other = solve_ivp(
        lambda t, y: [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]], (0, end), [2, 0], method=method, rtol=1e-11, atol=1e-13
    )
    assert np.allclose(at_end(solution, end)[:, 0], other.y[:, -1], rtol=1e-8, atol=1e-9)
    assert not np.allclose(1.01 * at_end(solution, end)[:, 0], other.y[:, -1], rtol=1e-8, atol=1e-9)
    assert solution.error < 1e-9


def test_systems_agree_with_another_solver() -> None:
    def prey(u: Any, v: Any, at: Points) -> Tensor:
        return u.d("t") - u * (1.5 - v)

    def predators(u: Any, v: Any, at: Points) -> Tensor:
        return v.d("t") - v * (u - 3)

    start = {"u": initial(1.0, unknown="u"), "v": initial(1.0, unknown="v")}
    solution = collocation(Box(t=(0, 5)), {"prey": prey, "predators": predators}, start)
    other = solve_ivp(
        lambda t, y: [y[0] * (1.5 - y[1]), y[1] * (y[0] - 3)], (0, 5), [1, 1], method="DOP853", rtol=1e-13, atol=1e-14
    )
    assert np.allclose(at_end(solution, 5.0)[0], other.y[:, -1], rtol=1e-10)
    assert not np.allclose(1.01 * at_end(solution, 5.0)[0], other.y[:, -1], rtol=1e-10)
    assert solution.error < 1e-10


def momentum(u: Any, at: Points) -> Tensor:
    return u.d("t") + u * u.d("x") - 0.1 * u.d("xx")


def test_burgers_agrees_with_cole_hopf_and_converges_geometrically() -> None:
    conditions = {"start": initial(lambda at: -torch.sin(pi * at.x)), "walls": dirichlet("x", 0.0)}
    at, indices = somewhere(XT), IndexSet(XT.names, [(2, 0), (0, 1)])
    wanted = burgers_cole_hopf(0.1).taylor(at, indices)
    errors, stated = [], []
    for nodes in (24, 40):
        solution = collocation(XT, {"momentum": momentum}, conditions, nodes=nodes, degree=10, tolerance=1e-9)
        found = solution.taylor(at, indices)
        errors.append(difference(found[0], wanted[0]))
        stated.append(solution.error)
        assert errors[-1] <= stated[-1] <= 100 * errors[-1]
    assert log(errors[0] / errors[1]) / 16 > 0.25  # a factor per node
    assert errors[1] < 1e-5
    assert difference(1.01 * found[0], wanted[0]) > 5e-3
    for channel in range(len(indices)):
        assert close(found[channel], wanted[channel], 1e-3)


def test_waves_in_any_order_of_coordinates() -> None:
    box = Box(t=(1, 2), x=(0, 1))
    conditions = {
        "start": initial(lambda at: torch.sin(pi * at.x)),
        "rest": initial_velocity(0.0),
        "walls": dirichlet("x", 0.0),
    }
    solution = collocation(box, {"wave": lambda u, at: u.d("tt") - 4 * u.d("xx")}, conditions, nodes=20)
    at = somewhere(box)
    wanted = torch.sin(pi * at.x) * torch.cos(2 * pi * (at.t - 1))
    found = solution.taylor(at, IndexSet(box.names, [(2, 0)]))
    assert close(found[0, :, 0], wanted, 1e-11)
    assert close(2 * found[-1, :, 0], -4 * pi**2 * wanted, 1e-8)
    assert not close(1.01 * found[0, :, 0], wanted, 1e-11)


def test_a_nonlinear_boundary_value_problem() -> None:
    """Bratu's problem u_xx + exp(u) = 0 with its closed form, on the branch that Newton's iteration finds from zero."""
    theta = 1.0
    for _ in range(100):
        theta = float(np.sqrt(2) * np.cosh(theta / 4))
    box = Box(x=(0, 1))
    solution = collocation(
        box, {"bratu": lambda u, at: u.d("xx") + torch.exp(u.value)}, {"walls": dirichlet("x")}, nodes=24
    )
    at = somewhere(box)
    wanted = -2 * torch.log(torch.cosh((at.x - 0.5) * theta / 2) / np.cosh(theta / 4))
    assert close(solution.taylor(at, IndexSet(box.names))[0, :, 0], wanted, 1e-11)
    assert not close(1.01 * solution.taylor(at, IndexSet(box.names))[0, :, 0], wanted, 1e-11)
    assert solution.error < 1e-10


def test_natural_conditions_and_a_plate_of_fourth_order() -> None:
    box = Box(x=(0, 2))
    conditions = {"flux": neumann("x-", -1.0), "loss": robin("x+", lambda at: 3 * at.x**0, coefficient=1.0)}
    # -u_xx = 0 with -u_x = -1 at 0 and u + u_x = 3 at 2: u = x.
    solution = collocation(box, {"rod": lambda u, at: -u.d("xx")}, conditions, nodes=8)
    at = somewhere(box)
    assert close(solution.taylor(at, IndexSet(box.names))[0, :, 0], at.x, 1e-12)
    clamped = {"ends": dirichlet("x"), "slopes": neumann("x")}
    beam = collocation(box, {"beam": lambda u, at: u.d("xxxx") - 24}, clamped, nodes=8)
    assert close(beam.taylor(at, IndexSet(box.names))[0, :, 0], at.x**2 * (2 - at.x) ** 2, 1e-12)


def test_an_unknown_without_a_derivative_in_time() -> None:
    """The Cahn-Hilliard equation as two of second order: a linear part with a known solution."""

    def mass(u: Any, w: Any, at: Points) -> Tensor:
        return u.d("t") - w.d("xx")

    def potential(u: Any, w: Any, at: Points) -> Tensor:
        return w + u.d("xx")

    conditions = {
        "start": initial(lambda at: torch.cos(pi * at.x), unknown="u"),
        "u": neumann("x", unknown="u"),
        "w": neumann("x", unknown="w"),
    }
    box = Box(x=(0, 1), t=(0, 0.02))
    solution = collocation(box, {"mass": mass, "potential": potential}, conditions, nodes=20)
    at = somewhere(box)
    wanted = torch.exp(-(pi**4) * at.t) * torch.cos(pi * at.x)
    found = solution.taylor(at, IndexSet(box.names))[0]
    assert close(found[:, 0], wanted, 1e-9)
    assert close(found[:, 1], pi**2 * wanted, 1e-7)


def test_radau_points() -> None:
    assert radau(1).tolist() == [1.0]
    assert radau(2) == pytest.approx([-1 / 3, 1.0])
    assert radau(3) == pytest.approx([(-1 - 6**0.5) / 5, (-1 + 6**0.5) / 5, 1.0])


def heat(u: Any, at: Points) -> Tensor:
    return u.d("t") - u.d("xx")


WRONG: dict[str, tuple[Box, dict[str, Any], dict[str, Any], str]] = {
    "two dimensions": (Box(x=(0, 1), y=(0, 1)), {"walls": dirichlet("all")}, {}, "at most one space coordinate"),
    "periodic": (XT, {"start": initial(0.0), "sides": periodic("x")}, {}, r"take fourier\(\.\.\.\)"),
    "no start": (XT, {"walls": dirichlet("x")}, {}, "order 1 in t, .* needs 1 initial conditions, .* x-, x+"),
    "one wall": (XT, {"start": initial(0.0), "wall": dirichlet("x-")}, {}, "order 2 in x, .* needs 2 conditions"),
    "at the end": (XT, {"end": dirichlet("t+"), "walls": dirichlet("x")}, {}, "order 1 in t"),
    "few nodes": (XT, {"start": initial(0.0), "walls": dirichlet("x")}, {"nodes": 4}, "give at least 8 nodes"),
    "degree": (XT, {"start": initial(0.0), "walls": dirichlet("x")}, {"degree": 50}, "a degree from 4 to 32"),
    "guesses": (XT, {"start": initial(0.0), "walls": dirichlet("x")}, {"guess": [0.0, 0.0]}, "guess has 2 entries"),
}


@pytest.mark.parametrize(("box", "conditions", "settings", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_settings_are_refused(
    box: Box, conditions: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    def laplace(u: Any, at: Points) -> Tensor:
        return u.d("xx") + u.d("yy")

    with pytest.raises(KanpdeError, match=message):
        collocation(box, {"equation": laplace if "y" in box.names else heat}, conditions, **settings)


def test_equations_and_unknowns_agree_in_number() -> None:
    with pytest.raises(KanpdeError, match="1 equations for u, v: give one per unknown"):
        collocation(Box(t=(0, 1)), {"one": lambda u, v, at: u.d("t") - v}, {"start": initial(1.0, unknown="u")})


def test_what_does_not_converge_says_so() -> None:
    blows_up = collocation(Box(t=(0, 2)), {"growth": lambda u, at: u.d("t") - u**2}, {"start": initial(1.0)})
    with pytest.raises(KanpdeError, match="does not converge after t = 1"):
        _ = blows_up.error
    unsolvable = collocation(
        Box(x=(0, 1)), {"bratu": lambda u, at: u.d("xx") + 10 * torch.exp(u.value)}, {"walls": dirichlet("x")}, nodes=16
    )
    with pytest.raises(KanpdeError, match="does not converge: give it a guess="):
        _ = unsolvable.error
