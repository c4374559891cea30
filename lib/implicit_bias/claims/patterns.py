r"""Kou, Chen, Gu, Lemmas 5.6 and 5.7: the activation pattern of a leaky ReLU network freezes, perfectly ordered.

``a_j`` has the sign ``j = ±1`` of a neuron's class. *Ordered* means ``j y_i ⟨w_{j,r}, x_i⟩ > 0`` for all neurons and
samples. Time is counted in descent steps; a flow that goes on from a descent counts as steps of the same size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from .._checks import fail, positive, positive_int
from ..data import Dataset, gaussian
from ..dynamics import gradient_descent, gradient_flow, log_spaced
from ..hypotheses import H_K4_1, Hypothesis
from ..losses import LOGISTIC
from ..measures import networks, rho
from ..network import TwoLayer, leaky_relu
from ..trajectory import Trajectory
from . import instances
from .common import _fact
from .kkt_items import equality, leak_of
from .registry import register
from .verdict import Finding, Verdict, decide

__all__ = [
    "LongRun",
    "disorder",
    "freezing_bound",
    "freezing_step",
    "increments_agree",
    "long_run",
    "ordered",
    "pattern_freezes",
    "setting_of_K",
    "step_unit",
]

CHAPTER = "patterns"


# -- a run of descent, and the flow that goes on from it -------------------------------------------------------------


@dataclass(frozen=True)
class LongRun:
    """One run over all its recorded times: descent, then perhaps the flow from where descent ended.

    ``log_step`` (T,) is the logarithm of the time in descent steps, -inf at the start; ``nets`` are all networks as one
    batch, time first; ``log_loss`` (T,), ``margins`` (T, n); ``step_size`` is None for a flow alone, whose time is
    its own.
    """

    data: Dataset
    initial: TwoLayer
    nets: TwoLayer
    log_step: Tensor
    log_loss: Tensor
    margins: Tensor
    step_size: float | None

    def at(self, index: int) -> TwoLayer:
        """The network at a recorded time."""
        return replace(self.nets, weights=self.nets.weights[index])

    @property
    def late(self) -> Tensor:
        """Records (T,) past step 2, from which on log t is a clock."""
        return self.log_step > math.log(2)

    def frozen_at(self) -> int | None:
        """Index of the first record from which on every pattern is ordered; None where the last one is not."""
        good = ordered(self.nets, self.data)
        if not bool(good[-1]):
            return None
        wrong = (~good).nonzero()
        return int(wrong[-1]) + 1 if len(wrong) else 0


def long_run(run: Trajectory, flow: Trajectory | None = None) -> LongRun:
    """Join a run of descent (or of flow) and, if given, the flow that starts at its final network.

    Raises
    ------
    ValueError
        If a run is a batch, or ``flow`` does not start where ``run`` ends.
    """
    for name, part in (("run", run), ("flow", flow)):
        if part is not None and part.log_loss.ndim != 1:
            fail(name, "one run", f"a batch of shape {tuple(part.log_loss.shape[1:])}; take one with member(...)")
    parts = [(networks(run).weights, run.log_loss, run.margins)]
    step = None if run.step_size is None else float(torch.as_tensor(run.step_size).max())
    clock = run.log_time if run.step is None else run.step.double().log()
    if flow is not None:
        if flow.s is None or step is None:
            fail("flow", "a run of gradient_flow after one of gradient_descent", "something else")
        if not torch.allclose(flow.initial.weights, run.final.weights, rtol=1e-9):
            fail("flow", "a run that starts where the descent ended", "another start")
        parts.append((networks(flow).weights[1:], flow.log_loss[1:], flow.margins[1:]))
        clock = torch.cat([clock, torch.logaddexp(clock[-1], flow.log_time[1:] - math.log(step))])
    weights, log_loss, margins = (torch.cat(pieces) for pieces in zip(*parts))
    nets = replace(run.initial, weights=weights)
    return LongRun(run.data, run.initial, nets, clock, log_loss, margins, step)


# -- patterns --------------------------------------------------------------------------------------------------------


def disorder(net: TwoLayer, data: Dataset) -> Tensor:
    """``-j y_i ⟨w_j, x_i⟩`` (..., m, n): how far a preactivation is on its wrong side, negative on the right one."""
    return -torch.sign(net.a).unsqueeze(-1) * data.y.unsqueeze(-2) * net.preactivations(data.x)


def ordered(net: TwoLayer, data: Dataset) -> Tensor:
    """Whether ``sign⟨w_j, x_i⟩ = sign(a_j) y_i`` for all neurons and samples (...) (K-5.6)."""
    return (disorder(net, data) < 0).all(-1).all(-1)


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


# -- hypotheses ------------------------------------------------------------------------------------------------------


def setting_of_K(run: LongRun, scale: float | None, C: float, delta: float) -> tuple[Hypothesis, ...]:
    """K's network and the conditions of Theorem 4.1; without ``scale``, σ₀ is read off ``‖W(0)‖_F``. A flow has step
    size 0.
    """
    net, data = run.initial, run.data
    gamma = torch.as_tensor(net.activation.gamma, dtype=torch.float64)
    leaky = net.activation.homogeneous and bool(((gamma > 0) & (gamma < 1)).all())
    even = bool((net.positive.sum(-1) * 2 == net.m).all())
    unit = even and bool(((net.a.abs() * (net.m // 2) - 1).abs() < 1e-6).all())
    if scale is None:
        scale = float(net.frobenius()) / math.sqrt(net.m * data.ambient_dim)
    # A flow is the limit of small steps, so that part holds with any slack.
    step = run.step_size or 1e-300
    conditions = H_K4_1(data, leak_of(net), max(net.m // 2, 1), step, scale, C, delta)
    return (
        _fact("activation", "leaky ReLU with γ in (0, 1)", leaky),
        _fact("second layer", "a_j = ±1/m, m neurons of each sign", unit),
        conditions,
    )


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
    share = float((disorder(joined.at(-1), data) < 0).double().mean())
    if index is None:
        late = constant is not None and last > math.log(constant)
        why = f"{1 - share:.1%} of the signs are still wrong at the end of the run."
        numbers = {"right signs": share}
        return decide(
            "K-5.6", Finding(0.0, why, "", numbers), hypotheses, unsettled="" if late else "The run may be short:"
        )
    measured = float(joined.log_step[index].exp()) / unit
    slack = math.inf if measured == 0 else (constant or math.exp(min(last, 700.0))) / measured
    when = "from the start on" if index == 0 else f"from step {round(float(joined.log_step[index].exp()))} on"
    why = f"all signs are right {when}, so C = {measured:.3g} would do, and stay so until log t = "
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
