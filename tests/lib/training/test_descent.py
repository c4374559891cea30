import literal
import pytest
import torch

import implicit_bias as ib
from implicit_bias.training import descent as dynamics
from implicit_bias.training.descent import log_spaced
from implicit_bias.training.problem import Problem
from implicit_bias.training.smooth_stepper import SmoothStepper
from implicit_bias.training.stepper import Stepper

SHAPES = {"n<d": (6, 25), "n=d": (7, 7), "d<n<2d": (9, 6), "n>2d": (15, 4)}
STEPS = 40


def reference(net, data, step_size, steps, loss="logistic"):
    gamma = float(net.activation.gamma)
    return literal.autograd_descent(
        net.weights,
        net.a,
        net.activation.name,
        gamma,
        data.x,
        data.y,
        step_size,
        steps,
        loss,
    )


def relative(ours, theirs):
    return float((ours - theirs).norm() / theirs.norm())


def check_against_full_space(run, data, net, step_size, loss, tolerance):
    weights = reference(net, data, step_size, STEPS, loss)
    for index, step in enumerate(run.step.tolist()):
        W = weights[step]
        assert relative(run.net(index).weights, W) < tolerance
        q = (
            data.y
            * literal.Net(W, net.a, net.activation.name, float(net.activation.gamma))(
                data.x
            ).detach()
        )
        assert relative(run.margins[index], q) < 10 * tolerance
        assert run.log_loss[index].item() == pytest.approx(
            literal.mean_loss(q, loss).log().item(), abs=10 * tolerance
        )
        assert run.frobenius[index].item() == pytest.approx(
            W.norm().item(), rel=tolerance
        )
        assert run.spectral[index].item() == pytest.approx(
            torch.linalg.svdvals(W)[0].item(), rel=tolerance
        )
        assert run.stable_rank[index].item() == pytest.approx(
            literal.stable_rank(W), rel=10 * tolerance
        )
    assert relative(run.final.weights, weights[-1]) < tolerance


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("step_size", [0.05, 2.0])
def test_reduced_descent_is_full_space_descent(shape, step_size, activation, loss):
    data = ib.data.gaussian(*shape, seed=1)
    net = ib.TwoLayer.init(data, 3, 4, activation, 0.3, seed=2)
    if loss == "exponential":
        step_size /= 40
    run = ib.gradient_descent(
        net, data, step_size, STEPS, loss, record=[0, 1, 7, STEPS]
    )
    check_against_full_space(run, data, net, step_size, loss, 1e-10)


@pytest.mark.parametrize("shape", [(6, 25), (15, 4)], ids=["n<d", "n>2d"])
def test_reduced_descent_is_full_space_descent_in_float32(shape, activation):
    data = ib.data.gaussian(*shape, seed=1).to(torch.float32)
    net = ib.TwoLayer.init(data, 3, 4, activation, 0.3, seed=2)
    run = ib.gradient_descent(net, data, 0.1, STEPS)
    assert run.final.weights.dtype == run.margins.dtype == torch.float32
    assert relative(run.final.weights, reference(net, data, 0.1, STEPS)[-1]) < 1e-5


@pytest.mark.parametrize("shape", [(6, 25), (15, 4)], ids=["n<d", "n>2d"])
def test_a_batch_of_everything_equals_its_runs_one_by_one(shape):
    """Seeds, scales, step sizes, slopes and data sets together, each against autograd."""
    sets = [ib.data.gaussian(*shape, seed=s) for s in range(3)]
    data = ib.Dataset(
        torch.stack([one.x for one in sets]), torch.stack([one.y for one in sets])
    )
    gamma = torch.tensor([0.1, 0.5, 1.0])
    step_size = torch.tensor([0.3, 0.05, 0.7])
    scales = torch.tensor([0.1, 0.5])
    drawn = ib.TwoLayer.init(data, 2, 3, ib.leaky_relu(0.5), scales, seed=[0, 1, 2])
    assert drawn.weights.shape[:2] == (3, 2)
    net = ib.TwoLayer(drawn.weights.transpose(0, 1), drawn.a, ib.leaky_relu(gamma))
    run = ib.gradient_descent(net, data, step_size, STEPS)
    assert run.margins.shape == (STEPS + 1, 2, 3, shape[0])
    assert run.stable_rank.shape == (STEPS + 1, 2, 3)
    for i in range(2):
        for k in range(3):
            single = ib.TwoLayer(
                net.weights[i, k], net.a, ib.leaky_relu(float(gamma[k]))
            )
            weights = reference(single, sets[k], float(step_size[k]), STEPS)
            assert relative(run.final.weights[i, k], weights[-1]) < 1e-10
            assert relative(run.net(5).weights[i, k], weights[5]) < 1e-10
            assert run.frobenius[5, i, k].item() == pytest.approx(
                weights[5].norm().item(), rel=1e-10
            )
            assert run.stable_rank[5, i, k].item() == pytest.approx(
                literal.stable_rank(weights[5]), rel=1e-9
            )


