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
from .._format import format_error
from ..data import Dataset, correlated
from ..dynamics import gradient_descent, gradient_flow, log_spaced
from ..losses import LOGISTIC
from ..measures import independent, own_class, rho
from ..network import TwoLayer, leaky_relu
from ..problem import Problem
from ..rules import PLAIN
from ..trajectory import DESCENT, FLOW, Trajectory
from . import instances
from .clocks import conditions_of_K, leaky_clocks
from .common import largest_start, samples_orthogonal
from .kkt_items import equality, leak_of
from .long_runs import LongRun, disorder, long_run, ordered, right
from .registry import register
from .verdict import Finding, Verdict, decide, sentences

__all__ = [
    "freezing_bound",
    "freezing_step",
    "increments_agree",
    "leaning_bound",
    "pattern_freezes",
    "step_unit",
]

CHAPTER = "patterns"


# -- patterns --------------------------------------------------------------------------------------------------------


def step_unit(data: Dataset, net: TwoLayer, step_size: float | Tensor) -> Tensor:
    """``nm/(η R_max²)`` (...), m neurons of each sign: the unit in which K counts steps until the pattern freezes."""
    positive(step_size, "step_size")
    return (
        data.n
        * max(net.m_pos, net.m_neg)
        / (torch.as_tensor(step_size, dtype=torch.float64) * data.R_max.double() ** 2)
    )


def freezing_step(net: TwoLayer, data: Dataset, step_size: float | Tensor, steps: int) -> Tensor:
    """The step (...) from which on, until ``steps``, the pattern is ordered; ∞ where it is not at the end.

    Every step is looked at. Batches as in :func:`implicit_bias.gradient_descent`.
    """
    step_size = positive(step_size, "step_size")
    steps = positive_int(steps, "steps", least=0)
    problem = Problem.of(net, data, LOGISTIC, "cpu", step_size, torch.float64)
    mover = PLAIN.mover(problem, step_size, None)
    side = torch.sign(problem.a) * problem.y
    first = torch.tensor(math.inf, dtype=torch.float64)
    with torch.no_grad():
        for step in range(steps + 1):
            good = (side * problem.span.preactivations(mover.state) > 0).all(-1).all(-1)
            first = torch.where(good, first.clamp_max(step), math.inf)
            mover.advance(1)
    return problem.shaped(first)


def freezing_bound(net: TwoLayer, data: Dataset, step_size: float | Tensor) -> Tensor:
    """Proved in the chapter for p = 0: from this step (...) on the pattern of K's network is ordered, for any start
    and any step size.

    ``1 + max_i (nm/(η‖x_i‖²)) (Γ_i + e^{q_i} (e^{2Γ_i} - 1)/2)``, with ``q_i`` the margin at the start and ``Γ_i`` the
    largest distance to the right side, counted ``1/γ`` times for neurons of the sample's own class. 0 where the start
    is ordered, ∞ for a zero sample.
    """
    off = disorder(net, data)
    wrong = off.clamp_min(0)
    own = own_class(net, data)
    leak = torch.as_tensor(leak_of(net), dtype=wrong.dtype)[..., None, None]
    gamma_i = torch.where(own, wrong / leak, wrong).amax(-2)
    q = data.y * net(data.x)
    lost = torch.where(gamma_i > 0, q.exp() * torch.expm1(2 * gamma_i) / 2, 0.0)
    lengths = (data.norms / data.R_max.unsqueeze(-1)) ** 2
    needed = step_unit(data, net, step_size).unsqueeze(-1) * (gamma_i + lost) / lengths
    needed = torch.where(data.norms > 0, needed, math.inf).amax(-1)
    # A preactivation of 0 is on no side yet: it takes the one step.
    return torch.where((off < 0).all(-1).all(-1), 0.0, 1 + needed)


def leaning_bound(net: TwoLayer, data: Dataset, step_size: float | Tensor) -> Tensor:
    """The same for every p that S-8 allows (...): ``1 + max_i (2e^E/(k h_i)) (e^{kβ/(γ-δ)} - 1)``, ``k = 1+γ²+2δ``.

    Step 3 of the proof of S-8 wants clocks above ``β/(γ-δ)``, and its bound on growth says when they are. Where S-8 is
    silent, δ is cut at the edge of its hypothesis.
    """
    positive(step_size, "step_size")
    lengths = (data.norms.double() / data.R_max.double().unsqueeze(-1)) ** 2
    h = lengths / step_unit(data, net, step_size).unsqueeze(-1)
    ours = leaky_clocks(net, data, h.amax(-1))
    gamma = torch.as_tensor(leak_of(net), dtype=torch.float64)
    reach = largest_start(net, data) / (gamma - torch.minimum(ours.delta, gamma / 2))
    return 1 + 2 * torch.exp(ours.E) * torch.expm1(ours.fast * reach) / (ours.fast * h.amin(-1))


