"""Where problems and configurations lie, and how a problem is loaded from its file."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import Any

from kanpde import settings
from kanpde.errors import KanpdeError, unknown_name
from kanpde.problem import Problem


def home() -> Path:
    """Return the folder that holds `problems` and `conf`: the checkout, or the copy inside an installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    return checkout if (checkout / "pyproject.toml").is_file() else package / "_data"


def problem_files() -> dict[str, Path]:
    """Return the built-in problems by name."""
    return {path.stem: path for path in sorted((home() / "problems").glob("[!_]*.py"))}


def find_problem(name: str | PathLike[str]) -> Path:
    """Return the file of a built-in problem, or a path (one that ends with .py) itself.

    Raises KanpdeError for an unknown name or a file that does not exist.
    """
    text = fspath(name)
    if text.endswith(".py"):
        path = Path(text).expanduser().absolute()
        if not path.is_file():
            raise KanpdeError(f"there is no problem file {text}: check the path (it starts at {Path.cwd()}).")
        return path
    files = problem_files()
    if text not in files:
        raise KanpdeError(f"{unknown_name('problem', text, files)} A file of your own: ./name.py.")
    return files[text]


def load_problem(name: str | PathLike[str], **arguments: Any) -> Problem:
    """Return the problem of a built-in name or a path, its file's `problem(**arguments)`.

    The file's stem becomes the problem's name, the first line of its docstring the description. Raises KanpdeError
    for an unknown name or argument, a wrong type, and a file that does not define a problem or fails.
    """
    path = find_problem(name)
    module = _import(path)
    function = _problem_function(path, module)
    problem = _guarded(path, lambda: settings.call(function, f"problem '{path.stem}'", arguments))
    if not isinstance(problem, Problem):
        raise KanpdeError(f"{path}: problem() returned {type(problem).__name__}: return a kanpde.Problem.")
    used = {**settings.defaults(function, f"problem '{path.stem}'"), **arguments}
    origin = sha256(path.read_bytes() + repr(sorted(used.items())).encode()).hexdigest()
    if problem.reference is not None:
        problem.reference.origin = origin
    return replace(problem, name=path.stem, description=_first_line(module), arguments=used, origin=origin)


def problem_arguments(name: str | PathLike[str]) -> dict[str, Any]:
    """Return the arguments of a problem with their defaults; raises what `load_problem` raises."""
    path = find_problem(name)
    return settings.defaults(_problem_function(path, _import(path)), f"problem '{path.stem}'")


def describe(name: str | PathLike[str]) -> str:
    """Return the first line of a problem's docstring."""
    return _first_line(_import(find_problem(name)))


def _import(path: Path) -> ModuleType:
    name = f"_kanpde_problem_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None  # the suffix is .py
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses of the file look themselves up there
    loader = spec.loader
    _guarded(path, lambda: loader.exec_module(module))
    return module


def _problem_function(path: Path, module: ModuleType) -> Callable[..., Any]:
    function = getattr(module, "problem", None)
    if not inspect.isfunction(function):
        raise KanpdeError(f"{path} defines no function problem(): write 'def problem() -> Problem:' there.")
    if "name" in inspect.signature(function).parameters:
        raise KanpdeError(f"{path}: problem() has an argument called 'name', which is taken: choose another one.")
    return function


def _guarded(path: Path, run: Callable[[], Any]) -> Any:
    """Run code of a problem file; whatever it raises becomes one line that says where."""
    try:
        return run()
    except KanpdeError:
        raise
    except Exception as error:
        if isinstance(error, SyntaxError):
            line, message = error.lineno, error.msg
        else:
            here = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
            line, message = (here[-1] if here else None), str(error)
        where = f"{path}, line {line}" if line else str(path)
        raise KanpdeError(f"{where}: {type(error).__name__}: {' '.join(message.split())}") from error


def _first_line(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n")[0]
