"""Sines and cosines that repeat with an interval of each input; more harmonics contain fewer exactly."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, pi

import torch
from torch import Tensor

from kanpde.basis.base import Learnable


@dataclass(frozen=True, eq=False)
class Fourier(Learnable):
    """sin(m w z), cos(m w z) for m = 1..M, w = 2 pi / (end - start), and the constant if asked for; start, end (I,)."""

    harmonics: int
    start: Tensor
    end: Tensor
    constant: bool = True

    @property
    def intervals(self) -> int:  # type: ignore[override]
        """The number of harmonics, which is what a refinement multiplies."""
        return self.harmonics

    @property
    def size(self) -> int:  # type: ignore[override]
        """K = 2 M, and 1 for the constant."""
        return 2 * self.harmonics + self.constant

    def taylor(self, z: Tensor, order: int) -> Tensor:
        frequency = (2 * pi / (self.end - self.start))[:, None] * torch.arange(
            1, self.harmonics + 1, dtype=z.dtype, device=z.device
        )
        angle = (z - self.start)[..., None] * frequency
        s, c = torch.sin(angle), torch.cos(angle)
        cycle = ((s, c), (c, -s), (-s, -c), (-c, s))
        values = []
        for m in range(order + 1):
            scale = frequency**m / factorial(m)
            waves = [wave * scale for wave in cycle[m % 4]]
            constant = torch.full_like(angle[..., :1], float(m == 0)) if self.constant else angle[..., :0]
            values.append(torch.cat([torch.stack(waves, dim=-1).flatten(-2), constant], dim=-1))
        return torch.stack(values)

    def of_input(self, i: int) -> Fourier:
        return Fourier(self.harmonics, self.start[i : i + 1], self.end[i : i + 1], self.constant)

    def ramp(self) -> Tensor:
        """Return the coefficients of the first sine."""
        return torch.eye(1, self.size, dtype=self.start.dtype, device=self.start.device).expand(len(self.start), -1)

    def one(self) -> Tensor:
        """Return the coefficients of the function 1, which is the last one."""
        assert self.constant
        first = torch.eye(1, self.size, dtype=self.start.dtype, device=self.start.device)
        return first.flip(1).expand(len(self.start), -1)

    def refined(self, factor: int) -> tuple[Fourier, Tensor]:
        finer = Fourier(self.harmonics * factor, self.start, self.end, self.constant)
        change = torch.zeros(finer.size, self.size, dtype=self.start.dtype, device=self.start.device)
        waves = torch.arange(2 * self.harmonics, device=change.device)
        change[waves, waves] = 1.0
        if self.constant:
            change[-1, -1] = 1.0
        return finer, change.expand(len(self.start), -1, -1)

    def covering(self, lower: Tensor, upper: Tensor) -> tuple[Fourier, Tensor]:
        """Return the same waves: they are there for all inputs."""
        return self, torch.eye(self.size, dtype=lower.dtype, device=lower.device).expand(len(lower), -1, -1)

    def saved(self) -> dict[str, Tensor]:
        return {"harmonics": torch.tensor(self.harmonics)}

    def restored(self, saved: dict[str, Tensor]) -> Fourier:
        return Fourier(int(saved["harmonics"]), self.start, self.end, self.constant)
