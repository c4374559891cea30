"""Frei et al., Lemma E.12: the Frobenius norm grows slowly.

Sums over all steps are exact where every step is recorded, and bracketed between
records otherwise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...hypotheses.conditions import H_4_2, loss_ratio_constant
from ...hypotheses.hypothesis import Hypothesis
from ...training.trajectory import Trajectory, step_size_of
from ..claim import register
from ..setting import leak_of
from ..verdict import Finding, Verdict, decide, worst_of
from . import rank_instances as cases
from .rank_bounds import pull_sums, steps_after_start
from .smooth_setting import smooth_leaky_setting, step_and_start

__all__ = ["frobenius", "frobenius_bound"]


CHAPTER = "low_rank"


def _conditions_of_4_2(run: Trajectory, delta: float) -> tuple[Hypothesis, ...]:
    net = run.initial
    data = run.data
    step = step_and_start(net, data, step_size_of(run), delta)
    return (*smooth_leaky_setting(net, run.loss), H_4_2(data, leak_of(net)), *step)


def frobenius_bound(run: Trajectory) -> tuple[Tensor, Tensor]:
    """Both sides (T', ...) of F-E.12 at the records with t ≥ 1: ``‖W(t)‖_F`` and its
    bound (with the lower bracket of the sum).
    """
    places = steps_after_start(run)
    data = run.data
    total = pull_sums(run)[0][places]
    step = torch.as_tensor(step_size_of(run), dtype=torch.float64)
    rate = (
        2 * loss_ratio_constant(data, leak_of(run.initial)) / data.n
    ).sqrt() * data.R_max.double()
    return run.frobenius[places], run.initial.frobenius() + rate * step * total


@register(
    "F-E.12",
    "The Frobenius norm grows slowly",
    "‖W(t)‖_F ≤ ‖W(0)‖_F + √(2C_R) R_max (α/√n) Σ_{s<t} G(W(s)), t ≥ 1.",
    "Lemma E.12",
    chapter=CHAPTER,
    positive=cases.many,
    negative=cases.crowd,
)
def frobenius(run: Trajectory, delta: float = 0.01) -> Verdict:
    """F-E.12 on a run of descent: both sides at every record with t ≥ 1; the worst.
    ``constants`` has the best constant in place of ``√(2C_R)``.

    As ``‖∇L‖_F ≤ R_max G`` for any network, √n in its place would always do: for n ≤
    2C_R the lemma says nothing.
    """
    left, right = frobenius_bound(run)
    slack, place = worst_of(right / left, "record")
    own = run.initial.frobenius()
    constant = (2 * loss_ratio_constant(run.data, leak_of(run.initial))).sqrt()
    best = float((constant * (left - own) / (right - own)).max())
    why = (
        f"the bound is at least {slack:.3f} times ‖W(t)‖_F; {best:.3f} would do for "
        "√(2C_R)."
    )
    few = bool((constant >= math.sqrt(run.data.n)).all())
    empty = (
        "√n is no larger than √(2C_R), and ‖∇L‖_F ≤ R_max G gives the bound with √n."
        if few
        else ""
    )
    return decide(
        "F-E.12",
        Finding(slack, why, place, {"best": best}, empty),
        _conditions_of_4_2(run, delta),
    )
