"""The training loop, written once for all methods: random starts, then stages on finer grids, within a budget.

All randomness comes from the seed, the stage and the draw, so a run that goes on from a checkpoint equals one that
was never interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from math import inf, isfinite, log2, nan
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from kanpde.basis import BSpline
from kanpde.errors import KanpdeError
from kanpde.field import Points
from kanpde.geometry import Box
from kanpde.model import KAN, MLP, Ansatz, Network
from kanpde.model.network import Stage
from kanpde.problem import Problem
from kanpde.residual import System, residual_scales
from kanpde.sampling import PointSet, Sampling, draw, draw_where_large, earlier
from kanpde.solver import Solver, State

HELD_OUT_SEED = 1_000_003
HELD_OUT_LEAST = 2000
TINY = 1e-300
RESOLVED = 1e-10
"""A relative residual below which finer stages would resolve rounding."""
COARSE = 0.5
"""A stage of adaptive knots, but the last, ends when 5 iterations lower the loss by less than this factor."""
SMOOTH = 1e-3
"""A relative residual that a few product nodes on even knots reach only if the solution has no fronts."""
SCOUTING_ITERATIONS = 20
SETTLING_ITERATIONS = 30
"""Iterations that random product nodes take at least before their knots are blamed."""
SCOUTING_CAUSAL = 20.0
"""Gamma of the causal weights of scouting stages. On too few knots fronts would go astray, and the knots with them."""
OVERFIT = 4.0
"""Ratio of held-out to training loss at which a stage is repeated on twice as many points."""
MAX_DRAWS = 3
CAUSAL_SHARE = 0.25
"""Part of the iterations of the first stage in which causal weights become equal ones, at the latest."""


@dataclass(frozen=True)
class Budget:
    """Limits of a training: iterations in all stages together, and seconds; the first one reached stops it."""

    iterations: int = 100_000
    seconds: float = 300.0

    def __post_init__(self) -> None:
        for name in ("iterations", "seconds"):
            if not getattr(self, name) > 0:
                raise KanpdeError(f"budget.{name}={getattr(self, name)}: give a positive number.")

    def share(self, iterations: int, seconds: float, trainings: int) -> Budget:
        """Return an equal share of what is left, for the next of so many trainings; at least one iteration."""
        left = self.seconds - seconds
        return Budget(max(1, (self.iterations - iterations) // trainings), max(TINY, left / trainings))


@dataclass(frozen=True)
class Row:
    """One iteration in the history; stage 0 holds the random starts.

    Slabs are counted from 1. `correction` is 0 for the first network of a slab.
    """

    stage: int
    iteration: int
    seconds: float
    loss: float
    held_out: float
    parameters: int
    slab: int = 1
    correction: int = 0


Progress = Callable[[Row], None]
Checkpoint = Callable[[dict[str, Any]], None]


class Collocation:
    """Point sets for every stage, and the fixed held-out set, which is never trained on."""

    def __init__(
        self,
        ansatz: Ansatz,
        sampling: Sampling,
        seed: int,
        like: Tensor,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        self.ansatz = ansatz
        self.sampling = sampling
        self.seed = seed
        self.like = like
        self.scales = scales or residual_scales(ansatz, self._sets("sobol", HELD_OUT_LEAST, HELD_OUT_SEED, None))

    def count(self, network: Network, draws: int) -> int:
        """Return the number of interior points of the `draws`-th draw of a stage; each has twice as many."""
        return self.sampling.interior_count(network.parameters) * 2**draws

    def system(
        self, network: Network, theta: Tensor, stage: int, draws: int, redraws: int = 0, gamma: float = 0.0
    ) -> System:
        """Return the residuals on a stage's own points, with causal weights if gamma is not 0."""
        seed = self.seed * 7_368_787 + stage * 10_007 + draws * 1_009 + redraws * 101
        count = self.count(network, draws)
        chosen = round(self.sampling.adaptive * count) if stage > 0 else 0
        sets = self._sets(self.sampling.rule, count, seed, network, count - chosen)
        if chosen:
            sets = self._adapted(sets, network, theta, chosen, seed)
        if gamma:
            labels = tuple(self.ansatz.problem.equations)
            sets[labels] = earlier(sets[labels], self.ansatz.problem.geometry, gamma)
        return System(self.ansatz, network, sets, self.scales)

    def held_out(self, network: Network, draws: int) -> System:
        """Return the residuals on the held-out points."""
        count = max(HELD_OUT_LEAST, self.count(network, draws) // 2)
        return System(self.ansatz, network, self._sets("sobol", count, HELD_OUT_SEED + self.seed, network), self.scales)

    def _sets(
        self, rule: str, count: int, seed: int, network: Network | None, even: int | None = None
    ) -> dict[tuple[str, ...], PointSet]:
        """Return the points of equations, `even` of the `count` if not all, and of soft conditions."""
        problem, geometry = self.ansatz.problem, self.ansatz.problem.geometry
        grids = network.grids() if network and isinstance(geometry, Box) else None
        within = count if even is None else even
        inside = draw((geometry.interior(),), geometry.names, rule, within, seed, self.like, grids)
        sets = {tuple(problem.equations): inside}
        boundary = self.sampling.boundary_count(count, geometry.dimension)
        for number, label in enumerate(self.ansatz.soft, start=1):
            patches = geometry.boundary(problem.conditions[label].where)
            sets[(label,)] = draw(patches, geometry.names, rule, boundary, seed + 31 * number, self.like)
        return sets

    def _adapted(
        self, sets: dict[tuple[str, ...], PointSet], network: Network, theta: Tensor, chosen: int, seed: int
    ) -> dict[tuple[str, ...], PointSet]:
        """Add so many points where the residuals of the equations are large, with their share of the weights."""
        labels = tuple(self.ansatz.problem.equations)
        share, geometry, even = self.sampling.adaptive, self.ansatz.problem.geometry, sets[labels]

        def size(at: Points) -> Tensor:
            points = PointSet(at, self.like.new_ones(len(at)))
            return System(self.ansatz, network, {labels: points}, self.scales).magnitude(theta)

        large = draw_where_large(geometry.interior(), geometry.names, chosen, seed + 5, size, self.like)
        array = torch.cat([even.at.array(), large.at.array()])
        weights = torch.cat([(1 - share) * even.weights, share * large.weights])
        return {**sets, labels: PointSet(Points.of(geometry.names, array), weights)}


@dataclass
class Position:
    """Where a training stands, as plain data.

    phase: "starts", "stages" or "done". `drawn` are the parameters from which a stage's adaptive points were drawn, at
    the `redraws`-th time. `bases` are what the network's bases became (`Network.saved`).
    """

    phase: str = "starts"
    start: int = 0
    stage: int = 1
    draws: int = 0
    redraws: int = 0
    drawn: Tensor | None = None
    eased: int = 0
    since: int = 0
    smooth: bool = False
    iteration: int = 0
    total: int = 0
    elapsed: float = 0.0
    bases: dict[str, Any] = field(default_factory=dict)
    theta: Tensor | None = None
    memory: dict[str, Any] | None = None
    best: dict[str, Any] | None = None
    stopped: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Trains a model on a problem; `run` does it all, from a checkpoint's position if one is given.

    ansatz: by default that of the problem's own conditions. scales: the sizes of the residuals, by default where the
    network is zero.
    Raises KanpdeError if the model's splines are too rough for the equations, or a residual is not finite at the start.
    """

    def __init__(
        self,
        problem: Problem,
        model: KAN | MLP,
        solver: Solver,
        sampling: Sampling,
        conditions: str,
        budget: Budget,
        seed: int,
        device: torch.device,
        ansatz: Ansatz | None = None,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        model = model.suited(problem)
        model.check(problem.order)
        sampling.check(problem.geometry)
        self.problem, self.model, self.solver, self.budget, self.seed = problem, model, solver, budget, seed
        self.like = torch.zeros((), dtype=torch.float64, device=device)
        self.lower, self.upper = (
            self.like.new_tensor(problem.geometry.lower),
            self.like.new_tensor(problem.geometry.upper),
        )
        self.ansatz = ansatz or Ansatz(problem, conditions)
        self.collocation = Collocation(self.ansatz, sampling, seed, self.like, scales)
        self._own_stages = model.stages()
        self.position = Position()

    def run(
        self, position: Position | None = None, progress: Progress | None = None, checkpoint: Checkpoint | None = None
    ) -> tuple[Network, Tensor, Position]:
        """Return the trained network, its parameters (P,) and the final position."""
        self.position = position or Position()
        self._progress, self._checkpoint = progress, checkpoint
        self._begin = perf_counter() - self.position.elapsed
        if self.position.phase == "starts":
            self._starts()
        if self.position.phase == "stages":
            self._stages()
        return *self.found(self.position), self.position

    def found(self, position: Position) -> tuple[Network, Tensor]:
        """Return the best network of a position and its parameters (P,)."""
        self.position, best = position, position.best
        assert best is not None
        return self._network(best["bases"]), best["theta"].to(self.like)

    def _starts(self) -> None:
        """Run every random start a few iterations and keep the one with the lowest held-out loss."""
        p, network = self.position, self._network({})
        held_out = self.collocation.held_out(network, 0)
        system = self.collocation.system(network, self.like, 0, 0, gamma=self._gamma())  # the same for all starts
        while p.start < self.solver.starts:
            generator = torch.Generator().manual_seed(self.seed * 6_700_417 + p.start)
            theta = self.model.initial_parameters(network, generator)
            state = self.solver.init(system, theta)
            for _ in range(self.solver.start_iterations):
                if state.stopped or self._spent():
                    break
                state = self._step(system, state)
                p.iteration += 1
                self._note(0, state, nan)
            self._offer(network, state.theta, held_out.loss(state.theta))
            p.start += 1
            p.iteration = 0
            self._save()
        assert p.best is not None
        p.phase, p.theta, p.bases = "stages", p.best["theta"], p.best["bases"]

    def _stages(self) -> None:
        """Train stage after stage; a spent budget leaves the position in its stage, so that a larger one goes on."""
        p = self.position
        p.stopped = ""
        while p.phase == "stages" and not p.stopped:
            network = self._network(p.bases)
            assert p.theta is not None
            theta = p.theta.to(self.like)
            if p.iteration == 0:
                p.redraws, p.drawn = 0, theta
            system = self._system(network)
            held_out = self.collocation.held_out(network, p.draws)
            if p.iteration and p.memory is not None:
                state = self.solver.restored(system, theta, p.memory)
            else:
                state = self.solver.init(system, theta, p.memory)
            state, stopped = self._iterate(network, system, held_out, state)
            loss = held_out.loss(state.theta)
            self._offer(network, state.theta, loss)
            p.theta = state.theta
            if self._spent():
                p.memory, p.stopped = self.solver.saved(state), stopped
                self._save()
                return
            p.memory, p.iteration = self.solver.kept(state), 0
            p.smooth = p.smooth or self._turns_out_smooth(loss)
            more = p.draws < MAX_DRAWS and self.collocation.sampling.points is None and not self._scouting
            if loss > OVERFIT * state.loss and more:
                p.draws, p.since = p.draws + 1, 0
            elif p.stage < len(self.stages) and 2 * loss > RESOLVED**2:
                self._refine(network)
            else:
                p.phase, p.stopped = "done", stopped
            self._save()

    def _system(self, network: Network) -> System:
        """Return the residuals on the points of the position."""
        p = self.position
        assert p.drawn is not None
        return self.collocation.system(network, p.drawn.to(self.like), p.stage, p.draws, p.redraws, self._weighting())

    @property
    def stages(self) -> list[Stage]:
        """The stages: those of the model, or those of a smooth solution once that is known."""
        if isinstance(self.model, KAN) and self.position.smooth:
            return self.model.smooth().stages()
        return self._own_stages

    @property
    def _adaptive(self) -> bool:
        """Whether stages choose the intervals that they cut."""
        return isinstance(self.model, KAN) and self.model.adaptive and not self.position.smooth

    @property
    def _scouting(self) -> bool:
        """Whether the present stage only looks for places of knots."""
        return self.position.stage > 0 and self.stages[self.position.stage - 1].scouting

    def _turns_out_smooth(self, loss: float) -> bool:
        """Whether the stage before the scouting has resolved the solution well, so that none is needed."""
        return self._adaptive and self._tries() and 2 * loss < SMOOTH**2

    def _tries(self) -> bool:
        """Whether the next stage is the first one that looks for places of knots."""
        following = self.stages[self.position.stage : self.position.stage + 1]
        return not self._scouting and any(stage.scouting for stage in following)

    def _gamma(self) -> float:
        """Return gamma of the causal weights: it halves down to 1 and is then 0, as it is behind the first stage."""
        p, gamma = self.position, self.collocation.sampling.causal
        first = p.stage == 1 and p.draws == 0 and (p.eased == 0 or gamma >= 2**p.eased)
        return gamma / 2**p.eased if first else 0.0

    def _weighting(self) -> float:
        """Return gamma of the present stage."""
        return SCOUTING_CAUSAL if self._scouting and self.problem.geometry.time is not None else self._gamma()

    def _ease(self, network: Network, system: System, state: State) -> tuple[System, State]:
        """Halve gamma when the solver stops or a share of the stage's iterations has passed."""
        p, gamma = self.position, self.collocation.sampling.causal
        halvings = 1 + max(0, int(log2(gamma)))
        while self._gamma() and (
            state.stopped or p.iteration - p.since >= CAUSAL_SHARE * self.solver.stage_iterations / halvings
        ):
            p.eased, p.since = p.eased + 1, p.iteration
            system = self._system(network)
            state = self.solver.init(system, state.theta, self.solver.kept(state))
        return system, state

    def _iterate(self, network: Network, system: System, held_out: System, state: State) -> tuple[State, str]:
        """Iterate one stage on; points move only if they are adaptive, and never to where the loss is not finite."""
        p, sampling = self.position, self.collocation.sampling
        while not state.stopped:
            if self._coarse(state):
                return state, "the knots are too coarse for more"
            if self._spent():
                return state, self._spent()
            if p.iteration >= self.solver.stage_iterations:
                return state, f"iteration limit of the stage ({self.solver.stage_iterations})"
            if sampling.adaptive and p.iteration // sampling.redraw > p.redraws:
                number = p.iteration // sampling.redraw
                moved = self.collocation.system(network, state.theta, p.stage, p.draws, number, self._weighting())
                begun = self.solver.init(moved, state.theta, self.solver.kept(state))
                if isfinite(begun.loss):
                    system, state, p.redraws, p.drawn = moved, begun, number, state.theta
            state = self._step(system, state)
            p.iteration += 1
            if self._gamma():
                system, state = self._ease(network, system, state)
            due = self._due() or bool(state.stopped)
            loss = held_out.loss(state.theta) if due else nan
            self._note(p.stage, state, loss)
            if due:
                self._offer(network, state.theta, loss)
                p.theta, p.memory = state.theta, self.solver.saved(state)
                self._save()
        return state, state.stopped

    def _coarse(self, state: State) -> bool:
        """Whether finer knots promise more than further iterations."""
        p, iterations = self.position, 5
        if not self._adaptive or self._tries() or p.stage == len(self.stages) or self._gamma():
            return False
        taken = p.iteration - p.since
        if self._scouting and taken >= SCOUTING_ITERATIONS:
            return True
        settled = iterations if self._scouting else SETTLING_ITERATIONS
        return taken > settled and state.loss > COARSE * float(p.history[-iterations]["loss"])

    def _refine(self, network: Network) -> None:
        """Go to the next stage: start all product nodes, or cover the activations and refine the bases, exactly."""
        p = self.position
        assert p.theta is not None
        wanted, before = self.stages[p.stage], self.stages[p.stage - 1]
        if wanted.products != before.products:
            self._start_anew(network)
            return
        points = self.collocation.held_out(network, 0).batches[0].at.array()
        wider, cover = network.covering(p.theta.to(self.like), points)
        theta = cover.parameters(p.theta.to(self.like))
        if self._adaptive:
            more = (wanted.grids[0] - before.grids[0]) * len(self.lower)
            finer, refine = wider.bisected(self._promising(wider, theta, more))
        else:
            finer, refine = wider.refined([n // o for n, o in zip(wanted.grids, before.grids, strict=True)])
        p.memory = self.solver.transfer(self.solver.transfer(p.memory or {}, cover), refine)
        p.theta, p.bases = refine.parameters(theta), finer.saved()
        p.stage, p.draws, p.iteration, p.since = p.stage + 1, 0, 0, 0

    def _start_anew(self, network: Network) -> None:
        """Go to a stage of more product nodes: random ones, on the knots that fewer have found.

        Many separable functions that start together settle on the solution in few iterations; a few more beside those
        that have settled do not find their way.
        """
        p = self.position
        fresh = self._of_stage(self.stages[p.stage])
        saved = fresh.saved()
        saved["bases"][0] = network.saved()["bases"][0]
        generator = torch.Generator().manual_seed(self.seed * 6_700_417 + 1_000 + p.stage)
        p.theta = self.model.initial_parameters(fresh.restored(saved), generator)
        p.bases, p.memory = saved, None
        p.stage, p.draws, p.iteration, p.since = p.stage + 1, 0, 0, 0

    def _promising(self, network: Network, theta: Tensor, count: int) -> list[Tensor]:
        """Return masks (G,) of the `count` intervals of the first layer whose halving promises most.

        A knot in the middle of interval j adds, up to old functions, the B-spline centred there. Its coefficients would
        lower the loss by about the squared gradient over the diagonal of J^T J, which is compared over all inputs.
        """
        splines = [e.basis for e in network.layers[0].edges if isinstance(e.basis, BSpline)]
        every = [torch.ones(b.intervals, dtype=torch.bool, device=theta.device) for b in splines]
        finer, change = network.bisected(every)
        theta = change.parameters(theta)
        system = self.collocation.system(finer, theta, self.position.stage, 0, gamma=self._weighting())
        gradient, diagonal = system.linearised(theta).slopes()
        shape = finer.layers[0].features, finer.layers[0].outputs
        gains = (gradient.square() / diagonal.clamp_min(TINY))[finer.places[0]].view(shape).sum(dim=1)
        found = []
        for e, part in zip(finer.layers[0].edges, finer.layers[0].parts(gains), strict=True):
            if isinstance(e.basis, BSpline):
                centre = torch.arange(e.basis.intervals // 2, device=theta.device) * 2 + (e.basis.degree + 1) // 2
                found.append(part[0, centre % e.basis.size])
        order = torch.cat(found).argsort(descending=True, stable=True)
        chosen = torch.zeros_like(order, dtype=torch.bool)
        chosen[order[:count]] = True
        return list(chosen.split([b.intervals for b in splines]))

    def _network(self, saved: dict[str, Any]) -> Network:
        """Return the network with the nodes and bases of a position, or those of the first stage."""
        if not saved:
            return self._of_stage(self.stages[0])
        return self._of_stage(self.stages[0]._replace(products=saved["products"])).restored(saved)

    def _of_stage(self, stage: Stage) -> Network:
        """Return the network of a stage, on equal knots."""
        periodic = [self.problem.geometry.names.index(name) for name in self.problem.periodic]
        return self.model.network(self.lower, self.upper, len(self.problem.unknowns), stage, periodic)

    def _step(self, system: System, state: State) -> State:
        state = self.solver.step(system, state)
        self.position.total += 1
        return state

    def _offer(self, network: Network, theta: Tensor, held_out: float) -> None:
        """Keep what has the lowest held-out loss so far."""
        best = self.position.best
        held_out = held_out if isfinite(held_out) else inf
        if best is None or held_out < best["held_out"]:
            self.position.best = {"held_out": held_out, "theta": theta, "bases": network.saved()}

    def _spent(self) -> str:
        if self.position.total >= self.budget.iterations:
            return f"budget of {self.budget.iterations} iterations"
        if perf_counter() - self._begin >= self.budget.seconds:
            return f"budget of {self.budget.seconds:g} s"
        return ""

    def _due(self) -> bool:
        """Whether the held-out loss and a checkpoint are due: at growing intervals, so that they stay cheap."""
        n = self.position.iteration
        return n % (10 if n < 1000 else 100) == 0

    def _note(self, stage: int, state: State, held_out: float) -> None:
        p = self.position
        row = Row(stage, p.total, perf_counter() - self._begin, state.loss, held_out, len(state.theta))
        p.history.append(asdict(row))
        if self._progress:
            self._progress(row)

    def _save(self) -> None:
        self.position.elapsed = perf_counter() - self._begin
        if self._checkpoint:
            self._checkpoint({"position": dict(vars(self.position))})
