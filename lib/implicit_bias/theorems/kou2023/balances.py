r"""Kou et al., Lemmas 5.4, 5.5, B.3, B.4: no sample's coefficients ever fall behind
another's.

The papers say "a constant c". Each check measures the best one over the run, reads its
trend in ``1/log t``, and holds it against a constant with a name: the one that the
paper's own proof gives, with its free ``C'`` (the length of the first phase, in units
of ``nm/(ηR_max²)``) set to 1.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.made_to_order import correlated, orthogonal
from ...measures.outputs import own_class
from ...networks.activation import Activation
from ...networks.activations import leaky_relu, relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.trajectory import Trajectory, recorded_steps
from ..setting import active_at_start, largest_start
from ..verdict import Finding, worst_of
from .coefficient_sums import coefficients_after_start, least_ratio, neuron_sums
from .setting import gains

__all__ = [
    "balance_along",
    "descent_of_K",
    "limit_of",
    "own_class_means",
    "paper_constant",
    "relu_constant",
    "too_short",
]


def paper_constant(run: Trajectory) -> Tensor:
    """``c₁`` (...) of Lemmas B.1 and B.4 as their proofs give it at ``C' = 1`` and
    ``p → 0``: the smaller of ``g((1+γ) (1+β))/R²`` (first phase) and
    ``min(1, log(1 + e^{-(1+γ)β}/R²)/log(1 + γe^{2β}))/6``.

    β is the size of the start, cut at γ, which is as large as the hypotheses let it be.
    """
    net = run.initial
    R2 = run.data.R.double() ** 2
    gamma = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    beta = torch.minimum(largest_start(net, run.data), gamma)
    early = torch.sigmoid(-(1 + gamma) * (1 + beta)) / R2
    late = torch.log1p(torch.exp(-(1 + gamma) * beta) / R2) / torch.log1p(
        gamma * torch.exp(2 * beta)
    )
    return torch.minimum(early, late.clamp_max(1) / 6)


def relu_constant(run: Trajectory) -> Tensor:
    """``c₁`` (...) of Lemma E.1, its first bullet, in the same way: ``c' = 5/2``,
    ``C' = 1``, β cut at 1.
    """
    R2 = run.data.R.double() ** 2
    beta = largest_start(run.initial, run.data).clamp_max(1)
    early = torch.sigmoid(-(1 + beta)) / R2
    late = (
        0.16
        * torch.log1p(torch.exp(-beta) / (5 * R2))
        / torch.log1p(1.2 * torch.exp(2 * beta))
    )
    return torch.minimum(early, late)


def balance_along(run: Trajectory, which: str) -> tuple[Tensor, Tensor]:
    """Steps (T,) after the first, and a ratio (T, ...) at each, smallest over largest.

    ``which`` is ``"sums"`` (of ``Σ_r|ρ_{j,r,i}|`` over j and i, K-5.4), ``"neurons"``
    (of single ``|ρ_{j,r,i}|``, K-B.4) or ``"active"`` (smallest over
    ``j = y_i, r ∈ S_i(0)`` only, K-5.5).
    """
    step, rho = coefficients_after_start(run)
    if which == "sums":
        sums = neuron_sums(run.initial, rho)
        return step, least_ratio(sums, sums)
    sizes = rho.abs()
    if which == "neurons":
        return step, least_ratio(sizes, sizes)
    chosen = active_at_start(run.initial, run.data)
    return step, least_ratio(sizes.masked_fill(~chosen, math.inf), sizes)


def own_class_means(run: Trajectory) -> Tensor:
    """``(1/m)Σ_r|ρ_{j,r,i}|`` (T, ..., 2, n) after step 0, the sample's own class first."""
    _, rho = coefficients_after_start(run)
    own = own_class(run.initial, run.data)
    sizes = rho.abs() / run.initial.m_pos
    return torch.stack([(sizes * own).sum(-2), (sizes * ~own).sum(-2)], dim=-2)


def limit_of(step: Tensor, ratio: Tensor, unit: Tensor) -> Tensor:
    """Where a ratio (T, ...) is heading: the intercept (...) of a straight line in
    ``1/log(1 + unit·t)`` through the last two decades of steps; NaN with fewer than 3
    records there. ``unit`` (...) is the largest gain ``h``.
    """
    late = step >= step[-1] / 100
    if int(late.sum()) < 3:
        return ratio.new_full(ratio.shape[1:], math.nan)
    clock = step[late].double().reshape(-1, *(1,) * unit.ndim) * unit
    u, c = torch.broadcast_tensors(1 / torch.log1p(clock), ratio[late])
    centred = u - u.mean(0)
    slope = (centred * (c - c.mean(0))).sum(0) / (centred * centred).sum(0)
    return c.mean(0) - slope * u.mean(0)


