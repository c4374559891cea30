"""Kou et al., Lemma A.1: what a Gaussian start is like with high probability."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.gaussians import gaussian
from ...hypotheses.hypothesis import Hypothesis, inequality
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...values.checks import fail
from ...values.scalars import failure_probability, positive, positive_int
from ..claim import register
from ..draws import Count, follows_normal
from ..setting import largest_start, yes_or_no
from ..verdict import Verdict, decide

__all__ = [
    "RATE",
    "chance_outside",
    "hoeffding",
    "least_width",
    "random_start",
    "start_slacks",
]


CHAPTER = "decomposition"


RATE = (0.5 - math.log(1.5)) / 2
"""``P(χ²_d ≥ 3d/2) ≤ e^{-RATE d}``, and less for ``χ²_d ≤ d/2``: so
``d ≥ log(8m/δ)/RATE`` is enough for K-A.1.
"""


def _drawn_from_normal(
    net: TwoLayer, data: Dataset, scale: Tensor, gaussian: bool
) -> Hypothesis:
    """The law as declared, where it is declared to be another, else as the entries tell."""
    whole = net.frozen_gram is not None or data.ambient_dim <= net.d
    if not (gaussian and whole):
        return yes_or_no(
            "law", "the entries of W(0) are i.i.d. N(0, σ₀²), in all dimensions", False
        )
    return follows_normal(net.weights, scale)


def start_slacks(
    net: TwoLayer, data: Dataset, scale: float | Tensor, delta: float
) -> tuple[Tensor, Tensor]:
    """Slacks (...) of K-A.1's two parts: squared norms in ``σ₀²d [1/2, 3/2]``, and
    inner products with samples.
    """
    scale = torch.as_tensor(scale, dtype=torch.float64)
    size = net.weight_gram().diagonal(dim1=-2, dim2=-1).double() / (
        scale**2 * data.ambient_dim
    ).unsqueeze(-1)
    norms = torch.minimum(2 * size.amin(-1), 1.5 / size.amax(-1).clamp_min(1e-300))
    root = math.sqrt(
        2 * math.log(4 * net.m * data.n / delta)
    )  # net.m counts both signs: 8mn = 4(2m)n
    largest = largest_start(net, data)
    bound = root * scale * data.R_max.double()
    # Samples of zero leave 0 ≤ 0, which is true.
    return norms, torch.where(largest > 0, bound / largest, math.inf)


def _fits_batch(scale: float | Tensor, net: TwoLayer) -> None:
    shape = tuple(torch.as_tensor(scale).shape)
    batch = tuple(net.weights.shape[:-2])
    if shape and shape != batch:
        fail("scale", f"one number, or one for each draw {batch}", f"shape {shape}")


@cache
def _drawn_starts(
    d: int, scale: float = 1e-3
) -> tuple[TwoLayer, Dataset, float, float]:
    data = gaussian(10, d, seed=0, space="span")
    return (
        TwoLayer.init(
            data, 20, 20, leaky_relu(0.5), scale, "1/m", seed=list(range(200))
        ),
        data,
        scale,
        0.1,
    )


@register(
    "K-A.1",
    "What a random start looks like",
    "With probability at least 1-δ, σ₀²d/2 ≤ ‖w_{j,r}(0)‖² ≤ 3σ₀²d/2 and "
    "|⟨w_{j,r}(0),x_i⟩| ≤ √(2log(8mn/δ)) σ₀ R_max"
    " for all j, r, i, if d = Ω(log(mn/δ)).",
    "K, Lemma A.1; constant 21.2 log(8m/δ) proved in the chapter",
    chapter=CHAPTER,
    positive=lambda: _drawn_starts(1000),
    negative=lambda: _drawn_starts(12),
)
def random_start(
    net: TwoLayer,
    data: Dataset,
    scale: float | Tensor,
    delta: float = 0.1,
    gaussian: bool = True,
) -> Verdict:
    """K-A.1 on a draw of ``W(0)``, or a batch of draws (seeds), with entries
    ``N(0, scale²)``, m neurons of each sign.

    ``gaussian=False`` says that the start comes from another law; that the entries may
    come from this one is tested. ``constants``: the share of draws that break each
    part.
    """
    positive(scale, "scale")
    _fits_batch(scale, net)
    failure_probability(delta)
    norms, products = start_slacks(net, data, scale, delta)
    count = Count.of(torch.minimum(norms, products), delta)
    seen = {
        "norms": float((norms < 1).double().mean()),
        "products": float((products < 1).double().mean()),
    }
    why = f"{count.broken} of {count.draws} draws break a bound, and δ = {delta:g}."
    high = inequality(
        "dimension",
        "d ≥ 21.2 log(8m/δ)",
        data.ambient_dim,
        math.log(4 * net.m / delta) / RATE,
    )
    law = _drawn_from_normal(
        net, data, torch.as_tensor(scale, dtype=torch.float64), gaussian
    )
    return decide(
        "K-A.1", count.finding(why, seen), (law, high), unsettled=count.unsettled()
    )


def chance_outside(m: int) -> float:
    """``P(|S| < 0.4m or |S| > 0.6m)`` for one sample, S binomial(m, ½), exactly."""
    m = positive_int(m, "m")
    below = (4 * m - 1) // 10  # the largest integer below 0.4 m
    k = torch.arange(0, below + 1, dtype=torch.float64)
    top = torch.tensor(float(m), dtype=torch.float64)
    terms = (
        torch.lgamma(top + 1)
        - torch.lgamma(k + 1)
        - torch.lgamma(top - k + 1)
        - m * math.log(2)
    )
    return min(2 * float(torch.logsumexp(terms, 0).exp()), 1.0)


def hoeffding(m: int) -> float:
    """What the paper's proof bounds that chance by: ``2e^{-m/50}``."""
    return 2 * math.exp(-m / 50)


def least_width(n: int, delta: float) -> int:
    """The width from which on ``n`` times :func:`chance_outside` stays at most δ."""
    n = positive_int(n, "n")
    m = 1
    failure_probability(delta)
    last = math.ceil(50 * math.log(2 * n / delta))
    for width in range(1, last + 1):
        m = width + 1 if n * chance_outside(width) > delta else m
    return m
