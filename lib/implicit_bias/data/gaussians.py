"""Gaussian samples of any covariance, and heavy-tailed ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..values.checks import fail, fits_memory
from ..values.scalars import a_choice, number_between, positive_int
from .dataset import Dataset
from .span import chi, gaussian_rows, generator
from .spectra import Spectrum, spectrum_rows

__all__ = ["FULL_SPACE_LIMIT", "gaussian", "gaussian_spectrum", "heavy_tailed"]


FULL_SPACE_LIMIT = 1_000_000
"""Samplers with ``space="auto"`` store the vectors themselves up to this many numbers
(8 MB), span coordinates beyond.
"""


def _labels(n: int, positive: int | None) -> Tensor:
    """``positive`` labels +1 first, then -1; as even as n allows by default, both
    classes present when n >= 2.
    """
    fits_memory(n, "n", n)
    count = (
        (n + 1) // 2
        if positive is None
        else positive_int(positive, "positive", least=0)
    )
    if count > n:
        fail("positive", f"at most n = {n}", count)
    return torch.cat([torch.ones(count), -torch.ones(n - count)]).to(torch.float64)


def _store_full(space: str, n: int, d: int) -> bool:
    a_choice(space, "space", ("auto", "full", "span"))
    fits_memory(n * (d if space == "full" else min(n, d)), "n, d", (n, d))
    return space == "full" or (space == "auto" and n * d <= FULL_SPACE_LIMIT)


def _gaussian_around(
    centres: Tensor, axes: int, d: int, space: str, stream: torch.Generator
) -> tuple[Tensor, bool]:
    """N(centre, I_d) rows for centres (n, axes) on the first coordinate axes of a
    suitable basis.
    """
    n = centres.shape[0]
    full = _store_full(space, n, d)
    if full:
        x = torch.randn(n, d, generator=stream, dtype=torch.float64)
    else:
        # Noise along the means' axes is plain; what is left is Gaussian in d - axes
        # dimensions, seen in its own span.
        along = torch.randn(n, axes, generator=stream, dtype=torch.float64)
        x = (
            torch.cat([along, gaussian_rows(n, d - axes, stream)], dim=-1)
            if d > axes
            else along
        )
    x[:, :axes] += centres
    return x, full


def gaussian(
    n: int,
    d: int,
    seed: int | None = 0,
    *,
    positive: int | None = None,
    space: str = "auto",
) -> Dataset:
    """``n`` samples from N(0, I_d), labels as even as ``n`` allows (or ``positive`` of
    them +1).

    The setting of Lemma 3.3 (F-3.3) with Σ = I. The cost does not depend on ``d``,
    which may be 10^12.
    """
    n = positive_int(n, "n")
    d = positive_int(d, "d")
    stream = generator(seed)
    if _store_full(space, n, d):
        x = torch.randn(n, d, generator=stream, dtype=torch.float64)
    else:
        x = gaussian_rows(n, d, stream)
    return Dataset(x, _labels(n, positive), ambient_dim=d)


def _draw_count(draws: int | None) -> int | None:
    return None if draws is None else positive_int(draws, "draws")


def gaussian_spectrum(
    n: int,
    eigenvalues: Sequence[float] | Tensor,
    multiplicities: Sequence[float] | Tensor,
    seed: int | None = 0,
    *,
    draws: int | None = None,
    positive: int | None = None,
) -> Dataset:
    """``n`` samples from N(0, Σ), Σ given by its distinct eigenvalues and their
    multiplicities (F-3.3); always span coordinates.

    Exact in law for such a step spectrum at a cost that does not depend on
    ``d = Σ_k m_k``, because inner products depend on Σ through its spectrum only.
    ``draws`` adds a leading batch of independent data sets.
    :mod:`implicit_bias.data.spectra` makes spectra, and a
    :class:`~implicit_bias.data.spectra.Spectrum` unpacks into the two arguments.
    """
    n = positive_int(n, "n")
    spectrum = Spectrum(eigenvalues, multiplicities)
    x = spectrum_rows(n, spectrum, generator(seed), _draw_count(draws))
    return Dataset(x, _labels(n, positive).expand(x.shape[:-1]), ambient_dim=spectrum.d)


def heavy_tailed(
    n: int,
    d: int,
    dof: float,
    seed: int | None = 0,
    *,
    scale: str = "sample",
    draws: int | None = None,
    positive: int | None = None,
) -> Dataset:
    """Student t samples with ``dof > 2`` degrees of freedom and unit variances.

    ``scale="sample"`` is the multivariate t: a Gaussian sample times one random length,
    in span coordinates for any ``d``. ``scale="coordinate"`` draws every coordinate on
    its own; all ``n d`` are stored, so ``d`` must be moderate.
    """
    n = positive_int(n, "n")
    d = positive_int(d, "d")
    draws = _draw_count(draws)
    batch = () if draws is None else (draws,)
    expected = (
        "more than 2 degrees of freedom (the variance is infinite otherwise), "
        "at most 1e300"
    )
    dof = number_between(dof, "dof", 2, 1e300, expected, ends="(]")
    a_choice(scale, "scale", ("sample", "coordinate"))
    stream = generator(seed)
    if scale == "sample":
        x = spectrum_rows(n, Spectrum([1.0], [float(d)]), stream, draws)
        shape = (*batch, n, 1)
    else:
        shape = (*batch, n, d)
        if math.prod(shape) > 10**8:
            fail(
                "d",
                f"at most 10^8 numbers (all are stored with scale='coordinate'; n = {n})",
                d,
            )
        x = torch.randn(shape, generator=stream, dtype=torch.float64)
    # N(0, 1) over chi/sqrt(dof) is Student's t, of variance dof/(dof - 2).
    x = (
        x
        * (dof - 2) ** 0.5
        / chi(torch.full(shape, float(dof), dtype=torch.float64), stream)
    )
    return Dataset(x, _labels(n, positive).expand(x.shape[:-1]), ambient_dim=d)
