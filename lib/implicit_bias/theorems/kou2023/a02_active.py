"""Kou et al., Lemma A.2: every sample finds about half of its neurons active."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.made_to_order import orthogonal
from ...hypotheses.hypothesis import inequality
from ...networks.activations import relu
from ...networks.two_layer import TwoLayer
from ...values.scalars import failure_probability
from ..claim import register
from ..draws import Count
from ..setting import active_at_start, rms_scale, yes_or_no
from ..verdict import Verdict, decide
from .a01_start import _drawn_from_normal

__all__ = ["active_counts", "half_active"]


CHAPTER = "decomposition"


def active_counts(net: TwoLayer, data: Dataset) -> Tensor:
    """``|S_i(0)|`` (..., n): how many neurons of its own class each sample finds active
    at the start.
    """
    return active_at_start(net, data).sum(-2)


@cache
def _half_awake(m: int) -> tuple[TwoLayer, Dataset, float]:
    data = orthogonal(10)
    return (
        TwoLayer.init(data, m, m, relu(), 1e-3, "1/m", seed=list(range(100))),
        data,
        0.1,
    )


@register(
    "K-A.2",
    "Every sample finds about half of its neurons active",
    "With probability at least 1-δ, 0.4m ≤ |S_i(0)| ≤ 0.6m for all i, if m ≥ 50 log(2n/δ).",
    "K, Lemma A.2",
    chapter=CHAPTER,
    positive=lambda: _half_awake(270),
    negative=lambda: _half_awake(16),
)
def half_active(
    net: TwoLayer, data: Dataset, delta: float = 0.1, gaussian: bool = True
) -> Verdict:
    """K-A.2 on a draw of ``W(0)``, or a batch of draws (seeds), m neurons of each sign.
    ``gaussian=False`` says that the start comes from another law; that the entries may
    be normal, of any variance, is tested. ``constants``: the share of draws that break
    it, and the extremes of ``|S_i(0)|/m``.
    """
    failure_probability(delta)
    m = min(net.m_pos, net.m_neg)
    counts = active_counts(net, data).double()
    size = torch.where(data.positive, net.m_pos, net.m_neg).double()
    slacks = torch.minimum(10 * counts / (4 * size), 6 * size / (10 * counts)).amin(-1)
    count = Count.of(slacks, delta)
    share = counts / size
    seen = {
        "broken": count.broken / count.draws,
        "least": float(share.min()),
        "most": float(share.max()),
    }
    reach = f"|S_i(0)|/m is {seen['least']:.3f} to {seen['most']:.3f}"
    why = f"{count.broken} of {count.draws} draws break it, and δ = {delta:g}; {reach}."
    # A zero sample is on no side of any neuron.
    sided = yes_or_no("samples", "no sample is zero", bool((data.norms > 0).all()))
    wide = inequality("width", "m ≥ 50 log(2n/δ)", m, 50 * math.log(2 * data.n / delta))
    law = _drawn_from_normal(net, data, rms_scale(net, data), gaussian)
    return decide(
        "K-A.2",
        count.finding(why, seen),
        (law, sided, wide),
        unsettled=count.unsettled(),
    )