# -- the instances of the controls -----------------------------------------------------------------------------------


@cache
def live() -> tuple[Trajectory, Trajectory]:
    """Six samples of unequal lengths that lean as far as H-K4.1 lets them at C = 1, 8 + 8 neurons: the paper's power of
    the loss is 0.66. Descent to 20 000 steps, then the flow to log(1/L) = 1000.
    """
    data = correlated(6, p=0.0085, norms=[1, 1.05, 1, 1.1, 1, 1])
    net = TwoLayer.init(data, 8, 8, leaky_relu(instances.GAMMA), 0.02, output="1/m", seed=1)
    record = sorted({*range(100), *log_spaced(20_000, 80)})
    descent = gradient_descent(net, data, 2.0, 20_000, record=record)
    return descent, gradient_flow(descent.final, data, 1000.0)


@cache
def leaning_too_far() -> tuple[Trajectory]:
    """Samples that lean towards the other class so strongly that the ordered pattern is no pattern of a KKT point."""
    data = instances.beyond()
    net = TwoLayer.init(data, 8, 8, leaky_relu(instances.GAMMA), 0.01, output="1/m", seed=1)
    return (gradient_descent(net, data, 8.0, 20_000, record=log_spaced(20_000, 60)),)


# -- Lemma 5.6 -------------------------------------------------------------------------------------------------------


OPEN = "The lemma leaves its constant open, and this one is none that is proved:"


def _named_time(run: LongRun, constant: float | None) -> tuple[float, str]:
    """The logarithm of T in steps, and why it is not proved, if it is not.

    ``constant`` times ``nm/(ηR_max²)``, or where the chapter proves that the pattern is ordered: for p = 0 from any
    start, else where S-8 speaks.
    """
    net, data = run.initial, run.data
    unit = float(step_unit(data, net, run.step_size or 1.0))
    if constant is not None:
        positive(constant, "constant")
        proved, silent = _named_time(run, None)
        given = math.log(constant) + math.log(unit)
        return given, "" if given >= proved and not silent else OPEN
    # A flow is descent with tiny steps.
    step = run.step_size or 1e-9 * unit
    orthogonal = samples_orthogonal(data)
    bound = (freezing_bound if orthogonal else leaning_bound)(net, data, step)
    time = float(bound.log()) + (0.0 if run.step_size else math.log(step))
    silent = [] if orthogonal else leaky_clocks(net, data, 1 / step_unit(data, net, step)).hypotheses
    broken = [h.statement for h in silent if not bool(h.holds.all())]
    return time, f"No constant is proved for this run ({broken[0]} fails):" if broken else ""


def _after(run: LongRun, time: float) -> tuple[float, str]:
    """The slack of "ordered from ``time`` (a log) on" at the records there are, and a sentence."""
    late = run.log_step >= time
    if not bool(late.any()):
        return math.nan, "The run ends before T."
    good = ordered(run.nets, run.data)
    if bool(good[late].all()):
        index = run.frozen_at()
        ahead = time - float(run.log_step[index])
        return math.exp(min(max(ahead, 0.0), 700.0)), f"All signs are right at the {int(late.sum())} records since T."
    if not bool(good[-1]):
        share = float(right(run.at(-1), run.data).double().mean())
        return 0.0, f"{1 - share:.1%} of the signs are not right at the end of the run."
    last = float(run.log_step[late & ~good].amax())
    return math.exp(time - last) * (1 - 1e-12), "Some signs are not right at a record after T."


