"""Problems are found by name or path, and everything wrong with a problem file is one line that says what to do."""

from pathlib import Path

import pytest
from examples import without_files

from kanpde import KanpdeError
from kanpde.library import describe, find_problem, home, load_problem, problem_arguments, problem_files

MINE = '''"""A problem of my own.

More about it.
"""
from __future__ import annotations
from dataclasses import dataclass
from torch import sin
from kanpde import Box, Problem, dirichlet

@dataclass
class Data:
    k: float

def problem(k: int = 2, scale: float = 1.0, flag: bool = False, corner: tuple[float, float] = (0.0, 0.0)):
    data = Data(scale)
    def equation(u, at):
        return u.d("xx") + data.k * sin(k * at.x)
    return Problem(geometry=Box(x=(0, 1), y=(0, 1)), equations={"e": equation}, conditions={"w": dirichlet("all")})
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_home_holds_problems_and_configurations() -> None:
    assert (home() / "conf" / "config.yaml").is_file()
    assert len(problem_files()) >= 5
    assert "poisson2d" in problem_files()


@pytest.mark.parametrize("name", without_files(problem_files()))
def test_every_problem_loads(name: str) -> None:
    problem = load_problem(name)
    assert problem.name == name
    assert problem.description
    assert problem.description == describe(name)
    assert all(isinstance(key, str) for key in problem_arguments(name))


def test_arguments_reach_the_problem() -> None:
    assert problem_arguments("burgers1d")["nu"] == pytest.approx(0.00318309886)
    assert load_problem("heat1d", alpha=2).description == describe("heat1d")


def test_a_path_is_a_problem_like_any_other(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine.parent)
    for name in (mine, str(mine), "./mine.py", "mine.py"):
        problem = load_problem(name, k=3, scale=2, flag=True, corner=[1, 0.5])
        assert (problem.name, problem.description) == ("mine", "A problem of my own.")
    assert find_problem("mine.py") == mine
    assert problem_arguments(mine) == {"k": 2, "scale": 1.0, "flag": False, "corner": (0.0, 0.0)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kk": 1}, r"unknown argument of problem 'mine': 'kk': did you mean 'k'\?.*k=2, scale=1.0"),
        ({"k": 1.5}, r"k=1.5 is not of type int \(default 2\)"),
        ({"k": True}, r"k=True is not of type int"),
        ({"k": "3"}, r"k='3' is not of type int"),
        ({"k": None}, r"k=None is not of type int"),
        ({"scale": "a"}, r"scale='a' is not of type float"),
        ({"flag": 1}, r"flag=1 is not of type bool"),
        ({"corner": [1, 2, 3]}, r"corner=\[1, 2, 3\] is not of type tuple"),
        ({"corner": 1.0}, r"corner=1.0 is not of type tuple"),
    ],
)
def test_wrong_arguments(mine: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        load_problem(mine, **arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"mine.py defines no function problem\(\)"),
        ("problem = 1\n", r"mine.py defines no function problem\(\)"),
        ("x = 1\nx = 1 / 0\n", r"mine.py, line 2: ZeroDivisionError: division by zero"),
        ("x = 1\n\nx = = 2\n", r"mine.py, line 3: SyntaxError"),
        ("import no_such_module\n", r"mine.py, line 1: ModuleNotFoundError"),
        ("def problem():\n    return 1\n", r"problem\(\) returned int: return a kanpde.Problem"),
        ("def problem():\n    return undefined\n", r"mine.py, line 2: NameError"),
        ("def problem(k):\n    return 1\n", r"the argument 'k' has no default"),
        ("def problem(name='x'):\n    return 1\n", r"an argument called 'name'"),
        ("def problem(k: Undefined = 1):\n    return k\n", r"mine.py, line 1: NameError"),
    ],
)
def test_wrong_files(mine: Path, text: str, message: str) -> None:
    mine.write_text(text)
    with pytest.raises(KanpdeError, match=message) as caught:
        load_problem(mine)
    assert "\n" not in str(caught.value)


def test_unknown_names_and_missing_files() -> None:
    with pytest.raises(KanpdeError, match=r"unknown problem 'poison2d': did you mean 'poisson2d'\?.*burgers1d"):
        load_problem("poison2d")
    with pytest.raises(KanpdeError, match=r"there is no problem file ./nowhere.py"):
        load_problem("./nowhere.py")
