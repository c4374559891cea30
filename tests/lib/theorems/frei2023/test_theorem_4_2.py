"""Frei et al., Theorem 4.2: descent on smooth leaky networks fits the data, grows every
neuron, and has small rank from step 1 on.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from changed import first
from low_rank_cases import small_run

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import rank_bounds as tools
from implicit_bias.theorems.frei2023 import rank_instances as low_rank_instances
from implicit_bias.theorems.frei2023 import theorem_4_2
from implicit_bias.theorems.frei2023.smooth_instances import start_within

f64 = torch.float64


SMOOTH_04 = ib.smoothed_leaky_relu(0.4)


@pytest.fixture(scope="module")
def within():
    net, data, step = start_within()
    return ib.gradient_descent(net, data, step, 60, record=range(61))


def test_runs_that_do_not_fit_are_refused(rejects):
    run = small_run(record=[3, 30])
    with rejects("run", "step 0"):
        tools.pull_sums(run)
    with rejects("run", "after step 0"):
        tools.steps_after_start(small_run(steps=5, record=[0]))
    flow = ib.gradient_flow(run.initial, run.data, 1.5)
    for check in (tools.pull_sums, tools.steps_after_start, theorem_4_2.rank_bounded):
        with rejects("run", "gradient.descent"):
            check(flow)


def test_all_parts_hold_within_and_the_bounds_proved_here_too(within):
    verdicts = {
        id: ib.claims[id].check(within)
        for id in ("F-E.12", "F-E.13", "F-4.2.1", "F-4.2.3")
    }
    assert [v.conclusion for v in verdicts.values()] == ["holds"] * 4
    assert [v.verdict for v in verdicts.values()] == [
        "vacuous",
        "holds",
        "undecided",
        "vacuous",
    ]
    constant = tools.small_start_rank_bound(0.5)
    assert ib.claims["F-4.2.3"].check(within, constant=constant).verdict == "holds"
    assert (
        "says nothing" in verdicts["F-4.2.3"].why
        and "says nothing" in verdicts["F-E.12"].why
    )
    late = within.step >= 2
    bound = tools.fast_loss_bound(within.data, 0.5, within.step_size, within.step[late])
    assert bool((within.log_loss[late].exp() <= bound).all())


def test_the_rate_of_the_neurons_is_undecided_on_a_short_run(within):
    assert ib.claims["F-4.2.2"].check(within).verdict == "undecided"


def test_a_run_of_two_records_refutes_no_growth(within):
    assert ib.claims["F-4.2.2"].check(first(within, 2)).verdict == "undecided"


def test_a_zero_sample_leaves_no_bound_and_no_verdict():
    data = ib.Dataset([[0.0, 0.0], [1.0, 0.0]], [1, -1])
    assert tools.moved_rank_bound(data, 0.5) == math.inf
    net = ib.TwoLayer.init(data, 2, 2, ib.smoothed_leaky_relu(0.5), 1e-3)
    run = ib.gradient_descent(net, data, 0.1, 5)
    for id in ("F-4.2.1", "F-4.2.2", "F-4.2.3", "F-E.12", "F-E.13"):
        assert ib.claims[id].check(run).verdict == "vacuous"


def test_a_batch_is_checked_as_its_worst_member():
    net, data, step = start_within()
    pair = ib.TwoLayer(
        torch.stack([net.weights, 1e14 * net.weights]),
        net.a,
        net.activation,
        torch.stack([net.frozen_gram, 1e28 * net.frozen_gram]),
    )
    run = ib.gradient_descent(pair, data, step, 3, record=range(4))
    for id in ("F-E.13", "F-4.2.3"):
        args = (0.01, 1.17) if id == "F-4.2.3" else ()
        both = ib.claims[id].check(run, *args)
        worse = ib.claims[id].check(run.member(1), *args)
        assert both.slack == pytest.approx(worse.slack) and both.slack < 1


def test_kinks_and_other_second_layers_are_vacuous():
    run = small_run(ib.leaky_relu(0.4))
    assert ib.claims["F-4.2.3"].check(run).verdict == "vacuous"
    assert any(
        h.name == "smoothness" and not h.holds
        for h in ib.claims["F-E.12"].check(run).hypotheses
    )


@pytest.mark.parametrize("places", [3, 2])
def test_the_power_of_the_loss_is_a_slope_over_the_last_decade(places):
    run = low_rank_instances.long()[0]
    steps = {3: [1, 20, 101, 400, 1000], 2: [1, 20, 99, 400, 1000]}[places]
    run = ib.gradient_descent(
        run.initial, run.data, run.step_size, 1000, record=[0, *steps]
    )
    log_loss = run.log_loss.clone()
    log_loss[3:] -= torch.tensor([0.1, 0.5, 0.7])  # not on a line
    check = ib.claims["F-4.2.1"].check.__wrapped__
    power = check(replace(run, log_loss=log_loss)).constants["power"]
    if places == 2:
        assert math.isnan(power)
        return
    slope = np.polyfit(np.log([101, 400, 1000]), log_loss[3:].numpy(), 1)[0]
    assert power == pytest.approx(slope)
    # The slowest member of a batch, wherever it is.
    for order in ([0, 1], [1, 0]):
        both = torch.stack([log_loss, 2 * log_loss], -1)[:, order]
        pair = ib.TwoLayer(
            run.initial.weights.expand(2, -1, -1),
            run.initial.a,
            run.initial.activation,
            run.initial.frozen_gram.expand(2, -1, -1),
        )
        lot = ib.gradient_descent(
            pair, run.data, run.step_size, 1000, record=[0, *steps]
        )
        assert check(replace(lot, log_loss=both)).constants["power"] == pytest.approx(
            slope
        )


def test_the_smallest_constant_of_the_rate():
    run = low_rank_instances.long()[0]
    verdict = ib.claims["F-4.2.1"].check(run)
    t = run.step[1:].double()
    L = run.log_loss[1:].exp()
    wanted = (L**2 * float(run.data.R_min) ** 2 * run.step_size * t / 2).max()
    assert verdict.constants["C_1"] == pytest.approx(float(wanted))


@pytest.mark.parametrize(
    "power, end, true",
    [
        (0.51, 0.04, True),
        (0.49, 0.04, False),
        (1.98, 0.04, True),
        (2.02, 0.04, False),
        (1.0, 0.0499, True),
        (1.0, 0.0501, False),
        (-1.0, 0.04, False),
    ],
)
def test_growth_is_read_between_its_limits(power, end, true):
    loss = torch.logspace(-0.5, math.log10(end), 60, dtype=f64)
    way = (-torch.log(torch.expm1(loss))).clamp_min(1e-3) ** power
    finding, unsettled = theorem_4_2._follows_margin(way, loss)
    assert (finding.conclusion == "holds") is true and bool(unsettled) is not true
    assert finding.constants["power"] == pytest.approx(power)
    if true:
        assert finding.slack == pytest.approx(min(power / 0.5, 2 / power, 0.05 / end))


@pytest.mark.parametrize("end, seen", [(0.101, False), (0.098, True)])
def test_growth_is_looked_at_below_a_loss_of_a_tenth(end, seen):
    loss = torch.cat(
        [torch.linspace(0.69, 0.11, 20), torch.linspace(end, end - 0.005, 3)]
    ).double()
    finding, unsettled = theorem_4_2._follows_margin(loss**-1, loss)
    assert ("power" in finding.constants) is seen and unsettled
    if not seen:
        assert "not become small" in unsettled


def test_two_records_of_small_loss_are_too_few():
    loss = torch.tensor([0.5, 0.04, 0.03], dtype=f64)
    finding, unsettled = theorem_4_2._follows_margin(loss**-1, loss)
    assert finding.slack == 0 and "not become small" in unsettled


@pytest.mark.parametrize("at", [0, 1])
def test_growth_of_a_batch_is_that_of_its_worst_member(at):
    run = low_rank_instances.long()[0]
    net = run.initial
    order = torch.tensor([1.0, 1e-3]).roll(at).double()
    pair = ib.TwoLayer(
        net.weights.expand(2, -1, -1),
        net.a,
        net.activation,
        net.frozen_gram.expand(2, -1, -1),
    )
    lot = ib.gradient_descent(pair, run.data, run.step_size * order, 300)
    shortest = lot.final.weights - lot.initial.weights
    verdict = ib.claims["F-4.2.2"].check(lot)
    assert verdict.constants["shortest"] == pytest.approx(
        float(shortest.norm(dim=-1).min())
    )
    assert verdict.constants["loss"] == pytest.approx(
        float(lot.log_loss[-1, 1 - at].exp()), rel=1e-12
    )


@pytest.mark.parametrize("constant, name", [(None, "C_2"), (1.5, "the constant given")])
def test_the_bound_on_the_rank_is_called_by_its_name(constant, name):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, SMOOTH_04, 0.01, seed=0)
    run = ib.gradient_descent(net, data, 0.1, 20, record=[0, 1, 20])
    verdict = ib.claims["F-4.2.3"].check(run, constant=constant)
    bound = verdict.constants["C_2"] if constant is None else constant
    assert f"from step 1 on; {name} is {bound:.4g}." in verdict.why