@register(
    "K-5.6",
    "The pattern freezes, ordered",
    "From T = C nm/(η R_max²) on, sign⟨w_{j,r}(t), x_i⟩ = j y_i for all j, r, i.",
    "Lemma 5.6",
    chapter=CHAPTER,
    positive=live,
    negative=leaning_too_far,
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
    """K-5.6 on a run of descent (and the flow that goes on from it): whether every pattern is ordered at all records
    from T on.

    ``constant`` is the lemma's, which the paper leaves open. Without it T is the time from which on the chapter proves
    order (:func:`freezing_bound`, :func:`leaning_bound`); where it proves nothing, the verdict is undecided. The
    slack is T over the first time from which on all records are ordered. ``C`` is that of H-K4.1, and ``delta`` the
    probability allowed to an unlucky start.
    """
    joined = long_run(run, flow)
    hypotheses = conditions_of_K(joined, scale, C, delta)
    unit = math.log(float(step_unit(joined.data, joined.initial, joined.step_size or 1.0)))
    time, silent = _named_time(joined, constant)
    slack, seen = _after(joined, time)
    numbers = {"C": math.exp(min(time - unit, 700.0))}
    # The lemma has some C, and one that is seen to do is as good as one that is proved.
    silent = "" if constant is not None and slack >= 1 else silent
    index = joined.frozen_at()
    would_do = ""
    if index is not None:
        numbers["T R²η/(nm)"] = math.exp(min(float(joined.log_step[index]) - unit, 700.0))
        would_do = f"Ordered {_when(joined, index)} on: C = {numbers['T R²η/(nm)']:.3g} would do."
    which = "the given" if constant else "the" if silent else "the proved"
    named = f"T has {which} C = {numbers['C']:.3g}."
    end = f"The run ends at log t = {float(joined.log_step[-1]):.4g}."
    place = "" if index is None else f"record {index}"
    finding = Finding(slack, sentences(named, seen, would_do, end), place, numbers)
    return decide("K-5.6", finding, hypotheses, unsettled=silent)


def _when(run: LongRun, index: int) -> str:
    if index == 0:
        return "from the start"
    time = float(run.log_step[index])
    return f"from step {round(math.exp(time))}" if run.step_size and time < 20 else f"from log t = {time:.4g}"


# -- Lemma 5.7 -------------------------------------------------------------------------------------------------------

RESOLVED = 1e-7
"""Increments of |ρ| smaller than this, relative to the largest |ρ|, are rounding: they cannot be told to 1e-6."""


def increment_error(run: LongRun, index: int) -> float:
    """How far the increments of |ρ| since a record are from agreeing over neurons, and from the ratio γ between the
    classes; relative to the largest of each sample, the worst over later records. NaN where nothing has moved.
    """
    later = replace(run.nets, weights=run.nets.weights[index:])
    sizes = rho(later, run.initial, run.data).abs()
    grown = (sizes - sizes[0])[1:]  # (T, m, n)
    own = own_class(run.initial, run.data).to(grown)
    leak = torch.as_tensor(leak_of(run.initial), dtype=grown.dtype)
    scaled = grown * (own + (1 - own) / leak)
    centre = (scaled * own).sum(-2, keepdim=True) / own.sum(-2, keepdim=True).clamp_min(1)
    largest = torch.maximum(sizes.amax(), run.initial.preactivations(run.data.x).abs().amax())
    told = (centre.abs() > RESOLVED * largest).expand_as(scaled)
    off = ((scaled - centre).abs() / centre.abs().clamp_min(1e-300))[told]
    return float(off.max()) if off.numel() else math.nan


def between_records(run: LongRun, index: int) -> str:
    """A sentence where the pattern may have changed between records since ``index``, unseen."""
    steps = run.log_step[index:].exp()
    if run.step_size and bool((steps.diff() < 1.5).all()):
        return ""
    return "The pattern may have changed between records:"


@register(
    "K-5.7",
    "Equal increments",
    "For t ≥ T, ρ_{y_i,r,i}(t) - ρ_{y_i,r,i}(T) is the same for all r, and |ρ_{-y_i,r',i}| rises by γ times as much.",
    "Lemma 5.7 (sign corrected)",
    chapter=CHAPTER,
    positive=live,
    negative=leaning_too_far,
    rules={"run": (DESCENT, FLOW)},
)
def increments_agree(
    run: Trajectory, flow: Trajectory | None = None, *, scale: float | None = None, C: float = 1.0, delta: float = 0.01
) -> Verdict:
    """K-5.7 on a run of descent (and the flow that goes on from it): the largest relative disagreement of increments
    since the first record from which on all are ordered. Where the pattern never becomes ordered, since half the
    records. Increments too small to be told from rounding are left out.
    """
    joined = long_run(run, flow)
    hypotheses = conditions_of_K(joined, scale, C, delta)
    index, last = joined.frozen_at(), len(joined.log_step) - 1
    start = last // 2 if index is None else index
    if start >= last or not independent(joined.data):
        why = "there is no record after T." if start >= last else "ρ is not unique."
        return decide("K-5.7", Finding(math.nan, why), hypotheses)
    error = increment_error(joined, start)
    why = f"increments differ from those of the lemma by {format_error(error)}."
    finding = equality(error, why, f"record {start}")
    unsettled = "The pattern is not ordered yet:" if index is None else ""
    unsettled = unsettled or ("" if finding.true else between_records(joined, start))
    return decide("K-5.7", finding, hypotheses, unsettled=unsettled)
