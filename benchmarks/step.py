"""Cost of one training step: python -m benchmarks.step [--threads 2]

Residual and Jacobian (normal equations) of Poisson's equation in two dimensions, float64, for a KAN and an MLP of equal
parameters and points; then loss and gradient through closed-form channels against nested autograd through a KAN whose
splines come from the dense Cox-de Boor recursion, the way published KAN solvers do it. Then the parts of an iteration
of Levenberg-Marquardt with the default product nodes, beside the floor of a dense method: N P^2 + P^3 / 3 operations at
the machine's rate of matrix products and one pass over the features of the first layer. All ratios are of one run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import pi
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from benchmarks.report import show, write
from kanpde import KAN, MLP, Box, Problem
from kanpde.basis import BSpline
from kanpde.linalg import damped_step
from kanpde.model import Ansatz, Network
from kanpde.residual import System
from kanpde.sampling import draw
from kanpde.solver import LevenbergMarquardt

JACOBIAN_POINTS = 256
"""Points for the Jacobian by nested autograd, which is too slow for all of them."""


def poisson() -> Problem:
    """Return Poisson's equation without conditions, so that networks alone are timed."""

    def equation(u: Any, at: Any) -> Tensor:
        return -(u.d("xx") + u.d("yy")) - torch.sin(pi * at.x) * torch.sin(pi * at.y)

    return Problem(Box(x=(-1, 1), y=(-1, 1)), {"poisson": equation})


def system_of(problem: Problem, network: Network, points: int) -> System:
    """Return the residual at Sobol points."""
    patch = problem.geometry.interior()
    sets = {("poisson",): draw((patch,), problem.geometry.names, "sobol", points, 0, network.lower)}
    return System(Ansatz(problem), network, sets, {"poisson": 1.0})


def seconds(function: Callable[[], Any], repeats: int = 15) -> float:
    """Return the median time of a call after two warm-ups."""
    function()
    function()
    times = []
    for _ in range(repeats):
        begin = perf_counter()
        function()
        times.append(perf_counter() - begin)
    return median(times)


def cox_de_boor(spline: BSpline, z: Tensor) -> Tensor:
    """Return all basis functions at z (N, I) as (N, I, K) by the dense recursion over all knots."""
    k, knots = spline.degree, spline.knots
    x = z[..., None]
    b = ((x >= knots[:, :-1]) & (x < knots[:, 1:])).to(z.dtype)
    for p in range(1, k + 1):
        left = (x - knots[:, : -(p + 1)]) / (knots[:, p:-1] - knots[:, : -(p + 1)]) * b[..., :-1]
        right = (knots[:, p + 1 :] - x) / (knots[:, p + 1 :] - knots[:, 1:-p]) * b[..., 1:]
        b = left + right
    return b


