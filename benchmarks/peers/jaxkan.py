"""jaxKAN: [2, 10, 1], cubic splines on 10 intervals, L-BFGS of SciPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree
from jaxkan.models.KAN import KAN
from jaxkan.pikan.sampling import get_collocs_sobol
from scipy.optimize import minimize

from benchmarks.peers.trial import POINTS, Array, Watch, main, source, walls


def train(watch: Watch, seed: int) -> None:
    """Train with nested gradients at one point, mapped over the points, as the package's own residuals have them."""
    jax.config.update("jax_enable_x64", True)
    model = KAN(layer_dims=[2, 10, 1], layer_type="spline", required_parameters={"k": 3, "G": 10}, seed=seed)
    structure, parameters, rest = nnx.split(model, nnx.Param, ...)
    parameters = jax.tree.map(lambda p: p.astype(jnp.float64), parameters)
    start, unravel = ravel_pytree(parameters)
    watch.says(parameters=start.size)
    points = get_collocs_sobol([(-1.0, 1.0), (-1.0, 1.0)], POINTS, seed=seed)
    f = source(points[:, 0], points[:, 1], jnp.sin, jnp.cos)

    def u(parameters, rest, x, y):
        network = nnx.merge(structure, parameters, rest)
        return walls(x, y) * network(jnp.array([[x, y]]))[0, 0]

    def laplacian(parameters, rest, x, y):
        u_xx = jax.grad(jax.grad(u, argnums=2), argnums=2)
        u_yy = jax.grad(jax.grad(u, argnums=3), argnums=3)
        return u_xx(parameters, rest, x, y) + u_yy(parameters, rest, x, y)

    # Points and grids are arguments, since constants of that size make compiling slow.
    def loss(flat, rest, points, f):
        values = jax.vmap(laplacian, in_axes=(None, None, 0, 0))(unravel(flat), rest, points[:, 0], points[:, 1])
        return jnp.mean((values + f) ** 2)

    value_and_gradient = jax.jit(jax.value_and_grad(loss))

    def objective(flat: Array) -> tuple[float, Array]:
        value, gradient = value_and_gradient(flat, rest, points, f)
        return float(value), np.asarray(gradient)

    def after(flat: Array) -> None:
        def values(at: Array) -> Array:
            return np.asarray(jax.vmap(u, in_axes=(None, None, 0, 0))(unravel(flat), rest, at[:, 0], at[:, 1]))

        if watch(values):
            raise StopIteration

    options = {"maxcor": 50, "maxiter": 10**6, "maxfun": 10**6, "ftol": 0, "gtol": 0}
    minimize(objective, np.asarray(start), jac=True, method="L-BFGS-B", callback=after, options=options)


if __name__ == "__main__":
    main(train)
