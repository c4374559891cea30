r"""Kou, Chen and Gu on ReLU: Lemma 5.8 (once on, always on), Lemma E.2, and the stable rank of
Theorem 4.3.

Each check takes a run of descent. "With probability 1 - δ over the start" becomes a property of the start that was
drawn (:func:`~.relu_tools.setting_of_relu`). Where the paper says "a constant", the one proved in the chapter for
C = 40 is used, and the best one is measured.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from .. import data as samples
from ..data import Dataset
from ..dynamics import gradient_descent, log_spaced
from ..measures import class_stable_rank, networks, own_class, signed_gram
from ..network import TwoLayer, relu
from ..trajectory import Trajectory
from .balance import too_short
from .common import active_at_start, largest_start, strictly_positive
from .registry import register
from .relu_tools import C_PROVED, both_classes, class_rank_constant, paper_correlation, pulls, rate_h, setting_of_relu
from .verdict import Finding, Verdict, decide, worst_of

__all__ = ["moved_class_ranks", "one_each", "opposing", "push_ratios", "small_C"]

CHAPTER = "relu_patterns"

OPEN = "The statement leaves its constant open, and a run past the one proved here refutes nothing:"


def small_C(C: float, finding: Finding) -> str:
    """A sentence where a conclusion is false and ``C`` is below the one that the chapter's proofs
    need.
    """
    return "" if finding.true or C >= C_PROVED else f"C = {C:g} may not be sufficiently large (40 is):"


# -- Instances of the controls ---------------------------------------------------------------------------------------


@cache
def opposing(p: float = 0.0022, output: float = 1.0, steps: int = 20_000) -> tuple[Trajectory]:
    """Ten unit samples, all leaning towards the other class by p, m = 100; ``output`` rescales the second layer."""
    data = samples.correlated(10, p=p, signs="oppose")
    net = TwoLayer.init(data, 100, 100, relu(), 1e-4, output="1/m", seed=0)
    net = TwoLayer(net.weights, output * net.a, net.activation)
    return (gradient_descent(net, data, 20.0, steps, record=log_spaced(steps, 80)),)


@cache
def _wide() -> tuple[Trajectory]:
    """As many samples, and neurons, as make ranks above the proved constant possible; all lean by p
    = 0.0002.
    """
    data = samples.correlated(100, p=0.0002, signs="oppose")
    net = TwoLayer.init(data, 240, 240, relu(), 1e-4, output="1/m", seed=1)
    return (gradient_descent(net, data, 500.0, 2000, record=log_spaced(2000, 20)),)


@cache
def _turned_away() -> tuple[Trajectory]:
    """A short sample whose own neurons are pushed away from it by a long one of the other class."""
    data = samples.correlated(2, p=2.0, signs="oppose", norms=[1.0, 3.0])
    net = TwoLayer.init(data, 20, 20, relu(), 0.002, output="1/m", seed=0)
    return (gradient_descent(net, data, 0.1, 1000, record=log_spaced(1000, 100)),)


def one_each(n: int, asleep: int = 0, steps: int = 2000) -> Trajectory:
    """Orthonormal samples and ``n/2`` neurons of each sign, each awake on one sample of its class alone; on the first
    ``asleep`` samples nobody is.
    """
    data = samples.orthogonal(n)
    weights = 1e-3 * (2 * torch.eye(n, dtype=torch.float64) - 1)
    weights[:asleep] = -1e-3
    start = TwoLayer.init(data, n // 2, n // 2, relu(), 0.0, output="1/m")
    net = TwoLayer(weights, start.a, start.activation)
    return gradient_descent(net, data, n * (n // 2) / 41, steps, record=log_spaced(steps, 30))


# -- 5.8: once on, always on -----------------------------------------------------------------------------------------


def push_ratios(run: Trajectory) -> tuple[Tensor, Tensor]:
    """Why ``S_i(0)`` stays awake: ``(⟨w_j(0),x_i⟩ + all pushes up) / (all pushes down)``, at least 1 iff it does.

    Returns the smallest over the pairs at each record (T, ...), and at any step between a record
    and the next (T-1, ...); first between the start and the first record, where step 0 is not
    recorded. Pushes only accumulate, so between two records those up are at least the earlier
    record's and those down at most the later one's.
    """
    data, net = run.data, run.initial
    start = net.preactivations(data.x)
    kept = active_at_start(net, data)
    step = run.step
    pulled = pulls(run)
    u = signed_gram(data)
    skipped = int(step[0]) > 0
    if skipped:
        step = torch.cat([torch.zeros_like(step[:1]), step])
        pulled = torch.cat([torch.zeros_like(pulled[:1]), pulled])
    up, down = start.clamp_min(0) + pulled @ u.clamp_min(0), pulled @ (-u).clamp_min(0)

    def least(rising: Tensor, falling: Tensor) -> Tensor:
        ratio = torch.where(falling > 0, rising / falling, math.inf)
        return ratio.masked_fill(~kept, math.inf).amin((-2, -1))

    neighbours = (step[1:] - step[:-1] == 1).reshape(-1, *[1] * (run.log_loss.ndim - 1))
    between = torch.where(neighbours, math.inf, least(up[:-1], down[1:]))
    return least(up, down)[int(skipped) :], between


@register(
    "K-5.8",
    "Once on, always on",
    "S_i(0) ⊆ S_i(t) for all t: a neuron of the right class that starts active on x_i stays active.",
    "Lemma 5.8",
    chapter=CHAPTER,
    positive=opposing,
    negative=_turned_away,
)
def once_on(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-5.8 along a run (or a batch), at its records and at every step between them; linearly
    independent samples.

    It is seen once the run has come to ``nm/(ηR_max²)``, up to its last step.
    """
    given = setting_of_relu(run, C)
    at, between = push_ratios(run)
    slack, place = worst_of(at, "record")
    gap = float(between.min()) if between.numel() else math.inf
    numbers = {"at records": slack, "between": gap, "last step": float(run.step[-1])}
    kept = "no pair of S_i(0) falls asleep" if slack >= 1 else "a pair of S_i(0) falls asleep"
    pushes = f"pushes up are at least {slack:.3f} times pushes down" if slack < math.inf else "nothing pushes down"
    why = f"up to step {int(run.step[-1])} {kept}; {pushes}."
    finding = Finding(slack, why, place, numbers)
    far = "Records too far apart to exclude a nap between them:" if slack >= 1 > gap else ""
    short = too_short(run) if slack >= 1 else small_C(C, finding)
    return decide("K-5.8", finding, given, unsettled=far or short)


