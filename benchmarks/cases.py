"""What is measured: problems with their arguments, and what the default settings should reach on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from kanpde import KAN, KanpdeError

WORST = 30.0
"""The worst seed may be so many times above the target."""


@dataclass(frozen=True)
class Target:
    """What a case should reach: median relative L2 error, parameters, median training seconds; None: any."""

    error: float
    parameters: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Case:
    """A problem with its arguments and, where it is not the default, the network.

    `unknown` names the unknown whose error counts; None takes the norm that all unknowns share.
    """

    problem: str
    target: Target | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    model: KAN | None = None
    unknown: str | None = None
    name: str = ""

    @property
    def label(self) -> str:
        """How the command line names the case."""
        arguments = ",".join(f"{name}={value}" for name, value in self.arguments.items())
        return self.name or (f"{self.problem}:{arguments}" if arguments else self.problem)


CASES = (
    Case("poisson2d", Target(1e-10, 500, 15)),
    Case("poisson2d_sinsin", Target(1e-11, 400, 10)),
    Case("helmholtz2d", Target(1e-9, 500, 30)),
    Case("helmholtz2d", Target(1e-6, 1500, 120), {"a": 6, "b": 6}),
    Case("poisson5d", Target(1e-9, 1000, 60)),
    Case("torsion", Target(1e-5, 600, 60)),
    Case("heat1d", Target(1e-10, 500, 30)),
    Case("wave1d", Target(1e-8, 1000, 60)),
    Case("advection", Target(1e-10, 500, 60), {"beta": 30}),
    Case("advection", Target(1e-9, 500, 60), {"beta": 50}),
    Case("klein_gordon", Target(1e-9, 600, 60)),
    Case("burgers1d", Target(1e-7, 3000, 300)),
    Case("allen_cahn", Target(1e-5, 3000, 300)),
    Case("kdv", Target(1e-6, 3000, 300)),
    Case("poisson_nonlinear", Target(1e-10, 500, 30)),
    Case("kovasznay", Target(1e-9, 1000, 120), unknown="u"),
    Case("poisson2d", Target(1e-6), model=KAN(width=(5, 5, 5, 5, 5)), name="poisson2d-deep"),
)

GRIDS = (6, 8, 10, 14, 20)
TREND = {
    "defaults": [Case("poisson2d", model=KAN(grid=g), name=f"poisson2d-grid{g}") for g in GRIDS],
    "degree 3 alone": [
        Case("poisson2d", model=KAN(grid=g, degree=(3, 1), products=3), name=f"poisson2d-grid{g}-degree3")
        for g in GRIDS
    ],
}
"""Series of cases in which the error is measured against the number of parameters."""


def find_case(text: str) -> Case:
    """Return the case of a label, or one without a target of `PROBLEM` or `PROBLEM:ARGUMENT=VALUE,...`.

    Raises KanpdeError for text of another form. Whether the problem exists is seen when it is loaded.
    """
    problem, colon, rest = text.partition(":")
    arguments = {}
    for part in rest.split(",") if colon else ():
        name, equals, value = part.partition("=")
        if not (name.isidentifier() and equals and value):
            raise KanpdeError(
                f"case '{text}': '{part}' is not ARGUMENT=VALUE: write, for example, helmholtz2d:a=6,b=6."
            )
        arguments[name] = yaml.safe_load(value)
    if not problem:
        raise KanpdeError(f"case '{text}' names no problem: write PROBLEM or PROBLEM:ARGUMENT=VALUE,...")
    for case in (*CASES, *(case for series in TREND.values() for case in series)):
        if case.label == text or (case.problem, case.arguments, case.name) == (problem, arguments, ""):
            return case
    return Case(problem, arguments=arguments)
