"""Derivatives are named, sets are closed downwards, and truncated products are those of polynomials."""

import pytest
import sympy
import torch
from oracles import close, random

from kanpde import KanpdeError
from kanpde.multiindex import IndexSet, parse, spell

XY = ("x", "y")
SETS = [
    IndexSet(("x",), [(4,)]),
    IndexSet(XY, [(2, 0), (0, 2)]),
    IndexSet(XY, [(2, 2), (4, 0)]),
    IndexSet(("x", "y", "t"), [(1, 1, 1), (2, 0, 0)]),
]


@pytest.mark.parametrize(
    ("word", "names", "index"),
    [("xxy", XY, (2, 1)), ("yxx", XY, (2, 1)), ("t", ("x", "t"), (0, 1)), ("xx1x1", ("x", "x1"), (1, 2))],
)
def test_parse(word: str, names: tuple[str, ...], index: tuple[int, ...]) -> None:
    assert parse(word, names) == index
    assert parse(spell(index, names), names) == index


def test_the_value_is_spelled_empty() -> None:
    assert spell((0, 0), XY) == ""


@pytest.mark.parametrize("word", ["", "xz", "z", "x y", "X"])
def test_unknown_derivatives_are_refused(word: str) -> None:
    with pytest.raises(KanpdeError, match=r"write it with the coordinates x, y, for example d\('xx'\)"):
        parse(word, XY)


def test_sets_are_closed_downwards_and_ascend() -> None:
    indices = IndexSet(XY, [(2, 1)])
    assert set(indices.indices) == {(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (2, 1)}
    assert indices.indices[0] == (0, 0)
    assert list(indices.orders) == sorted(indices.orders)
    assert indices.order == 3
    assert len(indices) == 6
    assert indices.factorials[indices.position[2, 1]] == 2
    assert indices.unit(1) == indices.position[0, 1]
    assert IndexSet(XY, [(2, 0)]).unit(1) is None


def test_sets_are_equal_by_what_they_hold() -> None:
    assert IndexSet(XY, [(2, 0)]) == IndexSet(XY, [(1, 0), (2, 0)])
    assert hash(IndexSet(XY, [(2, 0)])) == hash(IndexSet(XY, [(1, 0), (2, 0)]))
    assert IndexSet(XY, [(2, 0)]) != IndexSet(("x", "t"), [(2, 0)])


def polynomial(indices: IndexSet, coefficients: torch.Tensor) -> sympy.Poly:
    symbols = sympy.symbols(indices.names)
    return sympy.Poly(dict(zip(indices.indices, map(sympy.Float, coefficients.tolist()), strict=True)), *symbols)


@pytest.mark.parametrize("indices", SETS, ids=lambda s: f"{len(s)} channels")
def test_products_are_those_of_polynomials(indices: IndexSet) -> None:
    p, q = random(2, len(indices), 1, like=torch.zeros((), dtype=torch.float64))
    found = indices.multiply(p, q)[:, 0]
    product = polynomial(indices, p[:, 0]) * polynomial(indices, q[:, 0])
    wanted = torch.tensor([float(product.coeff_monomial(index)) for index in indices.indices], dtype=torch.float64)
    assert close(found, wanted, 1e-14)
    assert not close(1.01 * found, wanted, 1e-14)


@pytest.mark.parametrize("indices", SETS, ids=lambda s: f"{len(s)} channels")
def test_the_adjoint_is_the_transposed_product(indices: IndexSet, device: torch.device) -> None:
    like = torch.zeros((), dtype=torch.float64, device=device)
    p, q, w = random(3, len(indices), 7, like=like)
    left, right = (indices.multiply(p, q) * w).sum(), (q * indices.multiply_adjoint(p, w)).sum()
    assert left.item() == pytest.approx(right.item(), rel=1e-13)


@pytest.mark.parametrize("indices", SETS, ids=lambda s: f"{len(s)} channels")
def test_powers_are_repeated_products_without_the_value(indices: IndexSet) -> None:
    z = random(len(indices), 3, like=torch.zeros((), dtype=torch.float64))
    dz = z.clone()
    dz[0] = 0
    powers = indices.powers(z)
    assert len(powers) == indices.order
    product = dz
    for power in powers:
        assert close(power, product, 1e-14)
        product = indices.multiply(product, dz)
    assert not product.any()


def test_there_are_no_powers_without_derivatives() -> None:
    assert IndexSet(XY).powers(torch.ones(1, 3, dtype=torch.float64)) == []
