r"""Kou, Chen, Gu, Lemmas 5.6 and 5.7: the activation pattern of a leaky ReLU network freezes, perfectly ordered.

``j = ±1`` is the sign of ``a_j``; *ordered* means ``j y_i ⟨w_{j,r}, x_i⟩ > 0`` for all neurons and samples.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from .._checks import positive, positive_int
from ..data import Dataset, gaussian
from ..dynamics import gradient_descent, gradient_flow, log_spaced
from ..losses import LOGISTIC
from ..measures import rho
from ..network import TwoLayer, leaky_relu
from ..trajectory import DESCENT, FLOW, Trajectory
from . import instances
from .kkt_items import equality, leak_of
from .long_runs import LongRun, disorder, long_run, right, setting_of_K
from .registry import register
from .verdict import Finding, Verdict, decide

__all__ = ["freezing_bound", "freezing_step", "increments_agree", "pattern_freezes", "step_unit"]

CHAPTER = "patterns"


# -- patterns --------------------------------------------------------------------------------------------------------


def step_unit(data: Dataset, net: TwoLayer, step_size: float | Tensor) -> Tensor:
    """``nm/(η R_max²)`` (...), m neurons of each sign: the unit in which K counts steps until the pattern freezes."""
    positive(step_size, "step_size")
    return data.n * net.m_pos / (torch.as_tensor(step_size, dtype=torch.float64) * data.R_max.double() ** 2)


def freezing_step(net: TwoLayer, data: Dataset, step_size: float | Tensor, steps: int) -> Tensor:
    """The step (...) from which on, until ``steps``, the pattern is ordered; ∞ where it is not at the end.

    Descent on the preactivations alone, which obey ``z_j ← z_j + (η/n) Σ_k a_j φ'_jk y_k g_k ⟨x_k, ·⟩``; every step
    is looked at. Batches as in :func:`implicit_bias.gradient_descent`.
    """
    positive(step_size, "step_size")
    steps = positive_int(steps, "steps", least=0)
    z, gram = net.preactivations(data.x), data.gram.to(net.weights)
    rate = torch.as_tensor(step_size, dtype=z.dtype)[..., None, None] / data.n * data.y.unsqueeze(-2)
    a, side = net.a.unsqueeze(-1), torch.sign(net.a).unsqueeze(-1) * data.y.unsqueeze(-2)
    shape = torch.broadcast_shapes(z.shape[:-2], rate.shape[:-2], gram.shape[:-2])
    first = torch.full(shape, math.inf, dtype=torch.float64)
    for step in range(steps + 1):
        good = (side * z > 0).all(-1).all(-1).expand(shape)
        first = torch.where(good, first.clamp_max(step), math.inf)
        q = data.y * (a * net.activation.value(z)).sum(-2)
        z = z + (a * net.activation.derivative(z) * (LOGISTIC.g(q).unsqueeze(-2) * rate)) @ gram
    return first


def freezing_bound(net: TwoLayer, data: Dataset, step_size: float | Tensor) -> Tensor:
    """Proved in the chapter for p = 0: from this step (...) on the pattern of K's network is ordered, for any start
    and any step size.

    ``1 + max_i (nm/(η‖x_i‖²)) (Γ_i + e^{q_i} (e^{2Γ_i} - 1)/2)``, with ``q_i`` the margin at the start and ``Γ_i`` the
    largest distance to the right side, counted ``1/γ`` times for neurons of the sample's own class.
    """
    wrong = disorder(net, data).clamp_min(0)
    own = torch.sign(net.a).unsqueeze(-1) == data.y.unsqueeze(-2)
    leak = torch.as_tensor(leak_of(net), dtype=wrong.dtype)[..., None, None]
    gamma_i = torch.where(own, wrong / leak, wrong).amax(-2)
    q = data.y * net(data.x)
    steps = step_unit(data, net, step_size).unsqueeze(-1) * (data.R_max.unsqueeze(-1) / data.norms) ** 2
    needed = steps * (gamma_i + q.exp() * torch.expm1(2 * gamma_i) / 2)
    return torch.where(gamma_i > 0, 1 + needed, 0.0).amax(-1)


# -- the instances of the controls -----------------------------------------------------------------------------------


@cache
def live() -> tuple[Trajectory, Trajectory]:
    """Ten samples in 10⁸ dimensions, 8 + 8 neurons: H-K4.1 holds for C up to 20. Descent to 10⁵ steps, then the flow
    to log(1/L) = 1000.
    """
    data, m = gaussian(10, 10**8, seed=0), 8
    scale = instances.GAMMA / (20 * float(data.R_max) * math.sqrt(math.log(m * data.n / 0.01)))
    net = TwoLayer.init(data, m, m, leaky_relu(instances.GAMMA), scale, output="1/m", seed=1)
    step = 0.02 * data.n * m / float(data.R_max) ** 2
    descent = gradient_descent(net, data, step, 10**5, record=sorted({*range(40), *log_spaced(10**5, 80)}))
    # The frozen part of W(0) is large: let it matter less, for limits to be seen before e^1000.
    return descent, gradient_flow(descent.final, data, 1000.0)


@cache
def leaning() -> tuple[Trajectory]:
    """Samples that lean towards the other class so strongly that the ordered pattern is no pattern of a KKT point."""
    data = instances.beyond()
    net = TwoLayer.init(data, 8, 8, leaky_relu(instances.GAMMA), 0.01, output="1/m", seed=1)
    return (gradient_descent(net, data, 8.0, 20_000, record=log_spaced(20_000, 60)),)


# -- Lemma 5.6 -------------------------------------------------------------------------------------------------------


@register(
    "K-5.6",
    "The pattern freezes, ordered",
    "From T = C nm/(η R_max²) on, sign⟨w_{j,r}(t), x_i⟩ = j y_i for all j, r, i.",
    "Lemma 5.6",
    chapter=CHAPTER,
    positive=live,
    negative=leaning,
    rules={"run": (DESCENT, FLOW)},
)
def pattern_freezes(
    run: Trajectory,
    flow: Trajectory | None = None,
    constant: float | None = None,
    *,
    scale: float | None = None,
    C: float = 1.0,
    delta: float = 0.01,
) -> Verdict:
    """K-5.6 on a run of descent (and the flow that goes on from it): the first record from which on every pattern is
    ordered.

    ``constant`` is the lemma's, which the paper leaves open; without it the best one is measured. The slack is then the
    time seen after T in units of T: nothing but a longer run could refute an unspecified constant. ``C`` is that of
    H-K4.1, and ``delta`` the probability allowed to an unlucky start.
    """
    joined = long_run(run, flow)
    hypotheses = setting_of_K(joined, scale, C, delta)
    net, data = joined.initial, joined.data
    unit = float(step_unit(data, net, joined.step_size or 1.0))
    index, last = joined.frozen_at(), float(joined.log_step[-1]) - math.log(unit)
    share = float(right(joined.at(-1), data).double().mean())
    if index is None:
        late = constant is not None and last > math.log(constant)
        why = f"{1 - share:.1%} of the signs are not right at the end of the run."
        numbers = {"right signs": share}
        return decide(
            "K-5.6", Finding(0.0, why, "", numbers), hypotheses, unsettled="" if late else "The run may be short:"
        )
    measured = math.exp(min(float(joined.log_step[index]) - math.log(unit), 700.0))
    slack = math.inf if measured == 0 else (constant or math.exp(min(last, 700.0))) / measured
    time = float(joined.log_step[index])
    when = f"step {round(math.exp(time))}" if joined.step_size and time < 20 else "that time"
    when = "from the start on" if index == 0 else f"from {when} on"
    why = f"C = {measured:.3g} would do: all signs are right {when}, and stay so until log t = "
    why += f"{float(joined.log_step[-1]):.4g}."
    return decide("K-5.6", Finding(slack, why, f"record {index}", {"T R²η/(nm)": measured}), hypotheses)


# -- Lemma 5.7 -------------------------------------------------------------------------------------------------------


def increment_error(run: LongRun, index: int) -> float:
    """How far the increments of |ρ| since a record are from agreeing over neurons, and from the ratio γ between the
    classes; relative to the largest of each sample, the worst over later records.
    """
    later = replace(run.nets, weights=run.nets.weights[index:])
    grown = rho(later, run.initial, run.data).abs()
    grown = (grown - grown[0])[1:]  # (T, m, n)
    own = (torch.sign(run.initial.a).unsqueeze(-1) == run.data.y).to(grown)
    leak = torch.as_tensor(leak_of(run.initial), dtype=grown.dtype)
    scaled = grown * (own + (1 - own) / leak)
    centre = (scaled * own).sum(-2, keepdim=True) / own.sum(-2, keepdim=True).clamp_min(1)
    return float(((scaled - centre).abs() / centre.abs().clamp_min(1e-300)).max())


@register(
    "K-5.7",
    "Equal increments",
    "For t ≥ T, ρ_{y_i,r,i}(t) - ρ_{y_i,r,i}(T) is the same for all r, and |ρ_{-y_i,r',i}| rises by γ times as much.",
    "Lemma 5.7 (sign corrected)",
    chapter=CHAPTER,
    positive=live,
    negative=leaning,
    rules={"run": (DESCENT, FLOW)},
)
def increments_agree(
    run: Trajectory, flow: Trajectory | None = None, *, scale: float | None = None, C: float = 1.0, delta: float = 0.01
) -> Verdict:
    """K-5.7 on a run of descent (and the flow that goes on from it): the largest relative disagreement of increments
    since the first ordered record. Where the pattern never becomes ordered, since half the records.
    """
    joined = long_run(run, flow)
    hypotheses = setting_of_K(joined, scale, C, delta)
    index = joined.frozen_at()
    start = len(joined.log_step) // 2 if index is None else index
    start = min(start, len(joined.log_step) - 2)
    finding = equality(
        increment_error(joined, start), "increments differ from those of the lemma by {error}.", f"record {start}"
    )
    return decide("K-5.7", finding, hypotheses, unsettled="The pattern is not ordered yet:" if index is None else "")
