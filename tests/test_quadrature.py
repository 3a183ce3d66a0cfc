"""Finite element functions at points and on boundaries, for every kind of elements and meshes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from domains import cube_arrays

from kanpde import Box, Disk, Mesh
from kanpde.reference.fem.polynomials import PolynomialSpace
from kanpde.reference.fem.quadrature import Quadrature
from kanpde.reference.fem.space import Space
from kanpde.reference.fem.tetrahedra import NGSolveSpace, installed

BRICK = Box(x=(0, 1), y=(-1, 1), z=(0, 3))
CASES = {
    "interval": (Space, Box(x=(0, 2)), 5, "x-"),
    "rectangle": (Space, Box(x=(0, 2), y=(0, 1)), 4, "y+"),
    "disk": (Space, Disk(), 2, "all"),
    "brick": (Space, BRICK, 2, "x+"),
    **{f"brick of degree {order}": (NGSolveSpace, BRICK, order, "z-") for order in range(1, 7)},
    "mesh of a cube": (NGSolveSpace, Mesh(*cube_arrays()), 4, "floor"),
}
NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(kind is NGSolveSpace and not installed(), reason="it needs NGSolve"))
    for name, (kind, *_) in CASES.items()
]


@cache
def space_of(name: str) -> PolynomialSpace:
    kind, domain, order, _ = CASES[name]
    return kind(domain, order, 8 if domain.dimension < 3 else 3 if isinstance(domain, Mesh) else 2)


def places(name: str) -> list[Quadrature]:
    """Return the quadrature of the cells and of a part of the boundary."""
    space = space_of(name)
    return [space.trace(), space.trace(space.domain.boundary(CASES[name][3])[0])]


def polynomial(space: PolynomialSpace, x: np.ndarray) -> np.ndarray:
    """Return a polynomial of the degree of a space at points (d, N)."""
    return (1 + np.arange(1, len(x) + 1) @ x / 7) ** space.order + x[0]


@pytest.mark.parametrize("name", NAMES)
def test_polynomials_of_their_degree_are_met(name: str) -> None:
    space = space_of(name)
    if space.grid.curved is not None:
        pytest.skip("on curved cells there are images of polynomials")
    u = space.interpolate(lambda x: polynomial(space, x))[None]
    for trace in places(name):
        np.testing.assert_allclose(trace.values(u)[0], polynomial(space, trace.points), rtol=1e-11)
        for axis, slope in enumerate(trace.gradients(u)[0]):
            step = 1e-5 * np.eye(space.dimension)[:, [axis]]
            centred = polynomial(space, trace.points + step) - polynomial(space, trace.points - step)
            np.testing.assert_allclose(slope, centred / 2e-5, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_weights_sum_to_the_measures(name: str) -> None:
    domain = CASES[name][1]
    measures = [sum(p.measure for p in [domain.interior()]), domain.boundary(CASES[name][3])[0].measure]
    tolerance = 3e-3 if name == "disk" else 1e-12  # of the parabolas that stand for the circle
    for trace, measure in zip(places(name), measures, strict=True):
        assert trace.weight.sum() == pytest.approx(measure, rel=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_integrals_with_test_functions_are_adjoint_to_values(name: str) -> None:
    generator = np.random.default_rng(0)
    for trace in places(name):
        u = generator.standard_normal((2, space_of(name).size))
        count, d = trace.weight.size, len(trace.points)
        source, flux = generator.standard_normal((2, count)), generator.standard_normal((2, d, count))
        expected = trace.values(u) * source + (trace.gradients(u) * flux).sum(axis=1)
        found = trace.tested(source, flux)
        np.testing.assert_allclose((found * u).sum(axis=1), expected @ trace.weight, rtol=1e-9)
        np.testing.assert_allclose((trace.tested(source) * u).sum(axis=1), (trace.values(u) * source) @ trace.weight)


@pytest.mark.parametrize("name", NAMES)
def test_matrices_are_the_integrals_of_their_products(name: str) -> None:
    generator = np.random.default_rng(0)
    for trace in places(name):
        u, v = generator.standard_normal((2, 1, space_of(name).size))
        count, d = trace.weight.size, len(trace.points)
        c, b, a = (1 + generator.random((*shape, count)) for shape in ((), (d,), (d, d)))
        at_u, at_v, of_u, of_v = trace.values(u)[0], trace.values(v)[0], trace.gradients(u)[0], trace.gradients(v)[0]
        terms = [c * at_u * at_v, (b * of_u).sum(axis=0) * at_v, np.einsum("ijn,in,jn->n", a, of_u, of_v)]
        for coefficients in ({"reaction": c}, {"drift": b}, {"diffusion": a}):
            ((which, values),) = coefficients.items()
            term = terms[["reaction", "drift", "diffusion"].index(which)]
            matrix = trace.matrix(**{which: values})
            assert float((v @ matrix @ u.T)[0, 0]) == pytest.approx(term @ trace.weight, rel=1e-8)
        np.testing.assert_allclose(trace.diagonal(a), trace.matrix(diffusion=a).diagonal(), rtol=1e-10, atol=1e-14)
        whole = trace.matrix(c, b, a)
        assert float((v @ whole @ u.T)[0, 0]) == pytest.approx(sum(terms) @ trace.weight, rel=1e-8)
        constant = trace.matrix(np.full(count, 3.0))
        assert abs(constant - trace.matrix(c) * 0 - 3 * trace.matrix(np.ones(count))).max() < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_values_on_the_boundary_fix_the_trace_there(name: str) -> None:
    space = space_of(name)
    (_, trace), patch = places(name), space.domain.boundary(CASES[name][3])[0]
    on = space.on_boundary(patch)
    assert len(np.unique(on.dofs)) == len(on.dofs)
    u = np.random.default_rng(0).standard_normal((1, space.size))
    u[0, on.dofs] = on.fit @ polynomial(space, on.places)
    tolerance = 1e-2 if name == "disk" else 1e-11
    np.testing.assert_allclose(trace.values(u)[0], polynomial(space, trace.points), rtol=tolerance)
