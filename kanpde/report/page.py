"""One HTML page for runs and experiments, from the files that they left. It needs no network and no other file."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kanpde.errors import KanpdeError
from kanpde.files import atomic
from kanpde.report.experiments import LeftExperiment, experiment_section, is_experiment, read_experiment
from kanpde.report.parts import NAME
from kanpde.report.runs import (
    Left,
    comparisons,
    method_columns,
    method_rows,
    over_seeds,
    problems,
    read_run,
    section,
    settings_that_differ,
)
from kanpde.version import __version__

PAGE = Path(__file__).parents[1] / "page"


class Found(NamedTuple):
    """What directories hold, and a line about each that cannot be read."""

    experiments: list[LeftExperiment]
    runs: list[Left]
    left_out: list[str]


def write_report(directories: Sequence[Path | str], out: Path | str | None = None) -> Path:
    """Write the page about runs and experiments, or about all of them in folders, and return its path.

    It goes to `out`, by default report.html in the directory if that is one, or else in the working directory.
    Raises KanpdeError if there is nothing that can be read, or the page cannot be written.
    """
    if not directories:
        raise KanpdeError("report needs a run directory, or a folder of them: kanpde report runs/PROBLEM/DATE-TIME.")
    given = [Path(directory).expanduser() for directory in directories]
    page = Path(out).expanduser() if out is not None else (given[0] if len(given) == 1 else Path()) / NAME
    found = read_all(given)
    if not found.experiments and not found.runs:
        raise KanpdeError(found.left_out[0])
    if page.is_dir() or not page.parent.is_dir():
        raise KanpdeError(f"the page '{page}' cannot be written: give out=FILE in a folder that exists.")
    text = render(found, page.parent)
    try:
        with atomic(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise KanpdeError(f"the page '{page}' cannot be written ({error.strerror}): give another out=FILE.") from None
    return page


def read_all(given: Sequence[Path]) -> Found:
    """Return what is in directories, in their order; the jobs of an experiment are no runs of their own."""
    directories: dict[Path, Path] = {}
    for directory in given:
        if not directory.is_dir():
            raise KanpdeError(f"there is no directory '{directory}': give that of a run, or a folder of runs.")
        inside = sorted(path.parent for path in directory.rglob("config.yaml"))
        if not inside:
            raise KanpdeError(f"no run is in '{directory}': give runs/PROBLEM/DATE-TIME, or a folder of such.")
        for path in [directory] if (directory / "config.yaml").is_file() else inside:
            directories.setdefault(path.resolve(), path)
    above = Path(os.path.commonpath([path.parent for path in directories]))
    tried = {resolved for resolved, path in directories.items() if is_experiment(path)}
    found = Found([], [], [])
    for resolved, path in directories.items():
        name = resolved.relative_to(above).as_posix()
        try:
            if resolved in tried:
                found.experiments.append(read_experiment(path, name))
            elif tried.isdisjoint(resolved.parents):
                found.runs.append(read_run(path, name))
        except KanpdeError as error:
            found.left_out.append(str(error))
    return found


def render(found: Found, base: Path) -> str:
    """Return the page, whose links are relative to a folder; everything that comes from files is escaped."""
    loader = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, script = ((PAGE / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    runs = found.runs
    differing = settings_that_differ(runs)
    columns, rows = method_columns(runs, differing), list(method_rows(runs, differing, base))
    return loader.get_template("report.html").render(
        title=title(found),
        alone=len(runs) + len(found.experiments) == 1,
        columns=columns,
        rows=rows,
        seeds=over_seeds(runs),
        comparisons=list(comparisons(runs)),
        experiments=[experiment_section(left, number, base) for number, left in enumerate(found.experiments)],
        runs=[section(run, number, base) for number, run in enumerate(runs)],
        left_out=found.left_out,
        version=__version__,
        style=Markup(style),
        script=Markup(script),
        hashes={"style": digest(style), "script": digest(script)},
    )


def title(found: Found) -> str:
    """Return what the page is about."""
    tried, runs = found.experiments, found.runs
    parts = []
    if tried:
        parts.append(tried[0].title if len(tried) == 1 else f"{len(tried)} experiments")
    if len(runs) == 1:
        parts.append(f"one run of {runs[0].problem}" if tried else runs[0].problem)
    elif runs:
        parts.append(f"{len(runs)} runs of {', '.join(problems(runs))}")
    return " and ".join(parts)


def digest(text: str) -> str:
    """Return the hash by which a page allows one script or style, and no other, to be used in it."""
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()
