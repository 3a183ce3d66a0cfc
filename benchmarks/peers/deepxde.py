"""DeepXDE: tanh MLP [2, 20, 20, 20, 1] with an output transform, 201 iterations of Adam, then PyTorch's L-BFGS."""

from __future__ import annotations

import os

os.environ.setdefault("DDE_BACKEND", "pytorch")

import deepxde as dde
import torch

from benchmarks.peers.trial import POINTS, Array, Watch, main, source, walls


def train(watch: Watch, seed: int) -> None:
    """Train in portions of 20 iterations; L-BFGS keeps its memory between them."""
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(seed)

    def residual(at: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        u_xx, u_yy = (dde.grad.hessian(u, at, i=i, j=i) for i in range(2))
        return u_xx + u_yy + source(at[:, :1], at[:, 1:], torch.sin, torch.cos)

    data = dde.data.PDE(dde.geometry.Rectangle([-1, -1], [1, 1]), residual, [], num_domain=POINTS)
    network = dde.nn.FNN([2, 20, 20, 20, 1], "tanh", "Glorot normal")
    network.apply_output_transform(lambda at, u: walls(at[:, :1], at[:, 1:]) * u)
    watch.says(parameters=sum(p.numel() for p in network.parameters()))
    model = dde.Model(data, network)

    def values(at: Array) -> Array:
        return model.predict(at)[:, 0]

    model.compile("adam", lr=1e-3, verbose=0)
    for iterations in (1, *[20] * 10):
        model.train(iterations=iterations, display_every=10**9, verbose=0)
        if watch(values):
            return
    # The package's own name "L-BFGS" would be PyTorch's, too, but in portions of 1,000 iterations.
    lbfgs = torch.optim.LBFGS(
        network.parameters(),
        max_iter=20,
        history_size=100,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    model.compile(lbfgs, verbose=0)
    while not watch(values):
        model.train(iterations=1, display_every=10**9, verbose=0)


if __name__ == "__main__":
    main(train)
