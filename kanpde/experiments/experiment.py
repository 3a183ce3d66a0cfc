"""An experiment as data: its jobs, and what is drawn and said of their results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from kanpde.errors import KanpdeError
from kanpde.experiments.job import Job, NetworkJob
from kanpde.experiments.outcome import Outcome
from kanpde.problem import Problem


@dataclass(frozen=True)
class Experiment(ABC):
    """Settings of an experiment besides those of a run, which its jobs have unless it says otherwise.

    seeds: so many, from the run's seed on. processes: jobs that are computed at the same time, each with its own
    threads.
    """

    seeds: int = 3
    processes: int = 1

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for what in ("seeds", "processes"):
            if getattr(self, what) < 1:
                raise KanpdeError(f"experiment.{what}={getattr(self, what)}: give at least 1.")

    @abstractmethod
    def jobs(self, base: NetworkJob, problem: Problem) -> list[Job]:
        """Return the jobs, made from that of the run's settings; `problem` is what they solve."""

    @abstractmethod
    def report(self, outcomes: Sequence[Outcome], folder: Path) -> list[str]:
        """Draw the figures of the results into a folder and return the lines of the summary, in Markdown."""

    def each_seed(self, job: NetworkJob) -> list[Job]:
        """Return a job with every seed."""
        return [replace(job, seed=job.seed + number) for number in range(self.seeds)]


def require_positive(what: str, values: Sequence[int]) -> None:
    """Raise KanpdeError unless all values are at least 1."""
    for value in values:
        if value < 1:
            raise KanpdeError(f"experiment.{what}={list(values)}: give numbers from 1 on.")
