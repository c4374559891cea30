r"""Covariances known by their spectrum, at any dimension, and Gaussian samples from
them.

Inner products of samples from N(0, Σ) depend on Σ through its eigenvalues only. With K
distinct eigenvalues ``s_k`` of multiplicity ``m_k`` the Gram matrix is
``Σ_k s_k A_k A_kᵀ``, each ``A_k A_kᵀ`` Wishart(n, m_k): Bartlett's decomposition draws
it exactly, at a cost that depends on n and K but not on the ``m_k``, so ``d = Σ_k m_k``
may be 10^12.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..saving import Savable
from ..values.checks import fail, fits_memory, own_tensor
from ..values.comparing import Comparable
from ..values.scalars import number_between, positive, positive_int
from .span import chi

__all__ = [
    "Spectrum",
    "autoregressive",
    "equicorrelated",
    "isotropic",
    "power_law",
    "spectrum_rows",
]


MOST_DIMENSIONS = int(1e300)
"""Spectra are known by floating numbers, so a spectrum may have more dimensions than
samples can be drawn in.
"""


MOST_STEPS = 10_000_000
"""Distinct eigenvalues that a sampler of spectra makes at most (80 MB)."""


CHUNK = 10_000_000
"""So many numbers (80 MB) are held at once while drawing; a batch is made in as many
turns as that takes.
"""


@dataclass(frozen=True, eq=False)
class Spectrum(Comparable, Savable):
    """Distinct eigenvalues (K,) of a covariance, each with its multiplicity (K,);
    unpacks into the two.

    Raises
    ------
    ValueError
        Unless the eigenvalues are finite and >= 0 (one of them > 0) and the
        multiplicities whole numbers >= 1.
    """

    eigenvalues: Tensor
    multiplicities: Tensor

    # Written out, for what is taken is wider than what is kept.
    def __init__(
        self,
        eigenvalues: Tensor | Sequence[float],
        multiplicities: Tensor | Sequence[float],
    ) -> None:
        s = own_tensor(eigenvalues, "eigenvalues").double()
        m = own_tensor(multiplicities, "multiplicities").double()
        if s.ndim != 1 or s.shape != m.shape or len(s) == 0:
            fail(
                "eigenvalues, multiplicities",
                "two lists of the same length >= 1",
                f"shapes {tuple(s.shape)} and {tuple(m.shape)}",
            )
        positive(s, "eigenvalues", zero=True)
        if not bool((s > 0).any()):
            fail("eigenvalues", "one of them > 0", "all 0")
        for value in m.tolist():
            positive_int(value, "multiplicities", most=MOST_DIMENSIONS)
        object.__setattr__(self, "eigenvalues", s)
        object.__setattr__(self, "multiplicities", m)

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.eigenvalues, self.multiplicities))

    @property
    def d(self) -> int:
        """The dimension ``Σ_k m_k``."""
        return int(self.multiplicities.sum())

    @property
    def trace(self) -> float:
        """``Tr Σ``, the expected squared norm."""
        return float((self.eigenvalues * self.multiplicities).sum())

    @property
    def square(self) -> float:
        """``Tr Σ²``, the variance of an inner product of two samples; infinite past
        1.8e308.
        """
        return float((self.eigenvalues.square() * self.multiplicities).sum())

    @property
    def norm(self) -> float:
        """``‖Σ‖_2``."""
        return float(self.eigenvalues.max())

    @property
    def effective_dim(self) -> float:
        """``(Tr Σ)² / Tr Σ²``, between 1 and d: what takes the place of d in every
        hypothesis on the data.
        """
        # With the norm taken out, for squares may leave the range of floats.
        s = self.eigenvalues / self.norm
        trace = float((s * self.multiplicities).sum())
        return trace / float((s.square() * self.multiplicities).sum()) * trace

    def normalised(self) -> Spectrum:
        """The same shape with ``Tr Σ = d``, as Lemma 3.3 (F-3.3) has it."""
        unit = self.eigenvalues / self.norm
        trace = float((unit * self.multiplicities).sum())
        return Spectrum(unit * (self.d / trace), self.multiplicities)

    def __repr__(self) -> str:
        size = f"norm {self.norm:.3g}, effective dimension {self.effective_dim:.3g}"
        return f"Spectrum(d={self.d:.3g}, {size}, {len(self.eigenvalues)} steps)"


def isotropic(d: int) -> Spectrum:
    """Σ = I in ``d`` dimensions."""
    return Spectrum([1.0], [float(positive_int(d, "d", most=MOST_DIMENSIONS))])


def _block_sum(low: Tensor, high: Tensor, decay: float) -> Tensor:
    """``Σ k^-decay`` over ``low <= k < high`` by the midpoint rule: relative error
    below ``decay (decay + 1)/(24 low²)``.
    """
    left = low - 0.5
    right = high - 0.5
    if abs(decay - 1) < 1e-12:
        return (right / left).log()
    return (right ** (1 - decay) - left ** (1 - decay)) / (1 - decay)


def power_law(
    d: int, decay: float, *, exact: int = 64, per_decade: int = 16
) -> Spectrum:
    """Eigenvalues proportional to ``k^-decay``, ``k = 1..d``, with ``Tr Σ = d``.

    The first ``exact`` eigenvalues are themselves; the others are averaged over blocks,
    ``per_decade`` of them for each factor of ten in k. So the trace is kept, and
    ``Tr Σ²`` to about ``0.002 decay²``. Samples are exact in law for this step
    spectrum.
    """
    d = positive_int(d, "d", most=MOST_DIMENSIONS)
    exact = positive_int(exact, "exact", most=MOST_STEPS)
    per_decade = positive_int(per_decade, "per_decade", most=10_000)
    decay = number_between(decay, "decay", 0, 1e3, "a number from 0 to 1000")
    if decay == 0:
        return isotropic(d)
    head = torch.arange(1, min(d, exact) + 1, dtype=torch.float64)
    values = head**-decay
    counts = torch.ones_like(head)
    if d > exact:
        # The end as the edges are held: past 2^53 it is not d + 1, and a loop up to d +
        # 1 would never end.
        edges = [float(exact + 1)]
        end = float(d + 1)
        while edges[-1] < end:
            edges.append(min(float(round(edges[-1] * 10 ** (1 / per_decade)) + 1), end))
        low = torch.tensor(edges[:-1], dtype=torch.float64)
        high = torch.tensor(edges[1:], dtype=torch.float64)
        values = torch.cat([values, _block_sum(low, high, decay) / (high - low)])
        counts = torch.cat([counts, high - low])
    return Spectrum(values, counts).normalised()


def autoregressive(d: int, r: float, steps: int = 256) -> Spectrum:
    """Features in a row, neighbours correlated: ``Σ_kl = r^|k-l|``, by its limit
    spectrum ``(1-r²)/(1-2r cos θ+r²)``.

    For large d the eigenvalues are the values at d angles θ spread evenly over (0, π).
    Here neighbouring ones are averaged, into at most ``steps`` steps.
    """
    d = positive_int(d, "d")
    steps = min(positive_int(steps, "steps", most=MOST_STEPS), d)
    r = number_between(r, "r", 0, 1, "a correlation in [0, 1)", ends="[)")
    counts = torch.full((steps,), float(d // steps), dtype=torch.float64)
    counts[: d % steps] += 1
    edges = torch.cat(
        [torch.zeros(1, dtype=torch.float64), counts.cumsum(0) / d * torch.pi]
    )
    # The mean of Poisson's kernel over an arc is elementary: its integral is 2
    # arctan((1+r)/(1-r) tan(θ/2)).
    integral = 2 * torch.atan((1 + r) / (1 - r) * torch.tan(edges / 2))
    integral[-1] = torch.pi
    return Spectrum(integral.diff() / edges.diff(), counts).normalised()


def equicorrelated(d: int, r: float) -> Spectrum:
    """Every pair of features correlated by ``r``: ``Σ = (1-r) I + r 11ᵀ``, one
    eigenvalue ``1 + (d-1) r``, the others ``1 - r``.
    """
    d = positive_int(d, "d", least=2, most=MOST_DIMENSIONS)
    r = number_between(r, "r", 0, 1, "a correlation in [0, 1]")
    return Spectrum([1 + (d - 1) * r, 1 - r], [1.0, float(d - 1)])


def spectrum_rows(
    n: int, spectrum: Spectrum, stream: torch.Generator, draws: int | None = None
) -> Tensor:
    """Coordinates (draws, n, r) of ``n`` samples from N(0, Σ) in their span, exact in
    law; ``r = min(n, d)``.

    Without ``draws`` there is no batch.
    """
    width = (
        float(spectrum.multiplicities.clamp(max=n).sum()) * n
    )  # numbers a draw needs on the way
    fits_memory(int(width), "n", n)
    fits_memory(n * n * (draws or 1), "draws", draws)
    chunk = max(1, int(CHUNK / width))
    left = 1 if draws is None else draws
    parts = []
    while left > 0:
        parts.append(_rows(n, spectrum, stream, min(chunk, left)))
        left -= chunk
    x = torch.cat(parts)
    return x[0] if draws is None else x


def _rows(n: int, spectrum: Spectrum, stream: torch.Generator, draws: int) -> Tensor:
    s, m = spectrum
    few = m < n
    parts = []
    if few.any():  # fewer directions than samples: the vectors themselves
        roots = s[few].sqrt().repeat_interleave(m[few].long())
        parts.append(
            torch.randn(draws, n, len(roots), generator=stream, dtype=torch.float64)
            * roots
        )
    if (~few).any():
        roots = s[~few].sqrt()
        degrees = m[~few].unsqueeze(-1) - torch.arange(n, dtype=torch.float64)
        rows = torch.randn(
            draws, len(roots), n, n, generator=stream, dtype=torch.float64
        ).tril(-1)
        rows.diagonal(dim1=-2, dim2=-1).copy_(
            chi(degrees.expand(draws, -1, -1), stream)
        )
        parts.append((rows * roots[:, None, None]).transpose(-3, -2).flatten(-2))
    x = torch.cat(parts, dim=-1)
    # The blocks lie in different directions; n coordinates in the span of the samples
    # hold the same inner products.
    return torch.linalg.qr(x.mT, mode="r").R.mT if x.shape[-1] > n else x
