"""From a trained network to a formula: find the structure, fit its constants with the residual, make them simple.

Every step is kept only if the residuals of the problem allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, log
from time import perf_counter

import sympy
import torch
from torch import Tensor

from kanpde.basis.elementary import ELEMENTARY, Elementary
from kanpde.errors import KanpdeError
from kanpde.geometry import Box, Geometry
from kanpde.interpret.build import graph_of, with_scalars
from kanpde.interpret.model import ROUNDING, Model
from kanpde.interpret.refit import Refit, refit
from kanpde.interpret.snap import Say, with_simple_constants
from kanpde.interpret.structure import Structure, structures
from kanpde.model import Ansatz
from kanpde.problem import Problem

Solution = Callable[[Tensor], Tensor]
"""Values (N, U) at points (N, d)."""

LEAST, MOST = 1e-9, 3e-2
"""The tolerances that a relative residual of a network is taken for."""
WORSE, WORSE_DATA = 10.0, 1.2
"""A formula may leave a residual so many times that of the network, or as much as rounding does."""
BETTER = 1e-3
"""A formula whose residual is this part of that of the network is the solution, and others are not tried."""
ATTEMPTS = 8
"""Structures of an unknown that are fitted, at most."""
FINER, FINER_DATA = (1.0,), (1.0, 0.1)
"""What errors of a solution are taken for, in units of its residual, one after the other. That of data may be noise,
which a network averages out."""
PARTS = (1.0, 0.6)
"""Parts of the domain, about its middle, in which structures are looked for: near an end F^-1 may be singular."""
ROWS = 1000
"""The number of residuals that a formula is judged by."""


@dataclass(frozen=True)
class Simplified:
    """A model whose edges are all elementary functions, in place of a network.

    residual: relative, on held-out points, of the formula. steps: what was done, a line each.
    """

    model: Model
    residual: float
    steps: tuple[str, ...]


class NoFormula(KanpdeError):
    """No formula was found; the message says how far it went, and `model` is what edges could be simplified."""

    def __init__(self, message: str, model: Model | None = None) -> None:
        super().__init__(message)
        self.model = model


def simplify(
    problem: Problem,
    solution: Solution,
    residual: float,
    *,
    library: Mapping[str, Elementary] = ELEMENTARY,
    scalars: Mapping[str, float] | None = None,
    like: Tensor,
    seed: int = 0,
    seconds: float = 150.0,
    say: Say = lambda line: None,
) -> Simplified:
    """Return a formula for the solution of a problem that a network has found, with a relative `residual`.

    It is searched for among sums of products of elementary functions of one coordinate each, behind an outer function:
    see `structures`. The conditions are not imposed, but residuals like the equations. The reference is not used.
    Raises NoFormula if no formula leaves a residual as small as that of the network.
    """
    steps: list[str] = []

    def note(line: str) -> None:
        steps.append(line)
        say(line)

    note(f"the network leaves a relative residual of {residual:.1e}")
    fits = Fits(problem, like, scalars or {}, seed, perf_counter() + seconds, note)
    enough, ample = sufficient(problem, residual), max(BETTER * residual, ROUNDING)
    box = inner_box(problem.geometry)
    lower, upper = torch.tensor(box.lower, dtype=torch.float64), torch.tensor(box.upper, dtype=torch.float64)
    missing = ""
    rounds = [(finer, part) for part in PARTS for finer in (FINER if problem.equations else FINER_DATA)]
    for number, (finer, part) in enumerate(rounds):
        first = finer == rounds[0][0]
        if fits.left() < 0 or fits.reached <= (enough if first else ample):
            break
        middle, half = (lower + upper) / 2, part * (upper - lower) / 2
        tolerance = min(max(finer * residual, LEAST), MOST)
        share = fits.left() / (len(rounds) - number) / len(problem.unknowns)
        choices: list[list[Structure]] = []
        for u, unknown in enumerate(problem.unknowns):
            of = partial(component, solution, u)
            found = structures(of, middle - half, middle + half, tolerance, library, seed, share)[:ATTEMPTS]
            if not found:
                missing = f"no sum of a few products of elementary functions is '{unknown}' to {tolerance:.0e}"
                break
            choices.append(found)
        else:
            missing = fits.add(choices, ample) or missing
    if not fits.found:
        raise NoFormula(f"{missing or 'the time was too short'}.")
    _, best = min(fits.found, key=lambda each: each[0])
    if not best.after <= enough:
        raise NoFormula(
            f"the best formula leaves a relative residual of {best.after:.1e}, more than the {enough:.1e} that are"
            f" allowed beside the {residual:.1e} of the network."
        )
    graph, after = with_simple_constants(
        best.graph, fits.ansatz, max(best.after, ROUNDING), seed, note, max(1.0, fits.left())
    )
    return Simplified(Model(problem, fits.ansatz, graph, seed), after, tuple(steps))


def sufficient(problem: Problem, residual: float) -> float:
    """Return the relative residual that a formula may leave in the place of a network with this one."""
    return max((WORSE if problem.equations else WORSE_DATA) * residual, ROUNDING)


def component(solution: Solution, number: int, points: Tensor) -> Tensor:
    """Return values (N,) of one unknown of a solution at points (N, d)."""
    return solution(points)[:, number]


class Fits:
    """Structures whose constants are fitted with the residuals of a problem, and how each is judged, until a time."""

    def __init__(
        self, problem: Problem, like: Tensor, scalars: Mapping[str, float], seed: int, end: float, note: Say
    ) -> None:
        self.problem, self.seed, self.end, self.note = problem, seed, end, note
        self.ansatz = Ansatz(problem, "soft")
        self.lower, self.upper = like.new_tensor(problem.geometry.lower), like.new_tensor(problem.geometry.upper)
        self.scalars = dict(scalars)
        self.found: list[tuple[float, Refit]] = []

    def left(self) -> float:
        """Return how many seconds are left."""
        return self.end - perf_counter()

    @property
    def reached(self) -> float:
        """The least relative residual."""
        return min((fitted.after for _, fitted in self.found), default=inf)

    def add(self, choices: Sequence[Sequence[Structure]], ample: float) -> str:
        """Fit the structures of each unknown, the likeliest first, until a residual is ample or the time is over.

        Returns what was wrong with those that could not be fitted, "" if there were none.
        """
        wrong = ""
        for attempt in range(max(map(len, choices))):
            chosen = [own[min(attempt, len(own) - 1)] for own in choices]
            graph = with_scalars(graph_of(chosen, self.lower, self.upper), self.problem, self.scalars)
            try:
                fitted = refit(graph, self.ansatz, seed=self.seed, seconds=max(1.0, self.left()))
            except KanpdeError as error:  # a function that is not defined in all of the domain
                self.note(f"left out: {error}")
                wrong = "no formula that was found in a part of the domain is defined in all of it"
                continue
            pairs = zip(self.problem.unknowns, chosen, strict=True)
            what = "; ".join(f"{unknown}: {described(s, self.problem.geometry.names)}" for unknown, s in pairs)
            count = f"{graph.parameters} constant{'' if graph.parameters == 1 else 's'}"
            self.note(f"{what}: {count}, relative residual {fitted.before:.1e}, after a refit {fitted.after:.1e}")
            self.found.append((score(fitted, chosen), fitted))
            if fitted.after <= ample or self.left() < 0:
                break
        return wrong


def score(fitted: Refit, chosen: Sequence[Structure]) -> float:
    """Return how a formula is judged: n log(residual^2) + log(n) complexity (Schwarz 1978), less is better."""
    complexity = sum(structure.complexity for structure in chosen)
    return ROWS * 2 * log(max(fitted.after, ROUNDING)) + log(ROWS) * complexity


def described(structure: Structure, names: Sequence[str]) -> str:
    """Return a structure in words: the functions of each coordinate, and how many products there are."""
    parts = []
    for name, functions in zip(names, structure.functions, strict=True):
        used = {k for term in structure.terms for i, k in term.functions if names[i] == name}
        parts += [shown(functions[k].expression(sympy.Symbol(name))) for k in sorted(used)]
    outer = "" if structure.outer.name == "x" else f"{structure.outer.name} of "
    count = len(structure.terms)
    return f"{outer}{count} term{'' if count == 1 else 's'} of {', '.join(parts) or '1'}"


def shown(expression: sympy.Basic) -> str:
    """Return an expression with constants of four digits."""
    return str(expression.xreplace({number: sympy.Float(number, 4) for number in expression.atoms(sympy.Float)}))


def inner_box(geometry: Geometry) -> Box:
    """Return a box inside a domain, as large as a few trials find; the domain itself if it is one."""
    if isinstance(geometry, Box):
        return geometry
    lower, upper = torch.tensor(geometry.lower, dtype=torch.float64), torch.tensor(geometry.upper, dtype=torch.float64)
    unit = torch.quasirandom.SobolEngine(geometry.dimension).draw(256, dtype=torch.float64) * 2 - 1
    centres = torch.cat([((lower + upper) / 2)[None], geometry.sample(63)])
    for size in (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1):
        half = size * (upper - lower) / 2
        for centre in centres:
            if bool(geometry.contains(centre + half * unit).all()):
                ends = zip(geometry.names, (centre - half).tolist(), (centre + half).tolist(), strict=True)
                return Box(**{name: (a, b) for name, a, b in ends})
    raise NoFormula("the domain holds no box in which slices of the solution could be taken.")
