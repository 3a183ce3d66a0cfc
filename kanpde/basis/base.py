"""What a layer needs of a univariate basis."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class Basis(ABC):
    """Univariate functions B_1..B_K of each of I inputs."""

    size: int
    """K, the number of functions per input."""

    @abstractmethod
    def taylor(self, z: Tensor, order: int) -> Tensor:
        """Return B_g^(m)(z) / m! for m = 0..order at inputs z (N, I), as (order + 1, N, I, K)."""
