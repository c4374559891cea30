"""One clock a sample: what decides every ratio of coefficients (S-8).

With ``h_i = η‖x_i‖²/(nm)`` and ``Γ_i(t) = Σ_{s<t} g_i(s)``, the clock of sample i is
``B_i = h_i Γ_i``. An increment of ``|ρ_{j,r,i}|`` is ``σ'`` times that of ``B_i``, so a
coefficient lies between ``γ B_i`` and ``B_i``; and the margin ``q_i`` is ``(1 + γ²)
B_i`` up to what the start and the other samples add.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis, inequality
from ...losses import LOGISTIC, Loss
from ...networks.two_layer import TwoLayer
from ...training.trajectory import Trajectory
from ..setting import active_shares, largest_start
from .setting import gains, setting_of_K

__all__ = ["Clocks", "ceiling", "clocks_of", "leaky_clocks", "relu_clocks"]


@dataclass(frozen=True)
class Clocks:
    """What the theorem of the chapter (S-8) says of a run, from its start, data and
    step alone.

    ``B_i ≥ balance · B_{i'}`` and ``|ρ_ji| ≥ floor · |ρ_j'i'|`` at every time, for the
    coefficients it speaks of (all of them; for ReLU those with ``r ∈ S_i(0)``).
    ``e^{±E}`` bounds what the start and the steps do to a loss gradient, ``δ B_i`` what
    the other samples do to a preactivation, and ``slow B_i``, ``fast B_i`` the margin,
    up to E. Each (...). ``which`` names those coefficients as
    :func:`~implicit_bias.theorems.kou2023.balances.balance_along` does: ``"neurons"``
    or ``"active"``.
    """

    E: Tensor
    D: Tensor
    delta: Tensor
    slow: Tensor
    fast: Tensor
    balance: Tensor
    floor: Tensor
    hypotheses: tuple[Hypothesis, ...]
    which: str


def clocks_of(run: Trajectory) -> Clocks:
    """The constants of S-8 for a run of descent, leaky ReLU or ReLU."""
    form = leaky_clocks if run.initial.activation.has_leak else relu_clocks
    return form(run.initial, run.data, gains(run).amax(-1), run.loss)


def _lean(data: Dataset, D: Tensor) -> Tensor:
    """``δ = (n-1) p D / R_min²``, 0 where p is."""
    p = data.p.double()
    return torch.where(
        p > 0, (data.n - 1) * p * D / data.R_min.double() ** 2, torch.zeros_like(D)
    )


def leaky_clocks(
    net: TwoLayer, data: Dataset, h: Tensor, loss: Loss = LOGISTIC
) -> Clocks:
    """The constants of S-8, leaky ReLU; ``h`` (...) is the largest gain
    ``ηR_max²/(nm)``.
    """
    gamma = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    E = 2 * largest_start(net, data) / gamma + (1 - gamma) * h
    short = torch.exp(-2 * E) / data.R.double() ** 2
    D = torch.maximum(1 / short, torch.tensor(3.0, dtype=torch.float64))
    delta = _lean(data, D)
    k = 1 + gamma**2
    # Past the hypothesis the theorem is silent; the floor of its edge is what a check
    # holds such runs against.
    allowed = 2 * torch.minimum(delta, gamma / 2)
    slow = k - allowed
    fast = k + allowed
    balance = torch.minimum(slow / fast, short)
    lean = inequality(
        "lean", "2(n-1) p D ≤ γ R_min²", gamma.expand_as(delta), 2 * delta
    )
    step = inequality("step", "η R_max² ≤ nm", 1.0, h)
    setting = setting_of_K(net, loss, relu=False)
    return Clocks(
        E,
        D,
        delta,
        slow,
        fast,
        balance,
        gamma * balance,
        (*setting, lean, step),
        "neurons",
    )


def relu_clocks(
    net: TwoLayer, data: Dataset, h: Tensor, loss: Loss = LOGISTIC
) -> Clocks:
    """The same for ReLU."""
    E = largest_start(net, data)
    short = torch.exp(-2 * E) / data.R.double() ** 2
    D = torch.maximum(1 / short, torch.tensor(5.0, dtype=torch.float64))
    delta = _lean(data, D)
    low, high = active_shares(net, data).aminmax(dim=-1)
    allowed = delta.clamp_max(0.1)
    # Orthogonal data wake no neuron: the margin's slope is that of S_i(0) alone.
    slow = torch.where(delta > 0, low - (1 + low) * allowed, low)
    fast = torch.where(delta > 0, 1 + allowed, high)
    balance = torch.minimum(slow / fast, short).clamp_min(0)
    lean = inequality(
        "lean", "10(n-1) p D ≤ R_min²", torch.ones_like(delta), 10 * delta
    )
    # With p = 0 one active neuron a sample is enough: nothing in the proof takes a
    # share of m then.
    need = (
        torch.where(delta > 0, 0.4 * net.m_pos, torch.ones_like(delta))
        / net.m_pos
        * (1 - 1e-12)
    )
    active = inequality("active", "|S_i(0)| ≥ 0.4 m (≥ 1 if p = 0)", low, need)
    step = inequality("step", "η R_max² ≤ 3.6 nm", 3.6, h)
    setting = setting_of_K(net, loss, relu=True)
    return Clocks(
        E,
        D,
        delta,
        slow,
        fast,
        balance,
        balance,
        (*setting, lean, active, step),
        "active",
    )


def ceiling(run: Trajectory, ours: Clocks, step: Tensor) -> Tensor:
    """What S-8 proves above the least ratio (...) of a run recorded at ``step``: at
    each record, the shortest sample's smallest coefficient against the longest one's
    largest; the smallest of these bounds.

    Tends to γ/R² (to 1/R² for ReLU) as E, δ and the gains do to 0.
    """
    net = run.initial
    h = gains(run)
    gamma = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    t = step.double().reshape(-1, *(1,) * (h.ndim - 1))
    least = h.amin(-1)
    most = h.amax(-1)
    behind = torch.log1p(ours.fast * most * torch.exp(-ours.E) * t / 2) / ours.fast
    ahead = least * t * torch.exp(ours.E) / 2
    if net.activation.has_leak:
        # Up to this much is lost, or gained, before the signs are right.
        early = (1 - gamma) * 2 * largest_start(net, run.data) / gamma
        ahead = gamma * ahead + early + (1 - gamma) * least
        behind = behind - early - (1 - gamma) * most
    return torch.where(behind > 0, ahead / behind.clamp_min(1e-300), math.inf).amin(0)
