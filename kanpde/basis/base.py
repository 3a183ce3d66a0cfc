"""What a layer needs of a univariate basis."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from kanpde.errors import KanpdeError


class Basis(ABC):
    """Univariate functions B_1..B_K of each of I inputs."""

    size: int
    """K, the number of functions per input."""

    @abstractmethod
    def taylor(self, z: Tensor, order: int) -> Tensor:
        """Return B_g^(m)(z) / m! for m = 0..order at inputs z (N, I), as (order + 1, N, I, K)."""

    def of_input(self, i: int) -> Basis:
        """Return the basis of one of the inputs: for single edges, with which `Run.model` works."""
        raise KanpdeError(f"{type(self).__name__} has no `of_input`, so that its edges cannot be taken one by one.")


class Learnable(Basis):
    """A basis that resolves the functions on the edges of a KAN, and that can be exchanged for a richer one."""

    intervals: int
    """The resolution: intervals of a spline, degree of polynomials, number of harmonics."""

    @abstractmethod
    def ramp(self) -> Tensor:
        """Return the coefficients (I, K) of z itself, or of a sine where the inputs are periodic."""

    @abstractmethod
    def one(self) -> Tensor:
        """Return the coefficients (I, K) of the function 1."""

    @abstractmethod
    def refined(self, factor: int) -> tuple[Learnable, Tensor]:
        """Return the basis with `factor` times the resolution, and the exact map (I, K', K) of coefficients."""

    @abstractmethod
    def covering(self, lower: Tensor, upper: Tensor) -> tuple[Learnable, Tensor]:
        """Return a basis for inputs in [lower, upper] (I,), and the map (I, K', K) that keeps the functions there."""

    @abstractmethod
    def saved(self) -> dict[str, Tensor]:
        """Return what changes during training, as plain data."""

    @abstractmethod
    def restored(self, saved: dict[str, Tensor]) -> Learnable:
        """Return the basis that `saved` describes."""
