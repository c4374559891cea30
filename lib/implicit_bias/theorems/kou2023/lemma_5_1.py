"""Kou et al., Definition 5.1: the data-correlated decomposition, read off the weights."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.gaussians import gaussian
from ...data.made_to_order import orthogonal
from ...measures.decomposition import independent
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent
from ...values.checks import fail
from ...values.wording import format_error
from ..claim import register
from ..setting import yes_or_no
from ..verdict import Finding, Verdict, decide, equality
from .coefficient_sums import IDENTITY_TOLERANCE

__all__ = ["decomposition", "rebuilt"]


CHAPTER = "decomposition"


def rebuilt(rho: Tensor, initial: TwoLayer, data: Dataset) -> Tensor:
    """``w_j(0) + Σ_i ρ_ji x_i/‖x_i‖²`` (..., m, d): the weights that coefficients (...,
    m, n) stand for.
    """
    # A zero sample carries nothing, whatever its coefficient.
    return (
        initial.weights
        + (rho / data.norms.clamp_min(1e-150).unsqueeze(-2) ** 2) @ data.x
    )


def _projected(net: TwoLayer, initial: TwoLayer, data: Dataset) -> Tensor:
    """The nearest thing to ρ for any two networks and any data: least squares, by the
    pseudo-inverse.
    """
    directions = data.x / data.norms.clamp_min(1e-300).unsqueeze(-1)
    solved = torch.linalg.lstsq(
        directions.mT, (net.weights - initial.weights).mT, driver="gelsd"
    ).solution
    return solved.mT * data.norms.unsqueeze(-2)


def _outside(net: TwoLayer, initial: TwoLayer) -> Tensor:
    """Whether the parts outside the coordinates of the data agree: the size of their
    difference.
    """
    if net.frozen_gram is None or initial.frozen_gram is None:
        same = net.frozen_gram is None and initial.frozen_gram is None
        return torch.tensor(0.0 if same else math.inf, dtype=torch.float64)
    return (net.frozen_gram - initial.frozen_gram).abs().amax().sqrt()


@cache
def _trained() -> tuple[TwoLayer, TwoLayer, Dataset]:
    data = gaussian(8, 3000, seed=2)
    start = TwoLayer.init(data, 5, 5, leaky_relu(0.3), 0.01, "1/m", seed=3)
    return gradient_descent(start, data, 0.01, 300, record=[300]).final, start, data


def _sample_twice() -> tuple[TwoLayer, TwoLayer, Dataset]:
    """A sample twice: its two coefficients can be shared out at will."""
    basis = orthogonal(4)
    data = Dataset(basis.x[[0, 0, 1, 2, 3]], basis.y[[0, 0, 1, 2, 3]])
    start = TwoLayer.init(data, 3, 3, leaky_relu(0.3), 0.01, "1/m", seed=3)
    return gradient_descent(start, data, 1.0, 50, record=[50]).final, start, data


@register(
    "K-5.1",
    "The data-correlated decomposition",
    "There are unique ρ_{j,r,i} with w_{j,r}(t) = w_{j,r}(0) + Σ_i ρ_{j,r,i}(t) "
    "x_i/‖x_i‖² (independent data).",
    "K, Definition 5.1",
    chapter=CHAPTER,
    positive=_trained,
    negative=_sample_twice,
)
def decomposition(net: TwoLayer, initial: TwoLayer, data: Dataset) -> Verdict:
    """K-5.1 for any two networks: whether ``W - W(0)`` is a combination of the samples,
    and in one way only.

    Descent on these data from ``initial`` always passes. Weight decay, Adam and sign
    descent leave the span: ``net`` did then not come from ``initial`` by descent, and
    the verdict says by how much the conclusion fails. Where the samples span all
    dimensions, or nothing has moved, the claim says nothing.
    """
    if net.weights.shape[-2:] != initial.weights.shape[-2:]:
        fail(
            "initial",
            f"weights of shape {tuple(net.weights.shape[-2:])}",
            tuple(initial.weights.shape[-2:]),
        )
    unique = yes_or_no(
        "independent", "the samples are linearly independent", independent(data)
    )
    coefficients = _projected(net, initial, data)
    moved = (net.weights - initial.weights).flatten(-2).norm(dim=-1)
    missed = (
        (net.weights - rebuilt(coefficients, initial, data)).flatten(-2).norm(dim=-1)
    )
    missed = missed + _outside(net, initial)
    # Rounding in W itself, 1e-13 of its size, is no movement.
    error = missed / (moved + 1e-4 * net.weights.flatten(-2).norm(dim=-1)).clamp_min(
        1e-300
    )
    largest = float(error.max())
    why = (
        f"W - W(0) misses the span of the samples by {format_error(largest)} of its "
        "length."
    )
    finding = equality(largest, why, "", IDENTITY_TOLERANCE)
    if finding.true and not bool(unique.holds):
        numbers = {
            **finding.constants,
            "rank": float(torch.linalg.matrix_rank(data.x).min()),
        }
        why = (
            f"ρ is not unique: {data.n} samples span {numbers['rank']:.0f} dimensions."
        )
        return decide("K-5.1", Finding(0.0, why, "", numbers), (unique,))
    trained = yes_or_no(
        "trained", "W comes from W(0) by descent on these data", finding.true
    )
    silent = "the samples span all dimensions." if data.n >= data.ambient_dim else ""
    silent = silent or (
        "nothing has moved." if not bool((moved > 0).any()) and finding.true else ""
    )
    return decide("K-5.1", replace(finding, says_nothing=silent), (unique, trained))
