"""Flow on ordinary data: steps across kinks, contradictory data, limits of time, and
what is refused.
"""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm import tqdm

import implicit_bias as ib
from implicit_bias.theorems import genuine, guard
from implicit_bias.training import flow_across, flow_limits, flow_rough
from implicit_bias.training.flow_watch import Watch
from implicit_bias.training.problem import Problem

PHI = ib.leaky_relu(0.1)


def ordinary(n=16, d=6, m=3, seed=0, phi=PHI):
    data = ib.data.gaussian(n, d, seed=seed)
    return ib.TwoLayer.init(data, m, m, phi, 0.1, seed=seed), data


def problem_of(net, data):
    return Problem.of(net, data, "logistic", "cpu", dtype=torch.float64)


def passed(net, data, targets, delta):
    problem = problem_of(net, data)
    member = flow_across.Member(problem, 0)
    state = np.zeros(tuple(problem.span.state_shape))
    return member, flow_rough.pass_through(
        member, state, 0.0, targets, delta, Watch(targets[-1], None)
    )


def descend(net, data, goal, step):
    """The flow by small plain steps of descent on the full matrix: W where L first is
    e^{-goal}, and the time.
    """
    weights = net.weights.numpy().copy()
    time = 0.0
    x = data.x.numpy()
    y = data.y.numpy()
    a = net.a.numpy()
    while True:
        z = weights @ x.T
        slopes = np.where(z >= 0, 1.0, net.activation.gamma)
        q = y * (a @ (slopes * z))
        if -math.log(np.log1p(np.exp(-q)).mean()) >= goal:
            return torch.from_numpy(weights), time
        pull = y / (1 + np.exp(q)) / data.n
        weights += step * (a[:, None] * slopes * pull) @ x
        time += step


def apart(left, right):
    return float((left - right).norm() / right.norm())


def test_steps_across_kinks_follow_small_steps_of_descent():
    net, data = ordinary()
    goal = 1.0
    expected, time = descend(net, data, goal, 2e-3)
    member, passage = passed(net, data, [goal], 5e-4)
    assert passage.reached == 1
    assert passage.clock[0] == goal
    assert apart(torch.from_numpy(member.net(passage.states[0])), expected) < 3e-3
    assert passage.tL[0] == pytest.approx(time * math.exp(-goal), rel=5e-3)


def test_shorter_steps_come_nearer():
    net, data = ordinary(seed=3)
    nets = []
    for delta in (4e-3, 1e-3, 2.5e-4):
        member, passage = passed(net, data, [0.9], delta)
        nets.append(torch.from_numpy(member.net(passage.states[0])))
    first, second = (apart(a, b) for a, b in pairwise(nets))
    assert second < first / 2


def test_a_flow_with_many_crossings_says_how_it_went_on(monkeypatch):
    net, data = ordinary()
    exact = ib.gradient_flow(net, data, 0.9, record=[0.6, 0.9])
    assert exact.resolution is None
    monkeypatch.setattr(
        "implicit_bias.training.flow.crossings_allowed", lambda problem: 3
    )
    rough = ib.gradient_flow(net, data, 0.9, record=[0.6, 0.9])
    assert rough.outcome.ok
    assert "by steps across them" in str(rough.outcome)
    assert 0 < rough.resolution <= flow_rough.AGREEMENT
    assert rough.s.tolist() == exact.s.tolist()
    torch.testing.assert_close(-rough.log_loss, rough.s, atol=1e-4, rtol=0)
    torch.testing.assert_close(rough.log_time, exact.log_time, atol=1e-2, rtol=0)
    for k in range(2):
        assert (
            apart(rough.net(k).weights, exact.net(k).weights) < 2 * flow_rough.AGREEMENT
        )


