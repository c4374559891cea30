r"""Lemma 3.3 (F-3.3), with constants: how far samples from N(0, Σ) are from orthogonal,
and what each theorem asks of d.

:func:`guaranteed` is proved (in the chapter): all deviations at once, with probability
``1 - δ``. :func:`typical` is a Gaussian approximation of the medians; it draws lines on
maps and proves nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import scipy
import torch

from ...data.dataset import Dataset
from ...data.gaussians import gaussian_spectrum
from ...data.spectra import Spectrum, autoregressive, equicorrelated, isotropic
from ...hypotheses.hypothesis import Hypothesis
from ...values.checks import fail
from ...values.scalars import (
    failure_probability,
    gamma_in_range,
    positive,
    positive_int,
)
from ..claim import register
from ..draws import excused
from ..setting import yes_or_no
from ..verdict import Finding, Verdict, decide

__all__ = [
    "CONDITIONS",
    "Geometry",
    "deviations",
    "dimension_needed",
    "guaranteed",
    "median_of_largest",
    "nearly_orthogonal",
    "typical",
]


CONDITIONS = {
    "H-3.2": lambda gamma, R: 3 * R**2 / gamma**3,
    "H-S1": lambda gamma, R: 3 / gamma**3,
    "H-4.2": lambda gamma, R: 5 / gamma**2 * (10 * R**2 / gamma**2 + 10),
    "H-K4.1": lambda gamma, R: R**2 / gamma**4,
    "H-K4.3": lambda gamma, R: R**2,
}
"""The factor c of each condition ``R_min² ≥ c n p`` (K's two at C = 1)."""


@dataclass(frozen=True)
class Geometry:
    """What the conditions on ``n`` samples read: the two extreme squared norms, and the
    largest inner product ``p``.
    """

    n: int
    R_min2: float
    R_max2: float
    p: float

    def slack(self, name: str, gamma: float) -> float:
        """The slack of a condition (a key of :data:`CONDITIONS`); 0 where the smallest
        norm is.
        """
        gamma_in_range(gamma)
        if self.R_min2 <= 0:
            return 0.0
        factor = CONDITIONS[name](gamma, (self.R_max2 / self.R_min2) ** 0.5)
        return self.R_min2 / (factor * self.n * self.p) if self.p > 0 else math.inf


def _logs(n: int, delta: float) -> tuple[float, float]:
    """``t`` of the tail ``e^-t`` for the 2n events about norms and for the n(n-1) about
    pairs, half of δ each.
    """
    failure_probability(delta)
    return math.log(4 * n / delta), math.log(max(2 * n * (n - 1) / delta, 1.0))


def guaranteed(n: int, spectrum: Spectrum, delta: float) -> Geometry:
    """With probability at least 1-δ, ``n`` samples from N(0, Σ) are at least this near
    to orthogonal (proved in the chapter).

    ``‖x_i‖² - Tr Σ`` lies between ``-2√(t₁ Tr Σ²)`` and ``2√(t₁ Tr Σ²) + 2 t₁‖Σ‖``,
    ``t₁ = log(4n/δ)``; ``|⟨x_i,x_k⟩| ≤ √(2 t₂ Tr Σ²) + t₂‖Σ‖``,
    ``t₂ = log(2n(n-1)/δ)``.
    """
    (norms, pairs), root = (
        _logs(positive_int(n, "n"), delta),
        math.sqrt(spectrum.square),
    )
    low = spectrum.trace - 2 * root * math.sqrt(norms)
    high = spectrum.trace + 2 * root * math.sqrt(norms) + 2 * spectrum.norm * norms
    return Geometry(
        n,
        max(low, 0.0),
        high,
        root * math.sqrt(2 * pairs) + spectrum.norm * pairs if n > 1 else 0.0,
    )


def median_of_largest(count: int) -> float:
    """The median of the largest of ``count`` standard normals."""
    tail = -math.expm1(math.log(0.5) / count)
    return -float(torch.special.ndtri(torch.tensor(tail, dtype=torch.float64)))


def typical(n: int, spectrum: Spectrum) -> Geometry:
    """Medians, where ``effective_dim`` is large: norms and inner products taken as
    independent Gaussians of the right variance.
    """
    n = positive_int(n, "n")
    root = math.sqrt(spectrum.square)
    spread = math.sqrt(2) * root * median_of_largest(n)
    p = (
        root * median_of_largest(n * (n - 1)) if n > 1 else 0.0
    )  # |N| has two tails: n(n-1)/2 pairs count twice
    return Geometry(n, max(spectrum.trace - spread, 0.0), spectrum.trace + spread, p)


def dimension_needed(
    name: str, n: int, gamma: float, delta: float | None = None
) -> float:
    """The least d at which isotropic samples meet a condition: at the typical geometry,
    or guaranteed with probability 1-δ.
    """
    if name not in CONDITIONS:
        fail("name", f"one of {tuple(CONDITIONS)}", repr(name))
    n = positive_int(n, "n", least=2)
    low = 0.0
    high = 60.0
    for _ in range(60):  # in powers of ten; the slack rises with d
        middle = (low + high) / 2
        spectrum = isotropic(round(10**middle))
        geometry = (
            typical(n, spectrum) if delta is None else guaranteed(n, spectrum, delta)
        )
        low, high = (
            (low, middle) if geometry.slack(name, gamma) >= 1 else (middle, high)
        )
    return 10**high


def deviations(data: Dataset, trace: float) -> tuple[torch.Tensor, torch.Tensor]:
    """``max_i |‖x_i‖²/Tr Σ - 1|`` and ``p / Tr Σ`` (...) of each data set in a batch."""
    return (data.norms.square() / trace - 1).abs().amax(-1), data.p / trace


@cache
def _concentrated() -> tuple[Dataset, Spectrum]:
    """Neighbouring features correlated by ½ in a million dimensions: ‖Σ‖ = 3."""
    spectrum = autoregressive(10**6, 0.5)
    return gaussian_spectrum(10, *spectrum, draws=1000), spectrum


@cache
def _spiked() -> tuple[Dataset, Spectrum]:
    """All features correlated by ½: ‖Σ‖ is d/2, and every sample leans along one
    direction.
    """
    spectrum = equicorrelated(10**6, 0.5)
    return gaussian_spectrum(10, *spectrum, draws=100), spectrum


@register(
    "F-3.3",
    "Gaussian data are nearly orthogonal",
    "x_i ~ N(0,Σ), Tr Σ = d, ‖Σ‖_2 = O(1), n ≤ d^O(1): ‖x_i‖²/d = 1 ± O(√(log n/d)) and"
    " |⟨x_i,x_k⟩|/d = O(√(log n/d)), with probability 1 - n^-10.",
    "F, Lemma 3.3; constants proved in the chapter",
    chapter="near_orthogonal",
    positive=_concentrated,
    negative=_spiked,
)
def nearly_orthogonal(
    data: Dataset,
    spectrum: Spectrum,
    bound: float = 4.0,
    delta: float | None = None,
    gaussian: bool = True,
) -> Verdict:
    """F-3.3 on a batch of data sets ``data`` (draws, n, r) from N(0, Σ), ``bound``
    standing for the O(1) of ``‖Σ‖_2``.

    The conclusion's constants are those proved for that ``bound``:
    ``2√(bt₁/d) + 2bt₁/d`` for norms, ``√(2bt₂/d) + bt₂/d`` for inner products, at
    confidence ``1 - δ`` (``n^-10`` by default). As many draws may exceed them as δ
    allows. ``gaussian=False`` says that the samples come from another law, which the
    lemma does not cover.
    """
    if not isinstance(spectrum, Spectrum):
        fail("spectrum", "a Spectrum", type(spectrum).__name__)
    positive(bound, "bound")
    n = positive_int(data.n, "data.n", least=2)
    d = spectrum.d
    delta = float(n) ** -10 if delta is None else delta
    norms, pairs = _logs(n, delta)
    allowed = (
        2 * math.sqrt(bound * norms / d) + 2 * bound * norms / d,
        math.sqrt(2 * bound * pairs / d) + bound * pairs / d,
    )
    seen = [torch.atleast_1d(value) for value in deviations(data, d)]
    slack = torch.minimum(*(limit / value for limit, value in zip(allowed, seen)))
    count = slack.numel()
    aside = excused(count, delta)
    worst = slack.flatten().sort()
    unit = math.sqrt(math.log(n) / d)
    constants = {
        f"{what} {name}": float(pick(value)) / unit
        for what, value in zip(("norms", "pairs"), seen)
        for name, pick in PICKS
    }
    why = (
        f"in {count} draws, squared norms are off by at most "
        f"{_readable(constants['norms worst'])} and inner products"
        f" reach {_readable(constants['pairs worst'])}, in units of √(log n/d)."
    )
    finding = Finding(
        float(worst.values[aside]), why, f"draw {int(worst.indices[aside])}", constants
    )
    law = gaussian and _could_be_gaussian(data, spectrum)
    return decide("F-3.3", finding, _conditions_of_3_3(spectrum, bound, norms, law))


def _could_be_gaussian(data: Dataset, spectrum: Spectrum) -> bool:
    """False for samples that N(0, Σ) draws with probability 0, or hardly ever: at zero,
    twice the same up to sign, and with inner products or norms that vary too little (a
    test at level 10⁻⁹, by their mean squares).
    """
    cosine = data.gram / (
        data.norms.unsqueeze(-1) * data.norms.unsqueeze(-2)
    ).clamp_min(1e-300)
    pairs = cosine.abs().masked_fill(torch.eye(data.n, dtype=torch.bool), 0)
    apart = bool((data.norms > 0).all()) and (
        data.d == 1 or bool((pairs < 1 - 1e-12).all())
    )
    return apart and _varies(data, spectrum)


RARE = 1e-9


def _varies(data: Dataset, spectrum: Spectrum) -> bool:
    """Whether products and norms vary as much as those of N(0, Σ) do, in as many
    samples.

    Given one sample, its products with the others are independent normals of variance
    xᵀΣx, about ``Tr Σ²``. Only the lower tail is tested, with a factor of 4 for what is
    approximate: longer ones are the lemma's own business.
    """
    square = spectrum.square
    n = data.n
    gram = data.gram.double().reshape(-1, n, n)
    products = gram[:, 0, 1:].square().sum() / square
    lengths = (gram.diagonal(dim1=-2, dim2=-1) - spectrum.trace).square().sum() / (
        2 * square
    )
    by_products = scipy.special.chdtr(len(gram) * (n - 1), 4 * float(products))
    by_lengths = scipy.special.chdtr(len(gram) * n, 4 * float(lengths))
    return min(by_products, by_lengths) > RARE


def _readable(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


PICKS = (("median", torch.median), ("worst", torch.max))


def _conditions_of_3_3(
    spectrum: Spectrum, bound: float, log_term: float, gaussian: bool
) -> tuple[Hypothesis, ...]:
    d = torch.tensor(float(spectrum.d), dtype=torch.float64)
    norm = torch.tensor(spectrum.norm, dtype=torch.float64)
    return (
        yes_or_no("law", "samples are Gaussian", gaussian),
        yes_or_no("trace", "Tr Σ = d", abs(spectrum.trace / spectrum.d - 1) < 1e-6),
        Hypothesis(
            "norm",
            f"‖Σ‖ ≤ {bound:g}",
            torch.tensor(float(bound), dtype=torch.float64),
            norm,
        ),
        Hypothesis(
            "n",
            "n ≤ d^O(1), used as ‖Σ‖ log(4n/δ) ≤ d",
            d,
            torch.tensor(bound * log_term, dtype=torch.float64),
        ),
    )
