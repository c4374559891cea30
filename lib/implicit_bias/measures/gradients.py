"""Gradients of the loss and of the outputs, and the ratio of the proxy-PL inequality."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import losses
from ..data.dataset import Dataset
from ..losses import Loss
from ..networks.compatible import fitting
from ..networks.two_layer import TwoLayer
from .outputs import margins

__all__ = ["gradient", "gradient_gram", "proxy_pl_ratio"]


def gradient(net: TwoLayer, data: Dataset, loss: str | Loss = "logistic") -> Tensor:
    """``∇L(W)`` (..., m, d), with φ'(0) = 1."""
    data = fitting(net, data)
    z = net.preactivations(data.x)
    g = losses.get(loss).g(margins(net, data))
    pull = (
        net.a.unsqueeze(-1) * net.activation.derivative(z) * (data.y * g).unsqueeze(-2)
    )
    return -(pull @ data.x.to(pull)) / data.n


def gradient_gram(net: TwoLayer, data: Dataset) -> Tensor:
    """``⟨∇f_i, ∇f_k⟩ = ⟨x_i,x_k⟩ Σ_j a_j² φ'_ij φ'_kj`` (..., n, n) (F-E.5, F-E.6)."""
    data = fitting(net, data)
    slopes = net.a.unsqueeze(-1) * net.activation.derivative(net.preactivations(data.x))
    return data.gram * (slopes.mT @ slopes)


def proxy_pl_ratio(
    net: TwoLayer, data: Dataset, loss: str | Loss = "logistic"
) -> Tensor:
    """``‖∇L(W)‖_F / G(W)`` (...), ``G = (1/n) Σ_i g_i``: the left side of the proxy-PL
    inequality (F-D.2, F-E.14, S-4).

    Only the shares ``g_i / Σ g`` matter; from logarithms they are exact at any margin.
    Again φ'(0) = 1.
    """
    data = fitting(net, data)
    share = torch.softmax(losses.get(loss).log_g(margins(net, data)), dim=-1)
    slopes = net.activation.derivative(net.preactivations(data.x))
    pull = net.a.unsqueeze(-1) * slopes * (data.y * share).unsqueeze(-2)
    return (pull @ data.x.to(pull)).flatten(-2).norm(dim=-1)
