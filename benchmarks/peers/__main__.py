"""Time to relative L2 errors of 1e-3, 1e-4 and 1e-6: python -m benchmarks.peers [--seeds 3] [package ...]

Without names all packages are tried; one that is not installed is named with the command that installs it. A package
may live in an environment of its own: --python pykan=/path/to/python. Rows are added to a JSON file, and a page is
written from it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import kanpde
from benchmarks import results
from benchmarks.peers import table
from benchmarks.report import processor, save, show
from kanpde import KanpdeError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ("kanpde", "pykan", "jaxkan", "deepxde", "scimba")
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "CUDA_VISIBLE_DEVICES": "",
    "DDE_BACKEND": "pytorch",
    "MPLBACKEND": "Agg",
}
STARTING = 60.0
"""Seconds for imports on top of twice the limit, which leaves as much for measuring errors as for training."""
QUERY = "import platform, importlib.metadata as m; print(platform.python_version(), m.version({name!r}))"


def version(name: str, python: str) -> tuple[str, str] | None:
    """Return the versions of Python and of a package in an interpreter; None if the package is not installed there."""
    query = "import platform; print(platform.python_version())" if name == "kanpde" else QUERY.format(name=name)
    found = subprocess.run([python, "-c", query], capture_output=True, text=True, cwd=HERE)
    if found.returncode:
        return None
    # A checkout of kanpde may be used without being installed.
    interpreter, installed = [*found.stdout.split(), kanpde.__version__][:2]
    return interpreter, installed


def run_trial(name: str, python: str, seed: int, limit: float, seconds: float | None = None) -> dict[str, Any]:
    """Return what one trial recorded in a process of its own, killed after `seconds`; a crash leaves its last line."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        command = [python, "-m", f"benchmarks.peers.{name}", f"--seed={seed}", f"--limit={limit}", f"--report={report}"]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
        message = ""
        try:
            ended = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=2 * limit + STARTING if seconds is None else seconds,
            )
            if ended.returncode:
                message = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        except subprocess.TimeoutExpired:
            message = "killed after the hard limit"
        return {"seed": seed, "date": date.today().isoformat(), "message": message, **table.trial(report)}


def interpreters(options: list[str]) -> dict[str, str]:
    """Return the interpreter of each package from options NAME=PATH; raise KanpdeError for another form."""
    found = dict.fromkeys(PACKAGES, sys.executable)
    for text in options:
        name, equals, path = text.partition("=")
        if name not in PACKAGES or not equals:
            raise KanpdeError(f"--python {text}: give NAME=PATH with one of {', '.join(PACKAGES)}.")
        if not Path(path).is_file():
            raise KanpdeError(f"--python {text}: there is no file {path}.")
        found[name] = str(Path(path).absolute())
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", metavar="package", help=f"of {', '.join(PACKAGES)}")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of training per seed")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="interpreter of a package")
    parser.add_argument("--out", type=Path, default=Path("docs/peers.json"))
    parser.add_argument("--markdown", type=Path, default=Path("docs/peers.md"))
    options = parser.parse_args(arguments)
    names = options.packages or PACKAGES
    if unknown := set(names) - set(PACKAGES):
        parser.error(f"unknown package '{min(unknown)}'. Known: {', '.join(PACKAGES)}.")
    if options.seeds < 1 or options.limit <= 0:
        parser.error("--seeds and --limit must be positive")
    try:
        pythons, rows = interpreters(options.python), results.read(options.out)
    except KanpdeError as error:
        parser.error(str(error))
    done = []
    for name in names:
        found = version(name, pythons[name])
        if found is None:
            print(f"{name}: not installed in {pythons[name]}: {pythons[name]} -m pip install {name}", flush=True)
            continue
        made_with = {
            "version": found[1],
            "python": found[0],
            "settings": table.settings(HERE / f"{name}.py"),
            "limit": options.limit,
            "processor": processor(),
            "cores": os.cpu_count(),
        }
        seeds = []
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            seeds.append(run_trial(name, pythons[name], seed, options.limit))
            rows[name] = {"made_with": made_with, "seeds": list(seeds)}
            save(options.out, {"rows": rows})
            print(f"{name} seed {seed}: {', '.join(list(table.cells(name, rows[name]).values())[2:7])}", flush=True)
        done.append(table.cells(name, rows[name]))
    if done:
        show("seconds to relative L2 errors", done)
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(table.page(rows), encoding="utf-8")
        print(f"written to {options.out} and {options.markdown}")


if __name__ == "__main__":
    main()
