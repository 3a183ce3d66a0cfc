"""Damped normal equations with a band matrix and a few dense rows."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded
from torch import Tensor

from kanpde import processes
from kanpde.floats import TINY
from kanpde.linalg import finite


class Band:
    """A symmetric matrix A (n, n) that is zero further than `bandwidth` b from its diagonal.

    Both sides of the diagonal are held: entry (i, j) at j (2 b + 1) + i - j + b.
    """

    def __init__(self, size: int, bandwidth: int, like: Tensor) -> None:
        self.size, self.bandwidth = size, bandwidth
        self._entries = like.new_zeros(size * (2 * bandwidth + 1) + 2 * bandwidth)

    def add(self, start: int, stride: int, block: Tensor) -> None:
        """Add a block (m, w, m, w) to rows and columns start + stride a + p, a < m, p < w <= stride."""
        m, w = block.shape[:2]
        b = 2 * self.bandwidth
        place = start * b + start + self.bandwidth
        self._entries.as_strided((m, w, m, w), (b * stride, b, stride, 1), place).add_(block)

    def sum_over_processes(self) -> None:
        """Sum the matrices of all processes: what is not above the diagonal, which is all that is used."""
        if processes.count() > 1:
            self.lower().copy_(processes.summed(self.lower().contiguous()))

    def lower(self) -> Tensor:
        """Return the diagonal and what is below it (n, b + 1): entry (i, j) at [j, i - j]."""
        b = self.bandwidth
        return self._entries[: self.size * (2 * b + 1)].view(self.size, 2 * b + 1)[:, b:]

    def solve(self, right: Tensor, damping: float, rows: Tensor, fixed: int = 0) -> Tensor | None:
        """Return (A + V^T V + damping D)^-1 b (n,) with dense `rows` V (m, n) and D = diag A, or None if it fails.

        The first `fixed` entries are to be 0; their rows and columns are left out. Cholesky factors of the equilibrated
        band (van der Sluis 1969); V enters by the formula of Woodbury 1950.
        """
        columns, right, rows = self.lower()[fixed:], right[fixed:], rows[:, fixed:]
        diagonal = columns[:, 0]
        scale = torch.where(diagonal > TINY, diagonal, 1.0).rsqrt()
        padded = torch.cat([scale, scale.new_zeros(self.bandwidth)])
        damped = columns * scale[:, None]
        damped *= padded.unfold(0, self.bandwidth + 1, 1)
        damped[:, 0] = 1.0 + damping
        try:
            factor = cholesky_banded(damped.cpu().numpy().T, overwrite_ab=True, lower=True, check_finite=False)
        except LinAlgError:
            return None
        v = scale * rows
        wanted = np.concatenate([(scale * right)[None].cpu().numpy(), v.cpu().numpy()]).T
        x, *w = torch.from_numpy(cho_solve_banded((factor, True), wanted, check_finite=False).T).to(right)
        if w:
            with_v = torch.stack(w)
            inner = torch.eye(len(v), dtype=v.dtype, device=v.device) + v @ with_v.T
            x = x - torch.linalg.solve(inner, v @ x) @ with_v
        return finite(torch.cat([x.new_zeros(fixed), scale * x]))
