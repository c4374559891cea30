r"""S-9: with correlations of one sign, which (neuron, sample) pairs of a ReLU network
settle, and which never do.

The update of ``ζ_ji = sign(a_j) y_i ⟨w_j, x_i⟩`` adds ``h g_k u_ik`` for every sample k
that neuron j is awake on (:mod:`~implicit_bias.theorems.kou2023.relu_setting`). If all
``u_ik >= 0``, ζ never falls, and a pair switches once at most. If all ``u_ik < 0``, a
sleeping pair of the other class is pushed towards waking by everything else, for ever,
and an awake one back by its own sample, for ever.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...data.made_to_order import correlated
from ...hypotheses.hypothesis import Hypothesis
from ...measures.outputs import activation_pattern, own_class, signed_gram
from ...measures.ranks import class_stable_rank
from ...measures.runs import networks
from ...networks.activations import relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.trajectory import Trajectory, recorded_steps
from ..claim import register
from ..kou2023.relu_setting import C_PROVED, both_classes, setting_of_relu
from ..limits import limit
from ..setting import active_at_start, strictly_positive
from ..verdict import Finding, Verdict, decide

__all__ = ["coherence", "living", "settle_or_flicker", "switches"]


WINDOW = 400
"""Consecutive steps at the end of the controls' runs."""


@cache
def _leaning_run(p: float) -> tuple[Trajectory]:
    """Four unit samples leaning towards the other class by p, to step 4000, the last
    400 steps all recorded.
    """
    data = correlated(4, p=p, signs="oppose")
    net = TwoLayer.init(data, 60, 60, relu(), 1e-4, output="1/m", seed=0)
    last = 4000
    record = [*log_spaced(last - WINDOW, 40), *range(last - WINDOW, last + 1)]
    return (gradient_descent(net, data, 5.0, last, record=record),)


def coherence(run: Trajectory) -> tuple[int, Hypothesis]:
    """The common sign of all ``y_i y_k ⟨x_i, x_k⟩``, i ≠ k (-1 where there is none),
    and the hypothesis that there is one.
    """
    u = signed_gram(run.data)
    name = "y_i y_k ⟨x_i, x_k⟩ all > 0 or all < 0, i ≠ k"
    if run.data.n < 2:
        return -1, strictly_positive(
            "signs", name, torch.zeros((), dtype=torch.float64)
        )
    apart = ~torch.eye(run.data.n, dtype=torch.bool)
    least = u[..., apart].amin()
    most = u[..., apart].amax()
    sign = 1 if float(least) > 0 else -1
    nearest = least if sign > 0 else -most
    return sign, strictly_positive("signs", name, nearest)


def switches(run: Trajectory) -> tuple[Tensor, Tensor, int]:
    """How often each pair (..., m, n) changes between records; the same in the window
    of consecutive steps at the end, and the length of that window. Changes between
    records that are not consecutive steps may be missed.
    """
    pattern = activation_pattern(networks(run), run.data)
    changed = pattern[1:] != pattern[:-1]
    step = recorded_steps(run)
    apart = (step[1:] - step[:-1] != 1).nonzero().flatten()
    window = len(changed) - (int(apart[-1]) + 1 if len(apart) else 0)
    return changed.sum(0), changed[len(changed) - window :].sum(0), window


def living(run: Trajectory) -> Tensor:
    """Neurons (..., m, 1) with an own-class sample that they are awake on at the start."""
    return active_at_start(run.initial, run.data).any(-1, keepdim=True)


def _settles(run: Trajectory) -> tuple[Finding, str]:
    """Signs agree: at most one switch a pair, and both ranks fall to 1."""
    most = int(switches(run)[0].max())
    gap = (class_stable_rank(networks(run)) - 1).flatten(1).amax(1)[1:]
    fall, unsettled = limit(
        recorded_steps(run)[1:].double().log(), gap, "StableRank - 1", "log t", law=2.0
    )
    slack = fall.slack if most <= 1 else 1 / most
    why = (
        f"no pair switches more than {'once' if most == 1 else f'{most} times'}; "
        f"{fall.why}"
    )
    return Finding(
        slack, why, fall.worst, {**fall.constants, "most switches": float(most)}
    ), unsettled


def _flickers(run: Trajectory) -> tuple[Finding, str]:
    """Signs oppose: own-class pairs never switch, all others of living neurons still do
    in the last window.
    """
    total, late, window = switches(run)
    own = own_class(run.initial, run.data)
    others = (~own & living(run)).expand_as(late)
    least = float(late[others].min()) if bool(others.any()) else math.inf
    moved = int((total * own).sum())
    rank = class_stable_rank(run.net(-1))
    numbers = {
        "fewest switches": least,
        "window": float(window),
        "own-class switches": float(moved),
    }
    last = recorded_steps(run)[-1]
    numbers |= {"rank": float(rank.min()), "last step": float(last)}
    seen = (
        f"in the last {window} steps every living other-class pair switches at "
        f"least {least:g} times"
    )
    why = (
        f"{seen}; own-class pairs switch {moved} times in all; the class ranks are "
        f"at least {numbers['rank']:.3f}."
    )
    u = signed_gram(run.data)
    weakest = u.abs().flatten(-2).amin(-1).clamp_min(1e-300)
    slowest = float((u.diagonal(dim1=-2, dim2=-1).amax(-1) / weakest).max())
    short = (
        "The window is shorter than two of the slowest periods:"
        if least < 1 and window < 2 * slowest
        else ""
    )
    if least == 1:
        short = "A single switch may be a settling:"
    return Finding(0.0 if moved else least, why, f"step {int(last)}", numbers), short


@register(
    "S-9",
    "Settle once, or switch for ever",
    "ReLU, p ≠ 0, both classes present, under H-K4.3 with C = 40 and all |S_i(0)| ≥ "
    "0.4m. If all y_i y_k⟨x_i,x_k⟩ > 0, "
    "every (neuron, sample) pair switches at most once and StableRank(W_j) → 1. If all "
    "are < 0, own-class pairs never "
    "switch, and every other-class pair of a neuron with an own-class sample awake at "
    "the start switches for ever.",
    "the chapter on ReLU; the question is the last one of Kou et al.",
    chapter="relu_patterns",
    positive=lambda: _leaning_run(0.006),
    negative=lambda: _leaning_run(0.0),
    status="proved here",
)
def settle_or_flicker(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """S-9 along a run (or a batch) on data whose label-signed correlations have one
    sign.

    Where they oppose, the run should end in a window of consecutive recorded steps, a
    few times ``R_max²/p`` long. What is proved is that this goes on for ever; a run
    shows it up to its last step.
    """
    given = setting_of_relu(run, C)
    sign, coherent = coherence(run)
    finding, unsettled = _settles(run) if sign > 0 else _flickers(run)
    return decide(
        "S-9", finding, (*given, both_classes(run.data), coherent), unsettled=unsettled
    )
