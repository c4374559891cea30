r"""Found here: S-6. Where the whole first layer of a leaky network goes on orthogonal
data.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.made_to_order import orthogonal
from ...hypotheses.hypothesis import Hypothesis
from ...margin.predictor import max_margin
from ...measures.ranks import stable_rank
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.flow import gradient_flow
from ...training.trajectory import DESCENT, FLOW, Trajectory
from ...values.scalars import leak_tensor
from ..claim import register
from ..frei2023 import instances
from ..kou2023.lemma_5_6 import CHAPTER
from ..kou2023.long_runs import LongRun, long_run
from ..kou2023.starts import start_shows
from ..limits import NO_LIMIT_REFUTED, read_limit
from ..setting import logistic, samples_orthogonal, yes_or_no
from ..verdict import Verdict, decide

__all__ = ["linear_predictor", "whole_layer_limits", "whole_rank", "z_ratio"]


def whole_rank(gamma: float | Tensor, share: float | Tensor = 0.5) -> Tensor:
    """The limit (...) of StableRank(W) at p = 0 with as many neurons of each sign;
    ``2(1+γ²)/(1+γ)²`` for balanced samples of equal norms.

    ``share`` is the part of ``Σ_i ‖x_i‖⁻²`` that the positive samples hold: a half
    makes the rank largest.
    """
    gamma = leak_tensor(gamma)
    share = torch.as_tensor(share, dtype=torch.float64)
    tilt = (1 - gamma**2) / (1 + gamma**2)
    return 2 / (1 + (1 - 4 * share * (1 - share) * tilt**2).sqrt())


def z_ratio(gamma: float | Tensor) -> Tensor:
    """``(1+γ)/(1+γ²)`` (...): the limit of ``‖z‖/‖z*‖`` there."""
    gamma = leak_tensor(gamma)
    return (1 + gamma) / (1 + gamma**2)


def linear_predictor(net: TwoLayer, data: Dataset) -> Tensor:
    """``‖z‖`` (...) of ``z = Σ_j a_j w_j`` with the network scaled to smallest margin
    1, frozen parts included.
    """
    a = net.a.unsqueeze(-1)
    squared = (a.mT @ net.weight_gram() @ a).squeeze(-1).squeeze(-1)
    return squared.clamp_min(0).sqrt() / (data.y * net(data.x)).amin(-1)


@cache
def square() -> tuple[Trajectory, Trajectory]:
    """Ten orthonormal samples, both classes equal."""
    return _orthogonal_run(orthogonal(10))


@cache
def lopsided() -> tuple[Trajectory, Trajectory]:
    """Orthogonal samples, but one against nine."""
    return _orthogonal_run(orthogonal(10, positive=1))


def _orthogonal_run(data: Dataset) -> tuple[Trajectory, Trajectory]:
    net = TwoLayer.init(
        data, 8, 8, leaky_relu(instances.GAMMA), 1e-3, output="1/m", seed=1
    )
    descent = gradient_descent(net, data, 1.0, 20_000, record=log_spaced(20_000, 60))
    return descent, gradient_flow(descent.final, data, 1000.0)


def _symmetric(run: LongRun) -> tuple[Hypothesis, ...]:
    data = run.data
    net = run.initial
    return (
        yes_or_no("activation", "leaky ReLU", net.activation.is_leaky_relu),
        logistic(run.loss),
        yes_or_no("p = 0", "the samples are orthogonal", samples_orthogonal(data)),
        yes_or_no("equal norms", "R = 1", abs(float(data.R) - 1) < 1e-9),
        yes_or_no(
            "balanced",
            "as many samples of each class",
            2 * int(data.positive.sum()) == data.n,
        ),
        yes_or_no(
            "equal widths",
            "as many neurons of each sign, |a_j| equal",
            net.m_pos == net.m_neg and _even(net),
        ),
    )


def _even(net: TwoLayer) -> bool:
    size = net.a.abs()
    return bool((size - size[0]).abs().max() < 1e-9 * size[0])


@register(
    "S-6",
    "The rank of the whole leaky net",
    "Leaky ReLU, p = 0, equal norms, as many samples and neurons of each sign: "
    "StableRank(W) → "
    "2(1+γ²)/(1+γ)² and ‖z‖ → (1+γ)/(1+γ²) ‖z*‖.",
    "found here; proof in the chapter",
    chapter=CHAPTER,
    positive=square,
    negative=lopsided,
    status="proved here",
    rules={"run": (DESCENT, FLOW)},
)
def whole_layer_limits(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """S-6 on a run of descent and the flow that goes on from it: the larger relative
    error of the two limits, against log t.
    """
    joined = long_run(run, flow)
    hypotheses = _symmetric(joined)
    late = joined.late & (joined.margins.amin(-1) > 0) & (joined.margins[-1] > 0).all()
    clock, (rank, length) = joined.log_step[late], _errors(joined, late)
    finding, unsettled = read_limit(
        clock, torch.maximum(rank, length), "the larger relative error"
    )
    if clock.numel():
        finding.constants.update(
            {"rank error": float(rank[-1]), "length error": float(length[-1])}
        )
    unsettled = unsettled or (
        "" if finding.true else start_shows(joined) or NO_LIMIT_REFUTED
    )
    return decide("S-6", finding, hypotheses, unsettled=unsettled)


def _errors(run: LongRun, late: Tensor) -> tuple[Tensor, Tensor]:
    """Relative errors of the two limits at some records; none where no predictor fits
    the data.
    """
    star = max_margin(run.data)
    if not bool(late.any()) or not bool(star.separable):
        return (run.log_step[:0],) * 2
    gamma = torch.as_tensor(
        run.initial.activation.gamma, dtype=torch.float64
    ).clamp_min(1e-300)
    nets = replace(run.nets, weights=run.nets.weights[late])
    rank = (stable_rank(nets) / whole_rank(gamma) - 1).abs()
    length = (
        linear_predictor(nets, run.data) / star.z.norm() / z_ratio(gamma) - 1
    ).abs()
    return rank, length
