r"""What the proofs about the coefficients ρ are made of: K's setting, class sums, ratios, and one clock a sample.

With ``h_i = η‖x_i‖²/(nm)`` and ``Γ_i(t) = Σ_{s<t} g_i(s)``, the clock of sample i is ``B_i = h_i Γ_i``. An increment
of ``|ρ_{j,r,i}|`` is ``σ'`` times that of ``B_i``, so a coefficient lies between ``γ B_i`` and ``B_i``; and the margin
``q_i`` is ``(1 + γ²) B_i`` up to what the start and the other samples add. That decides every ratio (S-8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .._checks import fail, positive
from ..data import Dataset
from ..hypotheses import H_K4_1, H_K4_3, Hypothesis, inequality
from ..losses import LOGISTIC, Loss
from ..measures import rho_along
from ..network import TwoLayer
from ..trajectory import Trajectory
from .common import active_shares, has_layer_of_K, largest_start, logistic, rms_scale, yes_or_no
from .kkt_items import leak_of

if TYPE_CHECKING:
    from .long_runs import LongRun

__all__ = [
    "Clocks",
    "ceiling",
    "clocks_of",
    "coefficients_after_start",
    "conditions_of_K",
    "gains",
    "leaky_clocks",
    "least_ratio",
    "neuron_sums",
    "relu_clocks",
    "setting_of_K",
]


# -- the setting -----------------------------------------------------------------------------------------------------


def setting_of_K(net: TwoLayer, loss: Loss, *, relu: bool | None = None) -> tuple[Hypothesis, ...]:
    """K's setting: a leaky ReLU or ReLU (``relu`` says which of the two; None takes either), ``a = ±1/m`` with m
    neurons of each sign, and the logistic loss.

    A leak of 1, a linear network, counts as leaky: the proofs use ``γ > 0`` alone.
    """
    kind = {
        None: ("leaky ReLU or ReLU", net.activation.piecewise_linear),
        True: ("ReLU", net.activation.is_relu),
        False: ("leaky ReLU with γ in (0, 1]", net.activation.is_leaky_relu),
    }
    name, right = kind[relu]
    return (
        yes_or_no("activation", name, right),
        yes_or_no("second layer", "a_j = ±1/m, m neurons of each sign", has_layer_of_K(net)),
        logistic(loss),
    )


def conditions_of_K(
    run: Trajectory | LongRun, scale: float | None = None, C: float = 1.0, delta: float = 0.01, *, relu: bool = False
) -> tuple[Hypothesis, ...]:
    """K's setting, a start that is not zero, and the conditions H-K4.1 (H-K4.3 for ``relu``) on data, step and start.

    ``scale`` is σ₀; without it the root mean square of ``W(0)`` stands for it. A flow counts as infinitely small steps.

    Raises
    ------
    ValueError
        If ``scale`` is given and ``W(0)`` is of another size, by more than ten standard deviations of a draw.
    """
    net, data = run.initial, run.data
    size = rms_scale(net, data)
    if scale is not None:
        positive(scale, "scale")
        _is_scale(scale, size, net.m * data.ambient_dim)
        size = torch.as_tensor(scale, dtype=torch.float64)
    step = torch.as_tensor(1e-300 if run.step_size is None else run.step_size, dtype=torch.float64)
    setting = (*setting_of_K(net, run.loss, relu=relu), yes_or_no("start", "σ₀ > 0", bool((size > 0).all())))
    m = max(net.m_pos, 1)
    if relu:
        return (*setting, H_K4_3(data, m, step, size, C, delta))
    return (*setting, H_K4_1(data, leak_of(net), m, step, size, C, delta))


def _is_scale(scale: float, size: Tensor, entries: int) -> None:
    off = (size / scale - 1).abs().max()
    if not float(off) <= 1e-6 + 10 / math.sqrt(2 * entries):
        fail("scale", f"the size of W(0), whose entries have root mean square {float(size.max()):.4g}", scale)


def gains(run: Trajectory) -> Tensor:
    """``h_i = η‖x_i‖²/(nm)`` (..., n), in the run's batch shape: the most a coefficient of sample i moves in a step."""
    if run.step is None:
        fail("run", "a run of gradient_descent", "one of gradient_flow, which has no steps")
    step_size = torch.as_tensor(run.step_size, dtype=torch.float64)
    h = step_size.unsqueeze(-1) * run.data.norms.double() ** 2 / (run.data.n * run.initial.m_pos)
    return h.expand(*run.log_loss.shape[1:], run.data.n)


# -- coefficients along a run ----------------------------------------------------------------------------------------


def coefficients_after_start(run: Trajectory) -> tuple[Tensor, Tensor]:
    """Steps (T,) after the first and ``ρ`` (T, ..., 2m, n) there; refuses a run with none recorded."""
    if run.step is None:
        fail("run", "a run of gradient_descent", "one of gradient_flow, which has no steps")
    moved = run.step > 0
    if not bool(moved.any()):
        fail("run", "a record after step 0", f"records at {run.step.tolist()}")
    return run.step[moved], rho_along(run)[moved]