def nested_residual(network: Network, theta: Tensor, x: Tensor) -> Tensor:
    """Return the residual (N,) by nested autograd through dense splines; x (N, 2) requires a gradient."""
    y = x
    for layer, w in zip(network.layers, network.weights(theta), strict=True):
        features = []
        for edges in layer.edges:
            assert isinstance(edges.basis, BSpline)
            features.append(cox_de_boor(edges.basis, y[:, edges.first : edges.last]).flatten(1))
        y = torch.cat(features, dim=1) @ w
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    laplacian = sum(torch.autograd.grad(gradient[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(2))
    return -laplacian - torch.sin(pi * x[:, 0]) * torch.sin(pi * x[:, 1])


def nested_gradient(network: Network, theta: Tensor, points: Tensor) -> Tensor:
    """Return the gradient of the loss by nested autograd."""
    theta = theta.clone().requires_grad_()
    residual = nested_residual(network, theta, points.clone().requires_grad_())
    (result,) = torch.autograd.grad(0.5 * residual.square().mean(), theta)
    return result


def nested_jacobian(network: Network, theta: Tensor, points: Tensor) -> Tensor:
    """Return the Jacobian (N, P) by nested autograd, batched over the points."""
    theta = theta.clone().requires_grad_()
    residual = nested_residual(network, theta, points.clone().requires_grad_()) / len(points) ** 0.5
    seeds = torch.eye(len(points), dtype=theta.dtype)
    parts = [
        torch.autograd.grad(residual, theta, part, retain_graph=True, is_grads_batched=True)[0]
        for part in seeds.split(64)
    ]
    return torch.cat(parts)


def pair(width: int, grid: int, degree: int) -> tuple[KAN, MLP]:
    """Return a KAN with two hidden layers and the MLP of about its size."""
    kan = KAN(width=(width, width), grid=(grid, grid, grid), start_grid=grid, degree=degree)
    parameters = (2 * width + width * width + width) * (grid + degree)
    size = min(range(1, parameters), key=lambda w: abs(w * w + 5 * w + 1 - parameters))
    return kan, MLP(width=(size, size))


def compare(problem: Problem, kan: KAN, mlp: MLP, points: int, label: str) -> dict[str, Any]:
    """Return the times of a Gauss-Newton step and of a gradient step and their ratios."""
    box = problem.geometry
    lower, upper = torch.tensor(box.lower, dtype=torch.float64), torch.tensor(box.upper, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    networks = [m.suited(problem).network(lower, upper, 1) for m in (kan, mlp)]
    thetas = [0.1 * torch.randn(n.parameters, generator=generator, dtype=torch.float64) for n in networks]
    systems = [system_of(problem, n, points) for n in networks]
    full = [seconds(lambda s=s, t=t: s.linearised(t).normal_equations()) for s, t in zip(systems, thetas, strict=True)]
    gradient = [seconds(lambda s=s, t=t: s.linearised(t).gradient()) for s, t in zip(systems, thetas, strict=True)]
    inputs = torch.cat([batch.at.array() for batch in systems[0].batches])
    dense = seconds(lambda: nested_gradient(networks[0], thetas[0], inputs), repeats=5)
    small = system_of(problem, networks[0], JACOBIAN_POINTS)
    few = torch.cat([batch.at.array() for batch in small.batches])
    begin = perf_counter()
    theirs = nested_jacobian(networks[0], thetas[0], few)
    nested = perf_counter() - begin
    assert torch.allclose(small.linearised(thetas[0]).dense()[1], theirs, rtol=1e-8, atol=1e-10), "Jacobians differ"
    dense_jacobian = seconds(lambda: small.linearised(thetas[0]).dense())
    ours = systems[0].linearised(thetas[0]).gradient()[1]
    theirs = nested_gradient(networks[0], thetas[0], inputs)
    assert torch.allclose(ours, theirs, rtol=1e-8, atol=1e-10 * float(ours.abs().max())), "gradients differ"
    return {
        "network": label,
        "points": points,
        "parameters KAN": networks[0].parameters,
        "parameters MLP": networks[1].parameters,
        "KAN step ms": 1e3 * full[0],
        "MLP step ms": 1e3 * full[1],
        "KAN / MLP": full[0] / full[1],
        "KAN gradient ms": 1e3 * gradient[0],
        "MLP gradient ms": 1e3 * gradient[1],
        "gradient KAN / MLP": gradient[0] / gradient[1],
        "nested ms": 1e3 * dense,
        "nested / gradient": dense / gradient[0],
        f"nested Jacobian ms, N={JACOBIAN_POINTS}": 1e3 * nested,
        "nested / Jacobian": nested / dense_jacobian,
    }


def iteration(problem: Problem, products: int, grid: int) -> dict[str, Any]:
    """Return the times of the parts of a Levenberg-Marquardt iteration, in ms, and their ratio to the floor."""
    box = problem.geometry
    lower, upper = torch.tensor(box.lower, dtype=torch.float64), torch.tensor(box.upper, dtype=torch.float64)
    model = KAN(products=products, grid=grid, start_grid=grid).suited(problem)
    network = model.network(lower, upper, 1)
    theta = model.initial_parameters(network, torch.Generator().manual_seed(0))
    p, n = network.parameters, 5 * network.parameters
    system, solver = system_of(problem, network, n), LevenbergMarquardt(projection=False)
    batches, linear = system.batches, system.linearised(theta)
    _, gradient, matrix = linear.normal_equations()
    damping = 1e-3 * matrix.diagonal().max().expand(p)
    state = solver.init(system, theta)

    def step() -> None:
        nonlocal state
        state = solver.step(system, state)

    def solve() -> None:
        _, solve = damped_step(matrix, gradient, linear.blocks, damping, "auto")
        solve(gradient)

    a, b = torch.randn(2, 1500, 1500, dtype=torch.float64)
    rate = 2 * 1500**3 / seconds(lambda: a @ b, repeats=5)
    large = torch.randn(20_000_000, dtype=torch.float64)
    bandwidth = 8 * len(large) / seconds(large.sum, repeats=5)
    entries = sum(batch.first.entries for batch in batches if batch.first)
    floor = (n * p**2 + p**3 / 3) / rate + 8 * entries / bandwidth
    whole = seconds(step)
    return {
        "parameters": p,
        "points": n,
        "features, once a stage": 1e3
        * seconds(lambda: [network.first(x.indices, x.at.array(), x.parts) for x in batches], repeats=5),
        "residual (one trial)": 1e3 * seconds(lambda: system.residual(theta)),
        "factors": 1e3 * seconds(lambda: system.linearised(theta)),
        "J^T J": 1e3 * seconds(linear.normal_equations),
        "factorisation, two solutions": 1e3 * seconds(solve),
        "iteration": 1e3 * whole,
        "GFLOP/s of dgemm": rate / 1e9,
        "dense floor": 1e3 * floor,
        "iteration / floor": whole / floor,
    }


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("step.json"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    problem = poisson()
    rows = []
    for width, grid, degree, points in ((4, 8, 3, 2048), (5, 10, 5, 4096), (16, 8, 3, 4096)):
        kan, mlp = pair(width, grid, degree)
        rows.append(compare(problem, kan, mlp, points, f"[2,{width},{width},1] G={grid} k={degree}"))
    show("one step: normal equations (residual, Jacobian, J^T J) and gradient", rows)
    iterations = [iteration(problem, products, grid) for products, grid in ((3, 36), (8, 50), (16, 70))]
    show("one iteration of Levenberg-Marquardt, ms", iterations)
    write(options.out, rows=rows, iterations=iterations)


if __name__ == "__main__":
    main()
