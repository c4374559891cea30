"""The hard-margin predictor ``z*``: the shortest ``z`` with ``y_i⟨z, x_i⟩ ≥ 1``, without a
bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Dataset, a_dataset
from ..saving import Savable
from ..values.comparing import Comparable
from .least_distance import least_distance, over_batch

__all__ = ["MaxMargin", "max_margin"]


@dataclass(frozen=True, eq=False)
class MaxMargin(Comparable, Savable):
    """The hard-margin ℓ2 predictor without bias: ``z`` (..., d) of least norm with
    ``y_i⟨z, x_i⟩ ≥ 1``, its multipliers, its margin.

    ``lam`` (..., n) is in float64, since its size is that of ``1/‖x‖²``.
    ``margin = 1/‖z‖`` (...). Where the data cannot be separated, ``separable`` is
    False, ``z`` is NaN and the margin 0.
    """

    z: Tensor
    lam: Tensor
    margin: Tensor
    separable: Tensor


def max_margin(data: Dataset) -> MaxMargin:
    """``z* = argmin ‖z‖  s.t.  y_i⟨z, x_i⟩ ≥ 1`` for all i (F-3.2.7, S-4), exact, by
    non-negative least squares.
    """
    a_dataset(data)
    x = data.x.double()
    y = data.y.double()
    K = (x @ x.mT) * y.unsqueeze(-1) * y.unsqueeze(-2)
    answers = over_batch(least_distance, K)
    missing = np.full(data.n, np.nan)
    lam = (
        torch.from_numpy(np.stack([missing if a is None else a for a in answers]))
        .reshape(y.shape)
        .to(x.device)
    )
    separable = torch.tensor([a is not None for a in answers], device=x.device).reshape(
        y.shape[:-1]
    )
    z = ((lam * y).unsqueeze(-1) * x).sum(-2)
    margin = torch.where(separable, 1 / z.norm(dim=-1), torch.zeros(()).to(z))
    return MaxMargin(z.to(data.x), lam, margin.to(data.x), separable)
