"""Samples and their labels, validated, with the few numbers that every theorem asks of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ._checks import as_float_tensor, fail, finite, positive_int

__all__ = ["Dataset"]


@dataclass(frozen=True)
class Dataset:
    """Samples and labels, validated.

    Parameters
    ----------
    x : (..., n, d) real
        Samples as rows; float32 is kept, everything else becomes float64.
    y : (..., n)
        Labels, each +1 or -1.
    ambient_dim : int, optional
        The dimension the samples live in, when ``x`` holds their coordinates in a subspace. Default: ``d``.
    means : (..., k, d), optional
        Cluster means in the same coordinates, for samplers that have them.

    Raises
    ------
    ValueError
        On wrong shapes, NaN or infinite samples, or labels other than ±1; the message names the place and the value.
    """

    x: Tensor
    y: Tensor
    ambient_dim: int | None = None
    means: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        x, y = as_float_tensor(self.x, "x"), as_float_tensor(self.y, "y")
        if x.ndim < 2 or 0 in x.shape:
            fail("x", "a non-empty array of shape (..., n, d)", tuple(x.shape))
        if y.shape != x.shape[:-1]:
            fail("y", f"shape {tuple(x.shape[:-1])}, one label a sample", tuple(y.shape))
        finite(x, "x")
        wrong = (y != 1) & (y != -1)
        if wrong.any():
            place = tuple(wrong.nonzero()[0].tolist())
            fail("y", "labels +1 or -1", f"{y[place].item()} at index {place if len(place) > 1 else place[0]}")
        ambient = x.shape[-1] if self.ambient_dim is None else positive_int(self.ambient_dim, "ambient_dim")
        if ambient < x.shape[-1]:
            fail("ambient_dim", f"at least the {x.shape[-1]} columns of x", ambient)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y.to(x))
        object.__setattr__(self, "ambient_dim", ambient)

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.x.shape[-2]

    @property
    def d(self) -> int:
        """Number of columns of ``x``: the dimension, or that of the span when ``ambient_dim`` is larger."""
        return self.x.shape[-1]

    @property
    def gram(self) -> Tensor:
        """Inner products ``⟨x_i, x_k⟩`` (..., n, n)."""
        return self.x @ self.x.mT

    @property
    def norms(self) -> Tensor:
        """``‖x_i‖`` (..., n)."""
        return self.x.norm(dim=-1)

    @property
    def R_min(self) -> Tensor:
        """Smallest norm (...)."""
        return self.norms.amin(-1)

    @property
    def R_max(self) -> Tensor:
        """Largest norm (...)."""
        return self.norms.amax(-1)

    @property
    def R(self) -> Tensor:
        """``R_max / R_min`` (...); infinite when a sample is zero."""
        return self.R_max / self.R_min

    @property
    def p(self) -> Tensor:
        """``max_{i≠k} |⟨x_i, x_k⟩|`` (...); 0 for a single sample."""
        gram = self.gram
        eye = torch.eye(self.n, dtype=torch.bool, device=gram.device)
        return gram.abs().masked_fill(eye, 0).amax((-2, -1))

    @property
    def mu_hat(self) -> Tensor:
        """``μ̂ = Σ_i y_i x_i`` (..., d), not normalised."""
        return (self.y.unsqueeze(-1) * self.x).sum(-2)

    @property
    def positive(self) -> Tensor:
        """Mask of the positive class I+ (..., n)."""
        return self.y > 0

    def to(self, *args, **kwargs) -> Dataset:
        """The same data on another device or in another dtype (arguments as for ``Tensor.to``)."""
        means = None if self.means is None else self.means.to(*args, **kwargs)
        return replace(self, x=self.x.to(*args, **kwargs), y=self.y.to(*args, **kwargs), means=means)

    def __repr__(self) -> str:
        batch = f", batch {tuple(self.x.shape[:-2])}" if self.x.ndim > 2 else ""
        where = f"d={self.d}" if self.d == self.ambient_dim else f"d={self.ambient_dim:,} held in {self.d} coordinates"
        return f"Dataset(n={self.n}, {where}{batch}, {str(self.x.dtype).removeprefix('torch.')})"
