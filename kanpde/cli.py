"""The command line. Hydra composes a configuration, objects are built from it, and after that there is none.

The only module that imports Hydra. Groups are filled from the frozen dataclasses of the methods and the signatures of
the problem files; the files under `conf/` choose and override.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from filelock import FileLock
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.table import Table

import kanpde
from kanpde import library, processes, settings
from kanpde.check import Row, check
from kanpde.commands import COMMANDS
from kanpde.compare import Interrupted, Job, compare
from kanpde.configured import GROUPS, build, is_run, job_of, methods, shared, target
from kanpde.display import wide_console
from kanpde.errors import KanpdeError, unknown_name
from kanpde.experiments import EXPERIMENTS, NetworkJob, execute
from kanpde.experiments import target as experiment_target
from kanpde.march import slab_problems
from kanpde.record import RunDirectory, digest

Task = Callable[[dict[str, Any]], None]


class Refused(Exception):
    """Bad input of a sweep's job in another process, which has reported it; holds the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 2 after bad input, 130 after an interrupt."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with processes.together():
            return dispatch(arguments)
    except KanpdeError as error:
        return report(error)
    except KeyboardInterrupt as interrupt:
        hint = (
            f": continue with python -m kanpde resume={interrupt.directory}"
            if isinstance(interrupt, Interrupted)
            else ""
        )
        print(f"kanpde: interrupted{hint}", file=sys.stderr)
        return 130


def dispatch(arguments: list[str]) -> int:
    """Run the command that the arguments name."""
    if arguments[:1] and arguments[0] in COMMANDS:
        if processes.is_first():
            COMMANDS[arguments[0]](arguments[1:])
        return 0
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "resume":
            if len(arguments) > 1:
                raise KanpdeError("resume=DIR takes no other arguments: the run keeps its own configuration.")
            resume(value)
            return 0
    if arguments[:1] == ["check"]:
        return with_hydra(arguments[1:], run_check)
    return with_hydra(arguments, run_composed)


def run_composed(config: dict[str, Any]) -> None:
    """Run what Hydra composed: in a sweep once only, in a directory that is named by the configuration.

    Raises KanpdeError for more than one run in several processes, which are for one.
    """
    if processes.count() > 1 and (HydraConfig.get().mode == RunMode.MULTIRUN or "experiment" in config):
        raise KanpdeError(
            f"{processes.count()} processes of torchrun are for one run: start sweeps and experiments without torchrun."
        )
    if HydraConfig.get().mode != RunMode.MULTIRUN or config["out"] is not None or "experiment" in config:
        run(config)
        return
    problem = build("problem", config["problem"])
    folder = RunDirectory(Path("runs") / problem.name / f"sweep-{digest([config, problem.origin])}")
    lock = folder.path.with_name(f".{folder.path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if folder.finished:
            print(f"finished before: {folder.path}")
        elif (folder.path / "config.yaml").is_file():
            run(config, folder.path)
        else:
            run({**config, "out": str(folder.path)})


def run(config: dict[str, Any], directory: Path | None = None) -> None:
    """Build the objects of a configuration and compare the methods, in a new run directory or an earlier one.

    Or do an experiment if the configuration has one.
    """
    if "experiment" in config:
        run_experiment(config, directory)
        return
    problem = build("problem", config["problem"])
    compare(problem, **methods(config), job=job_of(config), config=config, directory=directory)


def run_experiment(config: dict[str, Any], directory: Path | None = None) -> None:
    """Do the experiment of a configuration, whose other settings are those of its jobs."""
    arguments, known = dict(config["experiment"]), {experiment_target(kind): kind for kind in EXPERIMENTS.values()}
    name = str(arguments.pop("_target_", ""))
    if name not in known:
        raise unknown_name("experiment._target_", name, known)
    experiment = settings.call(known[name], f"experiment {known[name].name}", arguments)
    build("problem", config["problem"])  # says what is wrong with it
    parts, job = methods(config), job_of(config)
    if job.logger is not None:
        raise KanpdeError(f"logger={job.logger}: an experiment has none, its table is of all jobs: use logger=null.")
    problem = {key: value for key, value in config["problem"].items() if key not in ("_target_", "name")}
    base = NetworkJob(problem=config["problem"]["name"], arguments=problem, **parts, **shared(job))
    execute(experiment, base, directory or (Path(job.out) if job.out else None), config)


def run_check(config: dict[str, Any]) -> None:
    """Check a problem and print what was found; raise KanpdeError if the reference does not satisfy it."""
    parts = {group: build(group, config[group]) for group in ("problem", "model", "sampling")}
    job = job_of(config)
    slab_problems(parts["problem"], job.slabs)
    rows = check(**parts, conditions=job.conditions, seed=job.seed)
    print_check(parts["problem"], rows)
    for row in rows:
        if not row.vanishes:
            raise KanpdeError(
                f"the reference leaves a residual of {row.residual:.1e} in '{row.label}': correct the equation,"
                " its data or the reference."
            )


def resume(text: str) -> None:
    """Continue the run of a directory."""
    directory = Path(text).expanduser()
    config = RunDirectory.open(directory).read_config()
    if not is_run(config):
        raise KanpdeError(f"'{directory / 'config.yaml'}' is not the configuration of a run: start the run anew.")
    run(config, directory)


def with_hydra(arguments: list[str], task: Task) -> int:
    """Let Hydra compose the configuration and run a task with it, once per job of a sweep; return the exit code."""
    codes, here = [0], os.getpid()

    def job(cfg: DictConfig) -> None:
        try:
            task(plain(cfg))
        except KanpdeError as error:
            if processes.count() > 1:
                raise  # it ends this process, and so all of them
            codes.append(report(error))
            if os.getpid() != here:  # a launcher's process, which hands over exceptions only
                raise Refused(codes[-1]) from None

    arguments = register(arguments)
    if arguments and not arguments[0].startswith(("-", "~")) and "=" not in arguments[0]:
        raise unknown_name("command", arguments[0], ("check", *COMMANDS))
    entry = hydra.main(version_base="1.3", config_path=str(library.home() / "conf"), config_name="config")(job)
    try:
        with command_line(arguments):
            entry()
    except Refused as refused:
        return int(refused.args[0])
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, arguments) from error
    return max(codes)


