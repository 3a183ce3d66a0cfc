"""The training loop, written once for all methods: random starts, then stages on finer grids, within a budget.

All randomness comes from the seed, the stage and the draw, so a run that goes on from a checkpoint equals one that
was never interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import inf, isfinite, log2, nan, sqrt
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from kanpde import processes
from kanpde.balance import balanced
from kanpde.errors import KanpdeError
from kanpde.full import CLOSE, RESOLVED, FullProduct, Search
from kanpde.geometry import Box
from kanpde.growth import continued, intervals, price, promising, widened
from kanpde.model import KAN, MLP, Ansatz, Network
from kanpde.model.kan import separable
from kanpde.model.network import Change, Stage
from kanpde.position import Budget, Checkpoint, Position, Progress, Row
from kanpde.problem import Periodic, Problem
from kanpde.residual import System
from kanpde.sampling import Sampling
from kanpde.solver import LevenbergMarquardt, Solver, State
from kanpde.training_points import Collocation

SMOOTH = 1e-3
"""A relative residual that a few product nodes on even knots reach only if the solution has no fronts."""
LATE = 0.5
"""Part of the budget after which a network does not grow before the end of the time."""
ENOUGH = 1e-5
"""A relative residual above which the equations are tried again with more product nodes."""
HORIZONS = 10
"""Steps in which the time of a growing network goes from the start to the end of its interval."""
GROWTHS = 3
"""A growing network goes on in time after so many growths, however large the residual."""
HELPFUL = 1.5
"""A growth is followed by one of the other kind, knots or product nodes, unless it divided the residual by this."""
PROMISING = 0.15
"""More knots come first if they promise to lower the loss by so much, relative to the loss (`growth.promising`)."""
MORE_KNOTS, MORE_PRODUCTS = 0.15, 0.3
"""What a growth adds, relative to what there is."""
LITTLE = 0.03
"""A growing network that is so close to its largest number of parameters, relative to that, stays as it is."""
GROWTH_ITERATIONS = 60
SETTLING, SETTLING_PRODUCTS = 20, 30
"""Iterations of a growing network, or of one with new product nodes, before it may be judged."""
BALANCING = 10
"""A growing network balances its product nodes every so many iterations."""
HALVING = 12
"""A growing network grows on when so many iterations do not halve the loss."""
OVERFIT = 4.0
"""Ratio of held-out to training loss at which a stage is repeated on twice as many points."""
MAX_DRAWS = 3
WILD = 2.0
"""A function that is so much larger in the domain than at the data is not taken, however well it fits these."""
CLEAR = 1e-6
"""A relative held-out residual of data alone below which no other network is tried."""
HELPS, FITTED, IN_VAIN = 0.9, 1.5, 2
"""On data alone a stage is in vain if it left a held-out loss above such a part of the least one so far, and so many
times that of training. A network grows no more after so many of these on end."""
CAUSAL_SHARE = 0.25
"""Part of the iterations of the first stage in which causal weights become equal ones, at the latest."""


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
        self.problem, self.solver, self.budget, self.seed = problem, solver, budget, seed
        self.like = torch.zeros((), dtype=torch.float64, device=device)
        self.lower, self.upper = (
            self.like.new_tensor(problem.geometry.lower),
            self.like.new_tensor(problem.geometry.upper),
        )
        self.ansatz = ansatz or Ansatz(problem, conditions)
        self.collocation = Collocation(self.ansatz, sampling, seed, self.like, scales)
        self.attempts = model.attempts()
        self.position = Position()

    def run(
        self, position: Position | None = None, progress: Progress | None = None, checkpoint: Checkpoint | None = None
    ) -> tuple[Network, Tensor, Position]:
        """Return the trained network, its parameters (P,) and the final position."""
        self.position = position or Position()
        self._progress, self._checkpoint = progress, checkpoint
        self._begin = perf_counter() - self.position.elapsed
        if self.position.phase != "done":
            self.position.stopped = ""
        while self.position.phase != "done" and not self.position.stopped:
            if self.position.phase == "starts" and self._may_be_full():
                self.position.phase = "full"
            elif self.position.phase == "full":
                self._full()
            elif self.position.phase == "starts":
                self._starts()
            else:
                self._stages()
        return *self.found(self.position), self.position

    def found(self, position: Position) -> tuple[Network, Tensor]:
        """Return the best network of a position and its parameters (P,)."""
        self.position, best = position, position.best
        assert best is not None
        return self._network(best["bases"], best.get("attempt")), best["theta"].to(self.like)

    def following(self, network: Network, theta: Tensor) -> Position:
        """Return the position in the last stage at a network of this model with its parameters (P,).

        Raises KanpdeError for a network of other layers.
        """
        attempt, saved = len(self.attempts) - 1, network.saved()
        stages = self.attempts[attempt].stages()
        self.position = Position("stages", attempt, stage=len(stages), theta=theta, bases=saved)
        try:
            fits = self._network(saved).parameters == len(theta)
        except (ValueError, IndexError, KeyError):
            fits = False
        if not fits:
            raise KanpdeError(
                f"start: it has a network of {len(theta)} parameters that {self.model} does not have: give the model"
                " it was trained with, on the same domain."
            )
        return self.position

    def points(self, position: Position) -> Tensor:
        """Return the interior points (N, d) of the last stage of a training that has ended.

        Those of a solution with all products of splines are the Gauss points in their cells.
        """
        self.position = position
        search = None if position.search is None else Search(**position.search)
        if search is not None and (search.found or position.phase == "full"):
            residuals = self._full_product().points(search)
        elif position.drawn is None:  # the end came among the random starts
            residuals = self._first_system(self._network({}))
        else:
            residuals = self._system(self._network(position.bases))
        return residuals.points()

    def _full_product(self) -> FullProduct:
        assert isinstance(self.model, KAN)
        return FullProduct(self.collocation, self.model, self._passes_time())

    def _starts(self) -> None:
        """Run every random start a few iterations and keep the one with the lowest held-out loss."""
        p = self.position
        p.horizon = 1 / HORIZONS if self._adaptive and self._passes_time() else 1.0
        network = self._network({})
        held_out = self.collocation.held_out(network, 0, p.horizon)
        whole = held_out if p.horizon == 1 else self.collocation.held_out(network, 0)
        system = self._first_system(network)
        while p.start < self.solver.starts:
            generator = torch.Generator().manual_seed(self.seed * 6_700_417 + 1_000 * p.attempt + p.start)
            theta = self.model.initial_parameters(network, generator)
            state = self.solver.init(system, theta)
            for _ in range(self.solver.start_iterations):
                if state.stopped or self._spent():
                    break
                state = self._step(system, state)
                p.iteration += 1
                self._note(0, state, nan)
            loss = held_out.loss(state.theta)
            p.chosen = better(p.chosen, network, state.theta, loss)
            self._offer(network, state.theta, loss if whole is held_out else whole.loss(state.theta))
            p.start += 1
            p.iteration = 0
            self._save()
        assert p.chosen is not None
        p.phase, p.theta, p.bases = "stages", p.chosen["theta"], p.chosen["bases"]

    def _first_system(self, network: Network) -> System:
        """Return the residuals on the points of all random starts."""
        return self.collocation.system(network, self.like, 0, 0, 0, self._gamma(), self.position.horizon)

    def _may_be_full(self) -> bool:
        """Whether a network that grows can be found by solving with all products of splines, if that was not tried.

        It is one of product nodes only. Other settings than the usual ones ask for growth.
        """
        problem, model = self.problem, self.model
        if self.position.search is not None or not self._adaptive or not isinstance(model, KAN):
            return False
        plain = model.width == (0,) and model.grids[1] == model.degrees[1] == 1 and not model.base
        usual = isinstance(self.solver, LevenbergMarquardt) and self.collocation.sampling == Sampling()
        return plain and usual and separable(problem)

    def _full(self) -> None:
        """Solve with all products of splines, and separate the solution into the product nodes of a network."""
        p = self.position
        assert isinstance(self.model, KAN)
        full = self._full_product()
        search = full.start() if p.search is None else Search(**{**p.search, "stopped": ""})

        def note(loss: float, parameters: int) -> str:
            p.total += 1
            self._add(Row(p.stage + 1, p.total, perf_counter() - self._begin, loss, nan, parameters))
            p.horizon = full.reach(search)
            return self._spent()

        def save() -> None:
            p.search = dict(vars(search))
            if p.history:
                p.history[-1]["held_out"] = 0.5 * search.held_out**2
            self._save()

        full.run(search, note, save)
        if search.found or self._spent():
            nodes = full.nodes(search)
            network = self._of_stage(self.stages[0]._replace(products=nodes.count), self.model)
            network, theta = nodes.network(network, self.collocation.spread(1.0))
            p.horizon = full.reach(search)
            if search.found:
                p.best = None  # nodes of the least error, whatever residual they leave
            self._offer(network, theta, self.collocation.held_out(network, 0).loss(theta))
            p.theta, p.bases, p.stopped = theta, network.saved(), search.stopped
            p.phase = "full" if self._spent() else "done"
        else:
            p.phase = "starts"
        save()

    def _stages(self) -> None:
        """Train stage after stage; a spent budget leaves the position in its stage, so that a larger one goes on."""
        p = self.position
        while p.phase == "stages" and not p.stopped:
            network = self._network(p.bases)
            assert p.theta is not None
            theta = p.theta.to(self.like)
            if p.iteration == 0:
                p.redraws, p.drawn = 0, theta
            system = self._system(network)
            held_out = self.collocation.held_out(network, p.draws, p.horizon)
            whole = held_out if p.horizon == 1 else self.collocation.held_out(network, p.draws)
            if p.iteration and p.memory is not None:
                state = self.solver.restored(system, theta, p.memory)
            else:
                state = self.solver.init(system, theta, p.memory)
            state, stopped = self._iterate(network, system, held_out, whole, state)
            loss = held_out.loss(state.theta)
            self._offer(network, state.theta, loss if whole is held_out else whole.loss(state.theta))
            p.theta = state.theta
            if self._spent():
                p.memory, p.stopped = self.solver.saved(state), self._spent()
                self._save()
                return
            p.memory, p.iteration = self.solver.kept(state), 0
            grown = not self._adaptive or self._grown(network)
            if self._overfitted(loss, state.loss):
                p.draws, p.since = p.draws + 1, 0
            elif self._too_simple(max(loss, state.loss)):
                self._attempt_more()
            elif p.horizon == 1 and 2 * loss <= RESOLVED**2:
                p.phase, p.stopped = "done", stopped
            elif self._in_vain(loss, state.loss):
                self._end(loss, "more parameters do not lower the held-out loss")
            elif not grown or (self._adaptive and (p.grew or sqrt(2 * state.loss) < p.residual / HELPFUL)):
                self._grow(network, sqrt(2 * state.loss))
            elif not self._adaptive and p.stage < len(self.stages):
                self._refine(network)
            else:
                self._end(loss, stopped)
            self._save()

    def _system(self, network: Network) -> System:
        """Return the residuals on the points of the position."""
        p = self.position
        assert p.drawn is not None
        drawn = p.drawn.to(self.like)
        return self.collocation.system(network, drawn, p.stage, p.draws, p.redraws, self._gamma(), p.horizon)

    @property
    def model(self) -> KAN | MLP:
        """What is trained at present."""
        return self.attempts[self.position.attempt]

    @property
    def stages(self) -> list[Stage]:
        """Its stages."""
        return self.model.stages()

    @property
    def _adaptive(self) -> bool:
        """Whether the network grows where it needs to."""
        return isinstance(self.model, KAN) and self.model.adaptive

    @property
    def _guarded(self) -> bool:
        """Whether a function must not run away between data; a logit may, since probabilities stay what they are."""
        return not self.problem.equations and all(each.affine for each in self.problem.constraints.values())

    def _passes_time(self) -> bool:
        """Whether the equations can be solved up to any time, since no condition is one at the end."""
        geometry, conditions = self.problem.geometry, self.problem.conditions.values()
        if not isinstance(geometry, Box) or geometry.time is None:
            return False
        if geometry.time in self.problem.periodic or self.problem.constraints:
            return False
        end = geometry.names.index(geometry.time), 1
        return not any(end in geometry.faces(c.where) for c in conditions if not isinstance(c, Periodic))

    def _room(self, network: Network) -> tuple[int, int]:
        """Return how many more intervals, or else product nodes, a growing network may get."""
        last, left = self.stages[-1], self.model.limit - network.parameters
        if left < LITTLE * self.model.limit:
            return 0, 0
        interval, node = price(network)
        knots = last.grids[0] * len(self.lower) - intervals(network)
        return max(0, min(knots, left // interval)), max(
            0, min(last.products - network.layers[0].products, left // node)
        )

    def _grown(self, network: Network) -> bool:
        """Whether a network that grows has all its knots and nodes, at all times."""
        return self.position.horizon == 1 and self._room(network) == (0, 0)

    def _gamma(self) -> float:
        """Return gamma of the causal weights: it halves down to 1 and is then 0, as it is behind the first stage."""
        p, gamma = self.position, self.collocation.sampling.causal
        first = p.stage == 1 and p.draws == 0 and (p.eased == 0 or gamma >= 2**p.eased)
        return gamma / 2**p.eased if first else 0.0

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

    def _iterate(
        self, network: Network, system: System, held_out: System, whole: System, state: State
    ) -> tuple[State, str]:
        """Iterate one stage on; points move only if they are adaptive, and never to where the loss is not finite."""
        p, sampling = self.position, self.collocation.sampling
        grows = self._adaptive and not self._grown(network)
        while not state.stopped:
            if grows and self._settled(state):
                return state, "the network is too small for more"
            if self._spent():
                return state, self._spent()
            if p.iteration >= self.solver.stage_iterations:
                return state, f"iteration limit of the stage ({self.solver.stage_iterations})"
            if sampling.adaptive and p.iteration // sampling.redraw > p.redraws:
                number = p.iteration // sampling.redraw
                moved = self.collocation.system(
                    network, state.theta, p.stage, p.draws, number, self._gamma(), p.horizon
                )
                begun = self.solver.init(moved, state.theta, self.solver.kept(state))
                if isfinite(begun.loss):
                    system, state, p.redraws, p.drawn = moved, begun, number, state.theta
            state = self._step(system, state)
            p.iteration += 1
            if self._adaptive and p.iteration % BALANCING == 0 and not state.stopped:
                theta = self._balanced(network, state.theta)
                if theta is not state.theta:
                    state = self.solver.init(system, theta, self.solver.saved(state))
            if self._gamma():
                system, state = self._ease(network, system, state)
            due = self._due() or bool(state.stopped)
            loss = held_out.loss(state.theta) if due else nan
            self._note(p.stage, state, loss)
            if due:
                self._offer(network, state.theta, loss if whole is held_out else whole.loss(state.theta))
                p.theta, p.memory = state.theta, self.solver.saved(state)
                self._save()
        return state, state.stopped

    def _settled(self, state: State) -> bool:
        """Whether growth promises more than further iterations, or none is needed to go on in time."""
        p = self.position
        if self._gamma():
            return False
        taken = p.iteration - p.since
        if taken >= GROWTH_ITERATIONS or (p.horizon < 1 and 2 * state.loss < (0.5 * CLOSE) ** 2):
            return True
        settling = SETTLING_PRODUCTS if p.growths and p.grew == "products" else SETTLING
        return taken >= settling and state.loss > 0.5 * float(p.history[-HALVING]["loss"])

    def _overfitted(self, held_out: float, loss: float) -> bool:
        """Whether a stage is to be repeated on more points, which equations can be asked at."""
        more = self.problem.equations and not self.collocation.sampling.points and self.position.draws < MAX_DRAWS
        return bool(more) and held_out > OVERFIT * loss

    def _in_vain(self, held_out: float, loss: float) -> bool:
        """Whether a network on data alone has grown to fit these, and no longer what is held out."""
        p = self.position
        p.vain = p.vain + 1 if held_out > max(HELPS * p.least, FITTED * loss) else 0
        p.least = min(p.least, held_out)
        return not self.problem.equations and self._adaptive and p.vain >= IN_VAIN

    def _end(self, loss: float, stopped: str) -> None:
        """End the training, but for data alone with the last model only: of all of them the best one is kept."""
        p = self.position
        if not self.problem.equations and p.attempt + 1 < len(self.attempts) and 2 * loss > CLEAR**2:
            self._attempt_more()
        else:
            p.phase, p.stopped = "done", stopped

    def _too_simple(self, loss: float) -> bool:
        """Whether the model leaves too large a loss for its solution: before growth already in the first stage."""
        p = self.position
        if p.attempt + 1 == len(self.attempts) or not self.problem.equations:
            return False
        following = self.attempts[p.attempt + 1]
        if isinstance(following, KAN) and following.adaptive and not self.problem.affine:
            return p.stage == 1 and 2 * loss > SMOOTH**2
        return p.stage == len(self.stages) and 2 * loss > ENOUGH**2

    def _attempt_more(self) -> None:
        """Start anew with the next model."""
        p = self.position
        p.phase, p.attempt, p.start, p.chosen = "starts", p.attempt + 1, 0, None
        p.stage, p.draws, p.since, p.bases, p.memory, p.least, p.vain = 1, 0, 0, {}, None, inf, 0
        p.growths, p.grew, p.residual = 0, "knots", inf

    def _refine(self, network: Network) -> None:
        """Go to the next stage: cover the activations and refine the bases, exactly."""
        p = self.position
        wanted, before = self.stages[p.stage], self.stages[p.stage - 1]
        wider, cover = self._covering(network)
        finer, refine = wider.refined([n // o for n, o in zip(wanted.grids, before.grids, strict=True)])
        self._take(finer, cover, refine)

    def _grow(self, network: Network, residual: float) -> None:
        """Go on in time where the residual is small enough, or else let grow what helps: knots, or product nodes."""
        p = self.position
        assert p.theta is not None
        p.theta = self._balanced(network, p.theta.to(self.like))
        knots, products = self._room(network)
        if p.horizon < 1 and (residual <= CLOSE or p.growths == GROWTHS or knots + products == 0 or self._late()):
            self._go_on(network)
            return
        helpful = not p.growths or residual <= p.residual / HELPFUL
        least = PROMISING if products and (helpful or p.grew != "products") else 0.0
        p.growths, p.residual = p.growths + 1, residual
        if knots and (helpful or p.grew != "knots" or not products) and self._cut(network, knots, least):
            p.grew = "knots"
        elif products:
            p.grew = "products"
            self._widen(network, min(products, max(2, round(MORE_PRODUCTS * network.layers[0].products))))
        else:
            p.grew = ""
            self._next_stage()

    def _cut(self, network: Network, room: int, least: float) -> bool:
        """Cut the intervals that promise most, exactly, if together they promise at least so much."""
        assert self.position.theta is not None
        wider, cover = self._covering(network)
        theta = cover.parameters(self.position.theta.to(self.like))
        count = min(room, max(2, round(MORE_KNOTS * intervals(network))))
        chosen, promise = promising(wider, theta, self._system_of, count)
        if promise < least:
            return False
        finer, refine = wider.bisected(chosen)
        self._take(finer, cover, refine)
        return True

    def _balanced(self, network: Network, theta: Tensor) -> Tensor:
        """Return parameters (P,) of the same function, with balanced product nodes."""
        return balanced(network, theta, self.collocation.spread(self.position.horizon))

    def _go_on(self, network: Network) -> None:
        """Let points lie in a longer part of the time interval."""
        p, geometry = self.position, self.problem.geometry
        assert p.theta is not None
        axis = geometry.names.index(str(geometry.time))
        p.theta = continued(network, p.theta.to(self.like), axis, p.horizon)
        p.horizon = min(1.0, round(p.horizon * HORIZONS + 1) / HORIZONS)
        p.growths, p.memory = 0, self.solver.lasting(p.memory or {})
        self._next_stage()

    def _widen(self, network: Network, count: int) -> None:
        """Add product nodes, exactly."""
        p = self.position
        assert p.theta is not None
        wider = network.with_products(count)
        generator = torch.Generator().manual_seed(self.seed * 6_700_417 + 100_003 + p.stage)
        random = self.model.initial_parameters(wider, generator)
        p.theta, p.bases = widened(network, p.theta.to(self.like), wider, random), wider.saved()
        p.memory = self.solver.lasting(p.memory or {})
        self._next_stage()

    def _covering(self, network: Network) -> tuple[Network, Change]:
        """Return the network whose deeper grids cover the activations, and how the parameters change."""
        assert self.position.theta is not None
        equations = self.problem.equations
        points = self.collocation.held_out(network, 0).points() if equations else self.collocation.spread(1.0)
        return network.covering(self.position.theta.to(self.like), points)

    def _take(self, network: Network, *changes: Change) -> None:
        """Go to the next stage with a network that exact changes have led to."""
        p = self.position
        assert p.theta is not None
        theta, memory = p.theta.to(self.like), p.memory or {}
        for change in changes:
            theta, memory = change.parameters(theta), self.solver.transfer(memory, change)
        p.theta, p.bases, p.memory = theta, network.saved(), memory
        self._next_stage()

    def _next_stage(self) -> None:
        p = self.position
        p.stage, p.draws, p.iteration, p.since = p.stage + 1, 0, 0, 0

    def _system_of(self, network: Network, theta: Tensor) -> System:
        """Return the residuals of any network on points of the present stage."""
        p = self.position
        return self.collocation.system(network, theta, p.stage, 0, 0, self._gamma(), p.horizon)

    def _network(self, saved: dict[str, Any], attempt: int | None = None) -> Network:
        """Return the network with the nodes and bases of a position, or those of the first stage.

        It is one of the present attempt if no other is given.
        """
        model = self.model if attempt is None else self.attempts[attempt]
        stage = model.stages()[0]
        if not saved:
            return self._of_stage(stage, model)
        return self._of_stage(stage._replace(products=saved["products"]), model).restored(saved)

    def _of_stage(self, stage: Stage, model: KAN | MLP) -> Network:
        """Return the network of a model's stage, on equal knots."""
        problem = self.problem
        periodic = [problem.geometry.names.index(name) for name in problem.periodic]
        return model.network(self.lower, self.upper, len(problem.unknowns), stage, periodic, len(problem.scalars))

    def _step(self, system: System, state: State) -> State:
        state = self.solver.step(system, state)
        self.position.total += 1
        return state

    def _offer(self, network: Network, theta: Tensor, held_out: float) -> None:
        """Keep what has the lowest held-out loss so far, but what runs away between data only if all does."""
        wild = self._guarded and self.collocation.wildness(network, theta) > WILD
        p = self.position
        found = better(p.best, network, theta, held_out, wild)
        if found is not p.best:
            p.best = {**found, "attempt": p.attempt}

    def _spent(self) -> str:
        """Return which limit is reached, if one is."""
        if self.position.total >= self.budget.iterations:
            limit = f"budget of {self.budget.iterations} iterations"
        elif processes.decided(perf_counter() - self._begin >= self.budget.seconds):
            limit = f"budget of {self.budget.seconds:g} s"
        else:
            return ""
        part = self.position.horizon
        return limit + (f", spent in the first {100 * part:g} % of the time interval" if part < 1 else "")

    def _late(self) -> bool:
        """Whether so much of the budget is spent that a network should go on in time without growing."""
        seconds = perf_counter() - self._begin
        spent = max(self.position.total / self.budget.iterations, seconds / self.budget.seconds)
        return processes.decided(spent > LATE)

    def _due(self) -> bool:
        """Whether the held-out loss and a checkpoint are due: at growing intervals, so that they stay cheap."""
        n = self.position.iteration
        return n % (10 if n < 1000 else 100) == 0

    def _note(self, stage: int, state: State, held_out: float) -> None:
        p = self.position
        self._add(Row(stage, p.total, perf_counter() - self._begin, state.loss, held_out, len(state.theta)))

    def _add(self, row: Row) -> None:
        self.position.history.append(asdict(row))
        if self._progress:
            self._progress(row)

    def _save(self) -> None:
        self.position.elapsed = perf_counter() - self._begin
        if self._checkpoint:
            self._checkpoint({"position": dict(vars(self.position))})


def better(
    best: dict[str, Any] | None, network: Network, theta: Tensor, held_out: float, wild: bool = False
) -> dict[str, Any]:
    """Return what has the lower held-out loss: the best so far, or a network with its parameters (P,).

    One that is wild is never better than one that is not.
    """
    held_out = held_out if isfinite(held_out) else inf
    if best is None or (wild, held_out) < (best.get("wild", False), best["held_out"]):
        return {"held_out": held_out, "theta": theta, "bases": network.saved(), "wild": wild}
    return best
