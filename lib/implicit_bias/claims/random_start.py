r"""Kou et al., Lemmas A.1, A.2 and H.3: what a random start, or a random matrix, is like with high probability.

One draw may break such a bound, with probability δ. A check of a batch counts: as many draws may break it as δ allows,
four standard deviations included (none for a single draw).
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from .. import data as samples
from .._checks import as_float_tensor, fail, numbers, positive, positive_int
from ..data import Dataset
from ..hypotheses import Hypothesis, _delta, _make
from ..network import TwoLayer, leaky_relu, relu
from ..span import generator
from .clocks import active_at_start
from .common import _fact
from .registry import register
from .verdict import Finding, Verdict, decide

__all__ = [
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

NET_CONSTANT = 2 * math.sqrt(2 * (1 + math.log(2)) * math.log(9))
"""A constant C with which K-H.3 is true, 5.46: quarter-nets of both spheres (proved in the chapter)."""


def _tolerated(slack: Tensor, delta: float) -> tuple[float, int, int]:
    """The worst slack after the draws that δ excuses are set aside, its place, and how many draws are below 1."""
    slack = torch.atleast_1d(slack).flatten()
    count = slack.numel()
    excused = min(int(delta * count + 4 * math.sqrt(delta * count)), count - 1)
    worst = slack.sort()
    return float(worst.values[excused]), int(worst.indices[excused]), int((slack < 1).sum())


# -- K-A.1 -----------------------------------------------------------------------------------------------------------


def start_slacks(net: TwoLayer, data: Dataset, scale: float | Tensor, delta: float) -> tuple[Tensor, Tensor]:
    """Slacks (...) of K-A.1's two parts: squared norms in ``σ₀²d [1/2, 3/2]``, and inner products with samples."""
    scale = torch.as_tensor(scale, dtype=torch.float64)
    size = net.weight_gram().diagonal(dim1=-2, dim2=-1).double() / (scale**2 * data.ambient_dim).unsqueeze(-1)
    norms = torch.minimum(2 * size.amin(-1), 1.5 / size.amax(-1))
    root = math.sqrt(2 * math.log(4 * net.m * data.n / delta))  # net.m counts both signs: 8mn = 4(2m)n
    largest = net.preactivations(data.x).abs().amax((-2, -1)).double()
    return norms, root * scale * data.R_max.double() / largest


@cache
def _starts(d: int, scale: float = 1e-3) -> tuple[TwoLayer, Dataset, float, float]:
    data = samples.gaussian(10, d, seed=0, space="span")
    return TwoLayer.init(data, 20, 20, leaky_relu(0.5), scale, "1/m", seed=list(range(200))), data, scale, 0.1


@register(
    "K-A.1",
    "What a random start looks like",
    "With probability at least 1-δ, σ₀²d/2 ≤ ‖w_{j,r}(0)‖² ≤ 3σ₀²d/2 and |⟨w_{j,r}(0),x_i⟩| ≤ √(2log(8mn/δ)) σ₀ R_max"
    " for all j, r, i, if d = Ω(log(mn/δ)).",
    "K, Lemma A.1; constant 21.2 log(8m/δ) proved in the chapter",
    chapter=CHAPTER,
    positive=lambda: _starts(1000),
    negative=lambda: _starts(12),
)
def random_start(
    net: TwoLayer, data: Dataset, scale: float | Tensor, delta: float = 0.1, gaussian: bool = True
) -> Verdict:
    """K-A.1 on a draw of ``W(0)``, or a batch of draws (seeds), with entries N(0, ``scale``²), m neurons of each sign.

    ``gaussian=False`` says that the start comes from another law. ``constants``: the share of draws that break each
    part.
    """
    positive(scale, "scale")
    _delta(delta)
    norms, products = start_slacks(net, data, scale, delta)
    slack, index, broken = _tolerated(torch.minimum(norms, products), delta)
    numbers = {"norms": float((norms < 1).double().mean()), "products": float((products < 1).double().mean())}
    why = f"{broken} of {norms.numel()} draws break a bound, and δ = {delta:g}."
    high = _make("dimension", "d ≥ 21.2 log(8m/δ)", data.ambient_dim, math.log(4 * net.m / delta) / RATE)
    law = _fact("law", "the entries of W(0) are i.i.d. N(0, σ₀²)", gaussian)
    return decide("K-A.1", Finding(slack, why, f"draw {index}", numbers), (law, high))


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
    _delta(delta)
    last = math.ceil(50 * math.log(2 * n / delta))
    for width in range(1, last + 1):
        m = width + 1 if n * chance_outside(width) > delta else m
    return m


@cache
def _halves(m: int) -> tuple[TwoLayer, Dataset, float]:
    data = samples.orthogonal(10)
    return TwoLayer.init(data, m, m, relu(), 1e-3, "1/m", seed=list(range(100))), data, 0.1


