"""Elementary functions: derivatives, expressions, domains and inverses belong to one function."""

from collections.abc import Callable
from math import factorial, pi
from pathlib import Path

import mpmath
import pytest
import sympy
import torch
from oracles import close
from torch import Tensor

from kanpde import KanpdeError
from kanpde.basis import ELEMENTARY, Activation, Elementary, elementary
from kanpde.basis.elementary import library

ORDER = 6


def bessel(z: Tensor) -> Tensor:
    """J_0 by its integral: the mean of cos(z sin t) over even angles, which is exact to rounding here."""
    angles = 2 * pi * torch.arange(120, dtype=z.dtype, device=z.device) / 120
    return torch.cos(z[..., None] * torch.sin(angles)).mean(dim=-1)


PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "x": lambda z: 1.0 * z,
    "x^2": lambda z: z * z,
    "x^3": lambda z: z * z * z,
    "x^4": lambda z: z * z * z * z,
    "1/x": lambda z: 1 / z,
    "1/x^2": lambda z: 1 / (z * z),
    "sqrt": torch.sqrt,
    "1/sqrt": torch.rsqrt,
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "sech": lambda z: 1 / torch.cosh(z),
    "sech^2": lambda z: 1 / torch.cosh(z) ** 2,
    "gauss": lambda z: torch.exp(-z * z),
    "erf": torch.erf,
    "arcsin": torch.asin,
    "arctan": torch.atan,
    "artanh": torch.atanh,
    "abs": torch.abs,
    "bessel_j0": bessel,
}

NOT_DEFINED = {
    "1/x": [(-1.0, 1.0), (0.0, 1.0), (-2.0, 0.0)],
    "1/x^2": [(-1.0, 1.0)],
    "sqrt": [(0.0, 1.0), (-2.0, -1.0)],
    "1/sqrt": [(0.0, 1.0)],
    "log": [(0.0, 1.0), (-2.0, -1.0)],
    "tan": [(0.0, 2.0), (1.6, 5.0), (-9.0, 9.0), (0.0, float("inf"))],
    "arcsin": [(-1.0, 0.5), (0.0, 1.5)],
    "artanh": [(-0.5, 1.0)],
}

# Principal branches on which the inverse returns the argument, and values that have no inverse.
BRANCH = {
    "x^2": (0.0, 3.0),
    "x^4": (0.0, 3.0),
    "1/x^2": (0.1, 3.0),
    "abs": (0.0, 3.0),
    "sin": (-1.5, 1.5),
    "cos": (0.1, 3.0),
    "cosh": (0.1, 3.0),
    "sech": (0.1, 3.0),
    "sech^2": (0.1, 3.0),
    "gauss": (0.1, 2.0),
    "tan": (-1.5, 1.5),
}
NOT_INVERTIBLE = {
    "x^2": (-0.1, 1.0),
    "x^4": (-0.1, 1.0),
    "1/x": (-1.0, 1.0),
    "1/x^2": (0.0, 1.0),
    "sqrt": (-0.1, 1.0),
    "1/sqrt": (0.0, 1.0),
    "exp": (0.0, 1.0),
    "sin": (0.0, 1.1),
    "cos": (-1.1, 0.0),
    "cosh": (0.9, 2.0),
    "tanh": (0.0, 1.0),
    "sech": (0.1, 1.1),
    "sech^2": (0.0, 0.9),
    "gauss": (0.0, 1.0),
    "erf": (-1.0, 0.0),
    "arcsin": (0.0, 2.0),
    "arctan": (0.0, pi / 2),
    "abs": (-1.0, 1.0),
    "bessel_j0": (0.1, 0.2),
}


def arguments(function: Elementary, device: torch.device) -> Tensor:
    """Return points where the function is analytic, none of them at a kink."""
    z = [-27.3, -4.2, -1.3, -0.93, -0.41, 0.0, 0.13, 0.5, 0.97, 1.2, 2.7, 6.1, 24.8]
    z = [v for v in z if function.defined(v, v) and not (function.name == "abs" and v == 0)]
    return torch.tensor(z, dtype=torch.float64, device=device)


def test_every_function_has_its_plain_form() -> None:
    assert set(PLAIN) == set(ELEMENTARY)
    assert all(name == function.name for name, function in ELEMENTARY.items())
    assert min(ELEMENTARY.values(), key=lambda f: f.complexity).name == "x"


def test_the_documents_list_the_functions() -> None:
    text = (Path(__file__).parent.parent / "docs/interpretation.md").read_text(encoding="utf-8")
    text = text.split("## The functions")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert {row[0].strip("|` "): float(row[2]) for row in rows} == {n: f.complexity for n, f in ELEMENTARY.items()}


@pytest.mark.parametrize("name", ELEMENTARY)
def test_coefficients_are_those_of_nested_derivatives(name: str, device: torch.device) -> None:
    function = ELEMENTARY[name]
    z = arguments(function, device).requires_grad_()
    found, wanted = function.taylor(z.detach(), ORDER), PLAIN[name](z)
    assert len(found) == ORDER + 1
    assert close(function(z.detach()), found[0], 1e-15)
    for m in range(ORDER + 1):
        assert found[m].dtype == torch.float64
        assert found[m].device.type == device.type
        exact = wanted.detach() / factorial(m)
        size = exact.abs().clamp(min=1.0)
        assert bool(((found[m] - exact).abs() <= 2e-12 * size).all()), (m, found[m], exact)
        assert not bool(((1.01 * found[m] - exact).abs() <= 2e-12 * size).all()) or not bool(exact.any())
        if m < ORDER:
            wanted = (
                torch.autograd.grad(wanted.sum(), z, create_graph=True, materialize_grads=True)[0]
                if wanted.requires_grad
                else torch.zeros_like(z)
            )


