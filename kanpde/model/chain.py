"""The function of a single edge: layers of one input and one sum, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kanpde.basis import Activation, Basis, BSpline, Chebyshev, Fourier
from kanpde.basis.activation import FUNCTIONS
from kanpde.basis.elementary import ELEMENTARY, Elementary
from kanpde.errors import unknown_name
from kanpde.model.layer import Edges, Layer, Tape
from kanpde.multiindex import IndexSet

Chain = tuple[Layer, ...]
IDENTITY = "x"


def one_to_one(bases: Sequence[Basis], bias: bool = False) -> Layer:
    """Return the layer of one input and one sum of some bases, and of a constant if `bias`."""
    return Layer(1, tuple(Edges(basis, 0, 1) for basis in bases), 1, bias=bias)


def function(name: str) -> Elementary:
    """Return the function of a name; raise KanpdeError if there is none."""
    if name in ELEMENTARY:
        return ELEMENTARY[name]
    for found in FUNCTIONS.values():
        if found.name == name:
            return found
    raise unknown_name("function", name, ELEMENTARY)


AFFINE = one_to_one([Activation(ELEMENTARY[IDENTITY])], bias=True)
CONSTANT = one_to_one([], bias=True)


def elementary(outer: str, inner: str = IDENTITY) -> Chain:
    """Return c outer(a inner(z) + b) + d, with the weights a, b, c, d."""
    return tuple(one_to_one([Activation(function(name))], bias=True) for name in (inner, outer))


def is_symbolic(chain: Chain) -> bool:
    """Whether a chain consists of named functions and constants."""
    return all(len(layer.edges) <= 1 and isinstance(e.basis, Activation) for layer in chain for e in layer.edges)


def is_constant(chain: Chain) -> bool:
    """Whether a chain is a constant."""
    return any(not layer.edges for layer in chain)


def function_of(layer: Layer) -> Elementary:
    """Return the function of a layer, which is none of splines."""
    (edges,) = layer.edges
    assert isinstance(edges.basis, Activation)
    return edges.basis.function


def straightened(bases: Sequence[Basis], weights: Tensor) -> tuple[Chain, Tensor]:
    """Return the chain of bases with weights (f,); a spline that is one straight line becomes c z + d."""
    if len(bases) == 1 and isinstance(bases[0], BSpline):
        spline = bases[0]
        if spline.degree == 1 and spline.intervals == 1 and not spline.periodic:
            start, end = spline.breaks[0]
            slope = (weights[1] - weights[0]) / (end - start)
            return (AFFINE,), torch.stack([slope, weights[0] - slope * start])
    return (one_to_one(bases),), weights


def through(
    chain: Chain, weights: Sequence[Tensor], indices: IndexSet, z: Tensor, reverse: bool
) -> tuple[Tensor, tuple[Tape, ...]]:
    """Return the function (C, N, 1) of inputs z (C, N, 1), and what the reverse pass needs of each layer."""
    tapes = []
    for layer, w in zip(chain, weights, strict=True):
        tape = layer.forward(indices, z, reverse)
        z = tape.features @ w
        tapes.append(tape)
    return z, tuple(tapes)


def described(basis: Basis) -> dict[str, Any]:
    """Return a basis as plain data."""
    if isinstance(basis, Activation):
        return {"kind": "function", "name": basis.function.name}
    if isinstance(basis, BSpline):
        return {"kind": "bspline", "degree": basis.degree, "periodic": basis.periodic, **basis.saved()}
    if isinstance(basis, Chebyshev):
        return {"kind": "chebyshev", **basis.saved()}
    assert isinstance(basis, Fourier)
    return {"kind": "fourier", "start": basis.start, "end": basis.end, "constant": basis.constant, **basis.saved()}


def restored(saved: dict[str, Any], like: Tensor) -> Basis:
    """Return the basis of plain data, on the device of a tensor; raise KanpdeError for an unknown kind."""
    kind = saved["kind"]
    if kind == "function":
        return Activation(function(saved["name"]))
    if kind == "bspline":
        return BSpline(saved["degree"], saved["knots"].to(like), saved["periodic"])
    if kind == "chebyshev":
        return Chebyshev(int(saved["degree"]), saved["start"].to(like), saved["end"].to(like))
    if kind == "fourier":
        start, end = saved["start"].to(like), saved["end"].to(like)
        return Fourier(int(saved["harmonics"]), start, end, bool(saved["constant"]))
    raise unknown_name("kind of basis", str(kind), ("function", "bspline", "chebyshev", "fourier"))
