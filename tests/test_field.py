"""Fields behave like their values, know their derivatives by name, and refuse what they do not have."""

from math import pi

import pytest
import sympy
import torch
from oracles import close, points_in, random
from torch import Tensor

from kanpde import Field, KanpdeError, Points
from kanpde.field import derivatives_asked, evaluate, taylor_coefficients
from kanpde.multiindex import IndexSet, parse

XY = ("x", "y")
INDICES = IndexSet(XY, [(2, 2), (4, 0)])


@pytest.fixture
def at(device: torch.device) -> Points:
    like = torch.zeros((), dtype=torch.float64, device=device)
    return Points.of(XY, points_in((-1.0, 0.0), (1.0, 2.0), 9, like))


def test_points_have_names(at: Points) -> None:
    assert len(at) == 9
    assert torch.equal(at.array()[:, 1], at.y)
    assert torch.equal(at.part(slice(2, 4)).x, at.x[2:4])
    moved = at.moved(y=torch.zeros_like(at.y))
    assert torch.equal(moved.x, at.x)
    assert not moved.y.any()
    with pytest.raises(KanpdeError, match="unknown coordinate 'z': the coordinates are x, y"):
        at.z  # noqa: B018
    with pytest.raises(KanpdeError, match="not on a boundary"):
        at.normal  # noqa: B018


def test_points_on_a_boundary_have_a_normal(at: Points) -> None:
    normal = torch.ones_like(at.array())
    on = Points.of(XY, at.array(), normal)
    assert torch.equal(on.part(slice(3)).normal, normal[:3])
    assert on.moved(x=at.y).normal is normal


def test_a_field_is_its_value(at: Points) -> None:
    u = Field("u", XY, lambda index: 0.5 + at.x**2)
    v = Field("v", XY, lambda index: at.y)
    value = 0.5 + at.x**2
    for found, wanted in [
        (u + 1, value + 1),
        (1 + u, value + 1),
        (u - v, value - at.y),
        (2 - u, 2 - value),
        (u * v, value * at.y),
        (3 * u, 3 * value),
        (at.x * u, at.x * value),
        (v / u, at.y / value),
        (1 / u, 1 / value),
        (u**3, value**3),
        (-u, -value),
        (torch.sin(u), torch.sin(value)),  # type: ignore[arg-type]
        (torch.maximum(u, at.x), torch.maximum(value, at.x)),  # type: ignore[arg-type]
        (torch.stack([u, v]), torch.stack([value, at.y])),  # type: ignore[list-item]
        (torch.add(at.x, other=u), at.x + value),  # type: ignore[call-overload]
    ]:
        assert torch.equal(found, wanted)


def test_derivatives_are_factorials_times_coefficients(at: Points) -> None:
    channels = random(len(INDICES), len(at), like=at.x)
    u = Field.of("u", INDICES, channels)
    assert torch.equal(u.value, channels[0])
    assert torch.equal(u.d("xxyy"), 4 * channels[INDICES.position[2, 2]])
    assert torch.equal(u.d("yx"), channels[INDICES.position[1, 1]])
    assert torch.equal(u.gradient(("y", "x")), torch.stack([u.d("y"), u.d("x")], dim=1))
    with pytest.raises(KanpdeError, match=r"u.d\('yyy'\) was not computed"):
        u.d("yyy")
    with pytest.raises(KanpdeError, match=r"unknown derivative d\('xz'\)"):
        u.d("xz")


def test_evaluate_takes_functions_and_constants(at: Points) -> None:
    assert torch.equal(evaluate(lambda at: at.x * at.y, at), at.x * at.y)
    for constant in (2.5, lambda at: 2.5):
        value = evaluate(constant, at)
        assert torch.equal(value, torch.full_like(at.x, 2.5))


def test_evaluate_refuses_other_shapes(at: Points) -> None:
    def column(at: Points) -> Tensor:
        return at.x[:, None]

    with pytest.raises(KanpdeError, match=r"column returned shape \(9, 1\) at 9 points: .* shape \(9,\)"):
        evaluate(column, at)


def test_an_equation_tells_what_it_asks_for(at: Points) -> None:
    asked, read = derivatives_asked(lambda u, v, at: u * u.d("x") + v.d("yx") - at.x, ("u", "v"), at, "e")
    assert asked == {(0, 0), (1, 0), (1, 1)}
    assert read == {"u", "v"}
    _, read = derivatives_asked(lambda u, v, at: u.d("x"), ("u", "v"), at, "e")
    assert read == {"u"}


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda u, at: u.d("x")[:, None], r"e returned \(9, 1\) at 9 points"),
        (lambda u, at: u.d("x").sum(), r"e returned \(\) at 9 points"),
        (lambda u, at: 1.0, r"e returned float at 9 points"),
    ],
)
def test_an_equation_of_another_shape_is_refused(at: Points, result: object, message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        derivatives_asked(result, ("u",), at, "e")  # type: ignore[arg-type]


def test_taylor_coefficients_are_those_of_sympy(at: Points) -> None:
    def function(at: Points) -> Tensor:
        return torch.exp(at.x * at.y) * torch.sin(pi * at.x) + at.y**3

    x, y = sympy.symbols("x y")
    expression = sympy.exp(x * y) * sympy.sin(sympy.pi * x) + y**3
    found = Field.of("u", INDICES, taylor_coefficients(function, at, INDICES))
    for word in ("x", "y", "xy", "xx", "xxyy", "xxxx"):
        symbols = [x if letter == "x" else y for letter in word]
        wanted = sympy.lambdify((x, y), sympy.diff(expression, *symbols), "numpy")(
            at.x.cpu().numpy(), at.y.cpu().numpy()
        )
        assert close(found.d(word).cpu(), torch.from_numpy(wanted), 1e-12)
        assert not close(1.01 * found.d(word).cpu(), torch.from_numpy(wanted), 1e-12)


@pytest.mark.parametrize(
    "function", [2.0, lambda at: 2.0, lambda at: torch.full_like(at.x, 2.0), lambda at: 2 + 0 * at.y]
)
def test_constants_have_no_derivatives(at: Points, function: object) -> None:
    found = taylor_coefficients(function, at, INDICES)  # type: ignore[arg-type]
    assert torch.equal(found[0], torch.full_like(at.x, 2.0))
    assert not found[1:].any()
    assert not found.requires_grad


def test_coefficients_that_depend_on_one_coordinate(at: Points) -> None:
    found = taylor_coefficients(lambda at: at.y**2, at, INDICES)
    assert torch.allclose(found[INDICES.position[parse("yy", XY)]], torch.ones_like(at.y))
    assert not found[INDICES.position[1, 1]].any()
