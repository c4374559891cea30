"""Frei et al., Lemma E.13: every neuron turns to ``μ̂``, and so the spectral norm grows.

Sums over all steps are exact where every step is recorded, and bracketed between
records otherwise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...measures.runs import networks
from ...training.trajectory import Trajectory, step_size_of
from ..claim import register
from ..setting import leak_of
from ..verdict import Finding, Verdict, decide, worst_of
from . import rank_instances as cases
from .e12_frobenius import _conditions_of_4_2
from .rank_bounds import pull_sums, steps_after_start
from .smooth_instances import run_from_large

__all__ = ["along_mu", "spectral", "spectral_bound"]


CHAPTER = "low_rank"


def along_mu(run: Trajectory) -> Tensor:
    """``sign(a_j) ⟨w_j(t), μ̂⟩`` (T, ..., m) at every record."""
    net = networks(run)
    mu = run.data.mu_hat
    return net.a.sign() * (net.weights @ mu.unsqueeze(-1)).squeeze(-1)


def spectral_bound(run: Trajectory) -> tuple[Tensor, Tensor]:
    """The bounds (T', ...) of F-E.13 on ``sign(a_j)⟨w_j, μ̂⟩`` and on ``‖W(t)‖_2`` at
    the records with t ≥ 1 (upper bracket of the sum).
    """
    places = steps_after_start(run)
    net = run.initial
    data = run.data
    total = pull_sums(run)[1][places] * torch.as_tensor(
        step_size_of(run), dtype=torch.float64
    )
    gamma = torch.as_tensor(leak_of(net), dtype=torch.float64)
    low = data.R_min.double()
    inner = gamma * low**2 / (4 * math.sqrt(net.m)) * total
    return inner, gamma * low / (
        4 * math.sqrt(2) * data.R.double() * math.sqrt(data.n)
    ) * total


@register(
    "F-E.13",
    "Every neuron turns to μ̂",
    "sign(a_j)⟨w_j(t), μ̂⟩ ≥ (αγR_min²/(4√m)) Σ_{s<t} G(W(s)), and "
    "‖W(t)‖_2 ≥ (αγR_min/(4√2 R√n)) Σ_{s<t} G(W(s)), t ≥ 1.",
    "Lemma E.13",
    chapter=CHAPTER,
    positive=cases.every_step,
    negative=run_from_large,
)
def spectral(run: Trajectory, delta: float = 0.01) -> Verdict:
    """F-E.13 on a run of descent: every neuron's product with μ̂, and the spectral
    norm, at every record with t ≥ 1.
    """
    places = steps_after_start(run)
    inner, norm = spectral_bound(run)
    products = along_mu(run)[places] / inner.unsqueeze(-1)
    norms = run.spectral[places] / norm
    numbers = {"neurons": float(products.min()), "norm": float(norms.min())}
    which = "neurons" if numbers["neurons"] < numbers["norm"] else "norm"
    slack, place = worst_of(
        *((products, "(record, neuron)") if which == "neurons" else (norms, "record"))
    )
    why = (
        f"sign(a_j)⟨w_j, μ̂⟩ is at least {numbers['neurons']:.3f} times its bound, "
        "‖W(t)‖_2 at least "
        f"{numbers['norm']:.3f} times."
    )
    return decide(
        "F-E.13", Finding(slack, why, place, numbers), _conditions_of_4_2(run, delta)
    )
