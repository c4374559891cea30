import math
import time

import literal
import pytest
import torch

import implicit_bias as ib
from implicit_bias.training.recorder import Recorder


def flow(
    data, activation, until, scale=0.1, neurons=(3, 3), seed=0, loss="logistic", **rest
):
    net = ib.TwoLayer.init(data, *neurons, activation, scale, seed=seed)
    return ib.gradient_flow(net, data, until, loss, **rest)


def clock_error(run):
    return (
        (run.log_loss + run.s.reshape(-1, *[1] * (run.log_loss.ndim - 1))).abs().max()
    )


# -- against small steps in plain time --


@pytest.mark.parametrize("shape", [(5, 20), (12, 4)], ids=["n<d", "n>2d"])
@pytest.mark.parametrize("name", ["linear", "smooth"])
def test_flow_without_kinks_is_the_flow_in_plain_time(shape, name, loss):
    act = {"linear": ib.leaky_relu(1.0), "smooth": ib.smoothed_leaky_relu(0.2)}[name]
    data = ib.data.gaussian(*shape, seed=1)
    net = ib.TwoLayer.init(data, 2, 2, act, 0.2, seed=2)
    for time_end in (0.3, 2.0):
        log_loss, log_time, W = literal.flow_in_plain_time(
            net.weights,
            net.a,
            act.name,
            act.gamma,
            data.x,
            data.y,
            400,
            time_end / 400,
            loss,
        )
        run = ib.gradient_flow(net, data, -log_loss, loss)
        assert run.log_time[-1].item() == pytest.approx(log_time, abs=1e-7)
        assert float((run.final.weights - W).norm() / W.norm()) < 1e-7


@pytest.mark.parametrize("shape", [(5, 20), (12, 4)], ids=["n<d", "n>2d"])
@pytest.mark.parametrize("name", ["leaky", "relu"])
@pytest.mark.parametrize("seed", [1, 2])
def test_flow_across_kinks_is_the_limit_of_small_steps(shape, name, seed):
    """Neurons change sides on the way; plain descent with a vanishing step does not
    notice, to first order in the step.
    """
    act = {"leaky": ib.leaky_relu(0.3), "relu": ib.relu()}[name]
    data = ib.data.gaussian(*shape, seed=seed)
    net = ib.TwoLayer.init(data, 3, 3, act, 0.1, seed=seed)
    errors = []
    for steps in (400, 3200):
        run = ib.gradient_descent(net, data, 3.0 / steps, steps)
        assert not ib.measures.activation_pattern(run.final, data).equal(
            ib.measures.activation_pattern(net, data)
        )
        exact = ib.gradient_flow(net, data, -float(run.log_loss[-1]))
        W = exact.final.weights
        errors.append(float((run.final.weights - W).norm() / W.norm()))
        assert exact.log_time[-1].item() == pytest.approx(
            math.log(3.0), abs=3.0 / steps
        )
    assert errors[1] < 2e-3 and errors[1] < 0.4 * errors[0]


def test_log_time_is_the_time_of_descent_along_the_whole_run():
    data = ib.data.gaussian(4, 30)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.01)
    steps = 4000
    run = ib.gradient_descent(net, data, 10.0 / steps, steps)
    flow = ib.gradient_flow(net, data, 10, record=(-run.log_loss[100::300]).tolist())
    elapsed = (run.step[100::300].double() * 10.0 / steps).log()
    torch.testing.assert_close(
        flow.log_time[: len(elapsed)], elapsed, rtol=0, atol=5e-3
    )


@pytest.mark.parametrize("name, order", [("leaky", 0.5), ("smooth", 0.6)])
def test_errors_fall_with_rtol(name, order):
    """Errors at rtol 1e-4, 1e-6, 1e-8 against 1e-12: at least a factor 10^(2·order)
    from each to the next.
    """
    act = {"leaky": ib.leaky_relu(0.3), "smooth": ib.smoothed_leaky_relu(0.3)}[name]
    data = ib.data.gaussian(6, 15, seed=1)
    net = ib.TwoLayer.init(data, 3, 3, act, 0.3, seed=1)
    best = ib.gradient_flow(net, data, 20, record=[20], rtol=1e-12)
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        run = ib.gradient_flow(net, data, 20, record=[20], rtol=rtol)
        errors.append(
            float(
                (run.final.weights - best.final.weights).norm()
                / best.final.weights.norm()
            )
        )
        assert abs(run.log_time[-1] - best.log_time[-1]) < 300 * rtol
    assert (
        errors[0] < 1e-2
        and errors[1] < errors[0] * 10 ** (-2 * order)
        and errors[2] < errors[1] * 10 ** (-2 * order)
    )


