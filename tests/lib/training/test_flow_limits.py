"""Flow across kinks and its limits: where a run stops, and what contradicts every
network.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import implicit_bias as ib
from implicit_bias import losses
from implicit_bias.training import flow_across, flow_limits, flow_rough, flow_watch
from implicit_bias.training.problem import Problem

PHI = ib.leaky_relu(0.1)


def too_small(n=16):
    """Two neurons in the plane, and labels that they cannot fit."""
    data = ib.data.gaussian(n, 2, seed=0)
    return ib.TwoLayer.init(data, 1, 1, PHI, 0.1, seed=0), data


class Timer:
    """A watch whose time is up at a number of looks."""

    def __init__(self, looks):
        self.looks = looks

    def out_of_time(self, clock):
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("looks", [0, 5])
def test_a_run_across_kinks_ends_where_its_time_is_up(looks):
    net, data = too_small()
    problem = Problem.of(net, data, "logistic", "cpu", dtype=torch.float64)
    start = np.zeros(tuple(problem.span.state_shape))
    member = flow_across.Member(problem, 0)
    seen = flow_rough.pass_through(member, start, 0.0, [0.71, 0.72], 1e-3, Timer(looks))
    assert seen.late and not seen.stalled and not seen.whole and seen.reached == 0
    assert (seen.states[0] == seen.states[1]).all()
    assert (seen.states[0] == start).all() == (looks == 0)


def test_a_run_across_kinks_that_settles_is_recorded_once_more(monkeypatch):
    monkeypatch.setattr(
        "implicit_bias.training.flow.crossings_allowed", lambda problem: 0
    )
    monkeypatch.setattr(flow_rough, "SETTLED_WAY", 0.5)
    net, data = too_small()
    run = ib.gradient_flow(net, data, 9.0, record=[0.38, 6.0, 7.0, 8.0, 9.0])
    assert run.outcome.status == "stalled"
    assert len(run) == 2 and float(run.s[0]) == 0.38
    assert 0.38 < float(run.s[1]) < 6
    assert float(run.s[1]) == pytest.approx(-float(run.log_loss[1]))


@pytest.mark.parametrize("at_zero, priced", [(0.0, True), (1.0, False)])
def test_a_zero_row_costs_the_loss_at_zero_only_where_the_activation_is_zero_there(
    at_zero, priced
):
    activation = SimpleNamespace(degree=None, value=lambda z: z + at_zero)
    activation.to = lambda device: activation
    problem = SimpleNamespace(activation=activation, loss=losses.LOGISTIC)
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    found = flow_limits._contradicted(
        problem, x, torch.tensor([1.0, 1.0, -1.0]).double()
    )
    assert (found is not None) is priced
    if priced:
        assert found[0] == pytest.approx(math.log(3 / math.log(2)))
        assert "row 0 is zero" in found[1]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_batch_of_data_sets_goes_as_far_as_its_freest(order):
    eye = torch.eye(4, dtype=torch.float64)
    clash = (eye[[0, 0, 1, 2]], torch.tensor([1.0, -1.0, 1.0, -1.0]).double())
    worse = (eye[[0, 0, 1, 1]], torch.tensor([1.0, -1.0, 1.0, -1.0]).double())
    free = (eye, clash[1])

    def bound(*sets):
        x, y = (torch.stack(parts) for parts in zip(*sets))
        data = ib.Dataset(x, y)
        net = ib.TwoLayer.init(ib.Dataset(*free), 1, 1, PHI, 0.1, seed=0)
        net = ib.TwoLayer(net.weights.expand(2, 2, 4).clone(), net.a, PHI)
        return flow_limits.contradiction(Problem.of(net, data, "logistic", "cpu"))

    both = [(clash, worse)[k] for k in order]
    assert bound(*both)[0] == pytest.approx(math.log(4 / (2 * math.log(2))))
    assert bound(*[(clash, free)[k] for k in order]) is None


@pytest.mark.parametrize("agreement, quarters", [(math.inf, 1), (0.0, 2)])
def test_steps_are_quartered_until_two_runs_agree_and_no_further(
    monkeypatch, agreement, quarters
):
    monkeypatch.setattr(flow_rough, "AGREEMENT", agreement)
    data = ib.data.gaussian(8, 4, seed=0)
    net = ib.TwoLayer.init(data, 2, 2, PHI, 0.1, seed=0)
    problem = Problem.of(net, data, "logistic", "cpu", dtype=torch.float64)
    state = torch.zeros(1, *problem.span.state_shape, dtype=torch.float64)
    seen = flow_rough.rough_flow(problem, state, torch.zeros(1), [0.8], Timer(10**9))[0]
    assert seen.delta == pytest.approx(flow_rough.COARSEST / 4**quarters)
    assert 0 < seen.apart < 0.1


def test_time_is_up_at_the_very_end_of_each_allowance(monkeypatch):
    now = {"wall": 0.0, "processor": 5.0}
    monkeypatch.setattr(flow_watch.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(flow_watch.time, "thread_time", lambda: now["processor"])
    watch = flow_watch.Watch(10.0, 2.0)
    assert not watch.out_of_time(0.0)
    watch.hasten(1.0)
    now["wall"], now["processor"] = 1.0, 5.75
    assert not watch.out_of_time(0.0)
    now["processor"] = 6.0
    assert watch.out_of_time(0.0)
    now["processor"], now["wall"] = 5.0, 1.75
    assert not watch.out_of_time(0.0)
    now["wall"] = 2.0
    assert watch.out_of_time(0.0)


def test_the_line_of_a_long_run_is_wiped_at_its_end(monkeypatch):
    lines = []

    class Line:
        def __init__(self, **settings):
            self.settings = settings
            self.said = []
            self.closed = False
            lines.append(self)

        def set_description_str(self, text):
            self.said.append(text)

        def close(self):
            self.closed = True

    monkeypatch.setattr(flow_watch, "tqdm", Line)
    watch = flow_watch.Watch(10.0, None)
    watch.say(1.0)
    watch.say(2.5)
    watch.close()
    assert len(lines) == 1 and lines[0].closed and lines[0].settings["leave"] is False
    assert [text.split(",")[0] for text in lines[0].said] == [
        "gradient flow: s = 1 of 10",
        "gradient flow: s = 2.5 of 10",
    ]


def test_a_long_run_speaks_after_three_seconds_and_twice_a_second(monkeypatch):
    now = [0.0]
    said = []
    monkeypatch.setattr(flow_watch.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        flow_watch.Watch, "say", lambda self, clock: said.append(now[0])
    )
    watch = flow_watch.Watch(10.0, None)
    for quarter in range(20):
        now[0] = quarter / 4
        watch.out_of_time(0.0)
    assert said == [3.0, 3.5, 4.0, 4.5]
