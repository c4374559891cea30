r"""Adversaries for F-E.2, F-E.3 and F-E.7: gradient ascent on the ratio that a lemma
bounds by 1.

Each starts from Gaussian networks of many sizes. What a search reports is reached; it
proves no bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import losses
from ...data.dataset import Dataset
from ...data.span import generator
from ...networks.activation import Activation
from .proxy_pl import second_layer
from .smooth_setting import smoothness

__all__ = ["Hunt", "hunt_gradient", "hunt_output", "hunt_slopes"]


@dataclass(frozen=True)
class Hunt:
    """What a search found: the largest ``ratio``, each start's best so far (T, starts)
    after ``steps`` (T,), and the ``parts`` (what was searched over, at the best).
    """

    ratio: float
    history: Tensor
    steps: Tensor
    parts: tuple[Tensor, ...]


def _ascend(
    objective: Callable[..., Tensor], parts: list[Tensor], steps: int, lr: float
) -> Hunt:
    """Adam on the logarithm of a ratio (starts,) of tensors (starts, ...)."""
    parts = [part.requires_grad_() for part in parts]
    optimiser = torch.optim.Adam(parts, lr=lr)
    best = torch.full((len(parts[0]),), -math.inf, dtype=torch.float64)
    kept = [p.detach().clone() for p in parts]
    seen = []
    history = []
    for step in range(steps + 1):
        ratio = objective(*parts)
        value = ratio.detach()
        better = value > best
        for k, part in enumerate(parts):
            kept[k] = torch.where(
                better.view(-1, *[1] * (part.ndim - 1)), part.detach(), kept[k]
            )
        best = torch.where(better, value, best)
        if step % max(steps // 60, 1) == 0 or step == steps:
            seen.append(step)
            history.append(best)
        optimiser.param_groups[0]["lr"] = lr * 0.03 ** (step / steps)
        descended = -ratio.clamp_min(1e-300).log().sum()
        for part, slope in zip(parts, torch.autograd.grad(descended, parts)):
            part.grad = slope.nan_to_num(0.0, 0.0, 0.0)
        optimiser.step()
    winner = int(best.argmax())
    return Hunt(
        float(best[winner]),
        torch.stack(history),
        torch.tensor(seen),
        tuple(part[winner] for part in kept),
    )


def _gaussian_parts(
    starts: int,
    shape: tuple[int, ...],
    sizes: tuple[float, float],
    stream: torch.Generator,
) -> Tensor:
    scale = torch.logspace(*sizes, starts, dtype=torch.float64).view(
        -1, *[1] * len(shape)
    )
    return scale * torch.randn(starts, *shape, generator=stream, dtype=torch.float64)


def hunt_output(
    m_pos: int,
    m_neg: int,
    activation: Activation,
    H: float | None = None,
    d: int = 3,
    starts: int = 24,
    steps: int = 250,
    seed: int = 0,
) -> Hunt:
    """F-E.2: the largest ``|f(x;W) - f(x;V) - ⟨∇f(x;V), W-V⟩|`` over its bound;
    ``parts`` are V, W - V and x.
    """
    a = second_layer(m_pos, m_neg)
    stream = generator(seed)
    H = float(smoothness(activation) if H is None else H)

    def ratio(V: Tensor, D: Tensor, x: Tensor) -> Tensor:
        column = x.unsqueeze(-1)
        rest = (
            (a.unsqueeze(-1) * activation.remainder(V @ column, D @ column))
            .sum((-2, -1))
            .abs()
        )
        size = torch.linalg.matrix_norm(D, 2)
        return rest * 2 * math.sqrt(len(a)) / (H * x.square().sum(-1) * size**2)

    m = len(a)
    parts = [
        _gaussian_parts(starts, (m, d), (-1, 0.5), stream),
        _gaussian_parts(starts, (m, d), (-1, 0.5), stream),
        _gaussian_parts(starts, (d,), (0, 0), stream),
    ]
    return _ascend(ratio, parts, steps, 0.1)


def hunt_gradient(
    data: Dataset,
    m_pos: int,
    m_neg: int,
    activation: Activation,
    H: float | None = None,
    starts: int = 24,
    steps: int = 250,
    seed: int = 0,
) -> Hunt:
    """F-E.3: the largest ``‖∇L(W) - ∇L(V)‖_F / (R_max²(1 + H/√m) ‖W-V‖_2)`` over
    networks in the span of the data, logistic loss; ``parts`` are V and W - V, in an
    orthonormal basis of the span, for data scaled to R_max = 1.
    """
    a = second_layer(m_pos, m_neg)
    stream = generator(seed)
    H = float(smoothness(activation) if H is None else H)
    m = len(a)
    basis = torch.linalg.qr(data.x.double().T, mode="reduced")[0]
    x = data.x.double() @ basis / float(data.R_max)
    y = data.y.double()

    def gradient(W: Tensor) -> Tensor:
        z = W @ x.T
        g = losses.LOGISTIC.g(y * (a.unsqueeze(-1) * activation.value(z)).sum(-2))
        return (
            -(a.unsqueeze(-1) * activation.derivative(z) * (y * g).unsqueeze(-2))
            @ x
            / data.n
        )

    def ratio(V: Tensor, D: Tensor) -> Tensor:
        change = (gradient(V + D) - gradient(V)).flatten(-2).norm(dim=-1)
        # differences of rounded gradients mean nothing once D is this small
        size = torch.linalg.matrix_norm(D, 2)
        return torch.where(size > 1e-6, change / ((1 + H / math.sqrt(m)) * size), 0.0)

    r = x.shape[-1]
    parts = [
        _gaussian_parts(starts, (m, r), (-1, 1), stream),
        _gaussian_parts(starts, (m, r), (-1, 0.5), stream),
    ]
    return _ascend(ratio, parts, steps, 0.1)


def hunt_slopes(
    data: Dataset,
    m_pos: int,
    m_neg: int,
    activation: Activation,
    which: str,
    starts: int = 12,
    steps: int = 200,
    seed: int = 0,
) -> Hunt:
    """F-E.7: how small ``C'`` of F-E.5 (``which="orthogonality"``) or ``c`` of F-E.6
    (``"persistence"``) can be made; ``ratio`` is its inverse. Kinks are softened: the
    slopes move between γ and 1, as the lemma lets them.
    """
    a = second_layer(m_pos, m_neg)
    stream = generator(seed)
    basis = torch.linalg.qr(data.x.double().T, mode="reduced")[0]
    x = data.x.double() @ basis / float(data.R_max)
    gamma = activation.gamma
    inner = x @ x.T
    off = inner.abs() * (1 - torch.eye(data.n))

    def ratio(W: Tensor) -> Tensor:
        slopes = gamma + (1 - gamma) * torch.sigmoid(W @ x.T)
        both = slopes.mT @ slopes / len(a)
        own = both.diagonal(dim1=-2, dim2=-1)
        if which == "persistence":
            return (1 / own).amax(-1)
        return (data.n * off * both / (inner.diagonal() * own).unsqueeze(-1)).amax(
            (-2, -1)
        )

    parts = [_gaussian_parts(starts, (len(a), x.shape[-1]), (-1, 0.5), stream)]
    return _ascend(ratio, parts, steps, 0.5)