# -- E.2: the wrong side stays small ---------------------------------------------------------------------------------


def _least_and_most(run: Trajectory) -> tuple[Tensor, Tensor]:
    """For the neurons of each sign, ``|ρ|`` at its smallest over ``S_i(0)``, i of that class, and
    at its largest over samples of the other; each (2, T, ...).
    """
    data, net = run.data, run.initial
    own = own_class(net, data)
    kept = active_at_start(net, data)
    size = pulls(run) * data.norms.unsqueeze(-2) ** 2
    sides = [net.positive.unsqueeze(-1), ~net.positive.unsqueeze(-1)]
    least = torch.stack([size.masked_fill(~(kept & side), math.inf).amin((-2, -1)) for side in sides])
    most = torch.stack([size.masked_fill(own | ~side, 0).amax((-2, -1)) for side in sides])
    return least, most


@register(
    "K-E.2",
    "Coefficients of the other class are small",
    "There is T₂ with |ρ_{-y_i,r,i}(t)| ≤ c R_min⁻² p n |ρ_{y_i',r',i'}(t)| for t ≥ T₂, r' ∈ S_i'(0), y_i' = -y_i, "
    "if p > 0.",
    "Lemma E.2",
    chapter=CHAPTER,
    positive=opposing,
    negative=lambda: opposing(p=0.0),
)
def other_class_small(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-E.2 along a run, with ``c = 8R²`` and ``T₂`` the first record with ``β + hR_max² ≤ 4R² P ρ``; the best c is
    measured. A run past that c is undecided, for the lemma leaves its own open.
    """
    data, net = run.data, run.initial
    P, R2 = paper_correlation(data), data.R.double() ** 2
    least, most = _least_and_most(run)
    late = ((4 * R2 * P * least) >= largest_start(net, data) + rate_h(run) * data.R_max.double() ** 2).all(0)
    reached = bool(late[-1].all())
    seen = late if reached else torch.zeros_like(late).index_fill(0, torch.tensor(len(run) - 1), True)
    slack_at = torch.where(seen, (8 * R2 * P * least / most).amin(0), math.inf)
    slack, place = worst_of(slack_at, "record")
    best = float(torch.where(seen, (most / (P * least)).amax(0), 0).max())
    first = int(run.step[int(late.reshape(len(run), -1).all(1).int().argmax())])
    numbers = {"best c": best, "c": float(8 * R2.max()), "T2": float(first) if reached else math.inf}
    positive = strictly_positive("p", "p > 0", P)
    when = f"from step {first} on" if reached else "at the last record"
    finding = Finding(slack, f"{when} the best c is {best:.3f}; proved: {float(8 * R2.max()):.3g}.", place, numbers)
    short = "" if reached or not bool((P > 0).all()) else "The run ends before T₂:"
    given = (*setting_of_relu(run, C), positive, both_classes(data))
    return decide("K-E.2", finding, given, unsettled=short or ("" if finding.true else OPEN))


# -- Theorem 4.3: the stable rank ------------------------------------------------------------------------------------


def moved_class_ranks(run: Trajectory) -> Tensor:
    """``StableRank(W_j(t) - W_j(0))`` (T', ..., 2) at the records after step 0. As ``W_j(t)`` grows
    without bound and ``W_j(0)`` stays, its limits are those of ``StableRank(W_j(t))``.
    """
    moved = networks(run).weights[run.step > 0] - run.initial.weights
    return class_stable_rank(TwoLayer(moved, run.initial.a, run.initial.activation))


def _largest_rank(data: Dataset, net: TwoLayer) -> int:
    """What ``W_j(t) - W_j(0)`` adds lies in the span of n samples, and has m rows."""
    return min(data.n, net.m_pos, data.d)


@register(
    "K-4.3.a",
    "The stable rank stays bounded",
    "limsup StableRank(W_j(t)) ≤ c, both classes present. What is proved here has c = 63 at R = 1 and equal classes, "
    "and grows with the ratio of class sizes; for n ≤ c it says nothing.",
    "Theorem 4.3",
    chapter=CHAPTER,
    positive=_wide,
    negative=lambda: (one_each(130),),
)
def bounded_rank(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-4.3.a over the last decade of a run, for ``W_j(t) - W_j(0)``, against the constant proved for C = 40; the best
    is what was seen.

    A rank that n or m alone keeps below the constant is left out: where both are, the bound says
    nothing. Seen in runs that come to ``10 nm/(ηR_max²)``, with three records in the last decade; a
    finite run refutes no limsup.
    """
    given = (*setting_of_relu(run, C), both_classes(run.data))
    step = run.step[run.step > 0]
    late = step >= run.step[-1] / 10
    if int(late.sum()) < 3:
        few = Finding(math.nan, f"the last decade of steps has {int(late.sum())} records; three are needed.")
        return decide("K-4.3.a", few, given)
    seen = moved_class_ranks(run)[late].amax(0)
    bound = class_rank_constant(run.data)
    possible = _largest_rank(run.data, run.initial)
    slack, place = worst_of(torch.where(bound < possible, bound / seen, math.inf), "class")
    worst, c = float(seen.max()), float(bound.min())
    numbers = {"best c": worst, "c": c, "largest possible": float(possible), "last step": float(run.step[-1])}
    why = f"in steps {int(run.step[-1] // 10)} to {int(run.step[-1])} at most {worst:.3f}; proved: c = {c:.1f}."
    silent = f"no rank exceeds min(n, m) = {possible}, whatever the run." if not bool((bound < possible).any()) else ""
    finding = Finding(slack, why, place, numbers, silent)
    unsettled = too_short(run, 10.0) if finding.true else "A finite run refutes no limsup:"
    return decide("K-4.3.a", finding, given, unsettled=unsettled)
