r"""Found here: S-7, the stable rank on orthogonal data of any norms and any classes."""

from __future__ import annotations

from functools import cache

import torch

from ...data.made_to_order import orthogonal
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent
from ...training.flow import gradient_flow
from ...training.trajectory import Trajectory
from ...values.scalars import failure_probability
from ..claim import register
from ..draws import CHANCE
from ..kou2023.orthogonal_runs import chance, rank_finding, reached, train
from ..kou2023.orthogonal_setting import EITHER, orthogonal_setting
from ..kou2023.relu_setting import both_classes
from ..verdict import Verdict, decide

__all__ = ["any_norms"]


def _data():
    """Lengths from 1 to 3, thirteen samples of one class and seven of the other."""
    return orthogonal(
        20,
        norms=torch.logspace(0, 0.477, 20, dtype=torch.float64)[
            torch.arange(20) * 7 % 20
        ],
        positive=13,
    )


@cache
def _norms_to_3() -> tuple[Trajectory, Trajectory]:
    return train(_data(), 300, seed=2)


@cache
def _leaky() -> tuple[Trajectory, Trajectory]:
    """The same data and a leak: sleeping neurons are pushed as well, all come to agree,
    and the rank falls to 1.
    """
    data = _data()
    initial = TwoLayer.init(data, 60, 60, leaky_relu(0.3), 1e-3, output="1/m", seed=2)
    descent = gradient_descent(initial, data, 100.0, 200, record=[0, 200])
    flow = gradient_flow(
        descent.final,
        data,
        200.0,
        record=[20.0, 40.0, 70.0, 100.0, 130.0, 160.0, 200.0],
    )
    return descent, flow


@register(
    "S-7",
    "Any norms, any classes",
    "On orthogonal data, as m → ∞: StableRank(W_j) → tr M/λ_max(M) ≤ 2k/(k+1), M = "
    "D(11ᵀ + I)D, D = diag(1/‖x_i‖) "
    "over the class; of the whole matrix (tr M₊ + tr M₋)/max λ_max, which is "
    "2n/(k_max+1) for equal norms.",
    "found here; proof in the chapter",
    chapter="orthogonal",
    positive=_norms_to_3,
    negative=_leaky,
    status="proved here",
    rules=EITHER,
)
def any_norms(
    run: Trajectory, flow: Trajectory | None = None, delta: float = 0.01
) -> Verdict:
    """S-7 on a run, and on the ``flow`` (or descent) that goes on from it: the stable
    ranks reached against the limits at the norms and classes of its data, within what
    chance does at this width with probability 1 - δ.
    """
    failure_probability(delta)
    data = run.data
    initial = run.initial
    rarely = chance(data, initial.m_pos, min(delta, CHANCE))[1]
    finding, short = rank_finding(
        reached(run, flow), *chance(data, initial.m_pos, delta), rarely=rarely
    )
    known = (*orthogonal_setting(initial, data, run.loss), both_classes(data))
    return decide("S-7", finding, known, unsettled=short)
