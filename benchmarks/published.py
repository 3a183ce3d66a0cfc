"""The best published errors of neural networks on the problems, as their authors state them: relative L2."""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """An error with its source and what is different there; None: none was found."""

    error: float | None = None
    source: str = ""


class Record(NamedTuple):
    """The best Kolmogorov-Arnold network and the best network of any kind."""

    kan: Published = Published()
    network: Published = Published()


SECOND_HAND = "read second-hand"
RECORDS = {
    "poisson2d": Record(
        Published(5.3e-4, "Liu et al. 2024, section 3.4: [2, 10, 1], about 450 parameters"),
        Published(3.3e-3, "MLP of 5,150 parameters in the same figure"),
    ),
    "poisson2d_sinsin": Record(
        Published(1.1e-3, "notebook of pykan"),
        Published(6.1e-8, "energy natural gradient, on (0, 1)^2, 257 parameters, 468 s on a GPU"),
    ),
    "poisson2d_multiscale": Record(
        network=Published(4.5e-14, f"11,800 parameters, 281 s on a GPU; {SECOND_HAND}, other wave numbers")
    ),
    "poisson5d": Record(network=Published(5.6e-8, "energy natural gradient, 449 parameters, 3,000 s")),
    "helmholtz2d": Record(Published(1.0e-3, "jaxKAN, adaptive"), Published(2.0e-9, f"540 s; {SECOND_HAND}")),
    "heat1d": Record(Published(2.1e-4), Published(2.0e-8, "1,000 s")),
    "wave1d": Record(
        Published(2.4e-4, "another wave problem"),
        Published(1.2e-15, f"{SECOND_HAND}, another set-up; PINNacle: 1.6e-2"),
    ),
    "advection": Record(network=Published(6.9e-4, "beta = 80; plain MLP at beta = 40: 1.9e-3, read second-hand")),
    "klein_gordon": Record(Published(7.6e-3), Published(1.6e-2, "another set-up")),
    "burgers1d": Record(
        Published(2.1e-2), Published(4.9e-9, "3 x 30 tanh, hard conditions, self-scaled Broyden, 46 min on a GPU")
    ),
    "allen_cahn": Record(
        Published(2.5e-5, "hybrid of 118,000 parameters, 93 min; splines alone: 2.6e-2"), Published(1.9e-6)
    ),
    "kdv": Record(network=Published(8.2e-11, f"{SECOND_HAND}; otherwise 2.9e-4")),
    "kovasznay": Record(network=Published(5.6e-4, "velocity u")),
    "kuramoto_sivashinsky": Record(network=Published(1.6e-1, "chaotic, to t = 1")),
    "cavity": Record(Published(5.8e-2, "velocity u, Re = 100"), Published(1.1e-4, f"{SECOND_HAND}, lid 4 x (1 - x)")),
    "poisson_holes": Record(network=Published(8.2e-3, "PINNacle, whose own reference is off by 2.8e-5")),
    "plate_with_hole": Record(
        Published(8.5e-4, "loss of energy, 1,215 parameters"), Published(7.9e-4, "loss of energy")
    ),
}
"""By the name of a problem. Sources without a name are the tables and logs of the authors of each method."""
