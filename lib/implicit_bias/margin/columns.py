"""The gradients of the outputs at all neurons, as columns of a least-squares problem that
is never larger than it must be."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Columns"]


EXPLICIT = 1e8
"""Products up to which the gradients themselves are factored; beyond, their Gram matrix."""


class Columns:
    """The gradients ``y_i ∇f_i`` (one for each pattern of slopes) as columns of a
    least-squares problem for W.

    They live in m · d dimensions. Where that matrix is large, only its Gram matrix is
    formed, ``⟨x_i, x_k⟩ y_i y_k Σ_j a_j² φ'_ij φ'_kj``, and a square root of it takes
    its place.
    """

    def __init__(self, weights: Tensor, a: Tensor, x: Tensor, y: Tensor) -> None:
        self.weights = weights
        self.a = a
        self.x = x
        self.y = y

    def combined(self, owner: list[int], slopes: Tensor, share: Tensor) -> Tensor:
        """``Σ share · column`` as a matrix (m, d)."""
        coefficients = (
            slopes * (share * self.y[owner]).unsqueeze(-1)
        ).T * self.a.unsqueeze(-1)
        return coefficients @ self.x[owner]

    def products(self, owner: list[int], slopes: Tensor, matrix: Tensor) -> Tensor:
        """``⟨column, matrix⟩`` for each column."""
        return self.y[owner] * (((matrix @ self.x[owner].mT).T * slopes) @ self.a)

    def reduced(self, owner: list[int], slopes: Tensor) -> tuple[Tensor, Tensor]:
        """A square factor F of the columns' Gram matrix, and t: ``‖F s - t‖`` and the
        distance of ``Σ s · column`` from W have the same minimisers.
        """
        unknown = len(owner)
        given = self.weights.numel()
        if given <= unknown or given * unknown**2 <= EXPLICIT:
            matrix = slopes.unsqueeze(-1) * (
                self.a.unsqueeze(-1) * self.x[owner].unsqueeze(-2)
            )
            matrix = (matrix * self.y[owner][:, None, None]).flatten(1).T
            basis, factor = torch.linalg.qr(matrix)
            return factor, basis.T @ self.weights.flatten()
        signed = self.y[owner].unsqueeze(-1) * self.x[owner]
        gram = (signed @ signed.mT) * ((slopes * self.a) @ (slopes * self.a).mT)
        values, vectors = torch.linalg.eigh(gram)
        kept = values > len(owner) * torch.finfo(values.dtype).eps * values[-1]
        root = values[kept].sqrt()
        factor = root.unsqueeze(-1) * vectors[:, kept].mT
        return factor, vectors[:, kept].mT @ self.products(
            owner, slopes, self.weights
        ) / root
