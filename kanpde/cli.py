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
from shutil import copy
from tempfile import TemporaryDirectory
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
from kanpde.collect import collect, common, run_directories, write_table
from kanpde.compare import Interrupted, Job, compare
from kanpde.display import wide_console
from kanpde.errors import KanpdeError, unknown_name
from kanpde.experiments import EXPERIMENTS, NetworkJob, execute
from kanpde.experiments import target as experiment_target
from kanpde.march import slab_problems
from kanpde.plot import save
from kanpde.record import RunDirectory, digest
from kanpde.report import write_report

Task = Callable[[dict[str, Any]], None]

GROUPS: dict[str, dict[str, type]] = {
    "model": {"kan": kanpde.KAN, "mlp": kanpde.MLP},
    "solver": {
        "auto": kanpde.Auto,
        "levenberg_marquardt": kanpde.LevenbergMarquardt,
        "gauss_newton": kanpde.GaussNewton,
        "kernel": kanpde.Kernel,
        "self_scaled_broyden": kanpde.SelfScaledBroyden,
        "lbfgs": kanpde.LBFGS,
        "adam": kanpde.Adam,
        "soap": kanpde.SOAP,
    },
    "sampling": {"default": kanpde.Sampling},
    "budget": {"default": kanpde.Budget},
}
COMMANDS = ("check", "collect", "draw", "formula", "list", "report", "simplify")
FORMS = {"text": "formula.md", "latex": "formula.tex", "python": "formula.py", "c": "formula.c"}
"""The files in which `kanpde formula` finds what it prints."""


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
    if arguments[:1] and arguments[0] in ALONE:
        if processes.is_first():
            ALONE[arguments[0]](arguments[1:])
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
    parts = {group: build(group, config[group]) for group in ("problem", *GROUPS)}
    job = settings.call(Job, "the run", {key: value for key, value in config.items() if key not in parts})
    compare(**parts, job=job, config=config, directory=directory)


def run_experiment(config: dict[str, Any], directory: Path | None = None) -> None:
    """Do the experiment of a configuration, whose other settings are those of its jobs."""
    arguments, known = dict(config["experiment"]), {experiment_target(kind): kind for kind in EXPERIMENTS.values()}
    name = str(arguments.pop("_target_", ""))
    if name not in known:
        raise unknown_name("experiment._target_", name, known)
    experiment = settings.call(known[name], f"experiment {known[name].name}", arguments)
    build("problem", config["problem"])  # says what is wrong with it
    parts = {group: build(group, config[group]) for group in GROUPS}
    others = {key: value for key, value in config.items() if key not in ("problem", "experiment", *GROUPS)}
    job = settings.call(Job, "the run", others)
    if job.logger is not None:
        raise KanpdeError(f"logger={job.logger}: an experiment has none, its table is of all jobs: use logger=null.")
    problem = {key: value for key, value in config["problem"].items() if key not in ("_target_", "name")}
    shared = {key: getattr(job, key) for key in ("conditions", "slabs", "corrections", "seed", "device", "threads")}
    base = NetworkJob(problem=config["problem"]["name"], arguments=problem, **parts, **shared)
    execute(experiment, base, directory or (Path(job.out) if job.out else None), config)


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


def reopened(directory: Path) -> kanpde.Run:
    """Return the run in a directory, with its trained network, without measuring errors.

    Raises KanpdeError for a run that has not come to its end.
    """
    folder = RunDirectory.open(directory)
    config = folder.read_config()
    if "experiment" in config or not {"problem", *GROUPS} <= set(config):
        raise KanpdeError(
            f"'{directory / 'config.yaml'}' is not the configuration of a run: give the directory of one."
        )
    if not folder.finished:
        raise KanpdeError(f"'{directory}' is not finished: continue it with python -m kanpde resume={directory}")
    if not folder.checkpoint.is_file():
        raise KanpdeError(f"'{folder.checkpoint}' is missing, and with it the trained network: start the run anew.")
    parts = {group: build(group, config[group]) for group in ("problem", *GROUPS)}
    job = settings.call(Job, "the run", {key: value for key, value in config.items() if key not in parts})
    shared = {key: getattr(job, key) for key in ("conditions", "slabs", "corrections", "seed", "device", "threads")}
    with TemporaryDirectory() as temporary:  # `solve` writes its checkpoint again, and the run's own stays as it is
        copied = copy(folder.checkpoint, temporary)
        return kanpde.solve(**parts, **shared, checkpoint=Path(copied), measured=False)


def number(key: str, text: str) -> float:
    """Return the positive number of an option; raise KanpdeError for another text."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value > 0:
        raise KanpdeError(f"{key}={text}: give a positive number.")
    return value


def run_check(config: dict[str, Any]) -> None:
    """Check a problem and print what was found; raise KanpdeError if the reference does not satisfy it."""
    parts = {group: build(group, config[group]) for group in ("problem", "model", "sampling")}
    job = settings.call(
        Job, "the run", {key: value for key, value in config.items() if key not in ("problem", *GROUPS)}
    )
    slab_problems(parts["problem"], job.slabs)
    rows = check(**parts, conditions=job.conditions, seed=job.seed)
    print_check(parts["problem"], rows)
    for row in rows:
        if not row.vanishes:
            raise KanpdeError(
                f"the reference leaves a residual of {row.residual:.1e} in '{row.label}': correct the equation,"
                " its data or the reference."
            )


def run_report(arguments: list[str]) -> None:
    """Write the page about the runs in the directories that the arguments name, to out=FILE if that is among them."""
    directories, found = options(arguments, "report", ("out",))
    print(f"report: {write_report(directories, found.get('out'))}")


def resume(text: str) -> None:
    """Continue the run of a directory."""
    directory = Path(text).expanduser()
    config = RunDirectory.open(directory).read_config()
    if not {"problem", *GROUPS} <= set(config):
        raise KanpdeError(f"'{directory / 'config.yaml'}' is not the configuration of a run: start the run anew.")
    run(config, directory)


def build(group: str, node: dict[str, Any]) -> Any:
    """Return the object that a node of the configuration describes.

    Only the classes of the group are built, whatever a configuration file says: data never choose what is called.
    Raises KanpdeError for an unknown `_target_`, an unknown argument or a value of a wrong type.
    """
    arguments = dict(node)
    name = str(arguments.pop("_target_", ""))
    if group == "problem":
        return library.load_problem(**arguments)
    known = {target(function): function for function in GROUPS[group].values()}
    if name not in known:
        raise unknown_name(f"{group}._target_", name, known)
    return settings.call(known[name], f"{group} {known[name].__name__}", arguments)


def target(function: type) -> str:
    """Return the name by which a configuration refers to a class."""
    return f"kanpde.{function.__name__}"


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
        raise unknown_name("command", arguments[0], COMMANDS)
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


def list_problems(arguments: list[str]) -> None:
    """Print the built-in problems, a line each."""
    if arguments:
        raise KanpdeError(f"'kanpde list' takes no arguments, got {' '.join(arguments)}.")
    names = library.problem_files()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {library.describe(name)}")


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


ALONE: dict[str, Callable[[list[str]], None]] = {
    "collect": collect_runs,
    "draw": draw_run,
    "formula": print_formula,
    "list": list_problems,
    "report": run_report,
    "simplify": simplify_runs,
}
"""Commands without a configuration; of several processes the first one alone runs them."""
