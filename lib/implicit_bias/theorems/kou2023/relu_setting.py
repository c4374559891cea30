r"""What the claims on ReLU share: own-class pairs, accumulated pulls, K-4.3's
hypotheses at one start, the limit.

A pair is a neuron j and a sample i. It is an *own-class* pair when ``sign(a_j) = y_i``,
and *awake* while ``⟨w_j, x_i⟩ >= 0``. With ``h = η/(nm)``,
``u_ik = y_i y_k ⟨x_i, x_k⟩`` and ``ζ_ji = sign(a_j) y_i ⟨w_j, x_i⟩`` a step of descent
on K's network reads

.. math:: ζ_{ji}(t+1) = ζ_{ji}(t) + h \sum_k g_k(t)\, 1[j \text{ awake on } k]\, u_{ik} .
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.conditions import data_conditions
from ...hypotheses.hypothesis import Hypothesis
from ...measures.decomposition import rho_along
from ...networks.two_layer import TwoLayer
from ...training.trajectory import Trajectory, recorded_steps, step_size_of
from ...values.scalars import positive
from ..setting import (
    active_at_start,
    active_shares,
    has_layer_of_K,
    largest_start,
    logistic,
    yes_or_no,
)
from ..verdict import Finding

__all__ = [
    "C_PROVED",
    "SHARE",
    "balance_of_active",
    "both_classes",
    "class_rank_constant",
    "exponent",
    "paper_correlation",
    "pull_ratio",
    "pulls",
    "rate_h",
    "setting_of_relu",
    "small_C",
]


SHARE = 0.4
"""The least share of its own class's neurons that K-A.2 lets each sample find awake at
the start: ``m/|S_i(0)| <= c'`` with ``c' = 2.5``.
"""


C_PROVED = 40.0
"""A value of K-4.3's "sufficiently large C" for which the chapter proves K-5.8, K-E.2
and K-4.3 (with ``c' = 2.5``).
"""


def paper_correlation(data: Dataset) -> Tensor:
    """``P = np/R_min²`` (...): the theorem's ``R_min⁻² p n``."""
    return data.n * data.p.double() / data.R_min.double() ** 2


def rate_h(run: Trajectory) -> Tensor:
    """``h = η/(nm)`` (...), m the number of neurons of one sign."""
    # A flow is refused for its lack of steps.
    recorded_steps(run)
    return torch.as_tensor(step_size_of(run), dtype=torch.float64) / (
        run.data.n * run.initial.m_pos
    )


def setting_of_relu(run: Trajectory, C: float = C_PROVED) -> tuple[Hypothesis, ...]:
    """K's ReLU network under logistic loss, and H-K4.3 at the start that was drawn.

    The theorem asks for ``m >= C log(n/δ)`` and a small ``σ_0`` only to have, with
    probability 1 - δ, many neurons awake on each sample (K-A.2) and small
    preactivations (K-A.1). A run shows whether it has them, and no δ is left. A
    preactivation that is exactly 0 has probability 0: a start that has one, like the
    zero network, was not drawn.
    """
    positive(C, "C")
    net = run.initial
    data = run.data
    h = rate_h(run)
    one = torch.ones((), dtype=torch.float64)
    R2 = data.R_max.double() ** 2
    return (
        yes_or_no("activation", "ReLU", net.activation.is_relu),
        yes_or_no(
            "second layer", "a_j = ±1/m, m neurons of each sign", has_layer_of_K(net)
        ),
        logistic(run.loss),
        data_conditions(data, 1.0, C)["H-K4.3"],
        Hypothesis(
            "step",
            f"η ≤ nm/({C:g} R_max²)",
            *torch.broadcast_tensors(one / (C * R2), h),
        ),
        Hypothesis(
            "start",
            f"0 < |⟨w_j(0), x_i⟩| ≤ 1/{C:g}",
            *torch.broadcast_tensors(one / C, _drawn_size(net, data)),
        ),
        Hypothesis(
            "width",
            "each sample finds at least 0.4m neurons of its class awake",
            *torch.broadcast_tensors(active_shares(net, data).amin(-1), one * SHARE),
        ),
    )


def _drawn_size(net: TwoLayer, data: Dataset) -> Tensor:
    """β (...), or ∞ where some ``⟨w_j(0), x_i⟩`` is 0."""
    some_zero = (net.preactivations(data.x) == 0).any(-1).any(-1)
    return largest_start(net, data).masked_fill(some_zero, math.inf)


def both_classes(data: Dataset) -> Hypothesis:
    """That samples of both labels are there: without one, its neurons' coefficients stay
    bounded.
    """
    counts = torch.stack([data.positive.sum(-1), (~data.positive).sum(-1)])
    return yes_or_no("both classes", "samples of both labels", counts > 0)


def pulls(run: Trajectory) -> Tensor:
    """``h Γ_ji = |ρ_ji|/‖x_i‖²`` (T, ..., m, n): how hard sample i has pulled at neuron
    j so far, while j was awake on it. Never negative, and never falling (K-5.2).
    """
    return (rho_along(run) / run.data.norms.unsqueeze(-2) ** 2).abs()


def balance_of_active(run: Trajectory) -> tuple[Tensor, Tensor]:
    """The best constant of K-E.1 and K-5.5 at each record after step 0: ``ρ_{y_i,r,i}``
    at its smallest over ``r ∈ S_i(0)``, over ``|ρ|`` at its largest; (T', ...). With it
    the smallest itself.
    """
    kept = active_at_start(run.initial, run.data)
    rho = rho_along(run)[recorded_steps(run) > 0].abs()
    least = rho.masked_fill(~kept, math.inf).amin((-2, -1))
    return least / rho.amax((-2, -1)), least


def pull_ratio(R: float | Tensor, P: float | Tensor) -> Tensor:
    """``κ = c'R²/(1 - 3c'P)`` (...): the most that ``Γ_i/Γ_k`` can be in the limit;
    ``c' = 2.5``, ``P = np/R_min²``.
    """
    R, P = (torch.as_tensor(value, dtype=torch.float64) for value in (R, P))
    return R**2 / (SHARE - 3 * P)


def class_rank_constant(data: Dataset) -> Tensor:
    """The constant (..., 2) of K-4.3.a for ``W_{+1}`` and ``W_{-1}``: a function of R
    and of the class sizes alone.

    ``c = R² (1+P)/(1-P) (c'κ)² (1 + (k'/k)(Pκ)²)`` at the largest P that H-K4.3 with C
    = 40 allows, ``P = 1/(40R²)``; k samples of the class, k' of the other.
    """
    R = data.R.double()
    P = 1 / (C_PROVED * R**2)
    kappa = pull_ratio(R, P)
    k = torch.stack([(data.y > 0).sum(-1), (data.y < 0).sum(-1)], dim=-1).double()
    other = k.flip(-1) / k
    base = R**2 * (1 + P) / (1 - P) * (kappa / SHARE) ** 2
    return base.unsqueeze(-1) * (1 + other * (P * kappa).unsqueeze(-1) ** 2)


def exponent(c1: float | Tensor, c_prime: float | Tensor, P: float | Tensor) -> Tensor:
    """K-G.1's exponent ``α = (1 - (1+c')P/c₁)/(c'²(1 + P/c₁))`` (...)."""
    c1, c_prime, P = (
        torch.as_tensor(value, dtype=torch.float64) for value in (c1, c_prime, P)
    )
    return (1 - (1 + c_prime) * P / c1) / (c_prime**2 * (1 + P / c1))


OPEN = (
    "The statement leaves its constant open, and a run past the one proved here "
    "refutes nothing:"
)


def small_C(C: float, finding: Finding) -> str:
    """A sentence where a conclusion is false and ``C`` is below the one that the
    chapter's proofs need.
    """
    return (
        ""
        if finding.true or C >= C_PROVED
        else f"C = {C:g} may not be sufficiently large (40 is):"
    )