@register(
    "K-A.2",
    "Every sample finds about half of its neurons active",
    "With probability at least 1-δ, 0.4m ≤ |S_i(0)| ≤ 0.6m for all i, if m ≥ 50 log(2n/δ).",
    "K, Lemma A.2",
    chapter=CHAPTER,
    positive=lambda: _halves(270),
    negative=lambda: _halves(16),
)
def half_active(net: TwoLayer, data: Dataset, delta: float = 0.1, gaussian: bool = True) -> Verdict:
    """K-A.2 on a draw of ``W(0)``, or a batch of draws (seeds), m neurons of each sign; any start whose rows have a
    symmetric law will do (``gaussian``). ``constants``: the share of draws that break it, and the extremes of
    ``|S_i(0)|/m``.
    """
    _delta(delta)
    m = min(net.m_pos, net.m_neg)
    counts = active_counts(net, data).double()
    size = torch.where(data.positive, net.m_pos, net.m_neg).double()
    slacks = torch.minimum(10 * counts / (4 * size), 6 * size / (10 * counts)).amin(-1)
    slack, index, broken = _tolerated(slacks, delta)
    share = counts / size
    seen = {"broken": broken / slacks.numel(), "least": float(share.min()), "most": float(share.max())}
    why = f"{broken} of {slacks.numel()} draws break it, and δ = {delta:g}; |S_i(0)|/m is {seen['least']:.3f} to"
    wide = _make("width", "m ≥ 50 log(2n/δ)", m, 50 * math.log(2 * data.n / delta))
    law = _fact("law", "rows of W(0) are i.i.d. with a symmetric law", gaussian)
    finding = Finding(slack, f"{why} {seen['most']:.3f}.", f"draw {index}", seen)
    return decide("K-A.2", finding, (law, wide))


# -- K-H.3 -----------------------------------------------------------------------------------------------------------

LAWS = ("gaussian", "signs", "uniform", "sparse")


def random_matrices(law: str, draws: int, m: int, n: int, seed: int = 0) -> Tensor:
    """``draws`` matrices (draws, m, n) with i.i.d. centred entries of variance 1: ``"gaussian"``, ``"signs"`` (±1),
    ``"uniform"`` on [-√3, √3], or ``"sparse"`` (±√10 with probability 1/10, else 0).
    """
    shape, stream = (draws, m, n), generator(seed)
    if law == "gaussian":
        return torch.randn(shape, generator=stream, dtype=torch.float64)
    uniform = torch.rand(shape, generator=stream, dtype=torch.float64) * 2 - 1
    if law == "signs":
        return uniform.sign()
    if law == "uniform":
        return uniform * math.sqrt(3)
    if law == "sparse":
        return uniform.sign() * math.sqrt(10) * (uniform.abs() < 0.1)
    return fail("law", f"one of {LAWS}", repr(law))


def subgaussian_norm(law: str) -> float:
    """``K = inf{K : E exp(X²/K²) ≤ 2}`` of the laws of :func:`random_matrices`."""
    if law == "gaussian":
        return math.sqrt(8 / 3)
    if law == "signs":
        return 1 / math.sqrt(math.log(2))
    if law == "sparse":
        return math.sqrt(10 / math.log(11))
    if law != "uniform":
        fail("law", f"one of {LAWS}", repr(law))
    nodes = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    low, high = 0.5, 5.0
    for _ in range(60):
        K = (low + high) / 2
        low, high = (K, high) if float(torch.trapezoid(torch.exp(3 * nodes**2 / K**2), nodes)) > 2 else (low, K)
    return high


@register(
    "K-H.3",
    "The norm of a random matrix",
    "With probability at least 1-δ, ‖A‖_2 ≤ C K (√m + √n + t), t = √log(2/δ), for m×n matrices with independent centred"
    " entries of sub-gaussian norm at most K.",
    "K, Lemma H.3 (Vershynin, Theorem 4.4.5); C = 5.46 proved in the chapter",
    chapter=CHAPTER,
    positive=lambda: (random_matrices("signs", 50, 60, 40), subgaussian_norm("signs")),
    negative=lambda: (random_matrices("signs", 50, 60, 40) + 8, subgaussian_norm("signs")),
)
def matrix_norm(A: Tensor, K: float, delta: float = 0.05, C: float = NET_CONSTANT) -> Verdict:
    """K-H.3 on a draw of ``A`` (m, n), or a batch (draws, m, n), whose entries have sub-gaussian norm at most ``K``.

    Centring (at level 10⁻³) and tails (by counting) are tested on the entries at hand. ``constants``: the ``best``
    constant for these draws at this δ, the smallest C that as many of them exceed as δ allows.
    """
    A = as_float_tensor(A, "A").double()
    if A.ndim < 2:
        fail("A", "a matrix (..., m, n)", tuple(A.shape))
    positive(K, "K")
    positive(C, "C")
    _delta(delta)
    K = float(numbers(K, "K"))
    (m, n), count = A.shape[-2:], A.numel()
    size = math.sqrt(m) + math.sqrt(n) + math.sqrt(math.log(2 / delta))
    norm = torch.linalg.matrix_norm(A, 2)
    slack, index, broken = _tolerated(C * K * size / norm, delta)
    numbers_seen = {"best": C / slack if slack > 0 else math.inf, "C": C, "median": float(norm.median() / (K * size))}
    level = math.log(2 / 1e-3)
    # A sum of N independent centred entries has variance proxy (1 + log 2) K² N, see the chapter.
    centred = Hypothesis(
        "centred",
        "entries have mean 0",
        torch.tensor(K * math.sqrt(2 * (1 + math.log(2)) * level / count), dtype=torch.float64),
        A.mean().abs(),
    )
    # P(|X| ≥ sK) ≤ 2e^{-s²}; counts may exceed that by four standard deviations, and by 4.
    levels = torch.arange(1, 8, 0.25, dtype=torch.float64)
    expected = 2 * count * torch.exp(-(levels**2))
    allowed = expected + 4 * expected.sqrt() + 4
    beyond = torch.stack([(A.abs() >= level * K).sum() for level in levels]).double()
    tails = Hypothesis("tails", "entries have sub-gaussian norm at most K", (allowed / beyond).amin(), torch.ones(()))
    best = numbers_seen["best"]
    why = f"{broken} of {norm.numel()} draws exceed the bound with C = {C:.3g}; C = {best:.3f} would do."
    return decide("K-H.3", Finding(slack, why, f"draw {index}", numbers_seen), (centred, tails))