def test_smoothed_slopes_run_as_one_tensor():
    data = ib.data.gaussian(5, 12)
    gamma = torch.tensor([0.1, 0.9])
    net = ib.TwoLayer.init(data, 2, 2, ib.smoothed_leaky_relu(gamma), 1.0)
    run = ib.gradient_descent(net, data, 0.2, STEPS)
    for k in range(2):
        single = ib.TwoLayer(
            net.weights, net.a, ib.smoothed_leaky_relu(float(gamma[k]))
        )
        assert (
            relative(run.final.weights[k], reference(single, data, 0.2, STEPS)[-1])
            < 1e-10
        )


@pytest.mark.parametrize("shape", [(5, 40), (12, 4)], ids=["n<d", "n>2d"])
def test_frozen_part_of_a_span_run_is_that_of_the_full_run(shape):
    """The same weights, once in full space and once in span coordinates plus the Gram
    matrix of the rest.
    """
    n, d = shape
    full = ib.data.gaussian(n, d, seed=3, space="full")
    net = ib.TwoLayer.init(full, 3, 3, ib.leaky_relu(0.2), 0.3)
    basis, _ = torch.linalg.qr(full.x.T)
    inside = net.weights @ basis
    outside = net.weights - inside @ basis.T
    span = ib.Dataset(full.x @ basis, full.y, ambient_dim=d)
    reduced = ib.TwoLayer(inside, net.a, net.activation, outside @ outside.T)
    one = ib.gradient_descent(net, full, 0.1, STEPS)
    two = ib.gradient_descent(reduced, span, 0.1, STEPS)
    for name in ("margins", "log_loss", "frobenius", "spectral", "stable_rank"):
        torch.testing.assert_close(
            getattr(one, name), getattr(two, name), rtol=1e-10, atol=1e-12
        )
    assert two.final.frobenius().item() == pytest.approx(
        one.final.weights.norm().item(), rel=1e-12
    )
    assert two.final.spectral().item() == pytest.approx(
        torch.linalg.svdvals(one.final.weights)[0].item(), rel=1e-12
    )


def test_descent_commutes_with_rotation_and_with_permutations():
    data = ib.data.gaussian(6, 8, seed=4)
    net = ib.TwoLayer.init(data, 3, 3, ib.relu(), 0.5)
    rotation, _ = torch.linalg.qr(ib.data.gaussian(8, 8, seed=5).x)
    samples = torch.randperm(6)
    neurons = torch.randperm(6)
    run = ib.gradient_descent(net, data, 0.3, STEPS)
    turned = ib.gradient_descent(
        ib.TwoLayer(net.weights[neurons] @ rotation, net.a[neurons], net.activation),
        ib.Dataset(data.x[samples] @ rotation, data.y[samples]),
        0.3,
        STEPS,
    )
    torch.testing.assert_close(
        turned.final.weights,
        run.final.weights[neurons] @ rotation,
        rtol=1e-10,
        atol=1e-12,
    )
    torch.testing.assert_close(
        turned.margins, run.margins[:, samples], rtol=1e-10, atol=1e-12
    )


def test_a_step_at_an_exact_kink_takes_slope_one():
    data = ib.Dataset([[1.0, 0.0], [0.0, 1.0]], [1, -1])
    net = ib.TwoLayer([[0.0, 2.0], [-1.0, 0.0]], [0.5, -0.5], ib.leaky_relu(0.1))
    run = ib.gradient_descent(net, data, 0.4, 1)
    torch.testing.assert_close(
        run.final.weights, reference(net, data, 0.4, 1)[-1], rtol=1e-15, atol=1e-15
    )


