"""Where descent takes a ReLU network: a candidate for the limit of ``W/log t``."""

from __future__ import annotations

import scipy
import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...measures.outputs import own_class
from ...networks.two_layer import TwoLayer
from ...values.checks import fail
from ..setting import active_at_start

__all__ = ["limit_of_late_net"]


def limit_of_late_net(net: TwoLayer, data: Dataset) -> tuple[TwoLayer, Tensor]:
    """Where descent goes from a late ReLU network, if own-class pairs that are awake
    stay so: the limit of ``W/log t``, up to a factor, with all margins 1, and the share
    of time (m, n) that each other-class pair is awake there.

    Neuron j's limit is the point nearest to ``|a_j| Σ_k λ_k x_k``, k over the own-class
    samples that j is awake on, with ``⟨w, x_i⟩ <= 0`` for i of the other class, because
    such a sample pushes back whenever j is awake on it. The push needed, over λ_i, is
    the share of time. Own-class pairs that the limit would wake are woken; λ makes all
    margins 1. It is a candidate, found by iteration;
    :func:`~implicit_bias.margin.residual.kkt_residual` tells whether it is a KKT point.
    """
    if net.weights.ndim > 2 or data.x.ndim > 2:
        fail(
            "net",
            "one network and one data set",
            f"batch {tuple(net.weights.shape[:-2])}",
        )
    net = net.to(torch.float64)
    data = data.to(torch.float64)
    own = own_class(net, data)
    size = net.a.abs().unsqueeze(-1)
    awake = active_at_start(net, data)
    lam = one = torch.ones(data.n, dtype=torch.float64)
    for _ in range(100):
        push = torch.stack(
            [_push_back(lam * row, data, ~mine) for row, mine in zip(awake, own)]
        )
        seen = torch.stack([_beside_kinks(data, row > 0) for row in push])  # (m, n, d)
        K = torch.einsum(
            "mi,id,mkd->ik",
            size * awake,
            data.x,
            size.unsqueeze(-1) * awake.unsqueeze(-1) * seen,
        )
        solved = torch.linalg.lstsq(
            K, one.unsqueeze(-1), driver="gelsd"
        ).solution.squeeze(-1)
        weights = torch.einsum(
            "k,mkd->md", solved, size.unsqueeze(-1) * awake.unsqueeze(-1) * seen
        )
        woken = awake | (
            own
            & (
                weights @ data.x.mT
                > 1e-9 * weights.norm(dim=-1, keepdim=True) * data.norms
            )
        )
        settled = bool((woken == awake).all()) and float(
            (solved - lam).abs().max()
        ) < 1e-12 * float(solved.abs().max())
        awake = woken
        lam = solved
        if settled:
            break
    return TwoLayer(weights, net.a, net.activation), push / lam


def _push_back(pull: Tensor, data: Dataset, others: Tensor) -> Tensor:
    """Multipliers (n,), on ``others``, of the projection of ``Σ_k pull_k x_k`` onto the
    cone ``⟨w, x_i⟩ <= 0``.
    """
    push = torch.zeros_like(pull)
    members = others.nonzero().flatten()
    if len(members) and bool(pull.any()):
        push[members] = torch.from_numpy(
            scipy.optimize.nnls(data.x[members].mT.numpy(), (pull @ data.x).numpy())[0]
        )
    return push


def _beside_kinks(data: Dataset, kinks: Tensor) -> Tensor:
    """The samples (n, d) without their components along those in ``kinks``."""
    basis = torch.linalg.qr(data.x[kinks].mT).Q
    return data.x - data.x @ basis @ basis.mT
