"""Scimba: tanh MLP with layers of 20 and 20, energy natural gradient with Armijo's rule, new points in every step."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import torch
from scimba_torch.approximation_space.nn_space import NNxSpace
from scimba_torch.domain.meshless_domain.domain_2d import Square2D
from scimba_torch.integration.monte_carlo import DomainSampler, TensorizedSampler
from scimba_torch.integration.monte_carlo_parameters import UniformParametricSampler
from scimba_torch.neural_nets.coordinates_based_nets.mlp import GenericMLP
from scimba_torch.numerical_solvers.elliptic_pde.pinns import NaturalGradientPinnsElliptic
from scimba_torch.physical_models.elliptic_pde.laplacians import Laplacian2DDirichletStrongForm
from scimba_torch.utils.scimba_tensors import LabelTensor

from benchmarks.peers.trial import POINTS, Array, Watch, main, source, walls


def train(watch: Watch, seed: int) -> None:
    """Train in one call, watched by what it calls before each step. The equation has a coefficient mu, here one."""
    torch.manual_seed(seed)
    square = Square2D([(-1.0, 1.0), (-1.0, 1.0)], is_main_domain=True)
    sampler = TensorizedSampler([DomainSampler(square), UniformParametricSampler([(1.0, 1.0)])])

    def f(at: LabelTensor, mu: LabelTensor) -> torch.Tensor:
        return source(*at.get_components(), torch.sin, torch.cos)

    def with_walls(u: torch.Tensor, at: LabelTensor, mu: LabelTensor) -> torch.Tensor:
        return walls(*at.get_components()) * u

    def function_with_walls(u, at: torch.Tensor, mu: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        return walls(at[0], at[1]) * u(at, mu, theta)

    space = NNxSpace(1, 1, GenericMLP, square, sampler, layer_sizes=[20, 20], post_processing=with_walls)
    watch.says(parameters=space.ndof)

    def values(at: Array) -> Array:
        points = torch.from_numpy(at)
        return space.evaluate(LabelTensor(points), LabelTensor(torch.ones(len(points), 1))).w[:, 0].detach().numpy()

    steps = count()

    def after_a_step(data: tuple[LabelTensor, ...]) -> None:
        if next(steps) and watch(values):
            raise StopIteration

    pinn = NaturalGradientPinnsElliptic(
        Laplacian2DDirichletStrongForm(space, f=f),
        bc_type="strong",
        functional_post_processing=function_with_walls,
        create_quantities_for_loss=after_a_step,
    )
    with suppress(StopIteration):
        pinn.solve(epochs=10**6, n_collocation=POINTS, silent=True)


if __name__ == "__main__":
    main(train)
