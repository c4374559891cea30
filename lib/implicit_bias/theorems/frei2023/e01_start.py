"""Frei et al., Lemma E.1: the random start is small."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...networks.two_layer import TwoLayer
from ...values.scalars import failure_probability, positive
from ..claim import register
from ..draws import excused
from ..verdict import Finding, Verdict, decide
from .smooth_instances import equal_rows, gaussian_starts

__all__ = ["small_start"]


CHAPTER = "loss_ratio"


@register(
    "F-E.1",
    "The random start is small",
    "With probability 1-δ: ‖W(0)‖_2 ≤ C_0 ω(√m+√d), ‖w_j(0)‖² ≤ 5ω²d log(4m/δ), "
    "|⟨w_j(0),μ̂⟩| ≤ 2ω‖μ̂‖√log(4m/δ).",
    "Lemma E.1",
    chapter=CHAPTER,
    positive=gaussian_starts,
    negative=equal_rows,
)
def small_start(
    net: TwoLayer, data: Dataset, scale: float, delta: float = 0.01
) -> Verdict:
    """F-E.1 on a start of standard deviation ``scale``, or a batch of draws, of which δ
    allows a few to fail.

    ``C_0`` is the one that Gaussian concentration gives, ``1 + √(2 log(4/δ))/(√m+√d)``;
    the smallest that would have done is in ``constants``. The law of W(0) is tested:
    its size, and that no two rows lean on each other.
    """
    positive(scale, "scale")
    failure_probability(delta)
    # Its square may be more than a float holds.
    deviation = torch.as_tensor(scale, dtype=torch.float64)
    m = net.m
    d = data.ambient_dim
    L = math.log(4 * net.m / delta)
    roots = math.sqrt(m) + math.sqrt(d)
    C0 = 1 + math.sqrt(2 * math.log(4 / delta)) / roots
    gram = net.weight_gram().double()
    mu = data.mu_hat
    lengths = gram.diagonal(dim1=-2, dim2=-1)
    along = (net.preactivations(mu.unsqueeze(-2)).squeeze(-1)).abs().amax(-1)
    spectral = net.spectral().double() / (deviation * roots)
    slacks = {
        "spectral norm": C0 / spectral,
        "row length": 5 * deviation**2 * d * L / lengths.amax(-1),
        "along μ̂": 2 * deviation * mu.norm(dim=-1) * math.sqrt(L) / along,
    }
    count = spectral.numel()
    ranked = {name: value.flatten().sort().values for name, value in slacks.items()}
    joint = torch.stack([value.flatten() for value in slacks.values()]).amin(0).sort()
    slack = float(joint.values[excused(count, delta)])
    name = min(ranked, key=lambda k: float(ranked[k][0]))
    numbers = {key: float(value[0]) for key, value in ranked.items()} | {
        "C_0 needed": float(spectral.max())
    }
    why = (
        f"over {count} draw{'s' * (count > 1)} the tightest is the {name}; C_0 = "
        f"{numbers['C_0 needed']:.3f} would do."
    )
    finding = Finding(
        slack, why, f"draw {int(joint.indices[excused(count, delta)])}", numbers
    )
    return decide("F-E.1", finding, _gram_of_normal(gram, deviation, m, d))


def _gram_of_normal(
    gram: Tensor, scale: Tensor, m: int, d: int
) -> tuple[Hypothesis, ...]:
    """That entries are i.i.d. N(0, scale²), as far as ``W Wᵀ`` can tell: tests passed
    with probability 1 - 10⁻⁹.
    """
    lengths = gram.diagonal(dim1=-2, dim2=-1)
    t = math.log(4 * gram.numel() / 1e-9)
    share = lengths.sum(-1) / (scale**2 * m * d)
    room = 2 * math.sqrt(t / (m * d)) + 2 * t / (m * d)
    cosine = gram / (lengths.unsqueeze(-1) * lengths.unsqueeze(-2)).sqrt().clamp_min(
        1e-300
    )
    leaning = (
        (cosine - torch.diag_embed(cosine.diagonal(dim1=-2, dim2=-1)))
        .abs()
        .amax((-2, -1))
    )
    most = torch.where(
        share > 0, 1 + room, 0.0
    )  # no draw is zero, however few its entries
    return (
        Hypothesis(
            "size", "‖W(0)‖_F² is that of N(0, ω²) entries", most, 1 + (share - 1).abs()
        ),
        Hypothesis(
            "rows",
            "rows are independent",
            torch.full_like(share, math.sqrt(2 * t / d)),
            leaning,
        ),
    )
