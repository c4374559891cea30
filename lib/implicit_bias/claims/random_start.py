r"""Kou et al., Lemmas A.1 and A.2: what a random start is like with high probability. H.3 is in ``random_matrix``."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from .. import data as samples
from .._checks import fail, failure_probability, positive, positive_int
from ..data import Dataset
from ..hypotheses import Hypothesis, inequality
from ..network import TwoLayer, leaky_relu, relu
from .common import active_at_start, largest_start, rms_scale, yes_or_no
from .draws import Count, follows_normal
from .random_matrix import LAWS, NET_CONSTANT, random_matrices, subgaussian_norm
from .registry import register
from .verdict import Verdict, decide

__all__ = [
    "LAWS",
    "NET_CONSTANT",
    "RATE",
    "active_counts",
    "chance_outside",
    "hoeffding",
    "least_width",
    "random_matrices",
    "start_slacks",
    "subgaussian_norm",
]

CHAPTER = "decomposition"

RATE = (0.5 - math.log(1.5)) / 2
"""``P(χ²_d ≥ 3d/2) ≤ e^{-RATE d}``, and less for ``χ²_d ≤ d/2``: so ``d ≥ log(8m/δ)/RATE`` is enough for K-A.1."""


def _drawn_from_normal(net: TwoLayer, data: Dataset, scale: Tensor, gaussian: bool) -> Hypothesis:
    """The law as declared, where it is declared to be another, else as the entries tell."""
    whole = net.frozen_gram is not None or data.ambient_dim <= net.d
    if not (gaussian and whole):
        return yes_or_no("law", "the entries of W(0) are i.i.d. N(0, σ₀²), in all dimensions", False)
    return follows_normal(net.weights, scale)


# -- K-A.1 -----------------------------------------------------------------------------------------------------------


def start_slacks(net: TwoLayer, data: Dataset, scale: float | Tensor, delta: float) -> tuple[Tensor, Tensor]:
    """Slacks (...) of K-A.1's two parts: squared norms in ``σ₀²d [1/2, 3/2]``, and inner products with samples."""
    scale = torch.as_tensor(scale, dtype=torch.float64)
    size = net.weight_gram().diagonal(dim1=-2, dim2=-1).double() / (scale**2 * data.ambient_dim).unsqueeze(-1)
    norms = torch.minimum(2 * size.amin(-1), 1.5 / size.amax(-1).clamp_min(1e-300))
    root = math.sqrt(2 * math.log(4 * net.m * data.n / delta))  # net.m counts both signs: 8mn = 4(2m)n
    largest = largest_start(net, data)
    bound = root * scale * data.R_max.double()
    # Samples of zero leave 0 ≤ 0, which is true.
    return norms, torch.where(largest > 0, bound / largest, math.inf)


def _fits_batch(scale: float | Tensor, net: TwoLayer) -> None:
    shape, batch = tuple(torch.as_tensor(scale).shape), tuple(net.weights.shape[:-2])
    if shape and shape != batch:
        fail("scale", f"one number, or one for each draw {batch}", f"shape {shape}")


@cache
def _drawn_starts(d: int, scale: float = 1e-3) -> tuple[TwoLayer, Dataset, float, float]:
    data = samples.gaussian(10, d, seed=0, space="span")
    return TwoLayer.init(data, 20, 20, leaky_relu(0.5), scale, "1/m", seed=list(range(200))), data, scale, 0.1


@register(
    "K-A.1",
    "What a random start looks like",
    "With probability at least 1-δ, σ₀²d/2 ≤ ‖w_{j,r}(0)‖² ≤ 3σ₀²d/2 and |⟨w_{j,r}(0),x_i⟩| ≤ √(2log(8mn/δ)) σ₀ R_max"
    " for all j, r, i, if d = Ω(log(mn/δ)).",
    "K, Lemma A.1; constant 21.2 log(8m/δ) proved in the chapter",
    chapter=CHAPTER,
    positive=lambda: _drawn_starts(1000),
    negative=lambda: _drawn_starts(12),
)
def random_start(
    net: TwoLayer, data: Dataset, scale: float | Tensor, delta: float = 0.1, gaussian: bool = True
) -> Verdict:
    """K-A.1 on a draw of ``W(0)``, or a batch of draws (seeds), with entries N(0, ``scale``²), m neurons of each sign.

    ``gaussian=False`` says that the start comes from another law; that the entries may come from this one is tested.
    ``constants``: the share of draws that break each part.
    """
    positive(scale, "scale")
    _fits_batch(scale, net)
    failure_probability(delta)
    norms, products = start_slacks(net, data, scale, delta)
    count = Count.of(torch.minimum(norms, products), delta)
    seen = {"norms": float((norms < 1).double().mean()), "products": float((products < 1).double().mean())}
    why = f"{count.broken} of {count.draws} draws break a bound, and δ = {delta:g}."
    high = inequality("dimension", "d ≥ 21.2 log(8m/δ)", data.ambient_dim, math.log(4 * net.m / delta) / RATE)
    law = _drawn_from_normal(net, data, torch.as_tensor(scale, dtype=torch.float64), gaussian)
    return decide("K-A.1", count.finding(why, seen), (law, high), unsettled=count.unsettled())


