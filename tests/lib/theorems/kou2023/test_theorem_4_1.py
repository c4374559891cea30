"""Kou, Chen, Gu, Theorem 4.1: norms, stable rank, loss and margins of a leaky ReLU
network as t → ∞.
"""

import math
from dataclasses import replace

import pytest
import torch
from killed_leaky_cases import trained_briefly
from leaky_constants_cases import trained_long
from patterns_cases import plain, small_data, start, tampered

import implicit_bias as ib
from implicit_bias.theorems import limits
from implicit_bias.theorems.kou2023 import starts
from implicit_bias.theorems.kou2023.long_runs import long_run

LEAKY_04 = ib.leaky_relu(0.4)


def test_relu_and_other_outputs_are_vacuous(pieces):
    data = pieces[0].data
    relu = ib.gradient_descent(start(data, activation=ib.relu()), data, 1.0, 50)
    other = ib.gradient_descent(
        ib.TwoLayer.init(data, 3, 2, LEAKY_04, 0.1), data, 1.0, 50
    )
    for id in ("K-5.6", "K-5.7", "K-4.1.a", "K-4.1.b", "K-4.1.c", "K-4.1.d"):
        assert ib.claims[id].check(relu).verdict == "vacuous"
        assert ib.claims[id].check(other).verdict == "vacuous"


@pytest.mark.parametrize(
    "factor, conclusion", [(1.0, "holds"), (0.995, "fails"), (0.8, "fails")]
)
def test_a_slower_loss_is_open(factor, conclusion):
    data = small_data(0.0)
    run = ib.gradient_flow(start(data, scale=0.01), data, 60.0, record=range(1, 61))
    verdict = plain("K-4.1.c")(replace(run, log_loss=factor * run.log_loss))
    assert verdict.conclusion == conclusion
    assert verdict.verdict == ("holds" if conclusion == "holds" else "undecided")


def test_margins_that_keep_their_ratio_are_refuted(pieces):
    wrong = []
    for part in pieces:
        margins = part.margins.clone()
        margins[:, 0] *= 1.5
        wrong.append(replace(part, margins=margins))
    assert plain("K-4.1.d")(*wrong).conclusion == "fails"
    assert plain("K-4.1.d")(*wrong).verdict == "undecided"


def test_margins_that_agree_have_arrived():
    data = ib.data.correlated(6, p=0.004)
    run = ib.gradient_flow(start(data, scale=0.01), data, 300.0)
    verdict = ib.claims["K-4.1.d"].check(run)
    assert verdict.verdict == "holds" and verdict.constants["last"] < limits.FLOW_ERROR


def test_norms_that_stop_are_refuted(pieces):
    descent, flow = pieces
    size = float(flow.net(0).weights.norm())
    still = tampered(
        flow, lambda net, k: net.scaled(size / float(net.weights.norm())) if k else net
    )
    assert plain("K-4.1.a")(descent, still).conclusion == "fails"


def test_a_rank_that_stays_is_refuted(pieces):
    descent, flow = pieces

    def spread(net, k):
        extra = torch.zeros_like(net.weights)
        extra[0, 0] = 0.3 * float(net.weights.norm()) if k else 0.0
        return replace(net, weights=net.weights + extra)

    for id in ("K-4.1.b", "S-3"):
        verdict = plain(id)(descent, tampered(flow, spread))
        assert verdict.conclusion == "fails", id


@pytest.mark.parametrize(
    "power, true", [(0.51, True), (0.49, False), (1.98, True), (2.02, False)]
)
def test_norms_may_be_off_by_a_factor_of_two_in_their_power(power, true):
    run = trained_long(steps=3000)
    joined = long_run(run)
    scale = joined.log_step.clamp_min(0.1) ** power
    direction = run.final.weights / starts.neuron_norms(joined)[-1][:, None]
    nets = [direction * s for s in scale]
    fake = replace(
        run,
        _states=tuple(range(len(run))),
        _lift=lambda k: replace(run.initial, weights=nets[k]),
        _end=None,
    )
    verdict = ib.claims["K-4.1.a"].check.__wrapped__(fake)
    assert verdict.constants["power"] == pytest.approx(power)
    assert (verdict.conclusion == "holds") is true


def test_norms_over_log_t_are_read_at_the_last_record():
    run = trained_briefly(steps=3000)
    verdict = ib.claims["K-4.1.a"].check(run)
    ratio = run.final.weights.norm(dim=-1) / math.log(3000)
    assert verdict.constants["low"] == pytest.approx(float(ratio.min()))
    assert verdict.constants["high"] == pytest.approx(float(ratio.max()))