def test_a_batch_across_kinks_is_each_of_its_runs(monkeypatch):
    net, data = ordinary()
    monkeypatch.setattr(
        "implicit_bias.training.flow.crossings_allowed", lambda problem: 3
    )
    slopes = torch.tensor([0.1, 0.3], dtype=torch.float64)
    begin = ib.TwoLayer(net.weights, net.a, ib.leaky_relu(slopes))
    batch = ib.gradient_flow(begin, data, 0.8, record=[0.8])
    for k, gamma in enumerate((0.1, 0.3)):
        alone = ib.gradient_flow(
            ib.TwoLayer(net.weights, net.a, ib.leaky_relu(gamma)),
            data,
            0.8,
            record=[0.8],
        )
        assert apart(batch.member(k).final.weights, alone.final.weights) < 5e-3


def test_near_orthogonal_data_are_always_followed_exactly():
    data = ib.data.orthogonal(5)
    assert (
        flow_limits.crossings_allowed(
            problem_of(ib.TwoLayer.init(data, 2, 2, PHI, 0.1), data)
        )
        == math.inf
    )
    net, data = ordinary()
    assert flow_limits.crossings_allowed(problem_of(net, data)) < math.inf


@pytest.mark.parametrize(
    "said, kept",
    [("holds", "undecided"), ("fails", "undecided"), ("vacuous", "vacuous")],
)
def test_a_rough_run_decides_nothing(said, kept):
    net, data = ordinary(n=4, d=6)
    run = ib.gradient_flow(net, data, 0.8)
    verdict = replace(ib.claims["F-3.2.1"].positive(), verdict=said)
    assert guard._as_far_as_known(verdict, [run]).verdict == said
    rough = replace(run, resolution=1.5e-3)
    shown = guard._as_far_as_known(verdict, [data, rough])
    assert shown.verdict == kept
    assert ("its resolution is 1.5e-03" in shown.why) == (said != "vacuous")
    unknown = guard._as_far_as_known(
        replace(verdict, verdict="holds"), [replace(run, resolution=math.nan)]
    )
    assert "its resolution is unknown" in unknown.why


def test_the_guard_takes_a_rough_run_and_no_other_in_its_place(monkeypatch, rejects):
    net, data = ordinary()
    monkeypatch.setattr(
        "implicit_bias.training.flow.crossings_allowed", lambda problem: 3
    )
    run = ib.gradient_flow(net, data, 0.9)
    assert run.resolution is not None
    assert genuine.genuine(run) is run
    other = ib.gradient_flow(ib.TwoLayer(net.weights.flip(0), net.a, PHI), data, 0.9)
    with rejects("run"):
        genuine.genuine(replace(other, initial=net))


# -- contradictions --------


def least_loss(problem):
    found = flow_limits.contradiction(problem)
    return None if found is None else math.exp(-found[0])


def with_labels(x, y):
    data = ib.Dataset(
        torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    )
    return problem_of(ib.TwoLayer.init(data, 2, 2, PHI, 0.1, seed=1), data)


