"""Refits: constants come back from the equations alone, and residuals never grow."""

import math

import pytest
import torch
from models import PERTURBED, SINES, model_of

from kanpde import KanpdeError
from kanpde.interpret.refit import refit


def test_constants_come_back_from_the_residuals() -> None:
    model = model_of(PERTURBED)
    found = refit(model.graph, model.ansatz)
    assert found.before > 1e-2
    assert found.after < 1e-12
    assert found.iterations > 2
    assert found.stopped
    numbers = found.graph.theta.abs().sort().values.tolist()
    pi = math.pi
    assert numbers == pytest.approx([0.0, 0.0, 1.0, pi, pi], abs=1e-9)
    assert numbers != pytest.approx([0.0, 0.0, 1.01, pi, pi], abs=1e-9)


def test_locked_weights_stay_as_they_are_bit_for_bit() -> None:
    model = model_of(PERTURBED)
    edge = next(e for e, own in enumerate(model.graph.edges) if own.source == 0 and own.target == 2)
    locked = model.lock(edge)
    after = locked.refit()
    span = model.graph.spans[edge]
    assert torch.equal(after.graph.values[span], model.graph.values[span])
    assert not torch.equal(after.graph.values, model.graph.values)
    assert after.residual < locked.residual
    free = after.unlock(edge)
    assert bool(free.graph.trained[span].all())
    assert free.refit().residual < 1e-10


def test_nothing_that_is_trained_is_no_error() -> None:
    model = model_of(SINES)
    for edge in range(3):
        model = model.lock(edge)
    found = refit(model.graph, model.ansatz)
    assert found.stopped == "nothing is trained"
    assert found.after == found.before
    assert model.sparsify(rounds=1).graph is model.graph


def test_residuals_never_grow() -> None:
    model = model_of(SINES)
    found = refit(model.graph, model.ansatz)
    assert found.after <= found.before
    assert refit(model.graph, model.ansatz, seconds=1e-6).after <= found.before


def test_two_refits_agree_bit_for_bit() -> None:
    model = model_of(PERTURBED)
    assert torch.equal(model.refit().graph.values, model.refit().graph.values)


def test_a_residual_that_is_not_finite_is_refused() -> None:
    model = model_of(SINES)
    graph = model.graph.at(model.graph.theta * float("nan"))
    with pytest.raises(KanpdeError, match="residual of the network is not finite"):
        refit(graph, model.ansatz)