# -- K-A.2 -----------------------------------------------------------------------------------------------------------


def active_counts(net: TwoLayer, data: Dataset) -> Tensor:
    """``|S_i(0)|`` (..., n): how many neurons of its own class each sample finds active at the start."""
    return active_at_start(net, data).sum(-2)


def chance_outside(m: int) -> float:
    """``P(|S| < 0.4m or |S| > 0.6m)`` for one sample, S binomial(m, ½), exactly."""
    m = positive_int(m, "m")
    below = (4 * m - 1) // 10  # the largest integer below 0.4 m
    k = torch.arange(0, below + 1, dtype=torch.float64)
    top = torch.tensor(float(m), dtype=torch.float64)
    terms = torch.lgamma(top + 1) - torch.lgamma(k + 1) - torch.lgamma(top - k + 1) - m * math.log(2)
    return min(2 * float(torch.logsumexp(terms, 0).exp()), 1.0)


def hoeffding(m: int) -> float:
    """What the paper's proof bounds that chance by: ``2e^{-m/50}``."""
    return 2 * math.exp(-m / 50)


def least_width(n: int, delta: float) -> int:
    """The width from which on ``n`` times :func:`chance_outside` stays at most δ."""
    n, m = positive_int(n, "n"), 1
    failure_probability(delta)
    last = math.ceil(50 * math.log(2 * n / delta))
    for width in range(1, last + 1):
        m = width + 1 if n * chance_outside(width) > delta else m
    return m


@cache
def _half_awake(m: int) -> tuple[TwoLayer, Dataset, float]:
    data = samples.orthogonal(10)
    return TwoLayer.init(data, m, m, relu(), 1e-3, "1/m", seed=list(range(100))), data, 0.1


@register(
    "K-A.2",
    "Every sample finds about half of its neurons active",
    "With probability at least 1-δ, 0.4m ≤ |S_i(0)| ≤ 0.6m for all i, if m ≥ 50 log(2n/δ).",
    "K, Lemma A.2",
    chapter=CHAPTER,
    positive=lambda: _half_awake(270),
    negative=lambda: _half_awake(16),
)
def half_active(net: TwoLayer, data: Dataset, delta: float = 0.1, gaussian: bool = True) -> Verdict:
    """K-A.2 on a draw of ``W(0)``, or a batch of draws (seeds), m neurons of each sign. ``gaussian=False`` says that
    the start comes from another law; that the entries may be normal, of any variance, is tested. ``constants``: the
    share of draws that break it, and the extremes of ``|S_i(0)|/m``.
    """
    failure_probability(delta)
    m = min(net.m_pos, net.m_neg)
    counts = active_counts(net, data).double()
    size = torch.where(data.positive, net.m_pos, net.m_neg).double()
    slacks = torch.minimum(10 * counts / (4 * size), 6 * size / (10 * counts)).amin(-1)
    count = Count.of(slacks, delta)
    share = counts / size
    seen = {"broken": count.broken / count.draws, "least": float(share.min()), "most": float(share.max())}
    reach = f"|S_i(0)|/m is {seen['least']:.3f} to {seen['most']:.3f}"
    why = f"{count.broken} of {count.draws} draws break it, and δ = {delta:g}; {reach}."
    # A zero sample is on no side of any neuron.
    sided = yes_or_no("samples", "no sample is zero", bool((data.norms > 0).all()))
    wide = inequality("width", "m ≥ 50 log(2n/δ)", m, 50 * math.log(2 * data.n / delta))
    law = _drawn_from_normal(net, data, rms_scale(net, data), gaussian)
    return decide("K-A.2", count.finding(why, seen), (law, sided, wide), unsettled=count.unsettled())