@pytest.mark.parametrize("name", [name for name in ELEMENTARY if name != "abs"])
def test_coefficients_are_those_of_the_expression(name: str) -> None:
    """Taylor's theorem in 40 digits: mpmath differentiates the expression."""
    function, x = ELEMENTARY[name], sympy.Symbol("x", real=True)
    exact = sympy.lambdify(x, function.expression(x), "mpmath")
    z = arguments(function, torch.device("cpu"))
    found = torch.stack(function.taylor(z, ORDER))
    with mpmath.workdps(40):
        for point, coefficients in zip(z.tolist(), found.T.tolist(), strict=True):
            wanted = [float(mpmath.re(c)) for c in mpmath.taylor(exact, mpmath.mpf(point), ORDER)]
            for m in range(ORDER + 1):
                # Large arguments of waves have rounding of their own.
                assert abs(coefficients[m] - wanted[m]) <= 4e-15 * max(1.0, abs(wanted[m])), (point, m)


def test_the_expression_of_abs() -> None:
    x = sympy.Symbol("x", real=True)
    assert ELEMENTARY["abs"].expression(x) == sympy.Abs(x)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_any_order_and_type_are_kept(name: str, device: torch.device) -> None:
    z = torch.full((2, 3), 0.4, dtype=torch.float32, device=device)
    for order in range(3):
        found = ELEMENTARY[name].taylor(z, order)
        assert len(found) == order + 1
        assert all(v.dtype == torch.float32 and v.shape == z.shape and v.device == z.device for v in found)


@pytest.mark.parametrize("name", [name for name, f in ELEMENTARY.items() if f.inverse])
def test_inverses_undo_functions(name: str, device: torch.device) -> None:
    function = ELEMENTARY[name]
    if name in BRANCH:
        z = torch.linspace(*BRANCH[name], 23, dtype=torch.float64, device=device)
    else:
        z = arguments(function, device)
        z = z[z.abs() < 2.5]
    u = function(z)
    assert function.inverse is not None
    sides = [u] if name != "1/x" else [u[u > 0], u[u < 0]]
    assert all(function.invertible(float(side.min()), float(side.max())) for side in sides)
    assert close(function.inverse(u), z, 1e-8)
    assert not close(function.inverse(u), 1.01 * z, 1e-8)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_values_without_an_inverse_are_known(name: str) -> None:
    if name in NOT_INVERTIBLE:
        assert not ELEMENTARY[name].invertible(*NOT_INVERTIBLE[name])
    else:
        assert ELEMENTARY[name].invertible(-2.0, 2.0)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_undefined_ranges_are_refused(name: str) -> None:
    function = ELEMENTARY[name]
    for low, high in NOT_DEFINED.get(name, []):
        assert not function.defined(low, high)
        with pytest.raises(KanpdeError, match="is not defined on"):
            function.check(low, high)
    for low, high in [(0.2, 0.8)] if name in NOT_DEFINED else [(-1e3, 1e3)]:
        assert function.defined(low, high)
        function.check(low, high)
    assert not function.defined(float("nan"), 1.0)
    assert ELEMENTARY["tan"].defined(1.6, 4.7)
    assert ELEMENTARY["1/x"].defined(-2.0, -1.0)


def test_a_function_of_ones_own(device: torch.device) -> None:
    own = elementary("x sin", lambda z: z * torch.sin(z), lambda x: x * sympy.sin(x), complexity=4)
    z = torch.tensor([0.3, 1.7], dtype=torch.float64, device=device)
    s, c = torch.sin(z), torch.cos(z)
    for found, wanted in zip(own.taylor(z, 2), (z * s, s + z * c, c - z * s / 2), strict=True):
        assert close(found, wanted, 1e-14)
        assert not found.requires_grad
    assert not own.invertible(0.0, 1.0)
    assert own.defined(-5.0, 5.0)
    assert close(Activation(own).taylor(z[:, None], 1)[1, :, 0, 0], s + z * c, 1e-14)
    assert list(library("sin", own)) == ["sin", "x sin"]
    assert library() == ELEMENTARY
    constant = elementary("two", lambda z: torch.full_like(z, 2.0), lambda x: sympy.Integer(2))
    assert constant.taylor(z, 2)[1].tolist() == [0, 0]


def test_a_function_of_ones_own_on_an_interval() -> None:
    own = elementary("log1m", lambda z: torch.log(1 - z), lambda x: sympy.log(1 - x), domain=(-float("inf"), 1))
    assert own.defined(-3.0, 0.9)
    with pytest.raises(KanpdeError, match="must be numbers between -inf and 1"):
        own.check(0.0, 1.0)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(KanpdeError, match="the name 'sin' of an elementary function is taken"):
        elementary("sin", torch.sin, sympy.sin)
    with pytest.raises(KanpdeError, match=r"function 'mine' is .* but its expression is"):
        elementary("mine", torch.sin, sympy.cos)
    with pytest.raises(KanpdeError, match="is empty"):
        elementary("mine", torch.sin, sympy.sin, domain=(1.0, 0.0))
    with pytest.raises(KanpdeError, match="unknown elementary function 'sinus': did you mean 'sin'"):
        library("sinus")
    with pytest.raises(KanpdeError, match="two elementary functions have the name 'sin'"):
        library("sin", "sin")