# -- the clock, and what a run leaves --


def test_minus_log_loss_is_the_clock(activation, loss):
    run = flow(ib.data.gaussian(5, 30), activation, 30, loss=loss)
    assert run.outcome.ok and run.outcome.status == "finished"
    assert clock_error(run) < 1e-6
    assert run.s[-1] == 30 and (run.s.diff() > 0).all()
    assert run.log_time[0] == -math.inf and (run.log_time.diff() > 0).all()
    assert torch.isfinite(run.log_time[1:]).all()


def test_records_are_the_ones_asked_for():
    data = ib.data.gaussian(5, 30)
    run = flow(data, ib.leaky_relu(0.5), 10, record=[5, 1, 2.5], scale=0.01)
    assert run.s.tolist() == [1, 2.5, 5, 10] and clock_error(run) < 1e-7
    torch.testing.assert_close(
        run.net(2).weights,
        flow(data, ib.leaky_relu(0.5), 5, scale=0.01).final.weights,
        rtol=1e-6,
        atol=1e-7,
    )


def test_time_times_loss_tends_to_the_squared_norm_of_the_kkt_point():
    data = ib.data.gaussian(5, 100_000)
    run = flow(data, ib.leaky_relu(0.5), 2000, scale=1e-4)
    point = ib.kkt_point(data, 3, 3, 0.5)
    assert point.is_kkt
    assert (run.log_time[-1] - run.s[-1]).exp().item() == pytest.approx(
        point.weights.square().sum().item(), rel=2e-3
    )
    distances = [
        float(ib.measures.direction_distance(run.net(k), point.net)) for k in (-60, -1)
    ]
    times = [float(run.s[k]) for k in (-60, -1)]
    assert distances[1] < distances[0] and distances[1] < 3e-2
    assert distances[1] * times[1] == pytest.approx(distances[0] * times[0], rel=0.2)


def test_ten_thousand_on_the_clock_is_reached():
    data = ib.data.gaussian(6, 10**6)
    run = flow(data, ib.leaky_relu(0.9), 1e4, scale=1e-5, neurons=(4, 6))
    assert run.outcome.ok and clock_error(run) < 1e-4
    lam = torch.softmax(-run.margins[-1], -1)
    exact = ib.kkt_point(data, 4, 6, 0.9).lam
    torch.testing.assert_close(lam, exact / exact.sum(), rtol=1e-4, atol=0)


def test_flow_commutes_with_rotation_and_permutation():
    data = ib.data.gaussian(5, 9, seed=3)
    net = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(0.2), 0.3)
    rotation, _ = torch.linalg.qr(ib.data.gaussian(9, 9, seed=4).x)
    turned = ib.TwoLayer(net.weights.flip(0) @ rotation, net.a.flip(0), net.activation)
    one = ib.gradient_flow(net, data, 8).final.weights
    two = ib.gradient_flow(
        turned, ib.Dataset(data.x.flip(0) @ rotation, data.y.flip(0)), 8
    ).final.weights
    torch.testing.assert_close(two, one.flip(0) @ rotation, rtol=1e-6, atol=1e-7)


# -- batches --


@pytest.mark.parametrize("name", ["leaky", "smooth"])
def test_members_starting_at_different_clocks_equal_their_runs_one_by_one(name):
    act = {
        "leaky": ib.leaky_relu(0.3),
        "relu": ib.relu(),
        "smooth": ib.smoothed_leaky_relu(0.3),
    }[name]
    data = ib.data.gaussian(5, 12, seed=2)
    scales = torch.tensor([0.0, 0.1, 3.0, 30.0], dtype=torch.float64)
    batch = flow(data, act, 12, scale=scales, record=[0, 2, 12])
    starts = -ib.losses.LOGISTIC.log_mean(ib.measures.margins(batch.initial, data))
    assert starts.min() < 0.5 < starts.max() or starts.min() < 0
    for k, scale in enumerate(scales.tolist()):
        alone = flow(data, act, 12, scale=scale, record=[0, 2, 12])
        torch.testing.assert_close(
            batch.final.weights[k], alone.final.weights, rtol=1e-6, atol=1e-6
        )
        torch.testing.assert_close(
            batch.log_time[-1, k], alone.log_time[-1], rtol=1e-6, atol=1e-6
        )


