"""DeepXDE: tanh MLP [2, 20, 20, 20, 1] with an output transform, 1,000 iterations of Adam, then L-BFGS."""

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
    for iterations in (1, *[20] * 50):
        model.train(iterations=iterations, display_every=10**9, verbose=0)
        if watch(values):
            return
    dde.optimizers.set_LBFGS_options(ftol=0, gtol=0, maxiter=20)
    model.compile("L-BFGS", verbose=0)
    while True:
        before = model.train_state.step
        model.train(display_every=10**9, verbose=0)
        if watch(values) or model.train_state.step == before:
            return


if __name__ == "__main__":
    main(train)