def test_sgd_with_whole_batches_is_gradient_descent():
    data = ib.data.gaussian(6, 20)
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.3)
    torch.testing.assert_close(
        ib.sgd(net, data, 0.2, 30, batch_size=6).final.weights,
        ib.gradient_descent(net, data, 0.2, 30).final.weights,
    )


@pytest.mark.parametrize("shape", [(6, 20), (14, 3)], ids=["n<d", "n>2d"])
def test_sgd_visits_every_sample_once_an_epoch(shape):
    """One epoch at a vanishing step moves W by the full gradient: each sample was seen
    once, without replacement.
    """
    data = ib.data.gaussian(*shape)
    net = ib.TwoLayer.init(data, 2, 2, ib.smoothed_leaky_relu(0.3), 0.3)
    run = ib.sgd(net, data, 1e-7, shape[0] // 2, batch_size=2, seed=3)
    moved = (run.final.weights - net.weights) / 1e-7
    full = -ib.measures.gradient(net, data) * (shape[0] // 2)
    torch.testing.assert_close(moved, full, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 20), (14, 3)], ids=["n<d", "n>2d"])
def test_sgd_is_the_literal_iteration_over_the_same_minibatches(shape):
    data = ib.data.gaussian(*shape)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.3), 0.3)
    stream = ib.span.generator(9, "batches")
    W = net.weights
    queue = []
    for _ in range(12):
        if not queue:
            order = torch.randperm(shape[0], generator=stream)
            queue = [order[k : k + 4] for k in range(0, shape[0] - 3, 4)]
        chosen = queue.pop(0)
        W = W - 0.2 * literal.loop_gradient(
            W, net.a, "leaky_relu", 0.3, data.x[chosen], data.y[chosen]
        )
    run = ib.sgd(net, data, 0.2, 12, batch_size=4, seed=9)
    torch.testing.assert_close(run.final.weights, W, rtol=1e-12, atol=1e-12)


def test_log_spaced_keeps_both_ends():
    assert log_spaced(0) == [0]
    assert log_spaced(5) == [0, 1, 2, 3, 4, 5]
    steps = log_spaced(10**6)
    assert (
        steps[0] == 0
        and steps[-1] == 10**6
        and steps == sorted(set(steps))
        and len(steps) <= 250
    )


# -- records and endings --


@pytest.fixture
def small():
    data = ib.data.gaussian(4, 10)
    return ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.1), data


def test_records_are_the_ones_asked_for_and_the_run_still_goes_to_its_end(small):
    net, data = small
    run = ib.gradient_descent(net, data, 0.1, 20, record=[10, 3])
    assert run.step.tolist() == [3, 10] and len(run) == 2 and run.outcome.ok
    torch.testing.assert_close(
        run.final.weights, ib.gradient_descent(net, data, 0.1, 20).net(-1).weights
    )
    torch.testing.assert_close(
        run.net(0).weights, ib.gradient_descent(net, data, 0.1, 3).final.weights
    )


def test_no_steps_gives_the_start(small):
    net, data = small
    run = ib.gradient_descent(net, data, 0.1, 0)
    assert run.step.tolist() == [0] and run.final.weights.equal(net.weights)


def test_the_start_is_left_as_it_was(small):
    net, data = small
    before = net.weights.clone()
    ib.gradient_descent(net, data, 0.1, 5)
    assert net.weights.equal(before)


def test_an_overflow_ends_the_run_with_what_was_recorded(small):
    _, data = small
    net = ib.TwoLayer(torch.full((2, 10), 0.1), [1.0, -1.0], ib.leaky_relu(0.5))
    run = ib.gradient_descent(net, data, 1e5, 100, "exponential")
    assert run.outcome.status == "non-finite" and not run.outcome.ok
    assert (
        1 <= len(run) < 100
        and torch.isfinite(run.margins).all()
        and torch.isfinite(run.stable_rank).all()
    )
    assert torch.isfinite(run.final.weights).all()
    assert run.step[-1] == len(run) - 1


def test_an_overflow_past_the_last_record_is_no_success(small):
    _, data = small
    net = ib.TwoLayer(torch.full((2, 10), 0.1), [1.0, -1.0], ib.leaky_relu(0.5))
    run = ib.gradient_descent(net, data, 1e5, 100, "exponential", record=[0])
    assert run.outcome.status == "non-finite"
    assert torch.isfinite(run.final.weights).all()


