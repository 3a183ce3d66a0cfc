"""A problem is data: unknowns by the arguments of its equations, conditions with residuals, what it refuses."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracles import field, points_in
from torch import Tensor

from kanpde import (
    Box,
    Field,
    KanpdeError,
    Points,
    Problem,
    condition,
    dirichlet,
    initial,
    initial_velocity,
    mean,
    neumann,
    observe,
    periodic,
    robin,
    scalar,
    solve,
)
from kanpde.check import check
from kanpde.geometry import Geometry
from kanpde.problem import Condition
from kanpde.reference import exact
from kanpde.sampling import draw

SQUARE = Box(x=(0, 1), y=(-1, 1))
STRIP = Box(x=(0, 1), t=(0, 2))


def first(u: Field, v: Field, at: Points) -> Tensor:
    return u.d("xx") - v * at.x


def second(v: Field, at: Points) -> Tensor:
    return v.d("yyy") - at.y


def test_unknowns_and_derivatives_are_read_off_the_equations() -> None:
    problem = Problem(SQUARE, {"second": second, "first": first})
    assert problem.unknowns == ("v", "u")
    assert problem.order == 3
    assert set(problem.indices.indices) == {(0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (0, 3)}
    at = problem.middle()

    def constant(name: str, value: float) -> Field:
        return Field(name, SQUARE.names, lambda index: torch.full_like(at.x, value))

    fields = [constant("v", 2), constant("u", 5)]
    assert torch.equal(problem.residual_function("first")(*fields, at), 5 - 2 * at.x)
    assert torch.equal(problem.residual_function("second")(*fields, at), 2 - at.y)


@pytest.mark.parametrize(
    ("equation", "affine"),
    [
        (lambda u, at: u.d("xx") + torch.sin(at.x) * u - 3, True),
        (lambda u, at: u.d("xx") + u * u.d("x"), False),
        (lambda u, at: u.d("xx") + u**3, False),
        (lambda u, at: torch.abs(u) + u.d("xx"), False),
        (lambda u, at: u.d("xx") + 1e-3 * u**2, False),
    ],
)
def test_affine(equation: Callable[..., Tensor], affine: bool) -> None:
    assert Problem(SQUARE, {"e": equation}).affine is affine


CONDITIONS: dict[str, tuple[Box, Condition, Callable[[Points, Tensor], Tensor]]] = {
    "dirichlet": (SQUARE, dirichlet("x-", lambda at: at.y), lambda at, u: u - at.y),
    "neumann": (SQUARE, neumann("x-", 2.0), lambda at, u: -(at.y**2 + 2 * at.x) - 2.0),
    "neumann above": (SQUARE, neumann("y+", 2.0), lambda at, u: 2 * at.x * at.y - 2.0),
    "robin": (SQUARE, robin("x+", 1.0, lambda at: at.y), lambda at, u: at.y * u + at.y**2 + 2 * at.x - 1.0),
    "equation": (
        SQUARE,
        condition("x+", lambda u, at: u.d("y") * at.normal[:, 0] - u**2),
        lambda at, u: 2 * at.x * at.y - u**2,
    ),
    "initial": (STRIP, initial(3.0), lambda at, u: u - 3.0),
    "initial velocity": (STRIP, initial_velocity(lambda at: at.x), lambda at, u: 2 * at.x * at.t - at.x),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_residuals_of_conditions(name: str, device: torch.device) -> None:
    """u = x y^2 + x^2, on strips x t^2 + x^2."""
    box, condition, wanted = CONDITIONS[name]
    like = torch.zeros((), dtype=torch.float64, device=device)
    drawn = draw(box.boundary(condition.where), box.names, "uniform", 6, 0, like).at
    array = drawn.array().requires_grad_()
    at = Points.of(box.names, array, drawn.normal)
    u = array[:, 0] * array[:, 1] ** 2 + array[:, 0] ** 2
    found = condition.residual(field("u", box.names, u, array), at)
    assert torch.allclose(found, wanted(at, u), atol=1e-13)
    assert not torch.allclose(1.01 * found, wanted(at, u), atol=1e-13)


def test_a_condition_names_its_unknowns() -> None:
    problem = Problem(
        SQUARE, {"second": second, "first": first}, {"meet": condition("x+", lambda u, v, at: u.d("x") - v)}
    )
    at = problem.middle()
    u, v = (Field(n, SQUARE.names, lambda i, n=n: torch.full_like(at.x, sum(i) + (n == "v"))) for n in ("u", "v"))
    assert problem.residual_function("meet")(v, u, at).tolist() == [0.0, 0.0, 0.0]  # u_x = 1 and v = 1
    assert problem.derivatives(("meet",), at) == {(1, 0), (0, 0)}


def test_scalars_come_after_the_unknown_functions() -> None:
    seen = {"seen": observe([[0.5, 0.5]], [1.0])}
    problem = Problem(
        SQUARE,
        {"e": lambda v, k, u, at: u.d("x") - k * v},
        constraints={"seen": observe([[0.5, 0.5]], [1.0], "u")},
        scalars={"k": scalar(3.0, exact=5.0)},
    )
    assert (problem.unknowns, problem.names, problem.affine) == (("v", "u"), ("v", "u", "k"), False)
    at, channels = problem.middle(), torch.tensor([[[7.0, 0.0]] * 3, [[0.0, 2.0]] * 3, [[0.0, 0.0]] * 3]).double()
    r = problem.residual_function("e")(*problem.fields(problem.indices, channels), at)
    assert r.tolist() == [2.0 - 35.0] * 3
    own = torch.cat([channels, torch.full_like(channels[..., :1], 4.0)], dim=-1)
    assert problem.residual_function("e")(*problem.fields(problem.indices, own), at).tolist() == [2.0 - 28.0] * 3
    unknown = Problem(SQUARE, {"e": lambda u, k, at: u.d("x") - k}, constraints=seen, scalars={"k": scalar(3.0)})
    assert unknown.affine
    with pytest.raises(KanpdeError, match="the exact value of the scalar 'k' is not known"):
        unknown.fields(unknown.indices, channels[..., :1])
    with pytest.raises(KanpdeError, match="'e' reads the scalars k, which are unknown here and trained"):
        unknown.residual_function("e")(unknown.fields(unknown.indices, own[..., :2])[0], at)


@pytest.mark.parametrize("arguments", [(float("nan"),), (1.0, float("inf"))])
def test_scalars_are_finite(arguments: tuple[float, ...]) -> None:
    assert (scalar(-2.0).size, scalar(0).size, scalar(2.0, size=0.1).size) == (2.0, 1.0, 0.1)
    with pytest.raises(KanpdeError, match="give finite numbers and a size > 0"):
        scalar(*arguments)
    with pytest.raises(KanpdeError, match="size=0"):
        scalar(1.0, size=0)


def test_a_normal_derivative_needs_a_boundary() -> None:
    points = points_in((0.0, -1.0), (1.0, 1.0), 3, torch.zeros((), dtype=torch.float64)).requires_grad_()
    u = field("u", SQUARE.names, points.sum(dim=1), points)
    with pytest.raises(KanpdeError, match="not on a boundary"):
        neumann("x-").residual(u, Points.of(SQUARE.names, points))


def test_periodic_coordinates_are_named_in_their_order() -> None:
    cube = Box(x=(0, 1), y=(0, 1), t=(0, 1))
    conditions = {"y": periodic("y"), "start": initial(0.0), "x": periodic("x")}
    problem = Problem(cube, {"e": lambda u, at: u.d("t") - u.d("xx")}, conditions)
    assert problem.periodic == ("x", "y")
    assert Problem(SQUARE, {"first": first}).periodic == ()
    with pytest.raises(KanpdeError, match=r"periodic\('y'\) compares two faces: it has no residual at a point"):
        problem.residual_function("y")(None, problem.middle())


def test_only_boxes_are_periodic() -> None:
    class Disc(Geometry):
        names = ("x", "y")

    Disc.__abstractmethods__ = frozenset()
    with pytest.raises(KanpdeError, match="condition 'sides' is periodic, and the domain is a Disc: it needs a Box"):
        Problem(Disc(), {"first": first}, {"sides": periodic("x")})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"conditions": {"w": periodic("x-")}}, "unknown coordinate in condition 'w': 'x-'"),
        ({"conditions": {"w": periodic("z")}}, "unknown coordinate in condition 'w': 'z'"),
        (
            {"conditions": {"w": periodic("x"), "d": dirichlet("x+", unknown="u")}},
            "condition 'd' is on a face of 'x', which condition 'w' makes periodic: keep one of them",
        ),
        ({"conditions": {"n": neumann("x", unknown="u"), "w": periodic("x")}}, "condition 'n' is on a face of 'x'"),
        ({"conditions": {"w": periodic("x"), "v": periodic("x")}}, "condition 'v' is on a face of 'x'"),
        ({"equations": {}}, "problem 'problem' has no equations"),
        ({"conditions": {"w": dirichlet("z-", unknown="u")}}, "unknown boundary 'z-'"),
        ({"conditions": {"w": dirichlet("x", unknown="w")}}, "unknown field in condition 'w': 'w'"),
        ({"conditions": {"w": condition("x", lambda w, at: w)}}, "unknown field in 'w': 'w'"),
        ({"conditions": {"w": condition("x", lambda u: u)}}, r"equation 'w' has the arguments \(u\)"),
        ({"conditions": {"w": condition("z", lambda u, at: u)}}, "unknown boundary 'z'"),
        (
            {"conditions": {"w": dirichlet("x", unknown="u")}, "constraints": {"w": mean("u")}},
            "'w' names a condition and a constraint",
        ),
        ({"scalars": {"k": scalar(1.0)}}, "no equation reads the unknown scalar 'k'"),
        (
            {"scalars": {"v": scalar(1.0)}},
            r"the scalar 'v' is unknown and there are no data to find it from: .*observe",
        ),
        ({"scalars": {"u": scalar(1.0), "v": scalar(1.0)}}, "the equations name scalars only"),
        ({"conditions": {"w": dirichlet("x")}}, "does not say which unknown it is about: give unknown= one of u, v"),
        ({"equations": {"e": lambda u: u}, "conditions": {"w": dirichlet("x")}}, r"'e' has the arguments \(u\)"),
    ],
)
def test_wrong_problems(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        Problem(**{"geometry": SQUARE, "equations": {"first": first}, **arguments})


def test_an_unknown_coordinate_is_refused() -> None:
    problem = Problem(SQUARE, {"e": lambda u, at: u.d("xz")})
    with pytest.raises(KanpdeError, match=r"unknown derivative d\('xz'\): write it with the coordinates x, y"):
        problem.order  # noqa: B018
    problem = Problem(SQUARE, {"e": lambda u, at: u.d("x") + at.t})
    with pytest.raises(KanpdeError, match="unknown coordinate 't'"):
        problem.order  # noqa: B018


def test_what_cannot_be_solved_is_refused_before_training() -> None:
    for known in ({}, {"w": dirichlet("x", unknown="v"), "n": neumann("y", unknown="v")}):
        with pytest.raises(KanpdeError, match="1 equations for the unknowns u, v, and there are no data"):
            solve(Problem(SQUARE, {"first": first}, known))
    with pytest.raises(KanpdeError, match=r"the reference is a function: give one of kanpde\.reference, such as exact"):
        check(Problem(SQUARE, {"e": lambda u, at: u.d("x")}, reference=lambda at: at.x))  # type: ignore[arg-type]
    # Two conditions in one place, an equation on the boundary and constraints are data.
    twice = {"value": dirichlet("x", unknown="u"), "flux": neumann("x", unknown="u")}
    Problem(SQUARE, {"first": first}, twice).require_complete()
    Problem(SQUARE, {"first": first}, {"meet": condition("x+", lambda u, v, at: u - v)}).require_complete()
    Problem(SQUARE, {"first": first}, constraints={"m": mean("v")}).require_complete()


def test_a_reference_has_a_solution_for_each_unknown() -> None:
    for solutions in ((), (3.0,)):
        with pytest.raises(KanpdeError, match=r"exact\(.*\): give a function of the points for each unknown"):
            exact(*solutions)  # type: ignore[arg-type]
    two = exact(lambda at: at.x, lambda at: at.y)
    problem = Problem(SQUARE, {"e": lambda u, at: u.d("x")}, reference=two)
    with pytest.raises(KanpdeError, match="there are 2 solutions for the unknowns u: give one per unknown"):
        check(problem)
