"""The objects that a configuration describes.

Data never choose what is called: only the classes that are listed here are built.
"""

from __future__ import annotations

from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any

import kanpde
from kanpde import library, settings
from kanpde.compare import Job
from kanpde.errors import KanpdeError, unknown_name
from kanpde.record import RunDirectory

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
SHARED = ("conditions", "slabs", "corrections", "seed", "device", "threads")
"""Settings of a run that hold for each of its networks."""


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


def methods(config: dict[str, Any]) -> dict[str, Any]:
    """Return the objects of a configuration beside the problem, by group."""
    return {group: build(group, config[group]) for group in GROUPS}


def job_of(config: dict[str, Any]) -> Job:
    """Return the settings of the run that a configuration describes."""
    parts = ("problem", "experiment", *GROUPS)
    return settings.call(Job, "the run", {key: value for key, value in config.items() if key not in parts})


def shared(job: Job) -> dict[str, Any]:
    """Return the settings of a run that hold for each of its networks."""
    return {key: getattr(job, key) for key in SHARED}


def is_run(config: dict[str, Any]) -> bool:
    """Return whether a configuration has all parts of a run's."""
    return {"problem", *GROUPS} <= set(config)


def reopened(directory: Path) -> kanpde.Run:
    """Return the run in a directory, with its trained network, without measuring errors.

    Raises KanpdeError for a run that has not come to its end.
    """
    folder = RunDirectory.open(directory)
    config = folder.read_config()
    if "experiment" in config or not is_run(config):
        raise KanpdeError(
            f"'{directory / 'config.yaml'}' is not the configuration of a run: give the directory of one."
        )
    if not folder.finished:
        raise KanpdeError(f"'{directory}' is not finished: continue it with python -m kanpde resume={directory}")
    if not folder.checkpoint.is_file():
        raise KanpdeError(f"'{folder.checkpoint}' is missing, and with it the trained network: start the run anew.")
    with TemporaryDirectory() as temporary:  # `solve` writes its checkpoint again, and the run's own stays as it is
        copied = copy(folder.checkpoint, temporary)
        return kanpde.solve(
            build("problem", config["problem"]),
            **methods(config),
            **shared(job_of(config)),
            checkpoint=Path(copied),
            measured=False,
        )
