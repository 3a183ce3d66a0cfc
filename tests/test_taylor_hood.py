"""Flow as a reference: it is kept on disk, says its error, and agrees with published values."""

import numpy as np
import pytest
import torch

from kanpde import Box, KanpdeError, Points, dirichlet
from kanpde.library import load_problem
from kanpde.multiindex import IndexSet
from kanpde.reference import taylor_hood
from kanpde.reference.cache import stored

NAMES = ("x", "y")
# Botella & Peyret 1998, Benchmark Spectral Results on the Lid-Driven Cavity Flow, tables 9 and 10: Re = 1000.
U_OF_Y = {
    0.0547: -0.1812881,
    0.0625: -0.2023300,
    0.0703: -0.2228955,
    0.1016: -0.3004561,
    0.1719: -0.3885691,
    0.2813: -0.2803696,
    0.4531: -0.1081999,
    0.5: -0.0620561,
    0.6172: 0.0570178,
    0.7344: 0.1886747,
    0.8516: 0.3372212,
    0.9531: 0.4723329,
    0.9609: 0.5169277,
    0.9688: 0.5808359,
    0.9766: 0.6644227,
}
V_OF_X = {
    0.0625: 0.2807056,
    0.0703: 0.2962703,
    0.0781: 0.3099097,
    0.0938: 0.3330442,
    0.1563: 0.3769189,
    0.2266: 0.3339924,
    0.2344: 0.3253592,
    0.5: 0.0257995,
    0.8047: -0.3202137,
    0.8594: -0.4264545,
    0.9063: -0.5264392,
    0.9453: -0.4103754,
    0.9531: -0.3553213,
    0.9609: -0.2936869,
    0.9688: -0.2279225,
}


def at_points(reference, points):
    at = Points.of(NAMES, torch.tensor(points, dtype=torch.float64))
    return reference.taylor(at, IndexSet(NAMES))[0].numpy()


@pytest.mark.slow
def test_the_cavity_agrees_with_botella_and_peyret():
    """Signs and the direction of x are those of a lid that moves to the right."""
    reference = load_problem("cavity", reynolds=1000.0, lid="flat").reference
    u = at_points(reference, [(0.5, y) for y in U_OF_Y])[:, 0]
    v = at_points(reference, [(x, 0.5) for x in V_OF_X])[:, 1]
    assert np.abs(u - list(U_OF_Y.values())).max() < 1e-4
    assert np.abs(v - list(V_OF_X.values())).max() < 1e-4
    assert np.abs(1.01 * u - list(U_OF_Y.values())).max() > 5e-3


@pytest.mark.slow
def test_the_channel_agrees_with_schaefer_and_turek():
    """More digits: Nabh 1998, On High Order Methods for the Stationary Incompressible Navier-Stokes Equations."""
    reference = load_problem("channel_cylinder").reference
    drag, lift = (force / (0.5 * 0.2**2 * 0.1) for force in reference.force("cylinder"))
    before, behind = at_points(reference, [(0.15, 0.2), (0.25, 0.2)])[:, 2]
    assert drag == pytest.approx(5.57953523384, abs=1e-5)
    assert lift == pytest.approx(0.010618948146, abs=1e-6)
    assert before - behind == pytest.approx(0.11752016697, abs=1e-5)


def kovasznay(**settings):
    problem = load_problem("kovasznay")
    return problem, taylor_hood(problem.geometry, problem.equations, problem.conditions, **settings)


def test_it_says_its_error():
    problem, reference = kovasznay(order=3, cells=8, towards=["x-"], levels=1)
    at = Points.of(NAMES, problem.geometry.sample(2000, seed=1))
    found, wanted = (r.taylor(at, IndexSet(NAMES)) for r in (reference, problem.reference))
    true = float((found - wanted).norm() / wanted.norm())
    assert 0.2 * true < reference.error < 5 * true
    assert float((1.01 * found - wanted).norm() / wanted.norm()) > 10 * reference.error


def test_it_is_kept_on_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("KANPDE_CACHE", str(tmp_path))
    _, first = kovasznay(order=2, cells=4, levels=0)
    _, second = kovasznay(order=2, cells=4, levels=0)
    first.origin = second.origin = "a problem"
    wanted = first.arrays["state"]
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(type(second), "compute", None)  # the second one is not computed
    assert np.array_equal(second.arrays["state"], wanted)
    assert second.error == first.error
    _, other = kovasznay(order=2, cells=5, levels=0)
    assert other.settings != second.settings
    assert stored("another problem", second.settings, lambda: {"error": np.float64(1)})["error"] == 1


@pytest.mark.parametrize(
    "settings", [{"order": 1}, {"order": 5}, {"cells": 3}, {"levels": -1}, {"reach": 0.0}], ids=lambda s: str(s)
)
def test_numbers_out_of_range_are_refused(settings):
    with pytest.raises(KanpdeError, match="give an order of 2, 3 or 4"):
        kovasznay(**settings)


def test_equations_that_are_not_those_of_flow_are_refused_when_it_is_used():
    reference = taylor_hood(Box(x=(0, 1), y=(0, 1)), {"p": lambda u, at: u.d("xx")}, {"u": dirichlet("all")})
    with pytest.raises(KanpdeError, match="flow needs two or three coordinates"):
        assert reference.error
