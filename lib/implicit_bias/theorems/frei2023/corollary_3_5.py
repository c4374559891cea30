"""Frei et al., Corollary 3.5: under H-3.2 every start has one limit, the KKT point of
Theorem 3.2.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.conditions import H_3_2
from ...margin.kkt import kkt_point
from ...measures.ranks import direction_distance
from ...networks.two_layer import TwoLayer
from ...training.trajectory import FLOW, Trajectory, recorded_clock
from ..claim import register
from ..limits import limit
from ..setting import known_loss, leak_of, setting_of_F
from ..verdict import Finding, Verdict, decide, sentences
from . import instances
from .flow_limit import _blind, _decided, _records

__all__ = ["converges_to_the_kkt_point", "same_as_exact"]


@register(
    "F-3.5",
    "Every start, one limit",
    "Under H-3.2 the flow converges in direction to the KKT point of Theorem 3.2, from "
    "every initialisation.",
    "Corollary 3.5",
    chapter="direction",
    positive=instances.flow_within,
    negative=instances.flow_beyond,
    rules={"run": (FLOW,)},
)
def converges_to_the_kkt_point(run: Trajectory) -> Verdict:
    """F-3.5 on a run of gradient flow: ``‖W/‖W‖ - W*/‖W*‖‖`` against the clock,
    expected like 1/s, that is 1/log t.
    """
    clock, _ = recorded_clock(run)
    net = run.initial
    data = run.data
    hypotheses = (*setting_of_F(net), H_3_2(data, leak_of(net)), known_loss(run.loss))
    if not all(bool(part.holds.all()) for part in hypotheses[:2]):
        nowhere = "W* is known for a leak in (0, 1) and a_j = ±1/√m only."
        return decide("F-3.5", Finding(math.nan, nowhere), hypotheses)
    kept = _records(run, per_decade=20)
    distance = torch.stack([same_as_exact(run.net(k), data).max() for k in kept])
    finding, _ = limit(
        clock[kept], distance, "the distance in direction to W*", "s", law=1.0
    )
    finding = replace(finding, why=sentences(finding.why, _blind(finding)))
    return _decided("F-3.5", finding, hypotheses, run)


def same_as_exact(net: TwoLayer, data: Dataset) -> Tensor:
    """Distance in direction (...) of a network from the exact KKT point on its data
    (F-3.5).
    """
    exact = kkt_point(data, net.m_pos, net.m_neg, net.activation.gamma)
    order = torch.argsort((net.a < 0).long(), stable=True)
    frozen = (
        None if net.frozen_gram is None else net.frozen_gram[..., order, :][..., order]
    )
    return direction_distance(
        TwoLayer(net.weights[..., order, :], net.a[..., order], net.activation, frozen),
        exact.net,
    )
