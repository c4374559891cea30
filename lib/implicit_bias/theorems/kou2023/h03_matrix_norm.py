r"""Kou et al., Lemma H.3: the norm of a random matrix, with a constant."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from ...data.span import generator
from ...hypotheses.hypothesis import Hypothesis
from ...values.checks import as_float_tensor, fail, finite
from ...values.scalars import failure_probability, numbers, positive
from ..claim import register
from ..draws import ALPHA, Count, excused
from ..verdict import Verdict, decide

__all__ = ["LAWS", "NET_CONSTANT", "matrix_norm", "random_matrices", "subgaussian_norm"]


CHAPTER = "decomposition"


NET_CONSTANT = 2 * math.sqrt(2 * (1 + math.log(2)) * math.log(9))
"""A constant C with which K-H.3 is true, 5.46: quarter-nets of both spheres (proved in
the chapter).
"""


LAWS = ("gaussian", "signs", "uniform", "sparse")


def random_matrices(law: str, draws: int, m: int, n: int, seed: int = 0) -> Tensor:
    """``draws`` matrices (draws, m, n) with i.i.d. centred entries of variance 1:
    ``"gaussian"``, ``"signs"`` (±1), ``"uniform"`` on [-√3, √3], or ``"sparse"`` (±√10
    with probability 1/10, else 0).
    """
    shape = (draws, m, n)
    stream = generator(seed)
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
    low = 0.5
    high = 5.0
    for _ in range(60):
        K = (low + high) / 2
        low, high = (
            (K, high)
            if float(torch.trapezoid(torch.exp(3 * nodes**2 / K**2), nodes)) > 2
            else (low, K)
        )
    return high


@cache
def _shifted() -> tuple[Tensor, float]:
    """Entries 0 and 2, for which K is √(4/log 3): mean 1 and nothing else amiss, in
    matrices large enough for it.
    """
    return random_matrices("signs", 4, 700, 700) + 1, math.sqrt(4 / math.log(3))


OPEN = "The lemma leaves its constant open, and one below 5.46 refutes nothing:"


@register(
    "K-H.3",
    "The norm of a random matrix",
    "With probability at least 1-δ, ‖A‖_2 ≤ C K (√m + √n + t), t = √log(2/δ), for m×n "
    "matrices with independent centred"
    " entries of sub-gaussian norm at most K.",
    "K, Lemma H.3 (Vershynin, Theorem 4.4.5); C = 5.46 proved in the chapter",
    chapter=CHAPTER,
    positive=lambda: (random_matrices("signs", 50, 60, 40), subgaussian_norm("signs")),
    negative=_shifted,
)
def matrix_norm(
    A: Tensor, K: float, delta: float = 0.05, constant: float = NET_CONSTANT
) -> Verdict:
    """K-H.3 on a draw of ``A`` (m, n), or a batch (draws, m, n), whose entries have
    sub-gaussian norm at most ``K``.

    Centring and independence (at level 10⁻³ and 10⁻⁹) and tails (by counting) are
    tested on the entries at hand. ``constants``: the ``best`` constant for these draws
    at this δ, the smallest C that as many of them exceed as δ allows with four standard
    deviations.
    """
    A = as_float_tensor(A, "A").double()
    if A.ndim < 2 or not A.numel():
        fail(
            "A", "a matrix (..., m, n) of at least one entry", f"shape {tuple(A.shape)}"
        )
    finite(A, "A")
    K = _positive_number(K, "K")
    constant = _positive_number(constant, "constant")
    failure_probability(delta)
    size = (
        math.sqrt(A.shape[-2]) + math.sqrt(A.shape[-1]) + math.sqrt(math.log(2 / delta))
    )
    norm = torch.linalg.matrix_norm(A, 2)
    count = Count.of(constant * K * size / norm, delta)
    best = _best(norm / (K * size), delta)
    seen = {"best": best, "C": constant, "median": float(norm.median() / (K * size))}
    why = (
        f"{count.broken} of {count.draws} draws exceed the bound with C = "
        f"{constant:.3g}; C = {best:.3f} would do."
    )
    finding = count.finding(why, seen)
    if not bool((norm > 0).any()):
        finding = replace(finding, says_nothing="the matrix is zero.")
    hypotheses = (_centred(A, K), _tails(A, K), _independent_entries(A))
    open_ = "" if finding.true or constant >= NET_CONSTANT else OPEN
    return decide("K-H.3", finding, hypotheses, unsettled=count.unsettled() or open_)


def _positive_number(value: object, name: str) -> float:
    """One number above 0."""
    positive(value, name)
    if numbers(value, name).numel() != 1:
        fail(name, "one number", f"shape {tuple(numbers(value, name).shape)}")
    return float(numbers(value, name))


def _best(ratios: Tensor, delta: float) -> float:
    """The least C that no more draws exceed than δ allows, four standard deviations
    included.
    """
    ratios = torch.atleast_1d(ratios).flatten().sort(descending=True).values
    return float(ratios[excused(ratios.numel(), delta)])


def _centred(A: Tensor, K: float) -> Hypothesis:
    """A sum of N independent centred entries has variance proxy (1 + log 2) K² N, see
    the chapter.
    """
    allowed = K * math.sqrt(2 * (1 + math.log(2)) * math.log(2 / 1e-3) / A.numel())
    mean = A.mean().abs()
    return Hypothesis(
        "centred", "entries have mean 0", torch.full_like(mean, allowed), mean
    )


def _tails(A: Tensor, K: float) -> Hypothesis:
    """``P(|X| ≥ sK) ≤ 2e^{-s²}``; counts may exceed that by four standard deviations,
    and by 4.
    """
    levels = torch.arange(1, 8, 0.25, dtype=torch.float64)
    expected = 2 * A.numel() * torch.exp(-(levels**2))
    allowed = expected + 4 * expected.sqrt() + 4
    beyond = torch.stack([(A.abs() >= level * K).sum() for level in levels]).double()
    return Hypothesis(
        "tails",
        "entries have sub-gaussian norm at most K",
        (allowed / beyond).amin(),
        torch.ones(()),
    )


def _independent_entries(A: Tensor) -> Hypothesis:
    """Products over disjoint 2×2 blocks of the entries less their mean: centred where
    entries are independent, and their sum, divided by the root of the sum of their
    squares, as small as a normal.
    """
    rows, columns = (size // 2 * 2 for size in A.shape[-2:])
    rest = (A - A.mean())[..., :rows, :columns]
    parts = [rest[..., i::2, k::2] for i in (0, 1) for k in (0, 1)]
    block = parts[0] * parts[1] * parts[2] * parts[3]
    off = block.sum().abs() / block.norm().clamp_min(1e-300)
    allowed = math.sqrt(2 * math.log(2 / ALPHA))
    return Hypothesis(
        "independent", "entries are independent", torch.full_like(off, allowed), off
    )
