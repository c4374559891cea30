r"""Frei et al., E.11: outputs start near 0, one step fits every sample, and every
margin rises.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...networks.two_layer import TwoLayer
from ...training.trajectory import Trajectory, step_size_of
from ...values.wording import format_error
from ..claim import register
from ..draws import excused
from ..setting import leak_of
from ..verdict import Finding, Verdict, decide, worst_of
from .e04_loss_ratio import log_ratios
from .gradients import best_orthogonality
from .one_step import applying, one_step, record_of, steps_of
from .smooth_instances import (
    large_start,
    nearly_equal_pair,
    run_on,
    run_uneven,
    start_within,
)
from .smooth_setting import (
    smooth_leaky_setting,
    smooth_setting,
    smoothness,
    step_and_start,
)

__all__ = ["fitted_after_one_step", "margins_rise", "outputs_start_small"]


CHAPTER = "loss_ratio"


@register(
    "F-E.11.a",
    "Outputs start near 0",
    "|f(x_i;W(0))| ≤ 1/50, so the exponential loss ratio at 0 is at most e^{0.04}, "
    "with probability 1-δ.",
    "Lemma E.11 (a)",
    chapter=CHAPTER,
    positive=start_within,
    negative=large_start,
)
def outputs_start_small(
    net: TwoLayer, data: Dataset, step_size: float | Tensor, delta: float = 0.01
) -> Verdict:
    """F-E.11.a at a start (or a batch of draws, of which δ allows a few to fail)."""
    z = net.preactivations(data.x)
    # φ(0) = 0, and a tiny z would drown in φ's own terms.
    rise = net.activation.increment(torch.zeros_like(z), z)
    largest = (net.a.unsqueeze(-1) * rise).sum(-2).abs().amax(-1)
    slack = (0.02 / largest).flatten().sort()
    worst = excused(largest.numel(), delta)
    size = 0.02 / float(slack.values[worst])
    why = f"the largest output is {format_error(size)}."
    finding = Finding(float(slack.values[worst]), why, "", {"output": size})
    drawn = step_and_start(net, data, step_size, delta)
    hypotheses = (*smooth_leaky_setting(net)[:1], *smooth_setting(net)[:2], *drawn)
    return decide("F-E.11.a", finding, hypotheses)


@register(
    "F-E.11.b",
    "Every margin rises",
    "If g_i/g_j ≤ C′_R at t, ‖x_k‖² ≥ 2γ⁻²C′_R n max|⟨x_i,x_k⟩| and α ≤ γ²/(2HC′_R "
    "R²R_max²n): "
    "q_k(t+1) - q_k(t) ≥ (αγ²R_min²/(4C′_R n)) G(W(t)).",
    "Lemma E.11 (b)",
    chapter=CHAPTER,
    positive=run_uneven,
    negative=lambda: run_on("equal", 0.99, 2),
)
def margins_rise(run: Trajectory) -> Verdict:
    """F-E.11.b at the step after each record; C′_R is the ratio of pulls at that
    record, the least allowed.
    """
    nets, step = steps_of(run)
    data = run.data
    gamma = torch.as_tensor(leak_of(nets), dtype=torch.float64)
    alpha = torch.as_tensor(step_size_of(run), dtype=torch.float64)
    ratio = log_ratios(run).exp()
    bound = alpha * gamma**2 * data.R_min**2 / (4 * ratio * data.n) * step.G
    slack = (step.dq / bound.unsqueeze(-1)).amin(-1)
    H = torch.as_tensor(smoothness(nets.activation), dtype=torch.float64)
    largest = gamma**2 / (2 * H * ratio * data.R**2 * data.R_max**2 * data.n)
    hypotheses = (
        *smooth_leaky_setting(nets, run.loss),
        Hypothesis(
            "data",
            "‖x_k‖² ≥ 2γ⁻²C′_R n max|⟨x_i,x_k⟩|",
            best_orthogonality(data),
            2 / gamma**2 * ratio,
        ),
        Hypothesis(
            "step", "α ≤ γ²/(2HC′_R R²R_max²n)", largest, alpha.expand_as(largest)
        ),
    )
    kept, slack, where = applying(hypotheses, slack)
    worst, _ = worst_of(slack, "record")
    why = f"every margin moves by at least {worst:.3f} times the bound ({where})."
    return decide(
        "F-E.11.b",
        Finding(worst, why, record_of(run, slack), {"C′_R": float(ratio.max())}),
        kept,
    )


@register(
    "F-E.11.c",
    "One step fits every sample",
    "q_k(1) ≥ γ²αR_min²/(32n) > 0 for all k, if ‖x_k‖² ≥ 8γ⁻²n max|⟨x_i,x_k⟩|, under "
    "A1 and A2, with probability 1-δ.",
    "Lemma E.11 (c)",
    chapter=CHAPTER,
    positive=start_within,
    negative=nearly_equal_pair,
)
def fitted_after_one_step(
    net: TwoLayer, data: Dataset, step_size: float | Tensor, delta: float = 0.01
) -> Verdict:
    """F-E.11.c: the margins after the first step from a start (or a batch, of which δ
    allows a few to fail).
    """
    gamma = torch.as_tensor(leak_of(net), dtype=torch.float64)
    alpha = torch.as_tensor(step_size, dtype=torch.float64)
    step = one_step(net, data, alpha)
    bound = gamma**2 * alpha * data.R_min**2 / (32 * data.n)
    ranked = ((step.q + step.dq).amin(-1) / bound).flatten().sort()
    worst = excused(ranked.values.numel(), delta)
    slack = float(ranked.values[worst])
    hypotheses = (
        *smooth_leaky_setting(net),
        Hypothesis(
            "data",
            "‖x_k‖² ≥ 8γ⁻² n max|⟨x_i,x_k⟩|",
            best_orthogonality(data),
            8 / gamma**2,
        ),
        *step_and_start(net, data, alpha, delta),
    )
    why = f"after one step the smallest margin is {slack:.3f} times the bound."
    return decide(
        "F-E.11.c",
        Finding(slack, why, "", {"margin": float((step.q + step.dq).min())}),
        hypotheses,
    )
