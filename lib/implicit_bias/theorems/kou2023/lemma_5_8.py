"""Kou et al., Lemma 5.8: a ReLU neuron of the right class that starts active stays active.

"With probability 1 - δ over the start" becomes a property of the start that was drawn.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...data.made_to_order import correlated
from ...measures.outputs import signed_gram
from ...networks.activations import relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.trajectory import Trajectory, recorded_steps
from ..claim import register
from ..setting import active_at_start
from ..verdict import Finding, Verdict, decide, worst_of
from .balances import too_short
from .instances import opposing
from .relu_setting import C_PROVED, pulls, setting_of_relu, small_C

__all__ = ["once_on", "push_ratios"]


CHAPTER = "relu_patterns"


@cache
def _turned_away() -> tuple[Trajectory]:
    """A short sample whose own neurons are pushed away from it by a long one of the
    other class.
    """
    data = correlated(2, p=2.0, signs="oppose", norms=[1.0, 3.0])
    net = TwoLayer.init(data, 20, 20, relu(), 0.002, output="1/m", seed=0)
    return (gradient_descent(net, data, 0.1, 1000, record=log_spaced(1000, 100)),)


def push_ratios(run: Trajectory) -> tuple[Tensor, Tensor]:
    """Why ``S_i(0)`` stays awake:
    ``(⟨w_j(0),x_i⟩ + all pushes up) / (all pushes down)``, at least 1 iff it does.

    Returns the smallest over the pairs at each record (T, ...), and at any step between
    a record and the next (T-1, ...); first between the start and the first record,
    where step 0 is not recorded. Pushes only accumulate, so between two records those
    up are at least the earlier record's and those down at most the later one's.
    """
    data = run.data
    net = run.initial
    start = net.preactivations(data.x)
    kept = active_at_start(net, data)
    step = recorded_steps(run)
    pulled = pulls(run)
    u = signed_gram(data)
    skipped = int(step[0]) > 0
    if skipped:
        step = torch.cat([torch.zeros_like(step[:1]), step])
        pulled = torch.cat([torch.zeros_like(pulled[:1]), pulled])
    up = start.clamp_min(0) + pulled @ u.clamp_min(0)
    down = pulled @ (-u).clamp_min(0)

    def least(rising: Tensor, falling: Tensor) -> Tensor:
        ratio = torch.where(falling > 0, rising / falling, math.inf)
        return ratio.masked_fill(~kept, math.inf).amin((-2, -1))

    neighbours = (step[1:] - step[:-1] == 1).reshape(-1, *[1] * (run.log_loss.ndim - 1))
    between = torch.where(neighbours, math.inf, least(up[:-1], down[1:]))
    return least(up, down)[int(skipped) :], between


@register(
    "K-5.8",
    "Once on, always on",
    "S_i(0) ⊆ S_i(t) for all t: a neuron of the right class that starts active on x_i "
    "stays active.",
    "Lemma 5.8",
    chapter=CHAPTER,
    positive=opposing,
    negative=_turned_away,
)
def once_on(run: Trajectory, C: float = C_PROVED) -> Verdict:
    """K-5.8 along a run (or a batch), at its records and at every step between them;
    linearly independent samples.

    It is seen once the run has come to ``nm/(ηR_max²)``, up to its last step.
    """
    given = setting_of_relu(run, C)
    at, between = push_ratios(run)
    slack, place = worst_of(at, "record")
    gap = float(between.min()) if between.numel() else math.inf
    last = recorded_steps(run)[-1]
    numbers = {"at records": slack, "between": gap, "last step": float(last)}
    kept = (
        "no pair of S_i(0) falls asleep"
        if slack >= 1
        else "a pair of S_i(0) falls asleep"
    )
    pushes = (
        f"pushes up are at least {slack:.3f} times pushes down"
        if slack < math.inf
        else "nothing pushes down"
    )
    why = f"up to step {int(last)} {kept}; {pushes}."
    finding = Finding(slack, why, place, numbers)
    far = (
        "Records too far apart to exclude a nap between them:"
        if slack >= 1 > gap
        else ""
    )
    short = too_short(run) if slack >= 1 else small_C(C, finding)
    return decide("K-5.8", finding, given, unsettled=far or short)
