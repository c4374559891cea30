r"""What the claims on the proxy-PL inequality share: its constants, the network that
meets the best, and an adversary.

With shares ``s_i = g_i / Σ g`` and slopes ``φ'_ij`` the ratio that the inequality bounds is

.. math::
    \frac{‖∇L‖_F^2}{G^2} = \sum_j a_j^2 \, \Bigl\| \sum_i s_i φ'_{ij}\, y_i x_i \Bigr\|^2 .
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ... import losses
from ...data.dataset import Dataset
from ...losses import Loss
from ...margin.predictor import max_margin
from ...networks.activation import Activation
from ...networks.two_layer import TwoLayer
from ...values.checks import fail
from ...values.scalars import leak_tensor, positive_int

__all__ = [
    "best_constant",
    "correlation",
    "d2_constant",
    "e14_constant",
    "extremal_network",
    "gram_constant",
    "paper_time",
    "repaired_time",
    "second_layer",
    "support",
]


def correlation(data: Dataset) -> Tensor:
    """``P = p(n-1)/R_min²`` (...): the most that all other samples together can lean on
    one.
    """
    return data.p.double() * (data.n - 1) / data.R_min.double() ** 2


def d2_constant(data: Dataset, gamma: float | Tensor) -> Tensor:
    """``√2 γ R_min/(3R√n)`` (...), the constant of F-D.2."""
    return (
        math.sqrt(2)
        / 3
        * leak_tensor(gamma)
        * data.R_min.double()
        / (data.R.double() * math.sqrt(data.n))
    )


def e14_constant(data: Dataset, gamma: float | Tensor) -> Tensor:
    """``γ R_min/(2√2 R√n)`` (...), the constant of F-E.14."""
    return (
        leak_tensor(gamma)
        * data.R_min.double()
        / (2 * math.sqrt(2) * data.R.double() * math.sqrt(data.n))
    )


def gram_constant(data: Dataset, gamma: float | Tensor) -> Tensor:
    """``γ R_min √((1-P)/n)`` (...): what R_min, n and P alone guarantee, met where all
    pairs lean by ``-p y_i y_k``.
    """
    return (
        leak_tensor(gamma)
        * data.R_min.double()
        * ((1 - correlation(data)).clamp_min(0) / data.n).sqrt()
    )


def best_constant(data: Dataset, gamma: float | Tensor) -> Tensor:
    """``γ max_{‖w‖=1} min_i y_i⟨w,x_i⟩`` (...), the best proxy-PL constant (S-4); 0 if
    the data are not separable.
    """
    return leak_tensor(gamma) * max_margin(data).margin.double()


def paper_time(
    data: Dataset, gamma: float | Tensor, loss_at_start: float | Tensor
) -> Tensor:
    """``85 L(W(0)) R² n³/(γ² R_min²)`` (...), the time bound of F-3.4."""
    start = torch.as_tensor(loss_at_start, dtype=torch.float64)
    return (
        85
        * start
        * data.R.double() ** 2
        * data.n**3
        / (leak_tensor(gamma) * data.R_min.double()) ** 2
    )


def repaired_time(
    data: Dataset,
    gamma: float | Tensor,
    loss_at_start: float | Tensor,
    loss: str | Loss = "logistic",
) -> Tensor:
    """A bound on the same time of order n² and free of R (...); ∞ where P ≥ 1. Proved
    in the chapter.

    ``n²/(γ² R_min² (1-P))`` times ``(L(W(0)) + 1/log 2)/(1 - 1/e)²`` (logistic) or
    ``1/log 2`` (exponential).
    """
    unit = data.n**2 / (
        leak_tensor(gamma) ** 2
        * data.R_min.double() ** 2
        * (1 - correlation(data)).clamp_min(0)
    )
    if losses.get(loss) is losses.EXPONENTIAL:
        return unit / math.log(2)
    return (
        unit
        * (torch.as_tensor(loss_at_start, dtype=torch.float64) + 1 / math.log(2))
        / (1 - math.exp(-1)) ** 2
    )


def second_layer(m_pos: int, m_neg: int) -> Tensor:
    """``±1/√m`` (m,), positive neurons first; one of the two kinds may be missing."""
    m_pos = positive_int(m_pos, "m_pos", least=0)
    m_neg = positive_int(m_neg, "m_neg", least=0)
    if m_pos + m_neg == 0:
        fail("m_pos, m_neg", "at least one neuron", 0)
    return torch.cat([torch.ones(m_pos), -torch.ones(m_neg)]).double() / math.sqrt(
        m_pos + m_neg
    )


def support(data: Dataset) -> Tensor | None:
    """Mask (n,) of the samples with a max-margin multiplier; None unless independent
    and no other is as close.
    """
    best = max_margin(data)
    if not bool(best.separable):
        return None
    busy = best.lam > 1e-9 * best.lam.amax()
    on_margin = data.y * (data.x @ best.z) < 1 + 1e-9
    unique = torch.linalg.matrix_rank(data.x[busy]) == int(busy.sum())
    return busy if unique and bool((busy | ~on_margin).all()) else None


def extremal_network(
    data: Dataset,
    m_pos: int,
    m_neg: int,
    activation: Activation,
    loss: str | Loss = "logistic",
    depth: float = 50.0,
) -> TwoLayer:
    """A network whose proxy-PL ratio is the best constant (S-4): all slopes γ, pulls
    ``g_i`` in proportion to the max-margin multipliers.

    On the samples with a multiplier every preactivation is at most ``-depth``: there
    the network is linear with slope γ (a smoothed one to rounding), and a positive and
    a negative neuron differ by what the margins ask. The other samples, if any, get
    margins larger by ``depth`` at least, hence shares of ``e^{-depth}``.

    Raises
    ------
    ValueError
        If the data have no :func:`support`, a kind of neurons is missing, or the
        activation is not known to be linear far below 0.
    """
    a = second_layer(m_pos, m_neg)
    best = max_margin(data)
    busy = support(data)
    if m_pos < 1 or m_neg < 1:
        fail("m_pos, m_neg", "neurons of both signs", f"{m_pos}, {m_neg}")
    if busy is None:
        fail(
            "data",
            "separable samples with unique multipliers, positive for all on the margin",
            "others",
        )
    if activation.offset_below is None:
        fail("activation", "one known to be γz far below 0, shifted", activation.name)
    inverse = torch.linalg.pinv(data.x[busy])
    gamma = float(activation.gamma)
    push = bool((~busy).any())
    # g_i = λ_i/(2 λ_max): margin log(odds) for the exponential loss, log(odds - 1) for
    # the logistic one; the two agree at large margins.
    odds = 2 * best.lam.max() / best.lam[busy]
    q = torch.log(odds if push or losses.get(loss) is losses.EXPONENTIAL else odds - 1)
    f = data.y[busy] * q
    # Far below 0 the activation is γz, shifted.
    beta = inverse @ (f - activation.offset_below * a.sum()) / gamma
    if push:  # raise all margins, those of the others faster
        along = data.y * (data.x @ best.z)
        idle = data.y * (data.x @ beta)
        needed = ((q.max() + depth) / gamma - idle[~busy]) / (along[~busy] - 1)
        beta = beta + max(float(needed.max()), depth / gamma) * best.z
    sink = -inverse.sum(-1)  # -1 at every sample with a multiplier
    lift = beta / (2 * float(a.max()))
    sink = (depth * max(m_pos, m_neg) + (data.x[busy] @ lift).abs().max()) * sink
    v = (lift + sink) / m_pos
    u = (-lift + sink) / m_neg
    return TwoLayer(
        torch.cat([v.expand(m_pos, -1), u.expand(m_neg, -1)]), a, activation
    )
