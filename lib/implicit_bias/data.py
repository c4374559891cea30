r"""Data sets: samples ``x`` (..., n, d), labels ``y`` (..., n), and samplers for every family the two papers use.

The Gaussian samplers reach ``d = 10^12``. Asked for more than :data:`FULL_SPACE_LIMIT` numbers they return
coordinates in the span of the data (see :mod:`implicit_bias.span`): ``x`` then has ``r <= n + 2`` columns, and
``ambient_dim`` remembers ``d``. Inner products, margins and training are those of the full space, exactly in law.
``space="full"`` or ``"span"`` overrides the choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ._checks import (
    a_choice,
    a_flag,
    fail,
    finite,
    fits_memory,
    number_between,
    own_tensor,
    positive_int,
    probability,
    shown,
)
from ._checks import positive as check_positive
from .dataset import LARGEST_NORM, SMALLEST_NORM, Dataset, a_dataset
from .span import binary_scale, chi, gaussian_rows, generator
from .spectra import Spectrum, spectrum_rows

__all__ = [
    "FULL_SPACE_LIMIT",
    "Dataset",
    "correlated",
    "digits",
    "fresh",
    "from_gram",
    "gaussian",
    "gaussian_mixture",
    "gaussian_spectrum",
    "heavy_tailed",
    "lemma_b8",
    "orthogonal",
    "whitened",
    "xor",
]

FULL_SPACE_LIMIT = 1_000_000
"""Samplers with ``space="auto"`` store the vectors themselves up to this many numbers (8 MB), span coordinates
beyond.
"""


def _labels(n: int, positive: int | None) -> Tensor:
    """``positive`` labels +1 first, then -1; as even as n allows by default, both classes present when n >= 2."""
    fits_memory(n, "n", n)
    count = (n + 1) // 2 if positive is None else positive_int(positive, "positive", least=0)
    if count > n:
        fail("positive", f"at most n = {n}", count)
    return torch.cat([torch.ones(count), -torch.ones(n - count)]).to(torch.float64)


def _store_full(space: str, n: int, d: int) -> bool:
    a_choice(space, "space", ("auto", "full", "span"))
    fits_memory(n * (d if space == "full" else min(n, d)), "n, d", (n, d))
    return space == "full" or (space == "auto" and n * d <= FULL_SPACE_LIMIT)


def _gaussian_around(centres: Tensor, axes: int, d: int, space: str, stream: torch.Generator) -> tuple[Tensor, bool]:
    """N(centre, I_d) rows for centres (n, axes) on the first coordinate axes of a suitable basis."""
    n = centres.shape[0]
    full = _store_full(space, n, d)
    if full:
        x = torch.randn(n, d, generator=stream, dtype=torch.float64)
    else:
        # Noise along the means' axes is plain; what is left is Gaussian in d - axes dimensions, seen in its own span.
        along = torch.randn(n, axes, generator=stream, dtype=torch.float64)
        x = torch.cat([along, gaussian_rows(n, d - axes, stream)], dim=-1) if d > axes else along
    x[:, :axes] += centres
    return x, full


def gaussian(n: int, d: int, seed: int | None = 0, *, positive: int | None = None, space: str = "auto") -> Dataset:
    """``n`` samples from N(0, I_d), labels as even as ``n`` allows (or ``positive`` of them +1).

    The setting of Lemma 3.3 (F-3.3) with Σ = I. The cost does not depend on ``d``, which may be 10^12.
    """
    n, d = positive_int(n, "n"), positive_int(d, "d")
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
    """``n`` samples from N(0, Σ), Σ given by its distinct eigenvalues and their multiplicities (F-3.3); always span
    coordinates.

    Exact in law for such a step spectrum at a cost that does not depend on ``d = Σ_k m_k``, because inner products
    depend on Σ through its spectrum only. ``draws`` adds a leading batch of independent data sets.
    :mod:`implicit_bias.spectra` makes spectra, and a :class:`~implicit_bias.spectra.Spectrum` unpacks into the two
    arguments.
    """
    n, spectrum = positive_int(n, "n"), Spectrum(eigenvalues, multiplicities)
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

    ``scale="sample"`` is the multivariate t: a Gaussian sample times one random length, in span coordinates for any
    ``d``. ``scale="coordinate"`` draws every coordinate on its own; all ``n d`` are stored, so ``d`` must be moderate.
    """
    n, d = positive_int(n, "n"), positive_int(d, "d")
    draws = _draw_count(draws)
    batch = () if draws is None else (draws,)
    expected = "more than 2 degrees of freedom (the variance is infinite otherwise), at most 1e300"
    dof = number_between(dof, "dof", 2, 1e300, expected, ends="(]")
    a_choice(scale, "scale", ("sample", "coordinate"))
    stream = generator(seed)
    if scale == "sample":
        x, shape = spectrum_rows(n, Spectrum([1.0], [float(d)]), stream, draws), (*batch, n, 1)
    else:
        shape = (*batch, n, d)
        if math.prod(shape) > 10**8:
            fail("d", f"at most 10^8 numbers (all are stored with scale='coordinate'; n = {n})", d)
        x = torch.randn(shape, generator=stream, dtype=torch.float64)
    # N(0, 1) over chi/sqrt(dof) is Student's t, of variance dof/(dof - 2).
    x = x * (dof - 2) ** 0.5 / chi(torch.full(shape, float(dof), dtype=torch.float64), stream)
    return Dataset(x, _labels(n, positive).expand(x.shape[:-1]), ambient_dim=d)


