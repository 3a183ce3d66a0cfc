"""Solving with all products of splines of two inputs, on knots that are refined where residuals ask for it.

On given knots this is the widest network of product nodes there is, and the only one whose parameters all enter it
linearly: Gauss-Newton has no false minima of factors to get past, and its normal equations are a band. Afterwards the
singular functions of the solution are the nodes (`separate`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf, sqrt

import torch
from torch import Tensor

from kanpde.basis import BSpline
from kanpde.floats import TINY
from kanpde.model import KAN
from kanpde.model.tensor import TensorSplines, constant
from kanpde.newton import newton
from kanpde.problem import Problem
from kanpde.residual import Residuals
from kanpde.separate import Nodes, Separation
from kanpde.training_points import Collocation

FIRST_INTERVALS = 10
"""Intervals of the slow coordinate in the beginning; time goes on from one to the next."""
CLOSE = 1e-3
"""A relative residual below which time goes on, here as in networks that grow."""
ALONE = 1e-2
"""What this is multiplied by where time is the only coordinate: solutions may be stiff, and knots cost little."""
JUMP = 5.0
"""An interval is cut first if the first solution on it leaves a residual above that, times this."""
POOR = 0.1
"""A relative residual above which the very first interval is cut: knots may be too few for the initial values."""
WINDOW = 20
"""Intervals, at most, that are solved on anew when time goes on; coefficients of earlier splines are kept."""
CUTS = 6
"""Times that an interval is cut for that, at most."""
REFINEMENTS = 10
"""Refinements before time goes on in any case."""
LOST = 0.05
"""A relative residual after that many refinements that no solution has."""
ITERATIONS = 12
FIRST_ITERATIONS = 30
OVERFIT = 5.0
"""Ratio of held-out to trained residual above which cells get one more point in each direction."""
MORE = 3
MARKED = 0.5
"""Intervals are cut that make up so much of the indicator (Doerfler 1996)."""
SETTLED = 0.3
"""Refining ends when it twice changes the solution by less than this part of what the network leaves of it."""
RESOLVED = 1e-10
"""A relative residual below which anything finer would resolve rounding."""
STALLED, HELPED = 4, 0.9
"""Refining also ends when so many refinements leave so much of the residual."""
LARGEST = 80_000_000
"""Entries of the band matrix at most (640 MB)."""

Note = Callable[[float, int], str]
"""Gets the loss and the number of coefficients of an iteration; says which limit is reached, if one is."""


@dataclass
class Search:
    """How far solving has got, as plain data.

    fast, slow: the knots. theta: coefficients (P,). begun, ended: the first interval of the slow coordinate that is
    solved on, and the first one behind them. refinements: of the knots there. more: additional points of cells in each
    direction. trained, held_out: relative residuals. residuals: what each of the knots left on which the whole domain
    was solved. changes: by how much these changed the solution, but for the first. variations: how much the residual
    varies across the intervals that are solved on, of the fast and of the slow coordinate. stopped: why the search
    ended.
    """

    fast: Tensor
    slow: Tensor
    theta: Tensor
    begun: int
    ended: int
    refinements: int = 0
    more: int = 0
    trained: float = inf
    held_out: float = inf
    residuals: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    variations: list[Tensor] = field(default_factory=list)
    stopped: str = ""

    @property
    def found(self) -> bool:
        """Whether there is a solution on the whole domain."""
        return bool(self.residuals)


class FullProduct:
    """Solves with tensor products of splines, and separates what it finds.

    model: what the network that is to come has at most. marches: whether time, the slow coordinate, goes on from
    interval to interval.
    """

    def __init__(self, collocation: Collocation, model: KAN, marches: bool) -> None:
        self.collocation, self._marches = collocation, marches
        self._start = products(model, collocation.ansatz.problem, collocation.like)
        self._close = CLOSE * (ALONE if self._start.axes[0] is None else 1.0)
        last = model.stages()[-1]
        self._limits = model.limit, last.products, last.grids[0]

    def start(self) -> Search:
        """Return the search at its start, where the coefficients are zero."""
        splines = self._start
        theta = splines.lower.new_zeros(splines.parameters)
        return Search(splines.fast.knots, splines.slow.knots, theta, 0, 0 if self._marches else splines.slow.intervals)

    def run(self, search: Search, note: Note, save: Callable[[], None]) -> None:
        """Go on with a search until it ends; `save` is called where it can go on from."""
        self._note = note
        while not search.stopped:
            self._go_on(search)
            save()

    def nodes(self, search: Search) -> Nodes:
        """Return the product nodes of what was found."""
        return self._separation(search).nodes(search.changes[-1] if search.changes else 0.0)

    def reach(self, search: Search) -> float:
        """Return up to which part of the domain was solved."""
        return self._splines(search).part(0, search.ended)[0].span[1] if search.ended else 0.0

    def points(self, search: Search) -> Residuals:
        """Return the residuals on the points of the intervals that were solved on last."""
        part, _ = self._splines(search).part(search.begun, search.ended)
        return self.collocation.in_cells(part, search.more).residuals

    def _splines(self, search: Search) -> TensorSplines:
        """Return the splines of a search on the whole domain."""
        fast, slow = self._start.fast, self._start.slow
        return replace(
            self._start,
            fast=replace(fast, knots=search.fast.to(fast.knots)),
            slow=replace(slow, knots=search.slow.to(slow.knots)),
        )

    def _go_on(self, s: Search) -> None:
        """Make one move: solve anew on more points, on more knots, or on another part of time."""
        splines = self._splines(s)
        at_end = s.ended == splines.slow.intervals
        if s.ended == 0:
            self._lengthen(s, splines)
        elif s.trained == inf:
            self._solve(s, splines, s.theta, FIRST_ITERATIONS)
        elif s.held_out > max(OVERFIT * s.trained, RESOLVED if s.found else self._close) and s.more < MORE:
            s.more += 1
            self._solve(s, splines, s.theta, ITERATIONS)
        elif s.found or (at_end and s.begun == 0 and s.held_out <= self._close):
            self._finish_level(s, splines)
        elif s.held_out > self._close and s.refinements < REFINEMENTS:
            self._refine(s, splines)
        elif s.held_out > LOST:
            s.stopped = f"no solution found: relative residual {s.held_out:.1e}"
        elif not at_end:
            self._lengthen(s, splines)
        elif s.begun:
            s.begun, s.refinements, s.more = 0, 0, 0
            self._solve(s, splines, s.theta, FIRST_ITERATIONS)
        else:
            self._finish_level(s, splines)

    def _solve(self, s: Search, splines: TensorSplines, theta: Tensor, limit: int) -> Residuals:
        """Solve on the intervals of the search, from coefficients theta (P,) on the whole domain.

        Returns the residuals on the held-out points of these intervals.
        """
        s.fast, s.slow, s.theta = splines.fast.knots, splines.slow.knots, theta
        part, own = splines.part(s.begun, s.ended)
        cells, held_out = self.collocation.in_cells(part, s.more), self.collocation.held_out_cells(part)
        goal = 0.5 * (0.1 * (RESOLVED if s.found else self._close)) ** 2
        kept = splines.slow.degree * splines.fast.size * splines.outputs if s.begun else 0

        def note(loss: float) -> bool:
            s.stopped = self._note(loss, part.parameters)
            return bool(s.stopped)

        found, loss = newton(cells.residuals, part, theta[own], limit, goal, note, kept)
        s.theta = splines.continued(torch.cat([theta[: own.start], found, theta[own.stop :]]), s.ended)
        s.trained, s.held_out = sqrt(2 * loss), sqrt(2 * held_out.loss(found))
        s.variations = splines.ordered(cells.variations(found))
        return held_out

    def _refine(self, s: Search, splines: TensorSplines) -> None:
        """Cut the intervals across which the residual varies most, as seen from what they cost, and solve."""
        fast, slow = s.variations
        value = torch.cat([fast, slow])
        worth = torch.cat([fast / splines.slow.size, slow / splines.fast.size]).argsort(descending=True, stable=True)
        share = value[worth].cumsum(0)
        marked = torch.zeros_like(value, dtype=torch.bool)
        marked[worth[: int((share < MARKED * share[-1]).sum()) + 1]] = True
        of_slow = marked.new_zeros(splines.slow.intervals)
        of_slow[s.begun : s.ended] = marked[len(fast) :]
        finer, theta = self._cut(s, splines, s.theta, marked[: len(fast)], of_slow)
        s.refinements, s.more = s.refinements + 1, 0
        held_out = self._solve(s, finer, theta, ITERATIONS)
        if s.found:
            before, after = held_out.solution(theta), held_out.solution(s.theta)
            s.changes.append(float((after - before).norm() / after.norm().clamp_min(TINY)))

    def _cut(
        self, s: Search, splines: TensorSplines, theta: Tensor, fast: Tensor, slow: Tensor
    ) -> tuple[TensorSplines, Tensor]:
        """Return splines with marked intervals (G,) of each coordinate cut, and the same function's coefficients."""
        slow = graded(splines.slow, slow)
        finer, theta = splines.bisected(graded(splines.fast, fast), slow, theta)
        s.begun, s.ended = (number + int(slow[:number].sum()) for number in (s.begun, s.ended))
        return finer, finer.continued(theta, s.ended)

    def _lengthen(self, s: Search, splines: TensorSplines) -> None:
        """Go on to the next interval; cut it before, a few times, if its first solution is poor."""
        s.refinements, s.more = 0, 0
        s.begun = max(s.begun, s.ended + 1 - WINDOW)
        theta, none = s.theta, torch.zeros(splines.fast.intervals, dtype=torch.bool, device=s.theta.device)
        for cuts in range(CUTS + 1):
            before, s.ended = s.ended, s.ended + 1
            self._solve(s, splines, theta, ITERATIONS)
            if s.trained <= (JUMP * self._close if before else POOR) or cuts == CUTS or s.stopped:
                return
            following = torch.zeros(splines.slow.intervals, dtype=torch.bool, device=theta.device)
            following[before] = True
            s.ended = before
            splines, theta = self._cut(s, splines, theta, none, following)

    def _finish_level(self, s: Search, splines: TensorSplines) -> None:
        """Note the knots on which the whole domain was solved; refine them unless the search has ended."""
        s.residuals.append(s.held_out)
        left = self._separation(s).least
        if s.held_out <= RESOLVED:
            s.stopped = f"relative residual below {RESOLVED:g}"
        elif len(s.changes) > 1 and max(s.changes[-2:]) < SETTLED * left:
            s.stopped = f"finer knots change the solution by less than the {left:.1e} that the network leaves of it"
        elif len(s.residuals) > STALLED and s.held_out > HELPED * s.residuals[-1 - STALLED]:
            s.stopped = f"finer knots do not lower the relative residual of {s.held_out:.1e}"
        elif splines.parameters * (2 * splines.bandwidth + 1) > LARGEST:
            s.stopped = f"finer knots would need too much memory for {splines.parameters} coefficients"
        else:
            self._refine(s, splines)

    def _separation(self, s: Search) -> Separation:
        return Separation(self._splines(s), s.theta, *self._limits)


