import math

import literal
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib

SLOPES = st.floats(0.01, 1.0)


@given(z=st.floats(-1e4, 1e4), gamma=SLOPES)
def test_activations_are_those_of_a_plain_loop(z, gamma):
    point = torch.tensor([[z]], dtype=torch.float64)
    for act in (ib.leaky_relu(gamma), ib.smoothed_leaky_relu(gamma), ib.relu()):
        slope = float(act.gamma)
        assert float(act.value(point)) == pytest.approx(
            literal.phi(z, act.name, slope), rel=1e-13, abs=1e-15
        )
        if act.smooth and z < -700:
            continue
        assert float(act.derivative(point)) == pytest.approx(
            literal.phi_slope(z, act.name, slope), rel=1e-13
        )


@given(z=st.floats(-50, 50), gamma=SLOPES)
def test_slopes_and_curvature_stay_in_their_bounds(z, gamma):
    act = ib.smoothed_leaky_relu(gamma)
    point = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(act.value(point), point)
    torch.testing.assert_close(act.derivative(point), slope, rtol=1e-12, atol=1e-15)
    assert gamma - 1e-15 <= slope <= 1 + 1e-15
    (curvature,) = torch.autograd.grad(act.derivative(point), point)
    assert abs(curvature) <= act.H * (1 + 1e-12) and act.H <= 0.25


def test_kinks_have_slope_one_and_every_activation_vanishes_at_zero(activation):
    zero = torch.zeros(1, 1, dtype=torch.float64)
    assert activation.value(zero) == 0
    assert activation.derivative(zero).item() == pytest.approx(
        0.6 if activation.smooth else 1
    )
    assert (
        activation.homogeneous != activation.smooth
        and (activation.H is None) != activation.smooth
    )


def test_activations_are_finite_at_ten_thousand(activation):
    z = torch.tensor([-1e4, 1e4], dtype=torch.float64)
    assert (
        torch.isfinite(activation.value(z)).all()
        and torch.isfinite(activation.derivative(z)).all()
    )


def test_slopes_outside_the_unit_interval_are_refused(rejects):
    for make in (ib.leaky_relu, ib.smoothed_leaky_relu):
        for gamma in (-0.1, 1.5, float("nan"), float("inf"), torch.tensor([0.5, 2.0])):
            with rejects("gamma", r"\(0, 1\]"):
                make(gamma)
        with rejects("gamma", "ReLU", "got 0"):
            make(0)
        with rejects("gamma"):
            make("steep")


def test_output_is_the_sum_over_neurons(activation):
    data = ib.data.gaussian(5, 4)
    net = ib.TwoLayer.init(data, 2, 3, activation, 1.0)
    gamma = float(activation.gamma)
    for i, x in enumerate(data.x.tolist()):
        z = [sum(w * c for w, c in zip(row, x)) for row in net.weights.tolist()]
        total = sum(
            a * literal.phi(zj, activation.name, gamma)
            for a, zj in zip(net.a.tolist(), z)
        )
        assert net(data.x)[i].item() == pytest.approx(total, rel=1e-12)


@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 999))
def test_homogeneous_networks_scale(factor, seed):
    data = ib.data.gaussian(4, 3, seed)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.3), 1.0, seed=seed)
    torch.testing.assert_close(net.scaled(factor)(data.x), factor * net(data.x))
    torch.testing.assert_close(net.scaled(factor).frobenius(), factor * net.frobenius())


# -- initialisation --


def test_second_layers_are_those_of_the_two_papers():
    data = ib.data.gaussian(3, 5)
    ours = ib.TwoLayer.init(data, 3, 5, ib.relu(), 1.0)
    assert ours.a.tolist() == pytest.approx(
        [1 / math.sqrt(8)] * 3 + [-1 / math.sqrt(8)] * 5
    )
    assert (ours.m, ours.m_pos, ours.m_neg, ours.kappa) == (8, 3, 5, 0.6)
    kou = ib.TwoLayer.init(data, 4, 4, ib.relu(), 1.0, output="1/m")
    assert kou.a.tolist() == [0.25] * 4 + [-0.25] * 4


def test_same_seed_same_draw_times_the_scale():
    for data in (ib.data.gaussian(3, 6), ib.data.gaussian(3, 6, space="span")):
        one = ib.TwoLayer.init(data, 2, 2, ib.relu(), 1.0, seed=4)
        batch = ib.TwoLayer.init(
            data, 2, 2, ib.relu(), torch.tensor([0.0, 1.0, 2.0]), seed=[3, 4]
        )
        assert batch.weights.shape[:-1] == (2, 3, 4)
        for k, scale in enumerate((0.0, 1.0, 2.0)):
            torch.testing.assert_close(batch.weights[1, k], scale * one.weights)
            torch.testing.assert_close(
                batch.weight_gram()[1, k], scale**2 * one.weight_gram()
            )
        assert not batch.weights[0, 1].equal(batch.weights[1, 1])