def test_contradictions_are_priced():
    log2 = math.log(2)
    assert least_loss(
        with_labels([[1, 0], [1, 0], [0, 1]], [1, -1, 1])
    ) == pytest.approx(2 * log2 / 3, rel=1e-9)
    assert least_loss(
        with_labels([[1, 0], [1, 0], [1, 0], [0, 1]], [1, 1, -1, 1])
    ) == pytest.approx((2 * math.log(1.5) + math.log(3)) / 4, rel=1e-9)
    assert least_loss(with_labels([[0, 0], [1, 0]], [1, -1])) == pytest.approx(
        log2 / 2, rel=1e-9
    )
    assert least_loss(with_labels([[1, 0], [-1, 0], [0, 1]], [1, -1, 1])) is None
    assert least_loss(with_labels([[1, 0], [1, 0], [0, 1]], [1, 1, -1])) is None


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 10), st.integers(0, 10**6))
def test_no_network_beats_the_price(c, seed):
    problem = with_labels([[1, 2], [c, 2 * c], [0, 1]], [1, -1, 1])
    weights = torch.randn(
        200, 4, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    z = weights @ problem.data.x.T
    a = problem.net.a[:, None]
    q = problem.data.y * (a * torch.where(z >= 0, z, 0.1 * z)).sum(-2)
    assert float(torch.log1p(torch.exp(-q)).mean(-1).min()) >= least_loss(problem) * (
        1 - 1e-9
    )


def test_contradictory_labels_are_told():
    rows = ib.data.gaussian(8, 5, seed=2)
    data = ib.Dataset(torch.cat([rows.x, rows.x]), torch.cat([rows.y, -rows.y]))
    run = ib.gradient_flow(ib.TwoLayer.init(data, 3, 3, PHI, 0.1), data, 3.0)
    assert run.outcome.status == "stalled"
    assert (
        "samples 0 and 8 have one direction and opposite labels" in run.outcome.message
    )
    assert "stays below 0.366513" in run.outcome.message


def test_below_the_ceiling_a_contradiction_does_no_harm():
    data = ib.Dataset([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1, -1, 1])
    assert ib.gradient_flow(
        ib.TwoLayer.init(data, 3, 3, PHI, 0.1), data, 0.6
    ).outcome.ok


# -- time, words, arguments --------


def test_a_time_limit_ends_a_run_and_keeps_what_was_recorded(monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(
        "implicit_bias.training.flow_watch.time.monotonic", lambda: float(next(ticks))
    )
    net, data = ordinary()
    run = ib.gradient_flow(net, data, 2.0, time_limit=40)
    assert run.outcome.status == "time limit"
    assert "after 40 seconds" in run.outcome.message
    assert len(run) >= 1
    assert float(run.s[-1]) == pytest.approx(float(-run.log_loss[-1]), abs=1e-9)
    assert float(run.s[-1]) < 2.0


def test_a_long_run_says_the_clock_it_reached(monkeypatch, capsys):
    # Whatever the environment says, which tqdm reads when it is imported.
    monkeypatch.setattr(
        "implicit_bias.training.flow_watch.tqdm", partial(tqdm, disable=False)
    )
    watch = Watch(3.0, None)
    watch.began -= 4.0
    assert not watch.out_of_time(1.25)
    watch.close()
    assert "gradient flow: s = 1.25 of 3, 4 s" in capsys.readouterr().err


def test_a_short_run_says_nothing(capsys):
    net, data = ordinary(n=4, d=6)
    ib.gradient_flow(net, data, 1.0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "argument, value",
    [
        ("until", 1e308),
        ("until", 1.0001e8),
        ("until", torch.tensor([1.0, 2.0])),
        ("until", "3"),
        ("until", math.nan),
        ("until", True),
        ("rtol", "a"),
        ("rtol", 0.0),
        ("rtol", 1.0),
        ("record", "abc"),
        ("record", [math.nan]),
        ("record", []),
        ("record", [5.0]),
        ("time_limit", 0.0),
        ("time_limit", -1),
        ("time_limit", "soon"),
        ("time_limit", math.inf),
    ],
)
def test_arguments_are_named(argument, value, rejects):
    net, data = ordinary(n=4, d=6)
    with rejects(argument):
        ib.gradient_flow(net, data, **{"until": 1.0, argument: value})


def test_nearly_contradictory_samples_are_no_contradiction():
    near = with_labels([[1, 0], [1, 1e-7], [0, 1]], [1, -1, 1])
    assert least_loss(near) is None
    assert least_loss(with_labels([[1, 0.5], [3, 1.5], [0, 1]], [1, -1, 1])) is not None
    data = ib.Dataset([[1.0, 0.3], [1.0, -0.3]], [1, -1])
    run = ib.gradient_flow(
        ib.TwoLayer.init(data, 3, 3, PHI, 0.1),
        data,
        flow_limits.FARTHEST,
        time_limit=0.5,
    )
    assert run.outcome.status == "time limit"
