"""Commands about runs that are there already, without a configuration of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from kanpde import library
from kanpde.collect import collect, common, run_directories, write_table
from kanpde.configured import reopened
from kanpde.errors import KanpdeError, unknown_name
from kanpde.plot import save
from kanpde.record import RunDirectory
from kanpde.report import write_report

FORMS = {"text": "formula.md", "latex": "formula.tex", "python": "formula.py", "c": "formula.c"}
"""The files in which `kanpde formula` finds what it prints."""


def options(arguments: list[str], command: str, known: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the directories and the options key=value of a command; raise KanpdeError for an option it has not."""
    found: dict[str, str] = {}
    directories = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if argument.startswith("-"):
            raise KanpdeError(f"'kanpde {command}' has no option '{argument}': give DIR and {', '.join(known)}=...")
        if not equals:
            directories.append(argument)
        elif key not in known:
            raise unknown_name(f"option of 'kanpde {command}':", key, known)
        elif key in found:
            raise KanpdeError(f"{argument}: give {key} once.")
        else:
            found[key] = value
    return directories, found


def one_directory(directories: list[str], command: str) -> Path:
    """Return the only directory of a command; raise KanpdeError for none or several."""
    if len(directories) != 1:
        raise KanpdeError(f"'kanpde {command}' takes the directory of one run, {len(directories)} were given.")
    return RunDirectory.open(Path(directories[0]).expanduser()).path


def collect_runs(arguments: list[str]) -> None:
    """Write one table of the runs in folders to the folder `out=DIR`, by default the one that holds them all."""
    paths, found = options(arguments, "collect", ("out",))
    if not paths:
        raise KanpdeError("'kanpde collect' takes folders with runs and at most one out=DIR: kanpde collect runs")
    folder = Path(found["out"]) if "out" in found else common(run_directories(paths))
    folder.mkdir(parents=True, exist_ok=True)
    rows = collect(paths)
    table, data = write_table(rows, folder)
    print(f"{len(rows)} rows: {table} and {data}")


def simplify_runs(arguments: list[str]) -> None:
    """Find a formula for the solution of a run."""
    from kanpde.simplified import simplify_run  # sympy takes a second to import

    directories, found = options(arguments, "simplify", ("seconds",))
    directory = one_directory(directories, "simplify")
    simplify_run(reopened(directory), directory, number("seconds", found.get("seconds", "150")), print)


def print_formula(arguments: list[str]) -> None:
    """Print the formula that was found for a run, as text or code."""
    from kanpde.simplified import read_formula

    directories, found = options(arguments, "formula", ("as",))
    form = found.get("as", "text")
    if form not in FORMS:
        raise unknown_name("form of a formula: as =", form, FORMS)
    folder = Path(read_formula(one_directory(directories, "formula"))["folder"])
    print((folder / FORMS[form]).read_text(encoding="utf-8").rstrip())


def draw_run(arguments: list[str]) -> None:
    """Draw one picture of a run, or its simplified network, to a file."""
    from kanpde.simplified import draw_simplified

    directories, found = options(arguments, "draw", ("what", "out"))
    directory, what = one_directory(directories, "draw"), found.get("what", "network")
    run = reopened(directory)
    if what not in (*run.pictures, "formula"):
        raise unknown_name("picture of this run", what, (*run.pictures, "formula"))
    figure = draw_simplified(run, directory) if what == "formula" else run.draw(what)
    path = Path(found.get("out", f"{what}.png"))
    if path.exists():
        raise KanpdeError(f"out={path}: there is such a file already, give another name.")
    save(figure, path)
    print(path)


def number(key: str, text: str) -> float:
    """Return the positive number of an option; raise KanpdeError for another text."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value > 0:
        raise KanpdeError(f"{key}={text}: give a positive number.")
    return value


def run_report(arguments: list[str]) -> None:
    """Write the page about the runs in the directories that the arguments name, to out=FILE if that is among them."""
    directories, found = options(arguments, "report", ("out",))
    print(f"report: {write_report(directories, found.get('out'))}")


def list_problems(arguments: list[str]) -> None:
    """Print the built-in problems, a line each."""
    if arguments:
        raise KanpdeError(f"'kanpde list' takes no arguments, got {' '.join(arguments)}.")
    names = library.problem_files()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {library.describe(name)}")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "collect": collect_runs,
    "draw": draw_run,
    "formula": print_formula,
    "list": list_problems,
    "report": run_report,
    "simplify": simplify_runs,
}
"""Commands without a configuration; of several processes the first one alone runs them."""