def test_entries_have_the_standard_deviation_asked_for():
    data = ib.data.gaussian(3, 400)
    weights = ib.TwoLayer.init(data, 100, 100, ib.relu(), 0.02, seed=1).weights
    assert (
        weights.std().item() == pytest.approx(0.02, rel=0.02)
        and abs(weights.mean()) < 5e-4
    )


@pytest.mark.parametrize("m, d", [(3, 8), (8, 3)])
def test_norms_are_those_of_the_weights(m, d):
    weights = torch.randn(2, m, d, dtype=torch.float64)
    net = ib.TwoLayer(weights, torch.ones(m), ib.relu())
    torch.testing.assert_close(net.frobenius(), weights.flatten(1).norm(dim=1))
    torch.testing.assert_close(net.spectral(), torch.linalg.svdvals(weights)[:, 0])


def test_frozen_part_counts_in_norms_only():
    weights = torch.randn(4, 3, dtype=torch.float64)
    rest = torch.randn(4, 9, dtype=torch.float64)
    net = ib.TwoLayer(weights, [1.0, 1, -1, -1], ib.relu(), rest @ rest.T)
    whole = torch.cat([weights, rest], dim=1)
    assert net.frobenius().item() == pytest.approx(whole.norm().item())
    assert net.spectral().item() == pytest.approx(torch.linalg.svdvals(whole)[0].item())
    x = torch.randn(2, 3, dtype=torch.float64)
    assert net(x).equal(ib.TwoLayer(weights, net.a, ib.relu())(x))


def test_bad_input_is_named(rejects):
    data = ib.data.gaussian(3, 5)
    w = torch.ones(2, 5)
    with rejects("weights", r"\(\.\.\., m, d\)"):
        ib.TwoLayer(torch.ones(5), [1.0], ib.relu())
    with rejects("weights", "finite", "nan", r"\(0, 1\)"):
        ib.TwoLayer([[1.0, float("nan")]], [1.0], ib.relu())
    with rejects("weights"):
        ib.TwoLayer("abc", [1.0], ib.relu())
    with rejects("a", "2 entries", r"\(3,\)"):
        ib.TwoLayer(w, [1.0, 1.0, -1.0], ib.relu())
    with rejects("a", "finite", "inf"):
        ib.TwoLayer(w, [1.0, float("inf")], ib.relu())
    with rejects("a", "no zero"):
        ib.TwoLayer(w, [1.0, 0.0], ib.relu())
    with rejects("activation", "relu", "'relu'"):
        ib.TwoLayer(w, [1.0, -1.0], "relu")
    with rejects("frozen_gram", "2, 2"):
        ib.TwoLayer(w, [1.0, -1.0], ib.relu(), torch.ones(3, 3))
    with rejects("frozen_gram", "finite"):
        ib.TwoLayer(w, [1.0, -1.0], ib.relu(), torch.full((2, 2), float("nan")))
    with rejects("a", "broadcast"):
        ib.TwoLayer(torch.ones(3, 2, 5), torch.ones(2, 2), ib.relu())
    for m in (0, -1, 1.5, "2"):
        with rejects("m_pos", "integer >= 1"):
            ib.TwoLayer.init(data, m, 2, ib.relu(), 1.0)
        with rejects("m_neg", "integer >= 1"):
            ib.TwoLayer.init(data, 2, m, ib.relu(), 1.0)
    for scale in (-1.0, float("nan"), "small"):
        with rejects("scale"):
            ib.TwoLayer.init(data, 2, 2, ib.relu(), scale)
    with rejects("output", "'1/m'"):
        ib.TwoLayer.init(data, 2, 2, ib.relu(), 1.0, output="m")
    with rejects("m_neg", "as many", "got 3"):
        ib.TwoLayer.init(data, 2, 3, ib.relu(), 1.0, output="1/m")
    with rejects("x", "5 columns", "got 4"):
        ib.TwoLayer(w, [1.0, -1.0], ib.relu())(torch.ones(1, 4))
    with rejects("a", "same number"):
        ib.TwoLayer(torch.ones(2, 2, 5), [[1.0, 1.0], [1.0, -1.0]], ib.relu()).m_pos  # noqa: B018


@pytest.mark.parametrize("space", ["full", "span"])
def test_one_seed_serves_data_and_weights_independently(space):
    data = ib.data.gaussian(5, 40, seed=0, space=space)
    net = ib.TwoLayer.init(data, 4, 4, ib.relu(), 1.0, seed=0)
    shared = set(data.x.flatten().tolist()) & set(net.weights.flatten().tolist())
    assert shared <= {0.0}
