"""Experiments: lists of jobs, and what is drawn of their results. `execute` carries one out."""

from kanpde.experiments.accuracy_vs_parameters import AccuracyVsParameters
from kanpde.experiments.continual import Continual
from kanpde.experiments.degree import Degree
from kanpde.experiments.execute import execute, target
from kanpde.experiments.experiment import Experiment
from kanpde.experiments.grid_extension import GridExtension
from kanpde.experiments.job import FEMJob, Job, NetworkJob
from kanpde.experiments.kan_paper_poisson import KANPaperPoisson
from kanpde.experiments.optimisers import Optimisers
from kanpde.experiments.outcome import Outcome
from kanpde.experiments.scaling_laws import ScalingLaws
from kanpde.experiments.seeds import Seeds

EXPERIMENTS: dict[str, type[Experiment]] = {
    kind.name: kind
    for kind in (
        AccuracyVsParameters,
        Continual,
        Degree,
        GridExtension,
        KANPaperPoisson,
        Optimisers,
        ScalingLaws,
        Seeds,
    )
}
"""The experiments by name."""

__all__ = [
    "EXPERIMENTS",
    "AccuracyVsParameters",
    "Continual",
    "Degree",
    "Experiment",
    "FEMJob",
    "GridExtension",
    "Job",
    "KANPaperPoisson",
    "NetworkJob",
    "Optimisers",
    "Outcome",
    "ScalingLaws",
    "Seeds",
    "execute",
    "target",
]