def products(model: KAN, problem: Problem, like: Tensor) -> TensorSplines:
    """Return the coarsest splines of all products; the slow coordinate is time, or one that is not periodic."""
    geometry, periodic = problem.geometry, problem.periodic
    assert model.start_grid is not None
    one, degree = like.new_ones(1), model.degrees[0]
    axes: tuple[int | None, int]
    if geometry.dimension == 1:
        axes, fast = (None, 0), constant(like)
    else:
        slow = geometry.names.index(geometry.time) if geometry.time else 1
        slow = 1 - slow if geometry.names[slow] in periodic else slow
        axes = 1 - slow, slow
        fast = BSpline.uniform(degree, model.start_grid, -one, one, geometry.names[1 - slow] in periodic)
    return TensorSplines(
        fast,
        BSpline.uniform(degree, FIRST_INTERVALS, -one, one),
        axes,
        like.new_tensor(geometry.lower),
        like.new_tensor(geometry.upper),
        len(problem.unknowns),
    )


def graded(basis: BSpline, marked: Tensor) -> Tensor:
    """Return marks (G,) of intervals to halve and of those that make neighbours differ by more than a factor of two."""
    marked, lengths = marked.clone(), basis.breaks[0].diff()
    while True:
        halved = torch.where(marked, 0.5 * lengths, lengths)
        ends = (halved[-1:], halved[:1]) if basis.periodic else (halved[:1], halved[-1:])
        around = torch.minimum(torch.cat([ends[0], halved[:-1]]), torch.cat([halved[1:], ends[1]]))
        more = (halved > 2.01 * around) & ~marked
        if not bool(more.any()):
            return marked
        marked = marked | more
