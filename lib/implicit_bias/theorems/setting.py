"""Hypotheses on networks and losses that the claims of both papers share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import losses
from ..data.dataset import Dataset
from ..hypotheses.hypothesis import Hypothesis
from ..losses import EXPONENTIAL, LOGISTIC, Loss
from ..measures.outputs import activation_pattern, own_class
from ..networks.two_layer import TwoLayer

__all__ = [
    "active_at_start",
    "active_shares",
    "has_layer_of_F",
    "has_layer_of_K",
    "known_loss",
    "largest_start",
    "leak_of",
    "logistic",
    "neurons",
    "rms_scale",
    "samples_orthogonal",
    "setting_of_F",
    "strictly_positive",
    "yes_or_no",
]


def yes_or_no(name: str, statement: str, true: bool | Tensor) -> Hypothesis:
    """A yes-or-no hypothesis: slack ∞ or 0."""
    value = torch.as_tensor(true).double().min()
    return Hypothesis(name, statement, value, torch.zeros_like(value))


def logistic(loss: Loss) -> Hypothesis:
    """That a loss is the logistic one, whatever it calls itself."""
    return yes_or_no("loss", "the loss is logistic", loss == LOGISTIC)


def known_loss(loss: str | Loss) -> Hypothesis:
    """That a loss is one of the two that the theorems are about."""
    known = losses.get(loss) in (LOGISTIC, EXPONENTIAL)
    return yes_or_no("loss", "the loss is logistic or exponential", known)


def strictly_positive(name: str, statement: str, value: Tensor) -> Hypothesis:
    """``value > 0`` (...): slack 0 where it is not."""
    return Hypothesis(
        name, statement, value.clamp_min(0), torch.full_like(value, 1e-300)
    )


def setting_of_F(net: TwoLayer) -> tuple[Hypothesis, ...]:
    """F's network: leaky ReLU with γ in (0, 1), second layer ``±1/√m`` with both signs
    present.
    """
    gamma = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    leaky = net.activation.is_leaky_relu and bool((gamma < 1).all())
    both = bool((net.a > 0).any(-1).all() and (net.a < 0).any(-1).all())
    return (
        yes_or_no("activation", "leaky ReLU with γ in (0, 1)", leaky),
        yes_or_no(
            "second layer",
            "a_j = ±1/√m, both signs present",
            has_layer_of_F(net) and both,
        ),
    )


def leak_of(net: TwoLayer) -> float | Tensor:
    """The leak γ of a network; 1 for a ReLU, of which H-3.2 does not speak (its other
    hypotheses say so).
    """
    return net.activation.gamma if net.activation.has_leak else 1.0


def has_layer_of_F(net: TwoLayer) -> bool:
    """Whether ``a_j = ±1/√m``, to rounding."""
    size = net.a.abs().double() * math.sqrt(net.m)
    return bool(((size - 1).abs() < 1e-6).all())


def has_layer_of_K(net: TwoLayer) -> bool:
    """Whether ``a_j = ±1/m`` with m neurons of each sign, to rounding."""
    if net.m_pos != net.m_neg:
        return False
    size = net.a.abs().double() * net.m_pos
    return bool(((size - 1).abs() < 1e-6).all())


def active_at_start(initial: TwoLayer, data: Dataset) -> Tensor:
    """``r ∈ S_i(0)`` (..., m, n): neurons of the sample's own class with
    ``⟨w_j(0), x_i⟩ ≥ 0``.
    """
    return own_class(initial, data) & activation_pattern(initial, data)


def active_shares(initial: TwoLayer, data: Dataset) -> Tensor:
    """The share (..., n) of the neurons of its own class that each sample finds active:
    ``|S_i(0)|/m`` in K's network, m neurons of each sign.
    """
    own = own_class(initial, data).sum(-2)
    return active_at_start(initial, data).sum(-2).double() / own


def largest_start(initial: TwoLayer, data: Dataset) -> Tensor:
    """``β = max |⟨w_j(0), x_i⟩|`` (...), of the draw itself; K-A.1 bounds it with
    probability 1 - δ.
    """
    return initial.preactivations(data.x).abs().amax((-2, -1)).double()


def rms_scale(net: TwoLayer, data: Dataset) -> Tensor:
    """The root mean square (...) of the entries of W, in all ``ambient_dim``
    dimensions: of a Gaussian start it stands for its standard deviation, F's ω and K's
    σ₀.
    """
    return net.frobenius().double() / math.sqrt(net.m * data.ambient_dim)


def samples_orthogonal(data: Dataset) -> bool:
    """Whether ``p = 0``, to rounding, in every data set of a batch."""
    return bool((data.p <= 1e-12 * data.R_min**2).all())


def neurons(net: TwoLayer) -> tuple[Tensor, Tensor]:
    """Positive rows ``v_j`` (..., m1, d) and negative rows ``u_j`` (..., m2, d), each
    member of a batch by its own signs.

    Raises
    ------
    ValueError
        If members of a batch have different numbers of positive neurons.
    """
    order = torch.argsort(net.a < 0, dim=-1, stable=True)
    batch = torch.broadcast_shapes(order.shape[:-1], net.weights.shape[:-2])
    weights = net.weights.expand(*batch, net.m, net.d)
    rows = weights.gather(-2, order.unsqueeze(-1).expand_as(weights))
    return rows[..., : net.m_pos, :], rows[..., net.m_pos :, :]
