r"""Kou et al., Definition 5.1 and Lemma 5.2: the data-correlated decomposition, read off weights, and how it moves."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from .. import data as samples
from .._checks import fail
from .._format import format_error
from ..data import Dataset
from ..dynamics import gradient_descent
from ..measures import independent, networks, own_class, rho_along
from ..network import TwoLayer, leaky_relu
from ..trajectory import Trajectory
from .clocks import gains, setting_of_K
from .common import yes_or_no
from .kkt_items import equality
from .registry import register
from .verdict import Finding, Verdict, decide

__all__ = ["increments", "rebuilt"]

CHAPTER = "decomposition"
IDENTITY_TOLERANCE = 1e-9
"""Relative error that rounding may leave in an identity."""


# -- K-5.1 -----------------------------------------------------------------------------------------------------------


def rebuilt(rho: Tensor, initial: TwoLayer, data: Dataset) -> Tensor:
    """``w_j(0) + Σ_i ρ_ji x_i/‖x_i‖²`` (..., m, d): the weights that coefficients (..., m, n) stand for."""
    # A zero sample carries nothing, whatever its coefficient.
    return initial.weights + (rho / data.norms.clamp_min(1e-150).unsqueeze(-2) ** 2) @ data.x


def _projected(net: TwoLayer, initial: TwoLayer, data: Dataset) -> Tensor:
    """The nearest thing to ρ for any two networks and any data: least squares, by the pseudo-inverse."""
    directions = data.x / data.norms.clamp_min(1e-300).unsqueeze(-1)
    solved = torch.linalg.lstsq(directions.mT, (net.weights - initial.weights).mT, driver="gelsd").solution
    return solved.mT * data.norms.unsqueeze(-2)


def _outside(net: TwoLayer, initial: TwoLayer) -> Tensor:
    """Whether the parts outside the coordinates of the data agree: the size of their difference."""
    if net.frozen_gram is None or initial.frozen_gram is None:
        same = net.frozen_gram is None and initial.frozen_gram is None
        return torch.tensor(0.0 if same else math.inf, dtype=torch.float64)
    return (net.frozen_gram - initial.frozen_gram).abs().amax().sqrt()


@cache
def _trained() -> tuple[TwoLayer, TwoLayer, Dataset]:
    data = samples.gaussian(8, 3000, seed=2)
    start = TwoLayer.init(data, 5, 5, leaky_relu(0.3), 0.01, "1/m", seed=3)
    return gradient_descent(start, data, 0.01, 300, record=[300]).final, start, data


def _sample_twice() -> tuple[TwoLayer, TwoLayer, Dataset]:
    """A sample twice: its two coefficients can be shared out at will."""
    basis = samples.orthogonal(4)
    data = Dataset(basis.x[[0, 0, 1, 2, 3]], basis.y[[0, 0, 1, 2, 3]])
    start = TwoLayer.init(data, 3, 3, leaky_relu(0.3), 0.01, "1/m", seed=3)
    return gradient_descent(start, data, 1.0, 50, record=[50]).final, start, data


@register(
    "K-5.1",
    "The data-correlated decomposition",
    "There are unique ρ_{j,r,i} with w_{j,r}(t) = w_{j,r}(0) + Σ_i ρ_{j,r,i}(t) x_i/‖x_i‖² (independent data).",
    "K, Definition 5.1",
    chapter=CHAPTER,
    positive=_trained,
    negative=_sample_twice,
)
def decomposition(net: TwoLayer, initial: TwoLayer, data: Dataset) -> Verdict:
    """K-5.1 for any two networks: whether ``W - W(0)`` is a combination of the samples, and in one way only.

    Descent on these data from ``initial`` always passes. Weight decay, Adam and sign descent leave the span: ``net``
    did then not come from ``initial`` by descent, and the verdict says by how much the conclusion fails. Where the
    samples span all dimensions, or nothing has moved, the claim says nothing.
    """
    if net.weights.shape[-2:] != initial.weights.shape[-2:]:
        fail("initial", f"weights of shape {tuple(net.weights.shape[-2:])}", tuple(initial.weights.shape[-2:]))
    unique = yes_or_no("independent", "the samples are linearly independent", independent(data))
    coefficients = _projected(net, initial, data)
    moved = (net.weights - initial.weights).flatten(-2).norm(dim=-1)
    missed = (net.weights - rebuilt(coefficients, initial, data)).flatten(-2).norm(dim=-1)
    missed = missed + _outside(net, initial)
    # Rounding in W itself, 1e-13 of its size, is no movement.
    error = missed / (moved + 1e-4 * net.weights.flatten(-2).norm(dim=-1)).clamp_min(1e-300)
    largest = float(error.max())
    why = f"W - W(0) misses the span of the samples by {format_error(largest)} of its length."
    finding = equality(largest, why, "", IDENTITY_TOLERANCE)
    if finding.true and not bool(unique.holds):
        numbers = {**finding.constants, "rank": float(torch.linalg.matrix_rank(data.x).min())}
        why = f"ρ is not unique: {data.n} samples span {numbers['rank']:.0f} dimensions."
        return decide("K-5.1", Finding(0.0, why, "", numbers), (unique,))
    trained = yes_or_no("trained", "W comes from W(0) by descent on these data", finding.true)
    silent = "the samples span all dimensions." if data.n >= data.ambient_dim else ""
    silent = silent or ("nothing has moved." if not bool((moved > 0).any()) and finding.true else "")
    return decide("K-5.1", replace(finding, says_nothing=silent), (unique, trained))


# -- K-5.2 -----------------------------------------------------------------------------------------------------------


def increments(run: Trajectory) -> Tensor:
    """What the next step adds to every coefficient, at each record: ``j y_i h_i g_i σ'(⟨w_{j,r}, x_i⟩)``
    (T, ..., 2m, n), ``h_i = η‖x_i‖²/(nm)``.
    """
    nets = networks(run)
    slopes = nets.activation.derivative(nets.preactivations(run.data.x))
    pull = gains(run) * run.loss.g(run.margins)
    sign = nets.a.sign().unsqueeze(-1) * run.data.y.unsqueeze(-2)
    return sign * slopes * pull.unsqueeze(-2)


UNTOLD = "A run is known no better than this:"


def _told(rho: Tensor) -> float:
    """The error from which on a run contradicts the rule: ten times what its records are checked to."""
    return 1e-5 if rho.dtype == torch.float64 else 0.1


def _recorded_run(output: str) -> tuple[Trajectory]:
    data = samples.gaussian(8, 20_000_000, seed=4)
    start = TwoLayer.init(data, 6, 6, leaky_relu(0.3), 1e-6, output, seed=5)
    return (gradient_descent(start, data, 1e-6, 400, record=range(401)),)


@register(
    "K-5.2",
    "The update rule",
    "ρ(0) = 0; ρ_{j,r,i}(t+1) = ρ_{j,r,i}(t) + j y_i (η/(nm)) g_i σ'(⟨w_{j,r},x_i⟩)‖x_i‖²: so ρ ≥ 0 and rising for"
    " j = y_i, ρ ≤ 0 and falling otherwise.",
    "K, Lemma 5.2",
    chapter=CHAPTER,
    positive=cache(lambda: _recorded_run("1/m")),
    negative=cache(lambda: _recorded_run("1/sqrt(m)")),
)
def update_rule(run: Trajectory) -> Verdict:
    """K-5.2 on a run of full-batch descent: every pair of consecutive records one step apart, with ρ solved from the
    weights alone on either side; signs and monotony at all records. Errors are relative to the largest ``|ρ|``.
    """
    if run.step is None:
        fail("run", "a run of gradient_descent", "one of gradient_flow, which has no steps")
    independent_data = yes_or_no("independent", "the samples are linearly independent", independent(run.data))
    hypotheses = (*setting_of_K(run.initial, run.loss), independent_data)
    if not bool(independent_data.holds):
        return decide("K-5.2", Finding(math.nan, "ρ is not unique, so it has no update rule."), hypotheses)
    rho, pairs = rho_along(run), (run.step.diff() == 1).nonzero().flatten()
    size = rho.abs().amax().clamp_min(1e-300)
    sign = torch.where(own_class(run.initial, run.data), 1.0, -1.0).double()
    wrong = torch.cat([(-sign * rho), (-sign * rho.diff(dim=0))]).amax() / size
    start = rho[0].abs().amax() / size if int(run.step[0]) == 0 else torch.zeros((), dtype=torch.float64)
    if not len(pairs):
        off, place = torch.zeros(1, dtype=torch.float64), ""
    else:
        scale = rho[pairs + 1].abs().flatten(1).amax(-1).clamp_min(1e-300)
        off = (rho[pairs + 1] - rho[pairs] - increments(run)[pairs]).abs().flatten(1).amax(-1) / scale
        place = f"step {int(run.step[pairs[int(off.argmax())]])}"
    error = float(torch.stack([off.amax(), wrong.clamp_min(0), start]).max())
    differ = f"ρ and its update rule differ by {format_error(error)}, wrong signs included"
    finding = equality(error, f"over {len(pairs)} steps, {differ}.", place, IDENTITY_TOLERANCE)
    unsettled = "" if len(pairs) else "No two records are one step apart."
    unsettled = unsettled or ("" if finding.true or error > _told(rho) else UNTOLD)
    return decide("K-5.2", finding, hypotheses, unsettled=unsettled)
