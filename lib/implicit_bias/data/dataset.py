"""Samples and their labels, validated, with the few numbers that every theorem asks of
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..saving import Savable
from ..values.checks import destination, fail, finite, own_tensor
from ..values.comparing import Comparable
from ..values.scalars import positive_int
from .span import binary_scale

__all__ = ["Dataset", "LARGEST_NORM", "SMALLEST_NORM", "a_dataset"]


SMALLEST_NORM = 1e-150


LARGEST_NORM = 1e150
"""Between these, squares of norms are normal numbers of float64."""


PRODUCTS_AT_ONCE = 50_000_000
"""So many inner products (400 MB) are held at once."""


@dataclass(frozen=True, eq=False)
class Dataset(Comparable, Savable):
    """Samples and labels, validated.

    It keeps copies of what it is given, without gradients. ``==`` compares bit for bit;
    :meth:`save` and :meth:`load` write and read a file.

    With ``ambient_dim > d`` the rows are coordinates in an orthonormal basis of some
    subspace (:attr:`in_span`). Inner products, gradient descent, SGD and flow are those
    of the full space. A rule that treats coordinates one by one is not: sign descent,
    Adam, coordinate-wise noise or an ℓ1 norm depend on the basis, so on such data they
    are other algorithms, and :mod:`implicit_bias.training.rules` refuses them. Draw the
    data with ``space="full"`` for these.

    Parameters
    ----------
    x : (..., n, d) real
        Samples as rows; float32 is kept, everything else becomes float64. Norms are 0
        or from 1e-150 to 1e150.
    y : (..., n)
        Labels, each +1 or -1 (of booleans or 0 and 1, ``2 * y - 1``).
    ambient_dim : int, optional
        The dimension the samples live in, when ``x`` holds their coordinates in a
        subspace. Default: ``d``.
    means : (..., k, d), optional
        Cluster means in the same coordinates, for samplers that have them.

    Raises
    ------
    ValueError
        On wrong shapes, masked, NaN or infinite samples, norms out of range, or labels
        other than ±1; the message names the place and the value.
    """

    x: Tensor
    y: Tensor
    ambient_dim: int
    means: Tensor | None = field(default=None, repr=False)

    # Written out, for what is taken is wider than what is kept.
    def __init__(
        self,
        x: Tensor | ArrayLike,
        y: Tensor | ArrayLike,
        ambient_dim: int | None = None,
        means: Tensor | ArrayLike | None = None,
    ) -> None:
        samples = own_tensor(x, "x")
        labels = own_tensor(y, "y")
        if samples.ndim < 2 or 0 in samples.shape:
            expected = "a non-empty array of shape (..., n, d)"
            fail("x", expected, tuple(samples.shape))
        if labels.shape != samples.shape[:-1]:
            expected = f"shape {tuple(samples.shape[:-1])}, one label a sample"
            fail("y", expected, tuple(labels.shape))
        finite(samples, "x")
        _check_norms(samples)
        _check_labels(labels)
        columns = samples.shape[-1]
        ambient = (
            columns if ambient_dim is None else positive_int(ambient_dim, "ambient_dim")
        )
        if ambient < columns:
            fail("ambient_dim", f"at least the {columns} columns of x", ambient)
        centres = None if means is None else own_tensor(means, "means").to(samples)
        if centres is not None:
            _check_means(centres, columns)
        object.__setattr__(self, "x", samples)
        object.__setattr__(self, "y", labels.to(samples))
        object.__setattr__(self, "ambient_dim", ambient)
        object.__setattr__(self, "means", centres)

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.x.shape[-2]

    @property
    def d(self) -> int:
        """Number of columns of ``x``: the dimension, or that of the span when
        ``ambient_dim`` is larger.
        """
        return self.x.shape[-1]

    @property
    def in_span(self) -> bool:
        """Whether the columns are coordinates in a subspace of the ``ambient_dim``
        dimensions: see :class:`Dataset`.
        """
        return self.ambient_dim > self.d

    @property
    def gram(self) -> Tensor:
        """Inner products ``⟨x_i, x_k⟩`` (..., n, n)."""
        return self.x @ self.x.mT

    @property
    def norms(self) -> Tensor:
        """``‖x_i‖`` (..., n)."""
        scale = binary_scale(self.x.abs().amax((-2, -1)))[..., None, None]
        return (self.x / scale).norm(dim=-1) * scale[..., 0]

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
        """``max_{i≠k} |⟨x_i, x_k⟩|`` (...), in float64; 0 for a single sample."""
        # In float64, where no square vanishes, and by rows: n² numbers at once are too
        # many for a large n.
        x = self.x.to(torch.float64)
        rows = max(1, PRODUCTS_AT_ONCE // x.shape[:-1].numel())
        largest = x.new_zeros(x.shape[:-2])
        for first in range(0, self.n, rows):
            block = (x[..., first : first + rows, :] @ x.mT).abs()
            block.diagonal(first, -2, -1).zero_()
            largest = torch.maximum(largest, block.amax((-2, -1)))
        return largest

    @property
    def mu_hat(self) -> Tensor:
        """``μ̂ = Σ_i y_i x_i`` (..., d), not normalised."""
        return (self.y.unsqueeze(-1) * self.x).sum(-2)

    @property
    def positive(self) -> Tensor:
        """Mask of the positive class I+ (..., n)."""
        return self.y > 0

    def to(self, *args, **kwargs) -> Dataset:
        """The same data on another device or in another dtype (arguments as for
        ``Tensor.to``).
        """
        destination(*args, **kwargs)
        means = None if self.means is None else self.means.to(*args, **kwargs)
        return replace(
            self,
            x=self.x.to(*args, **kwargs),
            y=self.y.to(*args, **kwargs),
            means=means,
        )

    def __repr__(self) -> str:
        batch = f", batch {tuple(self.x.shape[:-2])}" if self.x.ndim > 2 else ""
        where = (
            f"d={self.d}"
            if self.d == self.ambient_dim
            else f"d={self.ambient_dim:,} held in {self.d} coordinates"
        )
        return (
            f"Dataset(n={self.n}, {where}{batch}, "
            f"{str(self.x.dtype).removeprefix('torch.')})"
        )


def _check_labels(y: Tensor) -> None:
    wrong = (y != 1) & (y != -1)
    if wrong.any():
        place = tuple(wrong.nonzero()[0].tolist())
        fail(
            "y",
            "labels +1 or -1",
            f"{y[place].item()} at index {place if len(place) > 1 else place[0]}",
        )


def _check_means(means: Tensor, columns: int) -> None:
    if means.ndim < 2 or means.shape[-1] != columns:
        fail(
            "means",
            f"shape (..., k, {columns}), in the coordinates of x",
            tuple(means.shape),
        )
    finite(means, "means")


def _check_norms(x: Tensor) -> None:
    """Refuse rows whose squared norms would overflow or vanish in float64."""
    # The largest entry of a row says its norm up to √d.
    size = x.abs().amax(-1)
    bad = (size > LARGEST_NORM) | ((size < SMALLEST_NORM) & (size > 0))
    if bool(bad.any()):
        place = tuple(bad.nonzero()[0].tolist())
        got = (
            f"{size[place].item():.3g} at index {place if len(place) > 1 else place[0]}"
        )
        fail(
            "x",
            f"rows whose size is 0 or from {SMALLEST_NORM:g} to {LARGEST_NORM:g} "
            "(scale them)",
            got,
        )


def a_dataset(value: object, argument: str = "data") -> Dataset:
    """Refuse what is no :class:`Dataset`, and say how to make one."""
    if isinstance(value, Dataset):
        return value
    cure = (
        ": of a run, run.data"
        if hasattr(value, "final")
        else ": of samples and labels ±1, ib.Dataset(x, y)"
    )
    return fail(argument, f"an ib.Dataset{cure}", type(value).__name__)