def neuron_sums(net: TwoLayer, values: Tensor) -> Tensor:
    """``Σ_r |v_{j,r,i}|`` (..., 2, n) of ``values`` (..., 2m, n), j = +1 first."""
    plus = net.positive.unsqueeze(-1)
    sizes = values.abs()
    return torch.stack([(sizes * plus).sum(-2), (sizes * ~plus).sum(-2)], dim=-2)


def least_ratio(small: Tensor, large: Tensor) -> Tensor:
    """Smallest of ``small`` over largest of ``large``, both (..., k, n): a balance constant at each time."""
    return small.flatten(-2).amin(-1) / large.flatten(-2).amax(-1)


# -- one clock a sample ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clocks:
    """What the theorem of the chapter (S-8) says of a run, from its start, data and step alone.

    ``B_i ≥ balance · B_{i'}`` and ``|ρ_ji| ≥ floor · |ρ_j'i'|`` at every time, for the coefficients it speaks of (all
    of them; for ReLU those with ``r ∈ S_i(0)``). ``e^{±E}`` bounds what the start and the steps do to a loss gradient,
    ``δ B_i`` what the other samples do to a preactivation, and ``slow B_i``, ``fast B_i`` the margin, up to E. Each
    (...). ``which`` names those coefficients as :func:`~.balance.balance_along` does: ``"neurons"`` or ``"active"``.
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
    return torch.where(p > 0, (data.n - 1) * p * D / data.R_min.double() ** 2, torch.zeros_like(D))


def leaky_clocks(net: TwoLayer, data: Dataset, h: Tensor, loss: Loss = LOGISTIC) -> Clocks:
    """The constants of S-8, leaky ReLU; ``h`` (...) is the largest gain ``ηR_max²/(nm)``."""
    gamma = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    E = 2 * largest_start(net, data) / gamma + (1 - gamma) * h
    short = torch.exp(-2 * E) / data.R.double() ** 2
    D = torch.maximum(1 / short, torch.tensor(3.0, dtype=torch.float64))
    delta, k = _lean(data, D), 1 + gamma**2
    # Past the hypothesis the theorem is silent; the floor of its edge is what a check holds such runs against.
    allowed = 2 * torch.minimum(delta, gamma / 2)
    slow, fast = k - allowed, k + allowed
    balance = torch.minimum(slow / fast, short)
    lean = inequality("lean", "2(n-1) p D ≤ γ R_min²", gamma.expand_as(delta), 2 * delta)
    step = inequality("step", "η R_max² ≤ nm", 1.0, h)
    setting = setting_of_K(net, loss, relu=False)
    return Clocks(E, D, delta, slow, fast, balance, gamma * balance, (*setting, lean, step), "neurons")


def relu_clocks(net: TwoLayer, data: Dataset, h: Tensor, loss: Loss = LOGISTIC) -> Clocks:
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
    lean = inequality("lean", "10(n-1) p D ≤ R_min²", torch.ones_like(delta), 10 * delta)
    # With p = 0 one active neuron a sample is enough: nothing in the proof takes a share of m then.
    need = torch.where(delta > 0, 0.4 * net.m_pos, torch.ones_like(delta)) / net.m_pos * (1 - 1e-12)
    active = inequality("active", "|S_i(0)| ≥ 0.4 m (≥ 1 if p = 0)", low, need)
    step = inequality("step", "η R_max² ≤ 3.6 nm", 3.6, h)
    setting = setting_of_K(net, loss, relu=True)
    return Clocks(E, D, delta, slow, fast, balance, balance, (*setting, lean, active, step), "active")


def ceiling(run: Trajectory, ours: Clocks, step: Tensor) -> Tensor:
    """What S-8 proves above the least ratio (...) of a run recorded at ``step``: at each record, the shortest sample's
    smallest coefficient against the longest one's largest; the smallest of these bounds.

    Tends to γ/R² (to 1/R² for ReLU) as E, δ and the gains do to 0.
    """
    net, h = run.initial, gains(run)
    gamma = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    t = step.double().reshape(-1, *(1,) * (h.ndim - 1))
    least, most = h.amin(-1), h.amax(-1)
    behind = torch.log1p(ours.fast * most * torch.exp(-ours.E) * t / 2) / ours.fast
    ahead = least * t * torch.exp(ours.E) / 2
    if net.activation.has_leak:
        # Up to this much is lost, or gained, before the signs are right.
        early = (1 - gamma) * 2 * largest_start(net, run.data) / gamma
        ahead = gamma * ahead + early + (1 - gamma) * least
        behind = behind - early - (1 - gamma) * most
    return torch.where(behind > 0, ahead / behind.clamp_min(1e-300), math.inf).amin(0)