def test_slopes_and_data_sets_run_as_one_tensor_the_linear_one_included():
    sets = [ib.data.gaussian(4, 12, s) for s in range(3)]
    data = ib.Dataset(
        torch.stack([d.x for d in sets]), torch.stack([d.y for d in sets])
    )
    gamma = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    batch = flow(data, ib.leaky_relu(gamma), 9)
    assert batch.outcome.ok and torch.allclose(
        batch.log_loss[-1], torch.tensor(-9.0).double(), atol=1e-6
    )
    for k in range(3):
        alone = flow(sets[k], ib.leaky_relu(float(gamma[k])), 9)
        torch.testing.assert_close(
            batch.final.weights[k], alone.final.weights, rtol=1e-6, atol=1e-7
        )


# -- stress: nothing hangs --


@pytest.fixture(autouse=True)
def patience():
    """No test takes long: seconds of this process, as a busy machine takes longer by
    the clock.
    """
    start = time.process_time()
    yield
    assert time.process_time() - start < 40


@pytest.mark.parametrize(
    "signs, p", [("oppose", 0.2), ("agree", 0.9), ("equal", 0.9), ("random", 0.15)]
)
@pytest.mark.parametrize("scale", [0.0, 0.3])
@pytest.mark.parametrize("name", ["relu", "leaky"])
def test_strong_correlations_slide_along_kinks_and_arrive(signs, p, scale, name):
    act = {"leaky": ib.leaky_relu(0.1), "relu": ib.relu()}[name]
    data = ib.data.correlated(5, p=p, signs=signs, seed=1)
    # Enough neurons that every sample wakes one of its sign: a ReLU network without is
    # stuck, and rightly so.
    run = flow(data, act, 60, scale=scale, neurons=(8, 8))
    assert run.outcome.ok and clock_error(run) < 1e-6
    if name == "leaky" and signs == "oppose" and scale == 0.3:
        residual = ib.kkt_residual(run.final, data, kink=1e-6)
        assert residual.stationarity < 0.1 and residual.feasibility == 0


def sliding_pair():
    """A ReLU neuron that x₂ pulls into the half-space of x₁, and x₁ pushes out of it:
    it slides along ⟨w, x₁⟩ = 0.
    """
    data = ib.Dataset([[1.0, 0.0], [0.6, 0.8]], [-1, 1])
    return ib.TwoLayer([[0.05, 1.0]], [1.0], ib.relu()), data


def test_a_sliding_neuron_stays_on_its_kink_as_small_steps_do():
    net, data = sliding_pair()
    steps = 40_000
    run = ib.gradient_descent(net, data, 2.0 / steps, steps)
    exact = ib.gradient_flow(net, data, -float(run.log_loss[-1]))
    assert abs(run.final.preactivations(data.x)[0, 0]) < 1e-4
    assert abs(exact.final.preactivations(data.x)[0, 0]) < 1e-12
    torch.testing.assert_close(
        exact.final.weights, run.final.weights, rtol=0, atol=1e-4
    )
    assert exact.log_time[-1].item() == pytest.approx(math.log(2.0), abs=1e-3)


def test_a_neuron_that_leaves_its_kink_and_falls_back_within_a_step_is_not_stuck():
    data = ib.data.gaussian(5, 20, seed=1)
    net = ib.TwoLayer.init(data, 3, 3, ib.relu(), 0.1, seed=1)
    assert ib.gradient_flow(net, data, 1.7, record=[1.7]).outcome.ok


def test_a_dead_network_stalls_at_once():
    net = ib.TwoLayer(
        -torch.ones(4, 4, dtype=torch.float64), [1.0, 1, -1, -1], ib.relu()
    )
    run = ib.gradient_flow(net, ib.data.orthogonal(4), 5)
    assert (
        run.outcome.status == "stalled"
        and not run.outcome.ok
        and "0.366513" in run.outcome.message
    )
    assert run.final.weights.equal(net.weights)


def test_one_dead_member_does_not_hold_up_the_others():
    data = ib.data.orthogonal(4)
    alive = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.1)
    weights = torch.stack([alive.weights.abs(), -torch.ones(4, 4, dtype=torch.float64)])
    run = ib.gradient_flow(ib.TwoLayer(weights, alive.a, ib.relu()), data, 5)
    assert run.outcome.status == "stalled" and "1 of 2" in run.outcome.message
    assert run.log_loss[-1, 0].item() == pytest.approx(-5, abs=1e-6)


CONTRADICTION = ib.Dataset([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1, -1, 1])


