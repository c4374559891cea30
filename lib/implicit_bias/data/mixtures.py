"""Samples around centres: two classes of them, XOR clusters, and fresh points of the same
law.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..values.checks import fail, fits_memory, shown
from ..values.scalars import number_between, positive_int, probability
from .dataset import LARGEST_NORM, Dataset, a_dataset
from .gaussians import _gaussian_around, _labels
from .span import generator

__all__ = ["fresh", "gaussian_mixture", "xor"]


def _flip(y: Tensor, noise: float, stream: torch.Generator) -> Tensor:
    """Flip round(noise · n) labels, split between the classes as evenly as can be,
    never emptying a class.
    """
    flips = round(noise * y.numel())
    positive = int((y > 0).sum())
    from_positive = min(positive, max((flips + 1) // 2, flips - (y.numel() - positive)))
    flipped = y.clone()
    for label, count in ((1.0, from_positive), (-1.0, flips - from_positive)):
        members = (y == label).nonzero().flatten()
        chosen = members[torch.randperm(len(members), generator=stream)[:count]]
        flipped[chosen] = -label
    if y.unique().numel() == 2 and flipped.unique().numel() < 2:
        fail("label_noise", "noise that leaves both classes present", noise)
    return flipped


def gaussian_mixture(
    n: int,
    d: int,
    mean_norm: float,
    label_noise: float = 0.0,
    seed: int | None = 0,
    *,
    positive: int | None = None,
    space: str = "auto",
) -> Dataset:
    """Two Gaussian clusters: ``x | c ~ c μ + N(0, I_d)`` with ``‖μ‖ = mean_norm``, then
    ``label_noise`` of the labels flipped (F-fig1).

    ``μ`` is stored as ``means[0]``. The first axis is taken along ``μ``: rotating the
    basis changes no inner product.
    """
    n = positive_int(n, "n")
    d = positive_int(d, "d")
    mean_norm = number_between(
        mean_norm, "mean_norm", 0, LARGEST_NORM, f"a number from 0 to {LARGEST_NORM:g}"
    )
    label_noise = probability(label_noise, "label_noise")
    fits_memory(n * min(n, d), "n, d", (n, d))
    stream = generator(seed)
    clusters = _labels(n, positive)
    x, _ = _gaussian_around(mean_norm * clusters.unsqueeze(-1), 1, d, space, stream)
    mean = torch.zeros(1, x.shape[-1], dtype=torch.float64)
    mean[0, 0] = mean_norm
    return Dataset(x, _flip(clusters, label_noise, stream), ambient_dim=d, means=mean)


def xor(
    n: int,
    d: int,
    mean_norm: float,
    label_noise: float = 0.0,
    seed: int | None = 0,
    *,
    space: str = "auto",
) -> Dataset:
    """2-XOR clusters (F-fig6): centres ±μ₁ labelled +1 and ±μ₂ labelled -1,
    ``μ₁ ⟂ μ₂``, ``‖μ‖ = mean_norm``, unit noise.

    The four centres get as even a share of the ``n`` samples as ``n`` allows; ``means``
    holds μ₁ and μ₂.
    """
    n = positive_int(n, "n")
    d = positive_int(d, "d", least=2)
    mean_norm = number_between(
        mean_norm, "mean_norm", 0, LARGEST_NORM, f"a number from 0 to {LARGEST_NORM:g}"
    )
    label_noise = probability(label_noise, "label_noise")
    fits_memory(n * min(n, d), "n, d", (n, d))
    stream = generator(seed)
    y = _labels(n, None)
    x, _ = _gaussian_around(
        _centres(y, mean_norm * torch.eye(2, dtype=torch.float64)), 2, d, space, stream
    )
    means = torch.zeros(2, x.shape[-1], dtype=torch.float64)
    means[0, 0] = means[1, 1] = mean_norm
    return Dataset(x, _flip(y, label_noise, stream), ambient_dim=d, means=means)


def _centres(y: Tensor, means: Tensor) -> Tensor:
    """Cluster centres (n, d) of samples with clean labels ``y``: ``y μ`` for one mean;
    for two, ``±μ₁`` where y is +1 and ``±μ₂`` where it is -1, signs in turn.
    """
    if means.shape[0] == 1:
        return y.unsqueeze(-1) * means
    side = torch.where(torch.arange(y.numel()) % 2 == 0, 1.0, -1.0).to(means)
    return side.unsqueeze(-1) * means[(y < 0).long()]


def fresh(
    data: Dataset, count: int, seed: int = 0, *, label_noise: float = 0.0
) -> Dataset:
    """``count`` new points from the distribution of a :func:`gaussian_mixture` or
    :func:`xor`, in the coordinates of ``data``. Clusters get as even a share as
    ``count`` allows.

    Where ``data`` hold span coordinates, so do the new points. What of them lies
    outside the span has unit variance in ``data.ambient_dim - data.d`` further
    dimensions and reaches a network only through its frozen part;
    :func:`~implicit_bias.measures.outputs.fresh_preactivations` draws it.

    Raises
    ------
    ValueError
        If ``data`` have no ``means``: their distribution is not known.
    """
    a_dataset(data)
    count = positive_int(count, "count")
    label_noise = probability(label_noise, "label_noise")
    fits_memory(count * data.d, "count", count)
    if data.means is None or data.x.ndim != 2 or data.means.shape[0] not in (1, 2):
        fail(
            "data",
            "one data set from gaussian_mixture or xor, with its means",
            shown(data),
        )
    stream = generator(seed, "fresh")
    y = _labels(count, None)
    noise = torch.randn(count, data.d, generator=stream, dtype=torch.float64)
    x = _centres(y, data.means.double()) + noise
    return Dataset(
        x.to(data.x),
        _flip(y, label_noise, stream),
        ambient_dim=data.ambient_dim,
        means=data.means,
    )
