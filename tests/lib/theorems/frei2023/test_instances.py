"""The instances that controls run on, made once: data that meet H-3.2 with room to
spare, and data that break it.
"""

import math

import pytest
import torch
from optimum_cases import at

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import instances
from implicit_bias.theorems.frei2023 import theorem_3_2_optimum as optimum


def test_a_better_network_refutes_and_none_leaves_it_open():
    bent = optimum.global_optimum(at(*instances.kkt_bent()))
    assert bent.slack < 1 and "another network" in bent.why
    # All samples lean away: nothing is proved, and nothing better is found.
    data = ib.data.correlated(4, p=0.25, signs="oppose", positive=4)
    finding = optimum.global_optimum(at(ib.kkt_point(data, 2, 2, 0.5).net, data))
    assert (
        math.isnan(finding.slack)
        and "decides nothing" in finding.why
        and finding.constants["tried"] > 1
    )


def test_distance_is_the_start_over_the_clock():
    flow = instances.flow_within()[0]
    star = ib.kkt_point(
        flow.data, instances.M_POS, instances.M_NEG, instances.GAMMA
    ).net
    gap = float(ib.measures.direction_distance(flow.final, star))
    assert gap * 1000 == pytest.approx(
        float(flow.initial.frobenius() / star.frobenius()), rel=2e-3
    )
    assert float((flow.log_time[-1] + flow.log_loss[-1]).exp()) == pytest.approx(
        float(star.frobenius()) ** 2, rel=1e-6
    )


def test_the_instances_are_what_they_say():
    assert instances.within().n == instances.beyond().n == 10
    assert instances.within().ambient_dim == 2_000_000
    net, data = instances.kkt_heavy()
    assert data.n == 10 and bool(data.positive.all())
    apart = ~torch.eye(10, dtype=torch.bool)
    assert bool((data.gram[apart] < 0).all())
