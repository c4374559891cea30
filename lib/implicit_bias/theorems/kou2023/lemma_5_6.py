"""Kou et al., Lemma 5.6: the activation pattern of a leaky ReLU network freezes, perfectly
ordered.

``j = ±1`` is the sign of ``a_j``; *ordered* means ``j y_i ⟨w_{j,r}, x_i⟩ > 0`` for all
neurons and samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...losses import LOGISTIC
from ...measures.outputs import own_class
from ...networks.two_layer import TwoLayer
from ...training.problem import Problem
from ...training.rules import PLAIN
from ...training.trajectory import DESCENT, FLOW, Trajectory
from ...values.scalars import positive, positive_int
from ..claim import register
from ..setting import largest_start, leak_of, samples_orthogonal
from ..verdict import Finding, Verdict, decide, sentences
from .instances import leaning_too_far, live
from .long_runs import LongRun, disorder, long_run, ordered, right
from .sample_clocks import leaky_clocks
from .setting import conditions_of_K

__all__ = [
    "freezing_bound",
    "freezing_step",
    "leaning_bound",
    "pattern_freezes",
    "step_unit",
]


CHAPTER = "patterns"


def step_unit(data: Dataset, net: TwoLayer, step_size: float | Tensor) -> Tensor:
    """``nm/(η R_max²)`` (...), m neurons of each sign: the unit in which K counts steps
    until the pattern freezes.
    """
    positive(step_size, "step_size")
    return (
        data.n
        * max(net.m_pos, net.m_neg)
        / (torch.as_tensor(step_size, dtype=torch.float64) * data.R_max.double() ** 2)
    )


def freezing_step(
    net: TwoLayer, data: Dataset, step_size: float | Tensor, steps: int
) -> Tensor:
    """The step (...) from which on, until ``steps``, the pattern is ordered; ∞ where it
    is not at the end.

    Every step is looked at. Batches as in
    :func:`~implicit_bias.training.descent.gradient_descent`.
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
    """Proved in the chapter for p = 0: from this step (...) on the pattern of K's
    network is ordered, for any start and any step size.

    ``1 + max_i (nm/(η‖x_i‖²)) (Γ_i + e^{q_i} (e^{2Γ_i} - 1)/2)``, with ``q_i`` the
    margin at the start and ``Γ_i`` the largest distance to the right side, counted
    ``1/γ`` times for neurons of the sample's own class. 0 where the start is ordered, ∞
    for a zero sample.
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
    """The same for every p that S-8 allows (...):
    ``1 + max_i (2e^E/(k h_i)) (e^{kβ/(γ-δ)} - 1)``, ``k = 1+γ²+2δ``.

    Step 3 of the proof of S-8 wants clocks above ``β/(γ-δ)``, and its bound on growth
    says when they are. Where S-8 is silent, δ is cut at the edge of its hypothesis.
    """
    positive(step_size, "step_size")
    lengths = (data.norms.double() / data.R_max.double().unsqueeze(-1)) ** 2
    h = lengths / step_unit(data, net, step_size).unsqueeze(-1)
    ours = leaky_clocks(net, data, h.amax(-1))
    gamma = torch.as_tensor(leak_of(net), dtype=torch.float64)
    reach = largest_start(net, data) / (gamma - torch.minimum(ours.delta, gamma / 2))
    return 1 + 2 * torch.exp(ours.E) * torch.expm1(ours.fast * reach) / (
        ours.fast * h.amin(-1)
    )


OPEN = "The lemma leaves its constant open, and this one is none that is proved:"


def _named_time(run: LongRun, constant: float | None) -> tuple[float, str]:
    """The logarithm of T in steps, and why it is not proved, if it is not.

    ``constant`` times ``nm/(ηR_max²)``, or where the chapter proves that the pattern is
    ordered: for p = 0 from any start, else where S-8 speaks.
    """
    net = run.initial
    data = run.data
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
    asked: Sequence[Hypothesis] = (
        ()
        if orthogonal
        else leaky_clocks(net, data, 1 / step_unit(data, net, step)).hypotheses
    )
    broken = [h.statement for h in asked if not bool(h.holds.all())]
    return (
        time,
        f"No constant is proved for this run ({broken[0]} fails):" if broken else "",
    )


def _after(run: LongRun, time: float) -> tuple[float, str]:
    """The slack of "ordered from ``time`` (a log) on" at the records there are, and a
    sentence.
    """
    late = run.log_step >= time
    if not bool(late.any()):
        return math.nan, "The run ends before T."
    good = ordered(run.nets, run.data)
    if bool(good[late].all()):
        index = run.frozen_at()
        ahead = time - float(run.log_step[index])
        return math.exp(
            min(max(ahead, 0.0), 700.0)
        ), f"All signs are right at the {int(late.sum())} records since T."
    if not bool(good[-1]):
        share = float(right(run.at(-1), run.data).double().mean())
        return 0.0, f"{1 - share:.1%} of the signs are not right at the end of the run."
    last = float(run.log_step[late & ~good].amax())
    return math.exp(time - last) * (
        1 - 1e-12
    ), "Some signs are not right at a record after T."


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
    """K-5.6 on a run of descent (and the flow that goes on from it): whether every
    pattern is ordered at all records from T on.

    ``constant`` is the lemma's, which the paper leaves open. Without it T is the time
    from which on the chapter proves order (:func:`freezing_bound`,
    :func:`leaning_bound`); where it proves nothing, the verdict is undecided. The slack
    is T over the first time from which on all records are ordered. ``C`` is that of
    H-K4.1, and ``delta`` the probability allowed to an unlucky start.
    """
    joined = long_run(run, flow)
    hypotheses = conditions_of_K(joined, scale, C, delta)
    unit = math.log(
        float(step_unit(joined.data, joined.initial, joined.step_size or 1.0))
    )
    time, silent = _named_time(joined, constant)
    slack, seen = _after(joined, time)
    numbers = {"C": math.exp(min(time - unit, 700.0))}
    # The lemma has some C, and one that is seen to do is as good as one that is proved.
    silent = "" if constant is not None and slack >= 1 else silent
    index = joined.frozen_at()
    would_do = ""
    if index is not None:
        numbers["T R²η/(nm)"] = math.exp(
            min(float(joined.log_step[index]) - unit, 700.0)
        )
        would_do = (
            f"Ordered {_when(joined, index)} on: C = "
            f"{numbers['T R²η/(nm)']:.3g} would do."
        )
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
    return (
        f"from step {round(math.exp(time))}"
        if run.step_size and time < 20
        else f"from log t = {time:.4g}"
    )
