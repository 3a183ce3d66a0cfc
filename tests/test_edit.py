"""Operations on edges: each returns another graph with the same precision, and says where it cannot be done."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sympy
import torch
from models import PERTURBED, SINES, X, Y, model_of, values
from test_graph import NETWORKS

from kanpde import KanpdeError
from kanpde.basis.elementary import ELEMENTARY
from kanpde.interpret import Model
from kanpde.interpret.edit import check_defined, flattened, sampled, splines
from kanpde.model import Graph
from kanpde.model.chain import is_constant

FEW = {name: ELEMENTARY[name] for name in ("x", "x^2", "exp", "sin")}


def number(model: Model, source: int) -> int:
    """Return the number of the first edge from a node."""
    return next(e for e, edge in enumerate(model.graph.edges) if edge.source == source)


OPERATIONS: dict[str, Callable[[Model], Model]] = {
    "refit": lambda m: m.refit(),
    "prune": lambda m: m.prune(threshold=1e-3),
    "prune to edges": lambda m: m.prune(edges=3),
    "prune to nodes": lambda m: m.prune(nodes=1),
    "prune to inputs": lambda m: m.prune(inputs=[0, 1]),
    "disconnect": lambda m: m.disconnect(number(m, 1), refit=False),
    "sparsify": lambda m: m.sparsify(rounds=1),
    "fix": lambda m: m.fix(number(m, 0), "sin"),
    "fix and refit": lambda m: m.fix(number(m, 0), "cos", refit=True),
    "fix a suggestion": lambda m: m.fix(number(m, 0), m.suggest(number(m, 0), FEW)[0]),
    "unfix": lambda m: m.unfix(number(m, 0)),
    "lock": lambda m: m.lock(0),
    "unlock": lambda m: m.unlock(0),
    "replace": lambda m: m.replace(number(m, 1), "tanh", a=0.5),
    "product": lambda m: m.add_product([[0], [0, 1]], len(m.graph.nodes) - 1),
    "fix all": lambda m: m.unfix(number(m, 0)).fix_all(FEW),
    "simple constants": lambda m: m.simple_constants(),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_returns_another_model_and_leaves_the_old_one(name: str, tmp_path: Path) -> None:
    model = model_of(PERTURBED)
    graph, before, mask = model.graph, model.graph.values.clone(), model.graph.trained.clone()
    after = OPERATIONS[name](model)
    assert after is not model
    assert model.graph is graph
    assert torch.equal(graph.values, before)
    assert torch.equal(graph.trained, mask)
    assert after.graph.values.dtype == after.graph.lower.dtype == torch.float64
    assert after.graph.values.device == graph.values.device
    assert bool(torch.isfinite(after.graph.values).all())
    found = values(after, after.points)
    assert bool(torch.isfinite(found).all())
    assert after.residual >= 0
    after.save(tmp_path / "model.pt")
    again = Model.load(tmp_path / "model.pt", model.problem)
    assert torch.equal(values(again, after.points), found)
    assert torch.equal(again.graph.trained, after.graph.trained)
    assert again.residual == after.residual


@pytest.mark.parametrize("name", ["disconnect", "fix", "unfix", "lock", "unlock", "replace", "product"])
def test_an_operation_keeps_single_precision(name: str) -> None:
    model = model_of(SINES + Y**2)
    single = Model(model.problem, model.ansatz, model.graph.to(torch.zeros(1)))
    graph = OPERATIONS[name](single).graph
    assert graph.values.dtype == graph.lower.dtype == torch.float32
    assert bool(torch.isfinite(graph.evaluated(single.points)[0]).all())


def test_a_spline_is_close_to_what_it_stands_for_and_is_recognised() -> None:
    model = model_of(SINES)
    edge = number(model, 0)
    spline = model.unfix(edge)
    assert splines(spline.graph) == [edge]
    assert torch.allclose(values(spline, model.points), values(model, model.points), atol=1e-7)
    assert spline.suggest(edge, FEW, 2)[0].function.name == "sin"
    fixed = spline.fix(edge, "sin")
    assert splines(fixed.graph) == []
    assert torch.allclose(values(fixed, model.points), values(model, model.points), atol=1e-7)
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [1.0, 0.5]], dtype=torch.float64)
    assert torch.allclose(values(spline, corners), values(model, corners), atol=1e-7)


def test_constants_that_change_nothing_are_not_trained() -> None:
    model = model_of(X**2 + Y)
    edge = number(model, 0)
    fixed = model.fix(edge, "x^2")
    assert fixed.graph.trained[fixed.graph.spans[edge]].tolist() == [False, False, True, True]


def test_locks() -> None:
    model = model_of(SINES).unfix(0)
    locked = model.lock(0)
    assert not bool(locked.graph.trained[locked.graph.spans[0]].any())
    assert locked.graph.parameters < model.graph.parameters
    assert torch.equal(locked.unlock(0).graph.trained, model.graph.trained)


def test_the_scale_before_a_spline_is_never_trained() -> None:
    graph = Graph.of(*NETWORKS["sums"]())
    model = Model(model_of().problem, model_of().ansatz, graph)
    assert torch.equal(model.lock(0).unlock(0).graph.trained, graph.trained)


def test_a_product_is_a_product() -> None:
    model = model_of(SINES)
    more = model.add_product([[0], [0, 1]], len(model.graph.nodes) - 1)
    assert more.graph.nodes.count("product") == 2
    x, y = model.points.T
    ramp = [(z + 1) / 2 for z in (x, y)]
    expected = values(model, model.points)[:, 0] + 1e-2 * ramp[0] * (ramp[0] + ramp[1])
    assert torch.allclose(values(more, model.points)[:, 0], expected, atol=1e-12)
    assert more.refit().residual <= more.residual


def test_what_does_not_vary_becomes_a_constant() -> None:
    model = model_of(SINES).unfix(0)
    flat = model.graph.values.clone()
    flat[model.graph.spans[0]] = 0.25
    graph = flattened(model.graph.at(flat[model.graph.trained]), model.points)
    assert splines(graph) == []
    assert graph.values[graph.spans[0]].tolist() == pytest.approx([0.25])
    assert flattened(model.graph, model.points) is model.graph


def test_arguments_reach_the_ends_of_the_domain() -> None:
    model = model_of(SINES)
    z, y = sampled(model.graph, number(model, 0), model.points)
    assert (float(z[0]), float(z[-1])) == (-1.0, 1.0)
    assert bool((z.diff() >= 0).all())
    assert torch.allclose(y, torch.sin(torch.pi * z))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda m: m.fix(7, "sin"), "edge 7: the edges are 0 to 3"),
        (lambda m: m.fix(-1, "sin"), "edge -1: the edges are 0 to 3"),
        (lambda m: m.unfix(4), "edge 4"),
        (lambda m: m.lock(4), "edge 4"),
        (lambda m: m.unlock(4), "edge 4"),
        (lambda m: m.suggest(4), "edge 4"),
        (lambda m: m.replace(4, "sin"), "edge 4"),
        (lambda m: m.fix(0, "sine"), "unknown function 'sine': did you mean 'sin'"),
        (lambda m: m.replace(0, "sine"), "unknown function 'sine'"),
        (lambda m: m.replace(0, "log"), r"function 'log' is not defined on \[-1, 1\]"),
        (lambda m: m.replace(0, "1/x", b=1.0), r"'1/x' is not defined on \[0, 2\]"),
        (lambda m: m.replace(0, "tan", a=2.0), "'tan' is not defined"),
        (lambda m: m.suggest(constant(m)), "is a constant: it has no function"),
        (lambda m: m.fix(constant(m), "sin"), "is a constant"),
        (lambda m: m.unfix(constant(m)), "is a constant"),
        (lambda m: m.replace(0, "sin", c=0.0).suggest(0), "the data are constant"),
        (lambda m: m.replace(0, "sin", c=0.0).fix(0, "sin"), "the data are constant"),
        (lambda m: m.add_product([[0], [1]], 0), r"node 0 is no sum: a product enters one of the nodes \[3\]"),
        (lambda m: m.add_product([[0], [1]], 9), "node 9 is no sum"),
        (lambda m: m.add_product([[0]], 3), "give two or more lists of inputs"),
        (lambda m: m.add_product([[0], [2]], 3), r"give two or more lists of inputs \[0, 1\]"),
        (lambda m: m.add_product([[0], []], 3), "give two or more lists"),
    ],
)
def test_what_cannot_be_done(wrong: Callable[[Model], object], message: str) -> None:
    with pytest.raises(KanpdeError, match=message):
        wrong(model_of(SINES + 2))


def constant(model: Model) -> int:
    return next(e for e, edge in enumerate(model.graph.edges) if not edge.chain[0].edges)


def test_an_edge_from_a_node_that_does_not_vary() -> None:
    model = model_of(SINES).replace(0, "sin", c=0.0)
    with pytest.raises(KanpdeError, match="does not vary over the domain"):
        model.suggest(2)


def test_functions_behind_others_are_checked_where_they_are_used() -> None:
    model = model_of((X + Y + 3) ** 2)
    outer = len(model.graph.edges) - 1
    assert model.replace(outer, "log").graph.nodes == model.graph.nodes
    with pytest.raises(KanpdeError, match=f"edge {outer}: function 'log' is not defined"):
        model.replace(outer, "log", b=-3.0)
    check_defined(model.graph, model.points)


def test_shifts_that_cancel_are_gathered_where_edges_are_fixed() -> None:
    model = model_of(sympy.sin(2 * X) + Y**2 + 5)
    (constant,) = [e for e, own in enumerate(model.graph.edges) if is_constant(own.chain)]
    edge = next(e for e, own in enumerate(model.graph.edges) if own.source == 0 and e != constant)
    apart = model.graph.values.clone()
    apart[model.graph.spans[edge].stop - 1] += 1e5
    apart[model.graph.spans[constant]] -= 1e5
    shifted = replace(model, graph=replace(model.graph, values=apart))
    fixed = shifted.fix(edge, "sin")
    assert torch.allclose(values(fixed, fixed.points), values(model, model.points), atol=1e-7)
    assert float(fixed.graph.values[fixed.graph.spans[constant]]) == pytest.approx(5, abs=1e-7)
    assert float(fixed.graph.values[fixed.graph.spans[edge].stop - 1]) == 0
    assert not bool(fixed.graph.trained[fixed.graph.spans[edge].stop - 1])
    kept = shifted.lock(constant).fix(edge, "sin")
    assert float(kept.graph.values[kept.graph.spans[edge].stop - 1]) == pytest.approx(1e5)