OPEN = "The lemma leaves its constant open, and one below the paper's refutes nothing:"


def _constant(
    run: Trajectory, which: str, power: int, floor: Tensor
) -> tuple[Finding, str]:
    """The best c in ``ratio ≥ c γ^power`` over a run, where it is heading, and both
    against a floor.
    """
    step, ratio = balance_along(run, which)
    gamma = torch.as_tensor(run.initial.activation.gamma, dtype=torch.float64)
    ratio = ratio / (gamma**power if power else 1.0)
    batch = ratio.shape[1:]
    series = ratio.flatten(1) if ratio.ndim > 1 else ratio.unsqueeze(1)
    best, heading, floor = (
        value.expand(batch).flatten()
        for value in (ratio.amin(0), limit_of(step, ratio, gains(run).amax(-1)), floor)
    )
    slack, place = worst_of((best / floor).reshape(batch), "run")
    k = int((best / floor).argmin())
    c = float(best[k])
    limit = float(heading[k])
    named = float(floor[k])
    at = int(step[int(series[:, k].argmin())])
    towards = "" if math.isnan(limit) else f", heading for {limit:.3g}"
    why = (
        f"the best c over the run is {c:.3g} (at step {at}){towards}; the paper's "
        f"proof gives {named:.2g}."
    )
    numbers = {"c": c, "step": at, "limit": limit, "floor": named}
    # No coefficient was compared where a minimum over nothing is ∞.
    slack = slack if slack < math.inf else math.nan
    return Finding(slack, why, place, numbers), _unsettled(run, slack, heading, floor)


def _unsettled(run: Trajectory, slack: float, heading: Tensor, floor: Tensor) -> str:
    """Why a ratio over a run decides nothing yet."""
    if slack < 1:
        return OPEN
    return too_short(run) or (
        "There are too few records to see where the ratio is heading:"
        if bool(heading.isnan().any())
        else "The ratio still falls, towards less than that."
        if bool((heading < floor).any())
        else ""
    )


def too_short(run: Trajectory, units: float = 1.0) -> str:
    """A sentence where a run ends before ``units`` times ``T = nm/(ηR_max²)``."""
    clock = float((recorded_steps(run)[-1].double() * gains(run).amax(-1)).min())
    return (
        ""
        if clock >= units
        else f"The run ends at {clock:.2g} nm/(ηR_max²), before {units:g}:"
    )


def descent_of_K(
    data: Dataset,
    m: int,
    activation: Activation,
    steps: int,
    C: float = 10.0,
    seed: int = 1,
) -> Trajectory:
    """A run at ``1/C`` of the step, and of the start, that K's conditions allow at C =
    1 (δ = 0.01).
    """
    allowed = 1 / (C * float(data.R_max) * math.sqrt(math.log(m * data.n / 0.01)))
    scale = allowed * activation.gamma if activation.has_leak else allowed
    start = TwoLayer.init(data, m, m, activation, 1.0, "1/m", seed=seed)
    size = torch.as_tensor(scale, dtype=torch.float64)
    start = TwoLayer(
        start.weights * size[..., None, None], start.a, activation, _frozen(start, size)
    )
    step_size = data.n * m / (C * float(data.R_max) ** 2)
    return gradient_descent(start, data, step_size, steps, record=log_spaced(steps, 80))


def _frozen(net: TwoLayer, size: Tensor) -> Tensor | None:
    return (
        None
        if net.frozen_gram is None
        else net.frozen_gram * size[..., None, None] ** 2
    )


@cache
def _leaky_within() -> tuple[Trajectory]:
    """Five samples of unequal lengths that lean by as much as H-K4.1 allows at C = 1."""
    data = correlated(5, p=0.03, signs="oppose", norms=[1, 1.05, 1.1, 1.15, 1.2])
    return (descent_of_K(data, 20, leaky_relu(0.7), 20_000),)


@cache
def _fitted(gamma: float) -> tuple[Trajectory]:
    """A start at which one sample has a large margin already, and so hardly ever pulls."""
    data = orthogonal(6)
    m = 8
    net = TwoLayer.init(
        data, m, m, leaky_relu(gamma) if gamma else relu(), 1e-3, "1/m", seed=0
    )
    lift = (
        torch.where(net.positive, 30.0, -30.0).double().unsqueeze(-1)
        * data.y[0]
        * data.x[0]
    )
    start = TwoLayer(net.weights + lift, net.a, net.activation)
    return (gradient_descent(start, data, 4.0, 3000, record=log_spaced(3000, 60)),)