def _flip(y: Tensor, noise: float, stream: torch.Generator) -> Tensor:
    """Flip round(noise · n) labels, split between the classes as evenly as can be, never emptying a class."""
    flips, positive = round(noise * y.numel()), int((y > 0).sum())
    from_positive = min(positive, max((flips + 1) // 2, flips - (y.numel() - positive)))
    flipped = y.clone()
    for label, count in ((1.0, from_positive), (-1.0, flips - from_positive)):
        members = (y == label).nonzero().flatten()
        chosen = members[torch.randperm(len(members), generator=stream)[:count]]
        flipped[chosen] = -label
    if y.unique().numel() == 2 and flipped.unique().numel() < 2:
        fail("label_noise", "noise that leaves both classes present", noise)
    return flipped


def gaussian_mixture(
    n: int,
    d: int,
    mean_norm: float,
    label_noise: float = 0.0,
    seed: int | None = 0,
    *,
    positive: int | None = None,
    space: str = "auto",
) -> Dataset:
    """Two Gaussian clusters: ``x | c ~ c μ + N(0, I_d)`` with ``‖μ‖ = mean_norm``, then ``label_noise`` of the labels
    flipped (F-fig1).

    ``μ`` is stored as ``means[0]``. The first axis is taken along ``μ``: rotating the basis changes no inner product.
    """
    n, d = positive_int(n, "n"), positive_int(d, "d")
    mean_norm = number_between(
        mean_norm, "mean_norm", 0, LARGEST_NORM, f"a number from 0 to {LARGEST_NORM:g}"
    )
    label_noise = probability(label_noise, "label_noise")
    fits_memory(n * min(n, d), "n, d", (n, d))
    stream = generator(seed)
    clusters = _labels(n, positive)
    x, _ = _gaussian_around(mean_norm * clusters.unsqueeze(-1), 1, d, space, stream)
    mean = torch.zeros(1, x.shape[-1], dtype=torch.float64)
    mean[0, 0] = mean_norm
    return Dataset(x, _flip(clusters, label_noise, stream), ambient_dim=d, means=mean)


def xor(
    n: int, d: int, mean_norm: float, label_noise: float = 0.0, seed: int | None = 0, *, space: str = "auto"
) -> Dataset:
    """2-XOR clusters (F-fig6): centres ±μ₁ labelled +1 and ±μ₂ labelled -1, ``μ₁ ⟂ μ₂``, ``‖μ‖ = mean_norm``, unit
    noise.

    The four centres get as even a share of the ``n`` samples as ``n`` allows; ``means`` holds μ₁ and μ₂.
    """
    n, d = positive_int(n, "n"), positive_int(d, "d", least=2)
    mean_norm = number_between(
        mean_norm, "mean_norm", 0, LARGEST_NORM, f"a number from 0 to {LARGEST_NORM:g}"
    )
    label_noise = probability(label_noise, "label_noise")
    fits_memory(n * min(n, d), "n, d", (n, d))
    stream = generator(seed)
    y = _labels(n, None)
    x, _ = _gaussian_around(_centres(y, mean_norm * torch.eye(2, dtype=torch.float64)), 2, d, space, stream)
    means = torch.zeros(2, x.shape[-1], dtype=torch.float64)
    means[0, 0] = means[1, 1] = mean_norm
    return Dataset(x, _flip(y, label_noise, stream), ambient_dim=d, means=means)


def _centres(y: Tensor, means: Tensor) -> Tensor:
    """Cluster centres (n, d) of samples with clean labels ``y``: ``y μ`` for one mean; for two, ``±μ₁`` where y is +1
    and ``±μ₂`` where it is -1, signs in turn.
    """
    if means.shape[0] == 1:
        return y.unsqueeze(-1) * means
    side = torch.where(torch.arange(y.numel()) % 2 == 0, 1.0, -1.0).to(means)
    return side.unsqueeze(-1) * means[(y < 0).long()]


def fresh(data: Dataset, count: int, seed: int = 0, *, label_noise: float = 0.0) -> Dataset:
    """``count`` new points from the distribution of a :func:`gaussian_mixture` or :func:`xor`, in the coordinates of
    ``data``. Clusters get as even a share as ``count`` allows.

    Where ``data`` hold span coordinates, so do the new points. What of them lies outside the span has unit variance in
    ``data.ambient_dim - data.d`` further dimensions and reaches a network only through its frozen part;
    :func:`implicit_bias.measures.fresh_preactivations` draws it.

    Raises
    ------
    ValueError
        If ``data`` have no ``means``: their distribution is not known.
    """
    a_dataset(data)
    count = positive_int(count, "count")
    label_noise = probability(label_noise, "label_noise")
    fits_memory(count * data.d, "count", count)
    if data.means is None or data.x.ndim != 2 or data.means.shape[0] not in (1, 2):
        fail("data", "one data set from gaussian_mixture or xor, with its means", shown(data))
    stream = generator(seed, "fresh")
    y = _labels(count, None)
    noise = torch.randn(count, data.d, generator=stream, dtype=torch.float64)
    x = _centres(y, data.means.double()) + noise
    return Dataset(x.to(data.x), _flip(y, label_noise, stream), ambient_dim=data.ambient_dim, means=data.means)


def _norms(norms: float | Sequence[float] | Tensor, n: int) -> Tensor:
    values = check_positive(norms, "norms")
    fits_memory(n * n, "n", n)
    values = torch.as_tensor(values, dtype=torch.float64)
    if values.ndim > 1 or (values.ndim == 1 and values.shape[0] != n):
        fail("norms", f"one number or {n} of them", tuple(values.shape))
    if not bool(((values >= SMALLEST_NORM) & (values <= LARGEST_NORM)).all()):
        fail("norms", f"lengths from {SMALLEST_NORM:g} to {LARGEST_NORM:g}", norms)
    return values.expand(n)


def orthogonal(
    n: int,
    d: int | None = None,
    norms: float | Sequence[float] = 1.0,
    *,
    positive: int | None = None,
    space: str = "auto",
) -> Dataset:
    """Exactly orthogonal samples ``x_i = ‖x_i‖ e_i`` (p = 0), the setting of K-F.2 and K-F.3; needs ``d >= n``
    (default n).
    """
    n = positive_int(n, "n")
    return _of_gram(torch.diag(_norms(norms, n) ** 2), _labels(n, positive), d, space, "norms")


SIGNS = ("oppose", "agree", "equal", "random")


def correlated(
    n: int,
    d: int | None = None,
    p: float = 0.0,
    *,
    signs: str = "oppose",
    norms: float | Sequence[float] = 1.0,
    positive: int | None = None,
    seed: int | None = 0,
    space: str = "auto",
) -> Dataset:
    """Samples whose inner products off the diagonal are all ``±p``, exactly; needs ``d >= n`` (default n).

    ``signs`` says which: ``"oppose"`` is ``-p y_i y_k`` (samples lean towards the other class, the hard case of S-5),
    ``"agree"`` is ``+p y_i y_k``, ``"equal"`` is ``+p`` throughout, ``"random"`` draws them.

    Raises
    ------
    ValueError
        When no such samples exist: the Gram matrix would have a negative eigenvalue (the message tells it).
    """
    n = positive_int(n, "n")
    p = number_between(
        p, "p", 0, LARGEST_NORM**2, f"a finite number >= 0, at most {LARGEST_NORM**2:g}"
    )
    a_choice(signs, "signs", SIGNS)
    fits_memory(n * n, "n", n)
    diagonal = _norms(norms, n) ** 2
    y = _labels(n, positive)
    if signs == "random":
        upper = torch.randint(0, 2, (n, n), generator=generator(seed)).to(torch.float64).mul(2).sub(1).triu(1)
        pattern = upper + upper.mT
    else:
        pattern = {
            "oppose": -torch.outer(y, y),
            "agree": torch.outer(y, y),
            "equal": torch.ones(n, n, dtype=torch.float64),
        }[signs]
    gram = p * pattern
    gram.diagonal().copy_(diagonal)
    return _of_gram(gram, y, d, space, "p")


def from_gram(
    gram: Tensor, d: int | None = None, *, y: Tensor | None = None, positive: int | None = None, space: str = "auto"
) -> Dataset:
    """Samples with a given Gram matrix (n, n), positive semidefinite; ``y`` defaults to labels as even as n allows."""
    gram = own_tensor(gram, "gram").to("cpu", torch.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or gram.numel() == 0:
        fail("gram", "a symmetric matrix", tuple(gram.shape))
    finite(gram, "gram")
    size = gram.abs().max()
    # Relative to the largest: of a small matrix every entry is small.
    off = float((gram / 2 - gram.mT / 2).abs().max())
    if off > 5e-9 * float(size):
        fail("gram", "a symmetric matrix", f"entries off their mirror images by {2 * off:.3g}")
    if size > LARGEST_NORM**2 or 0 < size < SMALLEST_NORM**2:
        fail(
            "gram",
            f"entries whose largest is from {SMALLEST_NORM**2:g} to {LARGEST_NORM**2:g}",
            float(size),
        )
    if y is not None and positive is not None:
        fail("positive", "None beside labels y", positive)
    return _of_gram(gram, _labels(len(gram), positive) if y is None else y, d, space, "gram")


def _of_gram(gram: Tensor, y: Tensor, d: int | None, space: str, argument: str) -> Dataset:
    """Samples with this Gram matrix; ``argument`` is what the caller chose it by."""
    n = len(gram)
    d = n if d is None else positive_int(d, "d")
    if d < n:
        fail("d", f"at least n = {n} dimensions for {n} samples with prescribed inner products", d)
    scale = binary_scale(gram.abs().max())
    values, vectors = torch.linalg.eigh(gram / scale)
    if values[0] < -1e-12 * values[-1].abs():
        fail(
            argument,
            "a positive semidefinite matrix of inner products (no vectors have these)",
            f"smallest eigenvalue {values[0] * scale:.3g}",
        )
    # Cholesky keeps a diagonal Gram matrix diagonal; the symmetric root serves the singular ones.
    factor, info = torch.linalg.cholesky_ex(gram)
    x = factor if info == 0 else vectors * values.clamp_min(0).sqrt() * scale.sqrt()
    if _store_full(space, n, d):
        x = torch.nn.functional.pad(x, (0, d - n))
    return Dataset(x, y, ambient_dim=d)


def lemma_b8(epsilon: float = 1 / 72) -> Dataset:
    """The three points of Lemma B.8 (F-B.8), whose KKT predictor z is not the max-margin one; the paper asks ε ≤
    1/72.
    """
    epsilon = number_between(epsilon, "epsilon", 0, 1, "a number in [0, 1)", ends="[)")
    rest = (1 - epsilon**2) ** 0.5
    x = torch.tensor([[-1.0, 0.0, 0.0], [epsilon, rest, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return Dataset(x, torch.tensor([-1.0, 1.0, 1.0]))


def whitened(x: Tensor) -> Tensor:
    """``(X Xᵀ)^(-1/2) X`` (n, d) of independent rows: the orthonormal rows that are nearest to them, up to scale.

    Raises
    ------
    ValueError
        If the rows are linearly dependent; the message tells their rank.
    """
    x = own_tensor(x, "x").to(torch.float64)
    if x.ndim != 2 or 0 in x.shape:
        fail("x", "rows of shape (n, d)", tuple(x.shape))
    finite(x, "x")
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    rank = int((values > 1e-10 * values[0]).sum())
    if rank < len(x):
        fail("x", "linearly independent samples to whiten", f"{len(x)} of rank {rank}")
    return left @ right


def _two_digits(classes: object) -> tuple[int, int]:
    """Two different digits."""
    try:
        found = tuple(positive_int(label, "classes", least=0, most=9) for label in classes)
    except (TypeError, ValueError):
        found = ()
    if len(found) != 2 or found[0] == found[1]:
        fail("classes", "two different digits", shown(classes))
    return found


def digits(
    n: int | None = None,
    classes: tuple[int, int] = (3, 8),
    seed: int | None = 0,
    *,
    centre: bool = False,
    whiten: bool = False,
) -> Dataset:
    """Handwritten digits (8 × 8 pixels, ships with scikit-learn): ``classes[0]`` is +1, ``classes[1]`` is -1.

    Pixels are scaled to [0, 1]. ``n`` samples are drawn without replacement, evenly between the classes. Needs
    scikit-learn.

    Parameters
    ----------
    centre : bool
        Subtract the mean of the drawn images. Then ``Σ x_i = 0``, so ``R_max² ≤ (n-1) p``: every theorem's condition on
        the data fails, at every ``n ≥ 2``.
    whiten : bool
        Replace the samples X (n, 64) by :func:`whitened` ones, which are orthonormal.

    Raises
    ------
    ValueError
        With ``whiten``, when the images are linearly dependent: beyond about 60 of them, or centred.
    """
    from sklearn.datasets import load_digits

    images, target = load_digits(return_X_y=True)
    classes = _two_digits(classes)
    centre = a_flag(centre, "centre")
    whiten = a_flag(whiten, "whiten")
    stream = generator(seed)
    rows = []
    for position, label in enumerate(classes):
        members = torch.from_numpy((target == label).nonzero()[0])
        want = len(members) if n is None else (positive_int(n, "n", least=2) + 1 - position) // 2
        if want > len(members):
            fail("n", f"at most {2 * len(members)} samples of these classes", n)
        rows.append(members[torch.randperm(len(members), generator=stream)[:want]])
    x = torch.from_numpy(images).to(torch.float64)[torch.cat(rows)] / 16
    if centre:
        x = x - x.mean(0)
    if whiten:
        x = whitened(x)
    return Dataset(x, torch.cat([torch.ones(len(rows[0])), -torch.ones(len(rows[1]))]))
