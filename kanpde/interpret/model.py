"""A trained KAN to look inside: its graph in the ansatz of its problem, and all that can be done with its edges."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import sympy
import torch
from torch import Tensor

from kanpde.basis.elementary import ELEMENTARY, Elementary
from kanpde.edges import Importance, importance
from kanpde.errors import KanpdeError, unknown_name
from kanpde.field import Points
from kanpde.interpret import edit
from kanpde.interpret.build import with_scalars
from kanpde.interpret.exact import Statement, check_exactly
from kanpde.interpret.expression import graph_from
from kanpde.interpret.formula import formulas
from kanpde.interpret.prune import prune, without
from kanpde.interpret.recognise import Fit
from kanpde.interpret.refit import refit, relative_residual
from kanpde.interpret.snap import with_simple_constants
from kanpde.interpret.sparse import sparsified
from kanpde.metrics import ErrorMeasure, Errors
from kanpde.model import Ansatz, Graph, Network
from kanpde.multiindex import IndexSet
from kanpde.plot import Figure, draw_graph
from kanpde.problem import Periodic, Problem
from kanpde.record import load_checkpoint, save_checkpoint

POINTS = 2048
"""Points of the domain over which edges are looked at."""
TOLERANCE = 10.0
"""By how much the residual may grow in an operation, as a factor, before a warning says so."""
TRIED = 3
"""Functions that are tried on an edge, the best suggestions."""
ROUNDING = 1e-12


class Worse(UserWarning):
    """An operation left a network whose residual is larger than its tolerance allows."""


@dataclass(frozen=True)
class Model:
    """A network of single edges for a problem; every operation returns another one and leaves this as it is.

    `ansatz` is how conditions are imposed: with hard conditions u = A + q N, and the graph is N.
    """

    problem: Problem
    ansatz: Ansatz
    graph: Graph
    seed: int = 0

    @classmethod
    def of(cls, ansatz: Ansatz, network: Network, theta: Tensor, seed: int = 0) -> Model:
        """Return the model of a trained network; raise KanpdeError for an MLP."""
        return cls(ansatz.problem, ansatz, Graph.of(network, theta), seed)

    @classmethod
    def from_formula(
        cls,
        problem: Problem,
        expressions: Mapping[str, sympy.Expr],
        conditions: str = "soft",
        seed: int = 0,
        scalars: Mapping[str, float] | None = None,
    ) -> Model:
        """Return the model whose network is a formula for each unknown, in the names of the coordinates.

        With conditions="hard" it is that of N in u = A + q N. Unknown scalars begin at the values `scalars`, or where
        the problem lets them start.
        Raises KanpdeError for unknowns without a formula, symbols that are no coordinates, functions that no edge can
        have, and functions that are not defined in all of the domain.
        """
        like = torch.zeros((), dtype=torch.float64)
        lower, upper = like.new_tensor(problem.geometry.lower), like.new_tensor(problem.geometry.upper)
        missing = [name for name in problem.unknowns if name not in expressions]
        if missing or len(expressions) > len(problem.unknowns):
            raise KanpdeError(
                f"formulas of {', '.join(expressions)}: give one for each unknown, {', '.join(problem.unknowns)}."
            )
        for name in scalars or {}:
            if name not in problem.scalars:
                raise unknown_name("scalar", name, problem.scalars)
        ordered = {name: expressions[name] for name in problem.unknowns}
        graph = with_scalars(graph_from(ordered, problem.geometry.names, lower, upper), problem, scalars or {})
        model = cls(problem, Ansatz(problem, conditions), graph, seed)
        edit.check_defined(graph, model.points)
        return model

    @cached_property
    def points(self) -> Tensor:
        """Points (N, d) of the domain over which edges are looked at."""
        return self.problem.geometry.sample(POINTS, self.seed).to(self.graph.lower)

    @cached_property
    def residual(self) -> float:
        """The relative residual of equations and soft conditions on held-out points."""
        return relative_residual(self.graph, self.graph.theta, self.ansatz, self.seed)

    @property
    def hard(self) -> bool:
        """Whether the ansatz imposes conditions, so that the graph is not the solution; periodic ones do not count."""
        return any(not isinstance(self.problem.conditions[label], Periodic) for label in self.ansatz.hard)

    @property
    def periodic(self) -> list[int]:
        """The inputs in which the solution repeats."""
        return [self.problem.geometry.names.index(name) for name in self.problem.periodic]

    @property
    def scalars(self) -> dict[str, float]:
        """The values of the unknown scalars of an inverse problem, by their names."""
        units = self.graph.values[: self.graph.scalars].tolist()
        return {
            name: scalar.start + scalar.size * unit
            for (name, scalar), unit in zip(self.problem.scalars.items(), units, strict=True)
        }

    def taylor(self, at: Points, indices: IndexSet) -> Tensor:
        """Return Taylor coefficients (channel, point, unknown) of the solution, on the device of the points."""
        points = at.array()
        there = Points.of(at.names, points.to(self.graph.lower))
        found = self.ansatz.taylor(self.graph, self.graph.theta, there, indices)
        return found[..., : len(self.problem.unknowns)].to(points)

    @cached_property
    def errors(self) -> Errors | None:
        """The errors against the problem's reference; None if it has none."""
        return None if self.problem.reference is None else ErrorMeasure(self.problem).of(self.taylor)

    # To look at.

    def importance(self) -> Importance:
        """Return the importance of edges and nodes over the domain."""
        return importance(self.graph, self.points)

    def suggest(self, edge: int, library: Mapping[str, Elementary] = ELEMENTARY, most: int = 5) -> list[Fit]:
        """Return the elementary functions that are closest to that of an edge, the best first."""
        return edit.suggested(self.graph, edge, self.points, library, most)

    def formula(self, exact: bool = True) -> dict[str, sympy.Expr]:
        """Return the formula of each unknown, and the values of unknown scalars; with hard conditions that of N.

        exact: whether constants that are simple numbers to rounding are written as these.
        Raises KanpdeError for an edge with a spline.
        """
        names, scalars = self.problem.geometry.names, list(self.scalars.values())
        return formulas(self.graph, names, self.problem.names, scalars, exact)

    def check(self, seconds: float = 60.0) -> list[Statement]:
        """Return whether the formula satisfies each equation and condition exactly; raise KanpdeError with splines.

        Also if conditions are hard, so that the formula is not that of the solution.
        """
        if self.hard:
            raise KanpdeError("the formula is that of N in u = A + q N: use conditions=soft for one of the solution.")
        return check_exactly(self.problem, self.formula(), seconds)

    def draw(self) -> Figure:
        """Return the network as a picture, with the functions and numbers of its edges; with hard conditions N."""
        geometry, problem = self.problem.geometry, self.problem
        name = ", ".join(part for part in (problem.name, "N of u = A + q N" if self.ansatz.hard else "") if part)
        edges = self.importance().edges
        return draw_graph(self.graph, edges, self.points, geometry.names, problem.unknowns, name)

    # To change.

    def refit(self, seconds: float = 60.0) -> Model:
        """Train all that is not locked with the residuals of the problem; never leaves a larger residual."""
        return self._with(refit(self.graph, self.ansatz, seed=self.seed, seconds=seconds).graph)

    def prune(
        self,
        *,
        threshold: float | None = None,
        edges: int | None = None,
        nodes: int | None = None,
        inputs: Iterable[int] | None = None,
        refit: bool = True,
        tolerance: float = TOLERANCE,
    ) -> Model:
        """Take away what matters least, and refit.

        threshold: edges of less importance than this part of the largest. edges, nodes: how many edges, or inner nodes,
        stay. inputs: the coordinates that edges may see.
        A warning says so where the residual is then larger than `tolerance` times what it was. Raises KanpdeError
        unless exactly one is given, and where nothing would be left.
        """
        smaller = prune(self.graph, self.points, threshold=threshold, edges=edges, nodes=nodes, inputs=inputs)
        return self._changed(smaller, refit, tolerance, "prune")

    def disconnect(self, *edges: int, refit: bool = True, tolerance: float = TOLERANCE) -> Model:
        """Take away edges, which become their means, and refit."""
        for edge in edges:
            edit.checked(self.graph, edge)
        return self._changed(without(self.graph, self.points, edges), refit, tolerance, "disconnect")

    def sparsify(self, strength: float = 1e-3, entropy: float = 0.0, rounds: int = 10) -> Model:
        """Train with a penalty on the size of each edge (L1), and on how evenly these are distributed (entropy).

        See `sparsified`. The residual grows with `strength`; prune and refit afterwards.
        """
        return self._with(sparsified(self.graph, self.ansatz, self.points, strength, entropy, rounds, self.seed))

    def fix(self, edge: int, found: str | Fit, refit: bool = False, tolerance: float = TOLERANCE) -> Model:
        """Put an elementary function on an edge, by its name or as suggested, with constants that are trained."""
        return self._changed(edit.fixed(self.graph, edge, self.points, found), refit, tolerance, f"fix({edge})")

    def unfix(self, edge: int, degree: int = edit.SPLINE_DEGREE, intervals: int = edit.SPLINE_INTERVALS) -> Model:
        """Put a spline on an edge, as close to its function as it can be."""
        return self._with(edit.unfixed(self.graph, edge, self.points, degree, intervals, self.periodic))

    def lock(self, edge: int) -> Model:
        """Hold the weights of an edge as they are."""
        return self._with(edit.locked(self.graph, edge))

    def unlock(self, edge: int) -> Model:
        """Train the weights of an edge again."""
        return self._with(edit.locked(self.graph, edge, lock=False))

    def replace(self, edge: int, name: str, a: float = 1.0, b: float = 0.0, c: float = 1.0, d: float = 0.0) -> Model:
        """Put c f(a z + b) + d on an edge, with these constants to begin with.

        Raises KanpdeError if a function is then not defined in all of the domain.
        """
        return self._changed(edit.replaced(self.graph, edge, name, a, b, c, d), False, 0.0, f"replace({edge})")

    def add_product(self, factors: Sequence[Sequence[int]], target: int) -> Model:
        """Add a product of sums of splines to a sum node: [[0], [0, 1]] is f(x) (g(x) + h(y)). Refit afterwards."""
        return self._with(edit.with_product(self.graph, factors, target, self.periodic))

    def fix_all(
        self,
        library: Mapping[str, Elementary] = ELEMENTARY,
        tolerance: float = TOLERANCE,
        seconds: float = 600.0,
        say: Callable[[str], None] = lambda line: None,
    ) -> Model:
        """Fix elementary functions on all edges, the surest first, each only if the residual allows it after a refit.

        The residual may grow to `tolerance` times what it is, and to rounding. Edges on which no function is good
        enough stay splines, and so do locked ones and those whose turn does not come within `seconds`; those that do
        not vary become constants.
        """
        end = perf_counter() + seconds
        limit = max(tolerance * self.residual, ROUNDING)
        begin = model = self._with(edit.flattened(self.graph, self.points))
        free = [e for e in edit.splines(begin.graph) if bool(begin.graph.trained[begin.graph.spans[e]].any())]
        waiting = {edge: begin.suggest(edge, library, TRIED) for edge in free}
        while waiting and perf_counter() < end:
            edge = min(waiting, key=lambda e: min((found.error for found in waiting[e]), default=inf))
            for found in waiting.pop(edge):
                try:  # the function of the edge is another one after a refit, and may have become flat
                    tried = model.fix(edge, found if model is begin else found.function.name).refit()
                except KanpdeError:
                    continue
                if tried.residual <= limit:
                    say(f"edge {edge}: {found.function.name}, relative residual {tried.residual:.1e}")
                    model = tried
                    break
            else:
                say(f"edge {edge}: no function leaves a relative residual below {limit:.1e}, it stays a spline")
        if waiting:
            say(f"{len(waiting)} edges were not tried in {seconds:.3g} s")
        return model

    def simple_constants(self, say: Callable[[str], None] = lambda line: None) -> Model:
        """Put constants to simple numbers (integers, fractions, multiples of pi, ...) where the residual allows it."""
        residual = max(self.residual, ROUNDING)
        return self._with(with_simple_constants(self.graph, self.ansatz, residual, self.seed, say)[0])

    # To keep.

    def saved(self) -> dict[str, Any]:
        """Return the model as plain data."""
        mode = "hard" if self.hard else "soft"
        return {"problem": self.problem.name, "conditions": mode, "seed": self.seed, "graph": self.graph.saved()}

    def save(self, path: str | Path) -> None:
        """Write the model to a file."""
        save_checkpoint(Path(path), self.saved())

    @classmethod
    def load(cls, path: str | Path, problem: Problem) -> Model:
        """Read a model of a problem from a file; raise KanpdeError if it is missing, damaged or of another problem."""
        state = load_checkpoint(Path(path))
        if "graph" not in state:
            raise KanpdeError(f"'{path}' is no model: give a file that `Model.save` or `kanpde simplify` has written.")
        graph = Graph.restored(state["graph"])
        if state["problem"] != problem.name or len(graph.lower) != problem.geometry.dimension:
            raise KanpdeError(f"'{path}' is a model of problem '{state['problem']}', not '{problem.name}'.")
        return cls(problem, Ansatz(problem, state["conditions"]), graph, state["seed"])

    def _with(self, graph: Graph) -> Model:
        return Model(self.problem, self.ansatz, graph, self.seed)

    def _changed(self, graph: Graph, refit: bool, tolerance: float, what: str) -> Model:
        """Return the model of another graph, refitted if asked for; warn if its residual is too large then."""
        edit.check_defined(graph, self.points)
        model = self._with(graph)
        if not refit:
            return model
        model, limit = model.refit(), max(tolerance * self.residual, ROUNDING)
        if not model.residual <= limit:
            warnings.warn(
                f"{what} left a relative residual of {model.residual:.1e}, it was {self.residual:.1e}: undo it, or"
                " take away less.",
                Worse,
                stacklevel=3,
            )
        return model