def register(arguments: list[str]) -> list[str]:
    """Store the nodes of all groups; return the arguments with paths of problem files replaced by their names."""
    store = ConfigStore.instance()
    store.store(name="job", node=settings.defaults(Job, "the run"))
    for group, choices in GROUPS.items():
        for name, function in choices.items():
            node = {"_target_": target(function), **settings.defaults(function, name)}
            store.store(group=group, name=name, node=node)
    for name, kind in EXPERIMENTS.items():
        node = {"_target_": experiment_target(kind), **settings.defaults(kind, name)}
        store.store(group="experiment/settings", name=name, node=node, package="experiment")

    def register_problem(name: str) -> str:
        path = library.find_problem(name)
        node = {"_target_": "kanpde.library.load_problem", "name": str(path) if name.endswith(".py") else name}
        store.store(group="problem", name=path.stem, node={**node, **library.problem_arguments(name)})
        return path.stem

    for name in library.problem_files():
        register_problem(name)

    def registered(name: str) -> str:
        return quoted(register_problem(name)) if name.endswith(".py") else name

    return [
        "problem=" + ",".join(map(registered, value.split(","))) if key == "problem" and ".py" in value else argument
        for argument in arguments
        for key, _, value in [argument.partition("=")]
    ]


def quoted(name: str) -> str:
    """Return a name as a string for Hydra's grammar, also one like "nan" or "null"."""
    return f"'{name}'"


@contextmanager
def command_line(arguments: list[str]) -> Iterator[None]:
    """Show Hydra these arguments, and have it raise its errors instead of printing them."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["kanpde", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def explained(error: Exception, arguments: list[str]) -> KanpdeError:
    """Return a one-line error for one of Hydra's; unknown choices and keys come with the known ones."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return unknown_name(group, name, error.options)
    if isinstance(error, OverrideParseException):
        return KanpdeError(
            f"'{error.override}' cannot be read: write key=value, lists as [1,2], and quote other signs."
        )
    several = re.search(r"Ambiguous value for argument '(.+)'", str(error))
    if several:
        return KanpdeError(f"'{several[1]}' has several values: add -m to run each of them, or write [1,2] for a list.")
    missing = re.search(r"Could not (?:override|append to config|delete from config)[^']*'([^'@]+)", str(error))
    if missing:
        parent, _, key = missing[1].lstrip("+~").rpartition(".")
        known = known_keys(parent, arguments)
        if parent in GROUPS and not known:
            return KanpdeError(f"{parent}.{key}: this {parent} has no settings: choose one with {parent}=NAME as well.")
        return unknown_name(f"setting of {parent}:" if parent else "setting", key, known)
    return KanpdeError(one_line(error))


def known_keys(parent: str, arguments: list[str]) -> list[str]:
    """Return the keys of a part of the configuration with the groups that the arguments choose."""
    groups = ("problem", *GROUPS, "experiment")
    chosen = [a for a in arguments if a.partition("=")[0] in groups and "," not in a]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(library.home() / "conf")):
        cfg = hydra.compose("config", overrides=chosen)
    part = OmegaConf.select(cfg, parent) if parent else cfg
    hidden = ("_target_", "name") if parent == "problem" else ("_target_",)
    keys = [str(key) for key in part if key not in hidden] if isinstance(part, DictConfig) else []
    return keys if parent or "experiment" in keys else [*keys, "experiment"]


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain data."""
    config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def one_line(error: Exception) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())


def report(error: KanpdeError) -> int:
    """Print bad input as one line; return its exit code."""
    print(f"kanpde: error: {one_line(error)}", file=sys.stderr)
    return 2


def print_check(problem: kanpde.Problem, rows: list[Row]) -> None:
    """Print what a check found."""
    console = wide_console()
    console.print(f"{problem.name}: {problem.description}", markup=False)
    console.print(f"{problem.geometry}, unknowns {', '.join(problem.names)}, order {problem.order}", markup=False)
    table = Table("equation or condition", "kind", "points", "derivatives asked for", "residual of the reference")
    for row in rows:
        residual = "not checked" if row.residual is None else f"{row.residual:.1e}"
        table.add_row(
            row.label,
            row.kind,
            "imposed exactly" if row.hard else str(row.points),
            ", ".join(row.derivatives),
            residual,
        )
    console.print(table)
    if problem.reference is None:
        console.print("no reference, so residuals were not checked")
    else:
        console.print(f"reference: {problem.reference.name}, own error {problem.reference.error:.1e}", markup=False)
        if any(row.residual is None for row in rows):
            console.print("not checked: the reference does not have all that is asked for, such as derivatives")
