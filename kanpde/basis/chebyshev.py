"""Chebyshev polynomials on an interval for each input; a higher degree contains a lower one exactly."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from kanpde.basis.base import Learnable


@dataclass(frozen=True, eq=False)
class Chebyshev(Learnable):
    """T_0..T_n of z mapped from [start, end] (I,) to [-1, 1]; beyond the interval the polynomials go on."""

    degree: int
    start: Tensor
    end: Tensor

    @property
    def intervals(self) -> int:  # type: ignore[override]
        """The degree, which is what a refinement multiplies."""
        return self.degree

    @property
    def size(self) -> int:  # type: ignore[override]
        """K = n + 1."""
        return self.degree + 1

    def taylor(self, z: Tensor, order: int) -> Tensor:
        """The recurrence T_{n+1} = 2 s T_n - T_{n-1} for truncated Taylor polynomials in s."""
        slope = 2 / (self.end - self.start)
        s = (z - self.start) * slope - 1
        zero, one = torch.zeros_like(s), torch.ones_like(s)
        rows = [[one, *[zero] * order], [s, one, *[zero] * order][: order + 1]]
        for _ in range(1, self.degree):
            last, before = rows[-1], rows[-2]
            rows.append([2 * s * last[0] - before[0]])
            for m in range(1, order + 1):
                rows[-1].append(2 * (s * last[m] + last[m - 1]) - before[m])
        values = torch.stack([torch.stack(row) for row in rows[: self.size]], dim=-1)
        return values * (slope ** torch.arange(order + 1, dtype=z.dtype, device=z.device)[:, None])[:, None, :, None]

    def of_input(self, i: int) -> Chebyshev:
        return Chebyshev(self.degree, self.start[i : i + 1], self.end[i : i + 1])

    def ramp(self) -> Tensor:
        coefficients = self.start.new_zeros(len(self.start), self.size)
        coefficients[:, 0] = 0.5 * (self.start + self.end)
        coefficients[:, 1] = 0.5 * (self.end - self.start)
        return coefficients

    def one(self) -> Tensor:
        return torch.eye(1, self.size, dtype=self.start.dtype, device=self.start.device).expand(len(self.start), -1)

    def refined(self, factor: int) -> tuple[Chebyshev, Tensor]:
        finer = Chebyshev(self.degree * factor, self.start, self.end)
        change = torch.eye(finer.size, self.size, dtype=self.start.dtype, device=self.start.device)
        return finer, change.expand(len(self.start), -1, -1)

    def covering(self, lower: Tensor, upper: Tensor) -> tuple[Chebyshev, Tensor]:
        """Return the polynomials on [lower, upper], and the map (I, K, K) of coefficients by interpolation."""
        new = Chebyshev(self.degree, lower, torch.maximum(upper, lower + 1e-12 * (self.end - self.start)))
        angles = pi * (torch.arange(self.size, dtype=lower.dtype, device=lower.device) + 0.5) / self.size
        nodes = 0.5 * (new.start + new.end) + 0.5 * (new.end - new.start) * torch.cos(angles)[:, None]
        old_values, new_values = (basis.taylor(nodes, 0)[0].transpose(0, 1) for basis in (self, new))
        return new, torch.linalg.solve(new_values, old_values)

    def saved(self) -> dict[str, Tensor]:
        return {"degree": torch.tensor(self.degree), "start": self.start, "end": self.end}

    def restored(self, saved: dict[str, Tensor]) -> Chebyshev:
        return Chebyshev(int(saved["degree"]), saved["start"].to(self.start), saved["end"].to(self.end))
