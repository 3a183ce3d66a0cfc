"""pykan: [2, 10, 1], cubic splines on 10 intervals (a network of the KAN paper), its own L-BFGS and grid updates."""

from __future__ import annotations

import torch
from kan import KAN
from kan.LBFGS import LBFGS

from benchmarks.peers.trial import POINTS, Array, Watch, main, source, walls


def train(watch: Watch, seed: int) -> None:
    """Train as the package's examples on differential equations do.

    Grids follow the activations every 100 of the first 1,000 iterations.
    """
    torch.set_default_dtype(torch.float64)
    model = KAN(width=[2, 10, 1], grid=10, k=3, seed=seed, auto_save=False).speed()
    watch.says(parameters=sum(p.numel() for p in model.parameters() if p.requires_grad))
    points = 2 * torch.quasirandom.SobolEngine(2, scramble=True, seed=seed).draw(POINTS, dtype=torch.float64) - 1
    f = source(points[:, 0], points[:, 1], torch.sin, torch.cos)

    def u(at: torch.Tensor) -> torch.Tensor:
        return walls(at[:, 0], at[:, 1]) * model(at)[:, 0]

    def loss() -> torch.Tensor:
        at = points.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(u(at).sum(), at, create_graph=True)
        second = [torch.autograd.grad(gradient[:, i].sum(), at, create_graph=True)[0][:, i] for i in range(2)]
        return (second[0] + second[1] + f).square().mean()

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    def values(at: Array) -> Array:
        with torch.no_grad():
            return u(torch.from_numpy(at)).numpy()

    optimiser = LBFGS(
        model.parameters(),
        lr=1,
        max_iter=1,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-32,
        tolerance_change=1e-32,
        tolerance_ys=1e-32,
    )
    step = 0
    while True:
        if step % 100 == 0 and step < 1000:
            model.update_grid_from_samples(points)
        optimiser.step(closure)
        step += 1
        if watch(values) or not all(bool(p.isfinite().all()) for p in model.parameters()):
            return


if __name__ == "__main__":
    main(train)
