"""How much depends on the seed: many seeds of the run's settings, and of an MLP of the same size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from kanpde.check import most_parameters
from kanpde.compare import mlp_of_size
from kanpde.experiments.experiment import Experiment
from kanpde.experiments.figures import draw_distributions
from kanpde.experiments.job import Job, NetworkJob
from kanpde.experiments.outcome import Outcome
from kanpde.experiments.statistics import points_of
from kanpde.experiments.tables import points_table
from kanpde.model import KAN, MLP
from kanpde.problem import Problem


@dataclass(frozen=True)
class Seeds(Experiment):
    """Settings of the experiment on seeds. mlp: train an MLP of about as many parameters beside."""

    seeds: int = 20
    mlp: bool = True

    name = "seeds"

    def jobs(self, base: NetworkJob, problem: Problem) -> list[Job]:
        networks: dict[str, KAN | MLP] = {base.model.name.upper(): base.model}
        if self.mlp and base.model.name != "mlp":
            size = most_parameters(problem, base.model.suited(problem))
            networks["MLP"] = mlp_of_size(size, problem.geometry.dimension, len(problem.unknowns))
        named = [replace(base, model=model, series=name) for name, model in networks.items()]
        return [job for network in named for job in self.each_seed(network)]

    def report(self, outcomes: Sequence[Outcome], folder: Path) -> list[str]:
        errors: dict[str, list[float]] = {}
        for outcome in outcomes:
            found = outcome.method.errors.rel_l2 if outcome.method and outcome.method.errors else inf
            errors.setdefault(outcome.job.series, []).append(found)
        draw_distributions(errors, folder / "seeds", outcomes[0].job.problem_name)
        return points_table(points_of(outcomes))
