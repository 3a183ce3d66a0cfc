"""Code of formulas runs and has their values; simplified formulas are equal and not longer."""

import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path
from time import monotonic
from types import ModuleType

import mpmath
import numpy as np
import pytest
import sympy
from sympy import Float, Rational, cos, erf, exp, log, pi, sin, sqrt, tanh

from kanpde import KanpdeError
from kanpde.interpret.code import c_code, latex, length, python_code, simplified

x, y = sympy.symbols("x y", real=True)
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
FORMULAS: dict[str, sympy.Expr] = {
    "u": sin(pi * x) * sin(pi * y**2) / 3,
    "v": Float(0.12345678901234567) * exp(-x / 7) * cos(sqrt(2) * y)
    - 2 / (x**2 * y)
    + sympy.Integer(10) ** 20 / 10**20,
    "p": sympy.Integer(3),
    "y0": sympy.besselj(0, 3 * x) * erf(y) + sympy.bessely(1, x) + sympy.besselj(3, y),
    "main": sympy.sech(x) ** 2 * sympy.Abs(y - 1) + sympy.cot(x) + tanh(x),
    "E": sympy.Piecewise((x, x > y), (exp(-y), True)) + sympy.sign(x - y),
    "root": (x + 1) ** Rational(1, 3) / (1 + x**2) + log(x) * sympy.E + sympy.atan2(y, x) + x**y,
    "large": sympy.Max(x, y) + sympy.Min(x, 1) + 2**40 * x / 3**30,
    "lambda": 1 / (x + y),
}
X = np.random.default_rng(0).uniform(0.2, 1.8, (2, 20))


def loaded(text: str, folder: Path) -> ModuleType:
    path = folder / "formulas.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("formulas_of_a_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected(expression: sympy.Expr) -> np.ndarray:
    """Evaluated by mpmath, independently of the printers."""
    function = sympy.lambdify((x, y), expression, "mpmath")
    return np.array([float(function(mpmath.mpf(a), mpmath.mpf(b))) for a, b in X.T])


@pytest.fixture(scope="module")
def python_module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return loaded(python_code(FORMULAS, ("x", "y")), tmp_path_factory.mktemp("python"))


@pytest.fixture(scope="module")
def c_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if COMPILER is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("c")
    (folder / "formulas.c").write_text(c_code(FORMULAS, ("x", "y")))
    flags = ["-Wall", "-Werror", "-Wno-unused-const-variable", "-shared", "-fPIC", "-O1"]
    subprocess.run([COMPILER, *flags, "-o", "formulas.so", "formulas.c", "-lm"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "formulas.so"))


@pytest.mark.parametrize("name", FORMULAS)
def test_python_code_has_the_values(name: str, python_module: ModuleType) -> None:
    function = getattr(python_module, {"lambda": "lambda_"}.get(name, name))
    wanted = expected(FORMULAS[name])
    np.testing.assert_allclose(function(*X), wanted, rtol=1e-12)
    assert np.shape(function(*X)) == (20,)
    assert not np.allclose(1.01 * function(*X), wanted, rtol=1e-4)


@pytest.mark.parametrize("name", FORMULAS)
def test_c_code_has_the_values(name: str, c_library: ctypes.CDLL) -> None:
    function = c_library[f"{name}_" if name in ("y0", "main", "E") else name]
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double, ctypes.c_double]
    wanted = expected(FORMULAS[name])
    found = np.array([function(*point) for point in X.T])
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_code_can_be_read() -> None:
    text = python_code({"u": sin(pi * x) / 3}, ("x", "y"))
    assert text == "import numpy\n\n\ndef u(x, y):\n    return (1/3)*numpy.sin(numpy.pi*x)\n"
    text = c_code({"u": sin(pi * x) * x**2}, ("x",))
    assert text.splitlines() == [
        "#include <math.h>",
        "",
        "static const double PI = 3.1415926535897932385;",
        "",
        "double u(double x)",
        "{",
        "    return (x*x)*sin(PI*x);",
        "}",
    ]
    assert "import" not in python_code({"u": x**2}, ("x",))


def test_numbers_have_all_their_digits() -> None:
    number = 0.1 + 0.2
    assert repr(number) in python_code({"u": Float(number) * x}, ("x",))
    assert repr(number) in c_code({"u": Float(number) * x}, ("x",))
    assert "1.0/3.0" in c_code({"u": x / 3}, ("x",))


def test_latex_is_a_line_per_formula() -> None:
    assert latex({"u": sin(pi * x) / 2}) == r"u = \frac{\sin{\left(\pi x \right)}}{2}"
    text = latex({"u": x**2, "nu": Rational(1, 3)})
    assert text.splitlines() == [r"\begin{aligned}", r"u &= x^{2} \\", r"\nu &= \frac{1}{3}", r"\end{aligned}"]


@pytest.mark.parametrize("write", [python_code, c_code])
def test_what_cannot_be_written_is_refused(write: type) -> None:
    for expression, message in (
        (sympy.zeta(x), "the formula of 'u' cannot be written: .*zeta"),
        (sympy.Integral(sin(x**3), (x, 0, y)), "not evaluated"),
        (sympy.Symbol("z") + x, "has the symbol 'z': known are x, y"),
    ):
        with pytest.raises(KanpdeError, match=message):
            write({"u": expression}, ("x", "y"))
    with pytest.raises(KanpdeError, match="integer order"):
        c_code({"u": sympy.besselj(Rational(1, 3), x)}, ("x",))


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        (sin(x) ** 2 + cos(x) ** 2 + x * y + x * y**2, None),
        (sympy.expand((x + y) ** 4), (x + y) ** 4),
        (exp(x) * exp(y) * 2 + 2 * exp(x + y), None),
        (sin(pi * x) * sin(pi * y), sin(pi * x) * sin(pi * y)),
    ],
    ids=str,
)
def test_simplified_formulas_are_equal_and_not_longer(expression: sympy.Expr, wanted: sympy.Expr | None) -> None:
    found = simplified(expression)
    assert length(found) <= length(expression)
    assert wanted in (None, found)
    assert wanted is not None or length(found) < length(expression)
    np.testing.assert_allclose(expected(found), expected(expression), rtol=1e-12)


def test_simplification_ends_in_time() -> None:
    expression = sum(sympy.gamma(x + Rational(k, 7)) ** k * sin(k * x) / (k + cos(y)) for k in range(1, 12))
    start = monotonic()
    assert length(simplified(expression, seconds=0.3)) <= length(expression)
    assert monotonic() - start < 5