def test_a_diverging_run_says_so():
    data = ib.Dataset([[1.0, 0.0], [1.0, 0.0]], [1, -1])
    net = ib.TwoLayer(
        [[1.0, 0.0], [-1.0, 0.0]], [0.5, -0.5], ib.smoothed_leaky_relu(0.5)
    )
    run = ib.gradient_descent(net, data, 1e4, 20)
    assert run.outcome.status == "diverged" and "smaller step" in run.outcome.message


def test_bad_input_is_named(small, rejects):
    net, data = small
    for step_size in (0, -1.0, float("nan"), float("inf"), torch.tensor([0.1, -2.0])):
        with rejects("step_size", "> 0"):
            ib.gradient_descent(net, data, step_size, 5)
    with rejects("step_size"):
        ib.gradient_descent(net, data, "fast", 5)
    for steps in (-1, 2.5, "ten", None, float("inf")):
        with rejects("steps", "integer >= 0"):
            ib.gradient_descent(net, data, 0.1, steps)
    with rejects("record", "whole steps", "1.5"):
        ib.gradient_descent(net, data, 0.1, 5, record=[1.5])
    for record in ([6], [-1], []):
        with rejects("record", "between 0 and 5"):
            ib.gradient_descent(net, data, 0.1, 5, record=record)
    with rejects("net", "10 columns", "got 7"):
        ib.gradient_descent(
            ib.TwoLayer(torch.zeros(2, 7), [1.0, -1.0], ib.relu()), data, 0.1, 5
        )
    with rejects("net", "broadcast"):
        ib.gradient_descent(
            ib.TwoLayer(torch.zeros(3, 2, 10), [1.0, -1.0], ib.relu()),
            data,
            torch.ones(2),
            5,
        )
    with rejects("net", "finite outputs"):
        ib.gradient_descent(
            ib.TwoLayer(
                torch.full((2, 10), 1e308, dtype=torch.float64), [1.0, -1.0], ib.relu()
            ),
            data,
            0.1,
            5,
        )
    with rejects("batch_size", "at most n = 4", "got 5"):
        ib.sgd(net, data, 0.1, 5, batch_size=5)
    with rejects("batch_size", ">= 1"):
        ib.sgd(net, data, 0.1, 5, batch_size=0)
    with rejects("loss"):
        ib.gradient_descent(net, data, 0.1, 5, loss="hinge")
    with rejects("device", "gpu9"):
        ib.gradient_descent(net, data, 0.1, 5, device="gpu9")
    with rejects("index", "-6 to 5"):
        ib.gradient_descent(net, data, 0.1, 5).net(6)


def test_a_member_of_a_batch_knows_its_own_step_size():
    data = ib.data.gaussian(3, 5)
    start = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.1, seed=[1, 2])
    steps = torch.tensor([[0.1], [0.2]], dtype=torch.float64)
    run = ib.gradient_descent(
        ib.TwoLayer(start.weights[:, None], start.a, start.activation), data, steps, 3
    )
    assert run.member(1, 0).step_size == 0.2
    assert ib.gradient_descent(start, data, 0.3, 3).member(1).step_size == 0.3


MOVERS = {
    "leaps": lambda problem: Stepper(problem, 0.1, None),
    "any rule": lambda problem: ib.Momentum(0).mover(problem, 0.1, None),
    "numpy": lambda problem: SmoothStepper(problem, 0.1),
}


@pytest.mark.parametrize("mover", MOVERS.values(), ids=MOVERS)
@pytest.mark.parametrize("count", [0, 1, 1025, 5000])
def test_movers_are_interchangeable_and_say_each_step_once(mover, count):
    data = ib.data.gaussian(4, 30, seed=1)
    net = ib.TwoLayer.init(data, 1, 1, ib.smoothed_leaky_relu(0.2), 0.3)
    problem = Problem.of(net, data, "logistic", "cpu")
    moved = mover(problem)
    told = []
    moved.advance(count, told.append)
    assert sum(told) == count and all(told)
    run = dynamics.descend(mover(problem), 0.1, count, [0], "some rule")
    assert torch.equal(run.final.weights, problem.lift()(moved.state).weights)
    plain = ib.gradient_descent(net, data, 0.1, count, record=[0])
    torch.testing.assert_close(
        run.final.weights, plain.final.weights, rtol=1e-10, atol=1e-12
    )
    assert run.rule == "some rule" and run.step.tolist() == [0]
