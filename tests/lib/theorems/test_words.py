"""What verdicts say, and the helpers that chapters share."""

import math

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems import side_by_side
from implicit_bias.theorems.here import s06_whole_layer as whole_layer
from implicit_bias.theorems.kou2023.long_runs import long_run
from implicit_bias.theorems.setting import yes_or_no
from implicit_bias.theorems.verdict import Finding, decide, worst_of


@pytest.mark.parametrize(
    "slack, word", [(2.0, "holds"), (0.5, "fails"), (math.nan, "is open")]
)
def test_a_broken_hypothesis_is_named_with_what_became_of_the_conclusion(slack, word):
    broken = yes_or_no("sky", "the sky is green", False)
    verdict = decide(
        "X", Finding(slack, "it was seen."), (yes_or_no("earth", "", True), broken)
    )
    assert verdict.verdict == "vacuous"
    said = f"sky fails (the sky is green; slack 0). The conclusion {word}: it was seen."
    assert verdict.why == said


@pytest.mark.parametrize(
    "values, place",
    [
        (2.0, ""),
        ([3.0, 1.0, 2.0], "run 1"),
        ([[3.0, 2.0], [1.0, 5.0], [2.0, 2.0]], "run (1, 0)"),
    ],
)
def test_the_worst_is_named_by_its_place(values, place):
    values = torch.tensor(values)
    assert worst_of(values, "run") == (float(values.min()), place)


@pytest.mark.parametrize("start", [1e-3, 0.5, 1.0, 1.5])
def test_clocks_begin_anywhere_above_zero(start, rejects):
    times = side_by_side.clock_grid(start, 2.0, 3)
    assert times == pytest.approx([start, (2 * start) ** 0.5, 2.0]) and times[-1] == 2.0
    for wrong in (0.0, -start, 2.0):
        with rejects("start, until, count", "0 < start < until"):
            side_by_side.clock_grid(wrong, 2.0, 3)


def whole_run(activation, data=None):
    data = ib.data.orthogonal(4) if data is None else data
    net = ib.TwoLayer.init(data, 4, 4, activation, 1e-2, output="1/m", seed=1)
    return ib.gradient_descent(net, data, 0.5, 50, record=[0, 1, 10, 20, 50])


@pytest.mark.parametrize(
    "activation, right",
    [
        (ib.leaky_relu(0.5), True),
        (ib.relu(), False),
        (ib.smoothed_leaky_relu(0.5), False),
    ],
)
def test_the_whole_leaky_net_is_a_leaky_net(activation, right):
    hypotheses = whole_layer._symmetric(long_run(whole_run(activation)))
    assert bool(next(h for h in hypotheses if h.name == "activation").holds) is right


def test_errors_of_limits_need_late_records_and_data_that_can_be_separated():
    clash = ib.Dataset(torch.eye(3).double()[[0, 0, 1, 2]], [1, -1, 1, -1])
    for data, late in ((ib.data.orthogonal(4), False), (clash, True)):
        joined = long_run(whole_run(ib.leaky_relu(0.5), data))
        seen = whole_layer._errors(joined, torch.full_like(joined.late, late))
        assert len(seen) == 2 and all(each.numel() == 0 for each in seen)
    joined = long_run(whole_run(ib.leaky_relu(0.5)))
    assert [len(each) for each in whole_layer._errors(joined, joined.late)] == [3, 3]
