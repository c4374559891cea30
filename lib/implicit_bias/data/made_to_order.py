"""Samples made to order: orthogonal ones, with correlations of one size, with a given Gram
matrix, and two special sets.

They have as many coordinates as they need, and are exact to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..values.checks import fail, finite, fits_memory, own_tensor
from ..values.scalars import a_choice, number_between, positive_int
from ..values.scalars import positive as check_positive
from .dataset import LARGEST_NORM, SMALLEST_NORM, Dataset
from .gaussians import _labels, _store_full
from .span import binary_scale, generator

__all__ = ["correlated", "from_gram", "lemma_b8", "orthogonal", "whitened"]


def _norms(norms: float | Sequence[float] | Tensor, n: int) -> Tensor:
    values = check_positive(norms, "norms")
    fits_memory(n * n, "n", n)
    values = torch.as_tensor(values, dtype=torch.float64)
    if values.ndim > 1 or (values.ndim == 1 and values.shape[0] != n):
        fail("norms", f"one number or {n} of them", tuple(values.shape))
    if not bool(((values >= SMALLEST_NORM) & (values <= LARGEST_NORM)).all()):
        fail("norms", f"lengths from {SMALLEST_NORM:g} to {LARGEST_NORM:g}", norms)
    return values.expand(n)


def orthogonal(
    n: int,
    d: int | None = None,
    norms: float | Sequence[float] | Tensor = 1.0,
    *,
    positive: int | None = None,
    space: str = "auto",
) -> Dataset:
    """Exactly orthogonal samples ``x_i = ‖x_i‖ e_i`` (p = 0), the setting of K-F.2 and
    K-F.3; needs ``d >= n`` (default n).
    """
    n = positive_int(n, "n")
    return _of_gram(
        torch.diag(_norms(norms, n) ** 2), _labels(n, positive), d, space, "norms"
    )


SIGNS = ("oppose", "agree", "equal", "random")


def correlated(
    n: int,
    d: int | None = None,
    p: float = 0.0,
    *,
    signs: str = "oppose",
    norms: float | Sequence[float] | Tensor = 1.0,
    positive: int | None = None,
    seed: int | None = 0,
    space: str = "auto",
) -> Dataset:
    """Samples whose inner products off the diagonal are all ``±p``, exactly; needs
    ``d >= n`` (default n).

    ``signs`` says which: ``"oppose"`` is ``-p y_i y_k`` (samples lean towards the other
    class, the hard case of S-5), ``"agree"`` is ``+p y_i y_k``, ``"equal"`` is ``+p``
    throughout, ``"random"`` draws them.

    Raises
    ------
    ValueError
        When no such samples exist: the Gram matrix would have a negative eigenvalue
        (the message tells it).
    """
    n = positive_int(n, "n")
    p = number_between(
        p, "p", 0, LARGEST_NORM**2, f"a finite number >= 0, at most {LARGEST_NORM**2:g}"
    )
    a_choice(signs, "signs", SIGNS)
    fits_memory(n * n, "n", n)
    diagonal = _norms(norms, n) ** 2
    y = _labels(n, positive)
    if signs == "random":
        upper = (
            torch.randint(0, 2, (n, n), generator=generator(seed))
            .to(torch.float64)
            .mul(2)
            .sub(1)
            .triu(1)
        )
        pattern = upper + upper.mT
    else:
        pattern = {
            "oppose": -torch.outer(y, y),
            "agree": torch.outer(y, y),
            "equal": torch.ones(n, n, dtype=torch.float64),
        }[signs]
    gram = p * pattern
    gram.diagonal().copy_(diagonal)
    return _of_gram(gram, y, d, space, "p")


def from_gram(
    gram: Tensor,
    d: int | None = None,
    *,
    y: Tensor | None = None,
    positive: int | None = None,
    space: str = "auto",
) -> Dataset:
    """Samples with a given Gram matrix (n, n), positive semidefinite; ``y`` defaults to
    labels as even as n allows.
    """
    gram = own_tensor(gram, "gram").to("cpu", torch.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or gram.numel() == 0:
        fail("gram", "a symmetric matrix", tuple(gram.shape))
    finite(gram, "gram")
    size = gram.abs().max()
    # Relative to the largest: of a small matrix every entry is small.
    off = float((gram / 2 - gram.mT / 2).abs().max())
    if off > 5e-9 * float(size):
        fail(
            "gram",
            "a symmetric matrix",
            f"entries off their mirror images by {2 * off:.3g}",
        )
    if size > LARGEST_NORM**2 or 0 < size < SMALLEST_NORM**2:
        fail(
            "gram",
            f"entries whose largest is from {SMALLEST_NORM**2:g} to {LARGEST_NORM**2:g}",
            float(size),
        )
    if y is not None and positive is not None:
        fail("positive", "None beside labels y", positive)
    return _of_gram(
        gram, _labels(len(gram), positive) if y is None else y, d, space, "gram"
    )


def _of_gram(
    gram: Tensor, y: Tensor, d: int | None, space: str, argument: str
) -> Dataset:
    """Samples with this Gram matrix; ``argument`` is what the caller chose it by."""
    n = len(gram)
    d = n if d is None else positive_int(d, "d")
    if d < n:
        fail(
            "d",
            f"at least n = {n} dimensions for {n} samples with prescribed inner products",
            d,
        )
    scale = binary_scale(gram.abs().max())
    values, vectors = torch.linalg.eigh(gram / scale)
    if values[0] < -1e-12 * values[-1].abs():
        fail(
            argument,
            "a positive semidefinite matrix of inner products (no vectors have these)",
            f"smallest eigenvalue {values[0] * scale:.3g}",
        )
    # Cholesky keeps a diagonal Gram matrix diagonal; the symmetric root serves the
    # singular ones.
    factor, info = torch.linalg.cholesky_ex(gram)
    x = factor if info == 0 else vectors * values.clamp_min(0).sqrt() * scale.sqrt()
    if _store_full(space, n, d):
        x = torch.nn.functional.pad(x, (0, d - n))
    return Dataset(x, y, ambient_dim=d)


def lemma_b8(epsilon: float = 1 / 72) -> Dataset:
    """The three points of Lemma B.8 (F-B.8), whose KKT predictor z is not the
    max-margin one; the paper asks ε ≤ 1/72.
    """
    epsilon = number_between(epsilon, "epsilon", 0, 1, "a number in [0, 1)", ends="[)")
    rest = (1 - epsilon**2) ** 0.5
    x = torch.tensor(
        [[-1.0, 0.0, 0.0], [epsilon, rest, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    return Dataset(x, torch.tensor([-1.0, 1.0, 1.0]))


def whitened(x: Tensor) -> Tensor:
    """``(X Xᵀ)^(-1/2) X`` (n, d) of independent rows: the orthonormal rows that are
    nearest to them, up to scale.

    Raises
    ------
    ValueError
        If the rows are linearly dependent; the message tells their rank.
    """
    x = own_tensor(x, "x").to(torch.float64)
    if x.ndim != 2 or 0 in x.shape:
        fail("x", "rows of shape (n, d)", tuple(x.shape))
    finite(x, "x")
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    rank = int((values > 1e-10 * values[0]).sum())
    if rank < len(x):
        fail("x", "linearly independent samples to whiten", f"{len(x)} of rank {rank}")
    return left @ right
