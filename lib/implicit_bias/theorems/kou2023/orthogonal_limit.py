r"""Orthogonal samples and ReLU: the end of training, read off the signs at the start
(K-F.2, K-F.3, S-7).

At p = 0 the preactivation ``⟨w_j, x_i⟩ = ⟨w_j(0), x_i⟩ + ρ_ji`` feels sample i only,
and the n samples train apart. With ``S_i`` the neurons of class ``y_i`` that are awake
on ``x_i`` at the start:

* neurons of the other class fall asleep, and stay; neurons of the own class keep the
  side they are on;
* from then on the margin obeys ``q' = β_i g(q)``, ``β_i = (‖x_i‖²/n) Σ_{S_i} a_j²``,
  solved by ``q + e^q = β_i t + c``;
* ``ρ_ji/log t → |a_j| / Σ_{S_i} a_k²``, which is ``m/|S_i|`` at K's ``a_j = ±1/m``.

Neurons are counted as in :class:`~implicit_bias.networks.two_layer.TwoLayer`: rows of
both signs, ``M`` in all.
"""

from __future__ import annotations

import scipy
import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...measures.outputs import activation_pattern, margins, own_class
from ...measures.ranks import class_stable_rank
from ...networks.two_layer import TwoLayer
from ...values.checks import fail
from ...values.scalars import positive
from ..setting import active_at_start, samples_orthogonal

__all__ = [
    "draining_bound",
    "frozen_margins",
    "limit_network",
    "ranks",
    "squares_awake",
    "trained_at",
]


def squares_awake(net: TwoLayer, data: Dataset) -> Tensor:
    """``Σ_{j ∈ S_i} a_j²`` (..., n)."""
    return (active_at_start(net, data) * net.a.square().unsqueeze(-1)).sum(-2)


def limit_network(initial: TwoLayer, data: Dataset) -> TwoLayer:
    """The limit of ``W(t)/log t`` (K-F.3), from the signs at ``initial`` alone.

    Row j is ``Σ_i ρ_ji x_i/‖x_i‖²`` with ``ρ_ji = |a_j|/Σ_{S_i} a_k²`` for ``j ∈ S_i``
    and 0 elsewhere. A sample with ``S_i`` empty is never fitted, and gets 0. Every
    other one has margin 1.
    """
    awake = active_at_start(initial, data)
    rate = initial.a.abs().unsqueeze(-1) / squares_awake(initial, data).unsqueeze(-2)
    rho = torch.where(awake, rate, torch.zeros_like(rate))
    norms = data.norms.to(rho)
    return TwoLayer(
        (rho / norms.square().unsqueeze(-2)) @ data.x.to(rho),
        initial.a,
        initial.activation,
    )


def ranks(net: TwoLayer) -> Tensor:
    """Stable ranks (..., 3) of W₊₁, of W₋₁ and of the whole matrix; NaN for a sign no
    neuron has, or a zero matrix.
    """
    if net.frozen_gram is not None:
        whole = (net.frobenius() / net.spectral()).square()
        return torch.cat([class_stable_rank(net), whole.unsqueeze(-1)], dim=-1)
    found = []
    for rows in (net.positive, ~net.positive, torch.ones_like(net.positive)):
        kept = net.weights * rows.unsqueeze(-1)
        values = torch.linalg.eigvalsh(
            kept.mT @ kept if net.d <= net.m else kept @ kept.mT
        ).clamp_min(0)
        found.append((values / values[..., -1:]).sum(-1))
    return torch.stack(found, dim=-1)


def frozen_margins(start: Tensor, rate: Tensor, log_time: Tensor | float) -> Tensor:
    """The margin at time t of ``q' = rate · g(q)``, logistic loss, from ``start``; all
    shapes broadcast.

    ``q + e^q`` grows by ``rate · t``, so ``q = log ω(v)`` with Wright's ω at
    ``v = start + e^start + rate · t``; t comes as its logarithm and may be ``e^1000``.
    """
    start, rate = (
        torch.as_tensor(value, dtype=torch.float64) for value in (start, rate)
    )
    log_time = torch.as_tensor(log_time, dtype=torch.float64)
    head = start + start.exp()
    log_gain = rate.log() + log_time
    head, log_gain = torch.broadcast_tensors(head, log_gain)
    # Past e^30 the logarithm of v is all that is needed; before, ω itself (log ω = v -
    # ω loses nothing for small v).
    late = log_gain > 30
    log_v = log_gain + torch.log1p(head * (-log_gain.clamp_min(30)).exp())
    v = head + log_gain.clamp_max(30).exp()
    omega = torch.as_tensor(scipy.special.wrightomega(v.numpy()), dtype=torch.float64)
    early = torch.where(v > 1, omega.clamp_min(1e-300).log(), v - omega)
    return torch.where(late, log_v - log_v * (-log_v).exp(), early)


def trained_at(net: TwoLayer, data: Dataset, log_time: Tensor | float) -> TwoLayer:
    """Gradient flow from ``net`` at time t, in closed form; a tensor of ``log t`` adds
    a leading dimension.

    Raises
    ------
    ValueError
        Where the closed form does not hold: a neuron still awake on a sample of the
        other class, an activation other than ReLU, or samples that are not orthogonal.
    """
    log_time = torch.as_tensor(log_time, dtype=torch.float64)
    if not net.activation.is_relu:
        fail("net", "a ReLU network", net.activation.name)
    if not samples_orthogonal(data):
        fail("data", "orthogonal samples", f"p = {float(data.p.max()):.3g}")
    pattern = activation_pattern(net, data)
    if bool((pattern & ~own_class(net, data)).any()):
        fail(
            "net",
            "no neuron awake on a sample of the other class",
            "one that is: train a little longer",
        )
    start = margins(net, data)
    squares = squares_awake(net, data)
    rate = data.norms.square() / data.n * squares
    gain = (
        frozen_margins(
            start,
            rate,
            log_time[(...,) + (None,) * start.ndim] if log_time.ndim else log_time,
        )
        - start
    )
    gain = torch.where(squares > 0, gain / squares, torch.zeros_like(gain))
    rho = pattern * net.a.abs().unsqueeze(-1) * gain.unsqueeze(-2)
    moved = (rho / data.norms.square().unsqueeze(-2)) @ data.x
    return TwoLayer(net.weights + moved, net.a, net.activation, net.frozen_gram)


def draining_bound(initial: TwoLayer, data: Dataset, step_size: float) -> Tensor:
    """Descent steps (..., n) after which no neuron of the other class is awake on
    sample i, whatever the step size.

    ``1 + (B/c)(1 + e^{q + 2B'})``: ``B`` the largest ``⟨w_j(0), x_i⟩/|a_j|`` among
    those neurons, ``c = η‖x_i‖²/n``, ``q`` the margin at the start, and ``2B'`` the
    most it can have grown by then; 0 where none is awake.
    """
    positive(step_size, "step_size")
    z = initial.preactivations(data.x)
    a = initial.a.abs().unsqueeze(-1)
    other = activation_pattern(initial, data) & ~own_class(initial, data)
    height = (z / a).masked_fill(~other, 0).amax(-2)
    reach = (a.square().sum(-2) * height).clamp_min(0)
    steps = 1 + height * data.n / (step_size * data.norms.square()) * (
        1 + (margins(initial, data) + reach).exp()
    )
    return torch.where(other.any(-2), steps, torch.zeros_like(steps))
