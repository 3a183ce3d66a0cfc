"""Slow and plain versions of what the package computes, written independently of it: they only read a network's shape.

Splines by the dense Cox-de Boor recursion, networks as plain forward passes, derivatives by nested autograd.
"""

from collections.abc import Callable
from math import comb, factorial, prod

import torch
from torch import Tensor

from kanpde.basis import Activation, Basis, BSpline, Chebyshev, Fourier
from kanpde.field import Field, Points
from kanpde.model import Network
from kanpde.multiindex import IndexSet, MultiIndex

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "x": lambda z: 1.0 * z,
    "tanh": torch.tanh,
    "sin": torch.sin,
    "silu": torch.nn.functional.silu,
}


def cox_de_boor(z: Tensor, degree: int, knots: Tensor) -> Tensor:
    """Return all B-splines (N, G + k) at z (N,); outside the grid the polynomials of the end intervals continue."""
    grid = knots[degree : len(knots) - degree]
    interval = (z.detach()[:, None] >= grid[1:-1]).sum(dim=1)
    inside = 0.5 * (grid[interval] + grid[interval + 1])[:, None]
    values = ((knots[:-1] < inside) & (inside < knots[1:])).to(z.dtype)
    for k in range(1, degree + 1):
        rising = (z[:, None] - knots[: -k - 1]) / (knots[k:-1] - knots[: -k - 1])
        falling = (knots[k + 1 :] - z[:, None]) / (knots[k + 1 :] - knots[1:-k])
        values = rising * values[:, :-1] + falling * values[:, 1:]
    return values


def basis_values(basis: Basis, z: Tensor, i: int) -> Tensor:
    """Return the functions (N, K) of input i at z (N,)."""
    if isinstance(basis, Activation):
        return FUNCTIONS[basis.function.name](z)[:, None]
    if isinstance(basis, Chebyshev):
        s = 2 * (z - basis.start[i]) / (basis.end[i] - basis.start[i]) - 1
        return torch.stack([_chebyshev(s, n) for n in range(basis.size)], dim=1)
    if isinstance(basis, Fourier):
        w = 2 * torch.pi / (basis.end[i] - basis.start[i])
        waves = [f(m * w * (z - basis.start[i])) for m in range(1, basis.harmonics + 1) for f in (torch.sin, torch.cos)]
        return torch.stack(waves + [torch.ones_like(z)] * basis.constant, dim=1)
    assert isinstance(basis, BSpline)
    if not basis.periodic:
        return cox_de_boor(z, basis.degree, basis.knots[i])
    start, length = basis.breaks[i, 0], basis.breaks[i, -1] - basis.breaks[i, 0]
    values = cox_de_boor(z - length * ((z.detach() - start) / length).floor(), basis.degree, basis.knots[i])
    return sum(torch.nn.functional.pad(v, (0, basis.size - v.shape[1])) for v in values.split(basis.size, dim=1))


def _chebyshev(s: Tensor, n: int) -> Tensor:
    """Return T_n(s) as the explicit sum of (s^2 - 1)^j s^(n - 2 j) (DLMF 18.5.7 for the cosine of n angles)."""
    terms = [comb(n, 2 * j) * (s**2 - 1) ** j * s ** (n - 2 * j) for j in range(n // 2 + 1)]
    return sum(terms, torch.zeros_like(s))


def network_output(network: Network, theta: Tensor, points: Tensor) -> Tensor:
    """Return a network's outputs (N, O) at points (N, d), those of scalars last."""
    z, start = 2 * (points - network.lower) / (network.upper - network.lower) - 1, network.scalars
    for layer in network.layers:
        features = [
            basis_values(edges.basis, z[:, i], i - edges.first)
            for edges in layer.edges
            for i in range(edges.first, edges.last)
        ]
        if layer.bias:
            features.append(torch.ones_like(z[:, :1]))
        columns = torch.cat(features, dim=1)
        stop = start + columns.shape[1] * layer.outputs
        w, start = theta[start:stop].reshape(columns.shape[1], layer.outputs), stop
        nodes = [columns @ w[:, : layer.sums]]
        if layer.products:
            factors = torch.ones(len(z), layer.products).to(z)
            for i in range(layer.inputs):
                own = [columns[:, part] @ w[part, layer.sums :] for j, part in layer.groups() if j == i]
                factors = factors * sum(own, torch.zeros_like(factors))
            nodes.append(factors)
        z = torch.cat(nodes, dim=1)
    return torch.cat([z, theta[: network.scalars].expand(len(z), -1)], dim=1)


def derivative(values: Tensor, points: Tensor, index: MultiIndex) -> Tensor:
    """Return a partial derivative (N,) of values (N,), one autograd pass per order."""
    for axis, times in enumerate(index):
        for _ in range(times):
            if not values.requires_grad:
                return torch.zeros_like(values)
            gradient = torch.autograd.grad(values.sum(), points, create_graph=True, materialize_grads=True)[0]
            values = gradient[:, axis]
    return values


def taylor(function: Callable[[Tensor], Tensor], points: Tensor, indices: IndexSet) -> Tensor:
    """Return the Taylor coefficients (C, N, O) of a function from points (N, d) to (N, O)."""
    points = points.detach().clone().requires_grad_()
    columns = function(points).unbind(dim=1)
    return torch.stack(
        [
            torch.stack([derivative(column, points, index) / prod(map(factorial, index)) for column in columns], dim=1)
            for index in indices.indices
        ]
    )


def field(name: str, names: tuple[str, ...], values: Tensor, points: Tensor) -> Field:
    """Return values (N,), a function of points (N, d), as a field with derivatives by autograd."""
    return Field(name, names, lambda index: derivative(values, points, index))


def jacobian(residual: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    """Return the Jacobian (R, P) of a function of theta (P,), row by row."""
    theta = theta.detach().clone().requires_grad_()
    rows = residual(theta)
    return torch.stack(
        [torch.autograd.grad(row, theta, retain_graph=True, materialize_grads=True)[0] for row in rows.unbind()]
    )


def points_in(lower: tuple[float, ...], upper: tuple[float, ...], count: int, like: Tensor, seed: int = 0) -> Tensor:
    """Return random points (N, d) of a box."""
    unit = torch.rand(count, len(lower), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(like)
    return like.new_tensor(lower) + unit * (like.new_tensor(upper) - like.new_tensor(lower))


def random(*shape: int, like: Tensor, seed: int = 1) -> Tensor:
    """Return normal numbers, the same on every device."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(like)


def close(found: Tensor, wanted: Tensor, relative: float) -> bool:
    """Return whether two arrays agree in units of the largest entry."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max()) <= relative * max(float(wanted.abs().max()), 1e-300)


def front(u: Field, at: Points) -> Tensor:
    """The residual of values that jump at x = 0.35 but change slowly along y."""
    return u - torch.tanh((at.x - 0.35) / 0.02) * (1 + 0.1 * at.y)
