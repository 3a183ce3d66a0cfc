"""A graph of single edges: the same function as its network, with Jacobians that finite differences confirm."""

from collections.abc import Callable
from math import pi

import pytest
import torch
from examples import small_kan

from kanpde import KAN, Box, KanpdeError, Problem, dirichlet, neumann
from kanpde.field import Points, taylor_coefficients
from kanpde.model import MLP, Ansatz, Graph, Network
from kanpde.model.chain import elementary
from kanpde.model.graph import Edge
from kanpde.multiindex import IndexSet
from kanpde.residual import System
from kanpde.sampling import Sampling
from kanpde.training_points import Collocation

LOWER, UPPER = torch.tensor([-1.0, 0.5], dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
SECOND = IndexSet(("x", "y"), [(2, 0), (0, 2), (1, 1)])
POINTS = LOWER + (UPPER - LOWER) * torch.rand(7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def network(model: KAN, outputs: int = 1) -> tuple[Network, torch.Tensor]:
    found = model.network(LOWER, UPPER, outputs)
    generator = torch.Generator().manual_seed(3)
    return found, 0.3 * torch.randn(found.parameters, generator=generator, dtype=torch.float64)


NETWORKS: dict[str, Callable[[], tuple[Network, torch.Tensor]]] = {
    "sums": lambda: network(small_kan()),
    "products": lambda: network(small_kan((0,), degree=(7, 1), products=3)),
    "sums and products": lambda: network(small_kan((2,), products=2), outputs=2),
    "deep": lambda: network(small_kan((3, 2))),
    "base": lambda: network(small_kan(base=True)),
    "chebyshev": lambda: network(small_kan(basis="chebyshev", grid=9)),
}


def symbolic() -> Graph:
    """Return 1.5 sin(1.5 x + 0.2) (tanh(0.1 - 0.5 y) + 2) + 0.3 + 0.4 silu(0.7 y + 1) - 0.1."""
    edges = (
        Edge(0, 2, elementary("sin")),
        Edge(1, 2, elementary("tanh")),
        Edge(2, 3, elementary("x")),
        Edge(1, 3, elementary("silu")),
    )
    values = [1.5, 0.2, 1.0, 0.0, -0.5, 0.1, 1.0, 2.0, 1.5, 0.0, 1.0, 0.3, 0.7, 1.0, 0.4, -0.1]
    one = torch.tensor(values, dtype=torch.float64)
    trained = torch.ones(len(one), dtype=torch.bool)
    trained[[3, 9]] = False
    return Graph(("input", "input", "product", "sum"), edges, (3,), LOWER, UPPER, one, trained)


def output(graph: Graph, theta: torch.Tensor, indices: IndexSet = SECOND) -> torch.Tensor:
    return graph.forward(theta, indices, graph.first(indices, POINTS), reverse=False)[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_is_its_network(name: str) -> None:
    layered, theta = NETWORKS[name]()
    expected, _ = layered.forward(theta, SECOND, layered.first(SECOND, POINTS), reverse=False)
    graph = Graph.of(layered, theta)
    assert torch.allclose(output(graph, graph.theta), expected, rtol=1e-11, atol=1e-11)


def test_an_mlp_is_refused() -> None:
    mlp = MLP(width=(4,)).network(LOWER, UPPER, 1)
    with pytest.raises(KanpdeError, match="model=kan"):
        Graph.of(mlp, torch.zeros(mlp.parameters, dtype=torch.float64))


def test_channels_are_those_of_nested_autograd() -> None:
    graph = symbolic()

    def value(at: Points) -> torch.Tensor:
        z = torch.sin(1.5 * at.x + 0.2) * (torch.tanh(-0.5 * at.y + 0.1) + 2)
        s = 0.7 * at.y + 1.0
        return 1.5 * z + 0.3 + 0.4 * s * torch.sigmoid(s) - 0.1

    expected = taylor_coefficients(value, Points.of(("x", "y"), POINTS), SECOND)
    assert torch.allclose(output(graph, graph.theta)[..., 0], expected, rtol=1e-12, atol=1e-12)


def poisson() -> Problem:
    return Problem(
        geometry=Box(x=(-1, 1), y=(0.5, 2)),
        equations={"poisson": lambda u, at: u.d("xx") + u.d("yy") + u * u.d("x") - torch.sin(pi * at.x)},
        conditions={"walls": dirichlet("x", 0.0), "flux": neumann("y+", 1.0)},
    )


@pytest.mark.parametrize("name", ["symbolic", "products", "deep"])
def test_the_jacobian_is_that_of_differences(name: str) -> None:
    graph = symbolic() if name == "symbolic" else Graph.of(*NETWORKS[name]())
    collocation = Collocation(Ansatz(poisson(), "soft"), Sampling(points=40), 0, LOWER)
    system: System = collocation.system(graph, graph.theta, 1, 0)
    linear = system.linearised(graph.theta)
    r, j = linear.dense()
    assert j.shape == (len(r), graph.parameters)
    direction = torch.randn(graph.parameters, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    h = 1e-6
    ahead, back = system.residual(graph.theta + h * direction), system.residual(graph.theta - h * direction)
    difference = (ahead - back) / (2 * h)
    assert torch.allclose(j @ direction, difference, rtol=1e-6, atol=1e-6 * float(difference.abs().max()))
    assert torch.allclose(linear.times(direction), j @ direction)
    assert torch.allclose(linear.transposed_times(r), j.T @ r)
    _, gradient, matrix = linear.normal_equations()
    assert torch.allclose(gradient, j.T @ r)
    assert torch.allclose(matrix, j.T @ j)


def test_what_is_fixed_is_no_parameter() -> None:
    graph = symbolic()
    assert graph.parameters == 14
    other = graph.at(graph.theta + 1.0)
    assert torch.equal(other.values[[3, 9]], graph.values[[3, 9]])


def test_saved_and_restored(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for graph in (symbolic(), *(Graph.of(*make()) for make in NETWORKS.values())):
        torch.save(graph.saved(), tmp_path / "graph.pt")
        again = Graph.restored(torch.load(tmp_path / "graph.pt", weights_only=True))
        assert torch.equal(output(again, again.theta), output(graph, graph.theta))


def test_parts_of_a_graph() -> None:
    graph = symbolic()
    part = graph.kept([0, 1, 3], [3])
    nodes, shares = part.evaluated(POINTS)
    assert torch.equal(nodes[:, 2], shares[:, 0])
    assert torch.allclose(shares[:, 0], graph.evaluated(POINTS)[1][:, 3])


def test_an_edge_that_goes_back_is_refused() -> None:
    graph = symbolic()
    with pytest.raises(KanpdeError, match="from node 3 to node 2"):
        Graph(graph.nodes, (Edge(3, 2, elementary("sin")),), (3,), LOWER, UPPER, torch.zeros(4), torch.ones(4) > 0)
