"""Quadrature of finite element functions: their values at points, and integrals of them with test functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy.sparse import csr_matrix, diags
from skfem import FacetBasis
from skfem.assembly.basis.abstract_basis import AbstractBasis


class Quadrature(ABC):
    """Points (d, N) with weights (N,) on elements or facets, of functions with coefficients u (n, dof).

    On facets there are the outward unit normals (d, N) too. Coefficients that are None are 0.
    """

    points: ndarray
    weight: ndarray
    normals: ndarray | None = None

    @abstractmethod
    def values(self, u: ndarray) -> ndarray:
        """Return functions at the points, (n, N)."""

    @abstractmethod
    def gradients(self, u: ndarray) -> ndarray:
        """Return the gradients of functions at the points, (n, d, N)."""

    @abstractmethod
    def tested(self, source: ndarray, flux: ndarray | None = None) -> ndarray:
        """Return the integrals (n, dof) of s v + f.grad v with test functions v, for s (n, N) and f (n, d, N)."""

    @abstractmethod
    def matrix(
        self, reaction: ndarray | None = None, drift: ndarray | None = None, diffusion: ndarray | None = None
    ) -> csr_matrix:
        """Return the integrals (dof, dof) of c u v + (b.grad u) v + a^{ij} u_i v_j for c (N,), b (d, N), a (d, d, N).

        Rows are those of test functions v.
        """

    @abstractmethod
    def diagonal(self, diffusion: ndarray) -> ndarray:
        """Return the diagonal (dof,) of the matrix for a diffusion (d, d, N)."""


@dataclass(frozen=True)
class Trace(Quadrature):
    """Quadrature with u and u_i at the points as matrices (N, dof)."""

    points: ndarray
    weight: ndarray
    value: csr_matrix
    slopes: tuple[csr_matrix, ...]
    normals: ndarray | None = None

    @classmethod
    def of(cls, basis: AbstractBasis, number: ndarray) -> Trace:
        """Return the operators of a basis; `number` (dof of the basis,) numbers the unknowns."""
        shape = basis.dx.shape
        columns = np.repeat(number[basis.element_dofs].T[:, None, :], shape[1], axis=1).ravel()
        rows = np.arange(basis.dx.size + 1) * basis.Nbfun
        fields = [functions[0] for functions in basis.basis]

        def matrix(values: list[ndarray]) -> csr_matrix:
            entries = np.stack([np.broadcast_to(v, shape) for v in values], axis=-1).ravel()
            return csr_matrix((entries, columns, rows), shape=(basis.dx.size, number.max() + 1))

        points = np.asarray(basis.global_coordinates())
        slopes = tuple(matrix([f.grad[i] for f in fields]) for i in range(len(points)))
        normals = np.asarray(basis.normals).reshape(len(points), -1) if isinstance(basis, FacetBasis) else None
        return cls(points.reshape(len(points), -1), basis.dx.ravel(), matrix(fields), slopes, normals)

    def values(self, u: ndarray) -> ndarray:
        return (self.value @ u.T).T

    def gradients(self, u: ndarray) -> ndarray:
        return np.stack([(slope @ u.T).T for slope in self.slopes], axis=1)

    def tested(self, source: ndarray, flux: ndarray | None = None) -> ndarray:
        total = self.value.T @ (self.weight * source).T
        if flux is not None:
            for i, slope in enumerate(self.slopes):
                total += slope.T @ (self.weight * flux[:, i]).T
        return total.T

    def matrix(
        self, reaction: ndarray | None = None, drift: ndarray | None = None, diffusion: ndarray | None = None
    ) -> csr_matrix:
        total = csr_matrix((self.value.shape[1],) * 2)
        if reaction is not None:
            total = total + self.integrate(self.value, reaction, self.value)
        for i, along in enumerate(self.slopes):
            if drift is not None:
                total = total + self.integrate(self.value, drift[i], along)
            for j, across in enumerate(self.slopes):
                if diffusion is not None:
                    total = total + self.integrate(across, diffusion[i, j], along)
        return total

    def diagonal(self, diffusion: ndarray) -> ndarray:
        total = np.zeros(self.value.shape[1])
        for i, along in enumerate(self.slopes):
            for j, across in enumerate(self.slopes):
                total += along.multiply(across).T @ (self.weight * diffusion[i, j])
        return total

    def integrate(self, test: csr_matrix, coefficient: ndarray, trial: csr_matrix) -> csr_matrix:
        """Return the matrix of the integrals of test coefficient (N,) trial."""
        if not coefficient.any():
            return csr_matrix((test.shape[1], trial.shape[1]))
        return test.T @ (diags(self.weight * coefficient) @ trial)
