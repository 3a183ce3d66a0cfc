"""Carries out an experiment: its jobs in one or several processes, then the table, the figures and the summary.

Every job has a directory that is named by its content. Started again, an experiment computes what is not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from time import perf_counter
from typing import Any

from kanpde.collect import Row, rows_of, write_table
from kanpde.compare import Interrupted
from kanpde.display import Display
from kanpde.errors import KanpdeError
from kanpde.experiments.experiment import Experiment
from kanpde.experiments.job import Job, NetworkJob, plain, with_reference
from kanpde.experiments.outcome import Outcome
from kanpde.files import atomic
from kanpde.record import RunDirectory
from kanpde.threads import cores


def execute(experiment: Experiment, base: NetworkJob, out: Path | None, config: Mapping[str, Any]) -> Path:
    """Do what is not done of an experiment, and return the directory that holds it all.

    `base` is the job of the run's settings; `out` is by default runs/experiments/NAME/PROBLEM. `config` is kept there.
    Raises KanpdeError for bad input, before anything is computed, and for a directory that holds something else;
    Interrupted after an interrupt.
    """
    problem = with_reference(base.problem, json.dumps(plain(base.arguments)))
    if experiment.processes > 1 and base.threads is None:
        base = replace(base, threads=max(1, cores() // experiment.processes))
    jobs = unique(experiment.jobs(base, problem))
    if not jobs:
        raise KanpdeError(f"experiment '{experiment.name}' has no job with these settings: give it some to compute.")
    folder = RunDirectory(out or Path("runs/experiments") / experiment.name / problem.name)
    claim(folder, experiment)
    folder.write_config(config)
    display = Display(folder.log)
    root = folder.path / "jobs"
    done = sum(RunDirectory(root / job.directory).finished for job in jobs)
    display.say(
        f"experiment {experiment.name} on {problem.name}: {len(jobs)} jobs, {done} of them done,"
        f" {experiment.processes} process{'es' if experiment.processes > 1 else ''}"
    )
    begin = perf_counter()
    try:
        for number, job in enumerate(carried_out(jobs, root, experiment.processes), start=1):
            display.say(f"[{number}/{len(jobs)}] {described(Outcome.of(job, root))}")
    except KeyboardInterrupt:
        raise Interrupted(folder.path) from None
    outcomes = [Outcome.of(job, root) for job in jobs]
    leave(experiment, outcomes, folder, display)
    display.say(f"{perf_counter() - begin:.0f} s; experiment directory: {folder.path}")
    return folder.path


def leave(experiment: Experiment, outcomes: Sequence[Outcome], folder: RunDirectory, display: Display) -> None:
    """Write the table, the figures and the summary, and print the summary."""
    write_table(list(table_rows(outcomes, folder)), folder.path)
    lines = experiment.report(outcomes, folder.path)
    failed = [outcome for outcome in outcomes if outcome.method is None]
    if failed:
        lines = [*lines, "", f"{len(failed)} of {len(outcomes)} jobs failed:", ""]
        lines += [f"- {outcome.job.label}: {outcome.failure()}" for outcome in failed]
    with atomic(folder.path / "summary.md") as path:
        path.write_text("\n".join([f"# {experiment.name}", "", *lines, ""]), encoding="utf-8")
    for line in lines:
        display.say(line)


def table_rows(outcomes: Sequence[Outcome], folder: RunDirectory) -> Iterator[Row]:
    """Yield a row per job's directory, with the series of the figures that it is in and its setting there."""
    jobs: dict[Path, list[Job]] = {}
    for outcome in outcomes:
        jobs.setdefault(outcome.path, []).append(outcome.job)
    for path, own in jobs.items():
        named = {"series": joined(job.series for job in own), "setting": joined(map(placed, own))}
        yield from ({**named, **row} for row in rows_of(path, str(path.relative_to(folder.path))))


def joined(texts: Iterable[str]) -> str:
    """Return texts on one line, each once."""
    return "; ".join(dict.fromkeys(filter(None, texts)))


def placed(job: Job) -> str:
    """Return what varies along a job's series, as text."""
    return ", ".join(f"{name} {value}" for name, value in job.place.items())


def carried_out(jobs: Sequence[Job], root: Path, processes: int) -> Iterator[Job]:
    """Do the jobs and yield each when it is done."""
    if processes == 1:
        for job in jobs:
            job.do(root)
            yield job
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        futures = {pool.submit(job.do, root): job for job in jobs}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def end_with_parent() -> None:
    """Let a worker end as soon as its parent has; it would wait for jobs forever otherwise."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def claim(folder: RunDirectory, experiment: Experiment) -> None:
    """Make the directory of an experiment, or see that it is one of its own; raise KanpdeError if not."""
    taken = f"'{folder.path}' is not a directory of the experiment '{experiment.name}': choose another out=DIR."
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        others = [path for path in folder.path.iterdir() if not path.name.endswith(".tmp")]
    except OSError as error:
        raise KanpdeError(f"{taken} ({error.strerror})") from None
    if others and (folder.path / "config.yaml").is_file():
        before = folder.read_config().get("experiment")
        if isinstance(before, Mapping) and before.get("_target_") == target(experiment):
            return
    if others:
        raise KanpdeError(taken)


def target(experiment: Experiment | type[Experiment]) -> str:
    """Return the name by which a configuration refers to an experiment."""
    kind = experiment if isinstance(experiment, type) else type(experiment)
    return f"kanpde.experiments.{kind.__name__}"


def unique(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs, each once: those that compute the same for the same line of a figure are one."""
    return list({(job.directory, job.series, repr(job.place)): job for job in jobs}.values())


def described(outcome: Outcome) -> str:
    """Return a line about a job that is done."""
    method = outcome.method
    if method is None:
        return f"{outcome.job.label}: failed, {outcome.failure()}"
    error = "" if method.errors is None else f"relative L2 error {method.errors.rel_l2:.1e}, "
    return f"{outcome.job.label}: {error}{method.parameters:,} parameters, {method.seconds['train']:.2f} s"
