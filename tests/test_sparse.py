"""The penalty on edges: its Jacobian, what it makes of edges that are not needed, and bad input."""

import pytest
import sympy
import torch
from models import SINES, X, Y, model_of, with_scalar
from test_graph import LOWER, NETWORKS, POINTS, poisson, symbolic

from kanpde import KanpdeError, Sampling
from kanpde.interpret import Model
from kanpde.interpret import sparse as module
from kanpde.interpret.build import with_scalars
from kanpde.interpret.sparse import Penalised
from kanpde.model import Ansatz, Graph
from kanpde.training_points import Collocation


@pytest.mark.parametrize("name", ["symbolic", "products", "deep", "constants and scalars"])
@pytest.mark.parametrize("together", [3, 32])
def test_the_jacobian_is_that_of_differences(name: str, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOGETHER", together)
    if name == "symbolic":
        graph = symbolic()
    elif name == "constants and scalars":
        graph = with_scalars(model_of(SINES + 0.3 * X * Y + 1).graph, with_scalar(), {"k": 0.75})
    else:
        graph = Graph.of(*NETWORKS[name]())
    problem = with_scalar() if graph.scalars else poisson()
    collocation = Collocation(Ansatz(problem, "soft"), Sampling(points=40), 0, LOWER)
    weights = torch.linspace(0.5, 2, len(graph.edges), dtype=torch.float64)
    system = Penalised(collocation.system(graph, graph.theta, 1, 0), graph, POINTS, weights)
    r, j = system.linearised(graph.theta).dense()
    assert torch.allclose(r, system.residual(graph.theta), rtol=1e-12, atol=1e-14)
    assert len(r) == system.rows
    direction = torch.randn(graph.parameters, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    h = 1e-6
    ahead, back = system.residual(graph.theta + h * direction), system.residual(graph.theta - h * direction)
    difference = (ahead - back) / (2 * h)
    assert torch.allclose(j @ direction, difference, rtol=1e-5, atol=1e-6 * float(difference.abs().max()))


def test_edges_that_are_not_needed_vanish() -> None:
    extra = 0.05 * sympy.sin(2 * X + 1) + 0.05 * sympy.exp(X) + 0.05 * sympy.cos(3 * Y)
    model = model_of(SINES + extra)
    before, after = model.importance(), model.sparsify(strength=1e-2, rounds=5).importance()
    small = [e for e, edge in enumerate(model.graph.edges) if edge.source in (0, 1) and edge.target == 3]
    assert len(small) == 3
    assert float(before.edges[small].min()) > 1e-2
    assert float(after.edges[small].max()) < 0.2 * float(before.edges[small].min())
    pruned = model.sparsify(strength=1e-2, rounds=5).prune(threshold=1e-2)
    assert pruned.residual < 1e-12


def test_entropy_and_locks() -> None:
    model = model_of(SINES + 0.05 * sympy.exp(X)).lock(0)
    after = model.sparsify(strength=1e-2, entropy=0.5, rounds=2)
    span = model.graph.spans[0]
    assert torch.equal(after.graph.values[span], model.graph.values[span])
    assert bool(torch.isfinite(after.graph.values).all())


def test_a_layered_network() -> None:
    graph = Graph.of(*NETWORKS["sums"]())
    model = Model(poisson(), Ansatz(poisson(), "soft"), graph)
    after = model.sparsify(rounds=2)
    assert after.residual < model.residual


@pytest.mark.parametrize("wrong", [{"strength": 0.0}, {"strength": float("nan")}, {"entropy": -1.0}, {"rounds": 0}])
def test_wrong_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(KanpdeError, match="give a positive strength, an entropy that is not negative"):
        model_of().sparsify(**wrong)  # type: ignore[arg-type]