@pytest.mark.parametrize(
    "data",
    [CONTRADICTION, ib.data.gaussian(10, 2), ib.data.gaussian(7, 1)],
    ids=["contradiction", "d=2", "d=1"],
)
def test_data_that_cannot_be_fitted_stall_near_the_infimum(data, activation):
    loss = "exponential" if activation.smooth else "logistic"
    run = flow(data, activation, 50, neurons=(2, 2), loss=loss)
    assert run.outcome.status == "stalled" and torch.isfinite(run.margins).all()
    assert (run.log_loss.diff() <= 1e-9).all()
    if data is CONTRADICTION:
        infimum = (
            math.log(2 / 3 * math.log(2)) if loss == "logistic" else math.log(2 / 3)
        )
        assert (
            run.log_loss[-1].item() == pytest.approx(infimum, abs=5e-3)
            and run.log_loss[-1] >= infimum - 1e-9
        )


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-6, 10.0, 1e3])
def test_starts_from_nothing_to_huge(scale, activation):
    data = ib.data.gaussian(5, 30, seed=6)
    net = ib.TwoLayer.init(data, 3, 3, activation, scale, seed=6)
    start = -float(ib.losses.LOGISTIC.log_mean(ib.measures.margins(net, data)))
    run = ib.gradient_flow(net, data, max(10.0, start + 10))
    assert run.outcome.ok and clock_error(run) < 1e-6 * (1 + abs(start))


def test_a_negative_start_far_out_comes_back(loss):
    data = ib.data.gaussian(5, 30, seed=6)
    net = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(0.3), 1.0, seed=6)
    net = ib.TwoLayer(
        net.weights * 100 * (-1 if (data.y * net(data.x)).sum() > 0 else 1),
        net.a,
        net.activation,
    )
    run = ib.gradient_flow(net, data, 20, loss)
    assert run.s[0] < (-3 if loss == "logistic" else -100)
    assert run.outcome.ok and clock_error(run) < 1e-5


def test_until_below_the_start_gives_the_start():
    data = ib.data.gaussian(5, 30)
    run = flow(data, ib.leaky_relu(0.3), -5)
    assert run.outcome.ok and len(run) == 1 and run.log_time[0] == -math.inf
    assert run.final.weights.equal(run.initial.weights) and clock_error(run) < 1e-12


def test_one_class_one_sample_one_neuron():
    run = flow(ib.data.gaussian(4, 20, positive=4), ib.relu(), 10, neurons=(8, 3))
    assert run.outcome.ok
    single = ib.gradient_flow(
        ib.TwoLayer([[0.5]], [1.0], ib.relu()), ib.Dataset([[2.0]], [1]), 30
    )
    w = single.final.weights.item()
    # d(e^{2w} + 2w)/dt = 4 along dw/dt = 2/(1 + e^{2w}).
    elapsed = (math.exp(2 * w) + 2 * w - math.e - 1) / 4
    assert single.log_time[-1].item() == pytest.approx(math.log(elapsed), abs=1e-8)


def test_single_precision_input_is_integrated_in_double():
    data = ib.data.gaussian(4, 12).to(torch.float32)
    run = flow(data, ib.leaky_relu(0.3), 10)
    assert run.outcome.ok and clock_error(run) < 1e-6


def test_bad_input_is_named(rejects):
    data = ib.data.gaussian(3, 6)
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.1)
    for until in (float("nan"), float("inf"), "far", None):
        with rejects("until", "number"):
            ib.gradient_flow(net, data, until)
    for rtol in (0, 1.0, -1e-3, float("nan")):
        with rejects("rtol", r"\(0, 1\)"):
            ib.gradient_flow(net, data, 5, rtol=rtol)
    for record in ([6.0], [], [float("nan")]):
        with rejects("record", "up to 5"):
            ib.gradient_flow(net, data, 5, record=record)
    with rejects("net", "6 columns"):
        ib.gradient_flow(ib.TwoLayer(torch.ones(2, 5), [1.0, -1.0], ib.relu()), data, 5)
    with rejects("loss", "'hinge'"):
        ib.gradient_flow(net, data, 5, "hinge")
    with rejects("net", "finite outputs"):
        ib.gradient_flow(
            ib.TwoLayer(
                torch.full((2, 6), 1e308, dtype=torch.float64), [1.0, -1.0], ib.relu()
            ),
            data,
            5,
        )


def test_a_flow_that_overflows_ends_with_what_was_recorded(monkeypatch):
    data = ib.data.gaussian(4, 30, seed=1)
    net = ib.TwoLayer.init(data, 2, 2, ib.smoothed_leaky_relu(0.2), 0.3)
    add = Recorder.add
    monkeypatch.setattr(
        Recorder, "add", lambda self, state, time: time < 3 and add(self, state, time)
    )
    run = ib.gradient_flow(net, data, 4.0, record=[1.0, 2.0, 3.0, 4.0])
    assert run.s.tolist() == [1, 2] and len(run) == len(run.log_time) == 2
    assert run.outcome.status == "non-finite"
    assert run.outcome.message.endswith("between s = 2 and 3; the records end at s = 2")
