import math

import literal
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.measures import decomposition, gradients, outputs, ranks


@given(
    seed=st.integers(0, 9999),
    m=st.integers(1, 6),
    d=st.integers(1, 6),
    scale=st.floats(1e-150, 1e150),
)
def test_stable_rank_lies_between_one_and_the_rank_and_forgets_the_scale(
    seed, m, d, scale
):
    weights = torch.randn(m, d, generator=ib.span.generator(seed), dtype=torch.float64)
    rank = ranks.stable_rank(weights)
    assert 1 - 1e-12 <= rank <= min(m, d) + 1e-12
    assert rank.item() == pytest.approx(literal.stable_rank(weights), rel=1e-12)
    assert ranks.stable_rank(scale * weights).item() == pytest.approx(
        rank.item(), rel=1e-10
    )
    rotation, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64))
    assert ranks.stable_rank(weights @ rotation).item() == pytest.approx(
        rank.item(), rel=1e-12
    )


def test_stable_rank_of_known_matrices():
    assert ranks.stable_rank(torch.eye(5)) == 5
    assert ranks.stable_rank(torch.ones(4, 7)).item() == pytest.approx(1, abs=1e-6)
    assert ranks.stable_rank(torch.diag(torch.tensor([2.0, 1.0]))) == 1.25
    assert ranks.stable_rank(torch.zeros(2, 2)).isnan()
    assert ranks.stable_rank([[1, 0], [0, 1]]) == 2


@pytest.mark.parametrize("space", ["full", "span"])
def test_stable_rank_of_a_network_is_that_of_its_first_layer(space):
    data = ib.data.gaussian(4, 30, space=space)
    net = ib.TwoLayer.init(data, 3, 3, ib.relu(), 1.0)
    values = torch.linalg.eigvalsh(net.weight_gram())
    assert ranks.stable_rank(net).item() == pytest.approx(
        (values.sum() / values[-1]).item(), rel=1e-12
    )
    if space == "full":
        assert ranks.stable_rank(net).item() == pytest.approx(
            literal.stable_rank(net.weights), rel=1e-12
        )


@pytest.mark.parametrize("shape", [(5, 8), (9, 3)])
def test_gradient_is_the_loop_over_neurons_and_samples(shape, activation, loss):
    data = ib.data.gaussian(*shape, seed=3)
    net = ib.TwoLayer.init(data, 3, 2, activation, 0.5)
    exact = literal.loop_gradient(
        net.weights,
        net.a,
        activation.name,
        float(activation.gamma),
        data.x,
        data.y,
        loss,
    )
    torch.testing.assert_close(
        gradients.gradient(net, data, loss), exact, rtol=1e-12, atol=1e-14
    )
    step = literal.autograd_descent(
        net.weights,
        net.a,
        activation.name,
        activation.gamma,
        data.x,
        data.y,
        1.0,
        1,
        loss,
    )[1]
    torch.testing.assert_close(net.weights - step, exact, rtol=1e-11, atol=1e-13)


def test_gradient_at_zero_weights_takes_slope_one():
    data = ib.data.gaussian(3, 4)
    net = ib.TwoLayer(torch.zeros(2, 4), [1.0, -1.0], ib.relu())
    torch.testing.assert_close(gradients.gradient(net, data)[0], -data.mu_hat / 6)


def test_margins_and_pattern(activation):
    data = ib.data.gaussian(4, 6)
    net = ib.TwoLayer.init(data, 2, 2, activation, 1.0)
    assert outputs.margins(net, data).equal(data.y * net(data.x))
    signs = [
        [sum(w * c for w, c in zip(row, x)) >= 0 for x in data.x.tolist()]
        for row in net.weights.tolist()
    ]
    assert outputs.activation_pattern(net, data).tolist() == signs


def test_loss_ratio_is_exact_where_the_losses_underflow():
    data = ib.Dataset([[1000.0], [-2000.0]], [1, -1])
    net = ib.TwoLayer([[1.0], [-1.0]], [1.0, -1.0], ib.leaky_relu(1.0))
    q = outputs.margins(net, data)
    assert q.tolist() == [2000, 4000]
    assert outputs.loss_ratio(net.scaled(0.01), data).item() == pytest.approx(
        (1 + math.exp(40)) / (1 + math.exp(20))
    )
    assert outputs.loss_ratio(net.scaled(0.3), data).item() == pytest.approx(
        math.exp(600), rel=1e-10
    )
    assert outputs.loss_ratio(
        net.scaled(1e-3), data, "exponential"
    ).item() == pytest.approx(math.exp(2), rel=1e-12)


@given(seed=st.integers(0, 999))
def test_loss_ratio_is_at_least_one_and_the_largest_quotient(seed):
    data = ib.data.gaussian(5, 4, seed)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.4), 1.0, seed=seed)
    g = ib.losses.LOGISTIC.g(outputs.margins(net, data))
    assert outputs.loss_ratio(net, data).item() == pytest.approx(
        max(a / b for a in g.tolist() for b in g.tolist())
    )


@pytest.mark.parametrize("space", ["full", "span"])
def test_rho_rebuilds_the_weights(space):
    data = ib.data.gaussian(5, 12, space=space)
    net = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(0.2), 0.1, output="1/m")
    run = ib.gradient_descent(net, data, 0.5, 30)
    rho = decomposition.rho(run.final, net, data)
    torch.testing.assert_close(
        net.weights + (rho / data.norms.square()) @ data.x, run.final.weights
    )
    sign = torch.outer(net.a.sign(), data.y)
    assert (rho * sign > 0).all()


def test_rho_of_one_step_is_the_update_of_K_5_2():
    data = ib.data.gaussian(4, 9)
    net = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(0.2), 0.1, output="1/m")
    rho = decomposition.rho(ib.gradient_descent(net, data, 0.7, 1).final, net, data)
    g = 1 / (1 + (data.y * net(data.x)).exp())
    slopes = 0.2 + 0.8 * (net.weights @ data.x.T >= 0).double()
    update = (
        torch.outer(net.a.sign(), data.y)
        * 0.7
        / (4 * 3)
        * g
        * slopes
        * data.norms.square()
    )
    torch.testing.assert_close(rho, update, rtol=1e-10, atol=1e-14)


def test_rho_of_dependent_samples_is_refused(rejects):
    data = ib.Dataset([[1.0, 0.0], [2.0, 0.0]], [1, -1])
    net = ib.TwoLayer(torch.ones(2, 2), [1.0, -1.0], ib.relu())
    with rejects("data", "independent"):
        decomposition.rho(net, net, data)


def test_rho_of_independent_samples_of_very_different_lengths_is_given():
    data = ib.data.orthogonal(2, norms=[1.0, 1e9])
    net = ib.TwoLayer(torch.ones(2, 2), [1.0, -1.0], ib.relu())
    torch.testing.assert_close(
        decomposition.rho(net.scaled(2), net, data),
        torch.tensor([[1.0, 1e9]] * 2).double(),
    )


def test_gradient_gram_is_that_of_the_gradients_by_autograd(activation):
    data = ib.data.gaussian(4, 6)
    net = ib.TwoLayer.init(data, 2, 3, activation, 1.0)
    twin = literal.Net(net.weights, net.a, activation.name, activation.gamma)
    rows = []
    for x in data.x:
        twin.zero_grad()
        twin(x.unsqueeze(0)).backward()
        rows.append(twin.W.grad.flatten().clone())
    rows = torch.stack(rows)
    torch.testing.assert_close(
        gradients.gradient_gram(net, data), rows @ rows.T, rtol=1e-12, atol=1e-13
    )


def test_proxy_pl_ratio_is_norm_over_mean_slope(loss):
    data = ib.data.gaussian(4, 6)
    net = ib.TwoLayer.init(data, 2, 3, ib.leaky_relu(0.3), 1.0)
    gradient = literal.loop_gradient(
        net.weights, net.a, "leaky_relu", 0.3, data.x, data.y, loss
    )
    slope = ib.losses.get(loss).g(data.y * net(data.x)).mean()
    assert gradients.proxy_pl_ratio(net, data, loss).item() == pytest.approx(
        (gradient.norm() / slope).item()
    )


def test_direction_distance_sees_direction_only():
    data = ib.data.gaussian(4, 30, space="span")
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 1.0)
    assert ranks.direction_distance(net, net.scaled(1.0)) < 1e-7
    full = ib.TwoLayer(net.weights, net.a, net.activation)
    assert ranks.direction_distance(full, full.scaled(7.0)).item() == pytest.approx(
        0, abs=1e-12
    )
    assert ranks.direction_distance(full, full.scaled(-7.0)).item() == pytest.approx(2)
    other = ib.TwoLayer(torch.randn(4, 4, dtype=torch.float64), net.a, net.activation)
    exact = (
        full.weights / full.weights.norm() - other.weights / other.weights.norm()
    ).norm()
    assert ranks.direction_distance(full, other).item() == pytest.approx(exact.item())


def test_direction_distance_of_a_network_with_a_frozen_part_to_its_multiple_is_zero():
    data = ib.data.gaussian(4, 30, space="span")
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 1.0)
    assert ranks.direction_distance(net, net.scaled(3.0)).item() == pytest.approx(
        0, abs=1e-7
    )


def test_mixed_precision_is_understood():
    data = ib.data.gaussian(4, 6)
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 1.0).to(torch.float32)
    assert gradients.gradient(net, data).shape == (4, 6)
    assert decomposition.rho(net, net, data).shape == (4, 4)
    assert ib.gradient_descent(net, data, 0.1, 2).final.m == 4
    assert ib.kkt_residual(net, data).stationarity > 0


def test_measures_take_batches(activation):
    data = ib.data.gaussian(4, 6)
    net = ib.TwoLayer.init(data, 2, 2, activation, 1.0, seed=[0, 1, 2])
    one = ib.TwoLayer(net.weights[1], net.a, activation)
    for measure in (
        gradients.gradient,
        gradients.gradient_gram,
        gradients.proxy_pl_ratio,
        outputs.loss_ratio,
    ):
        torch.testing.assert_close(measure(net, data)[1], measure(one, data))


def test_a_vector_has_no_stable_rank(rejects):
    with rejects("weights", "matrix"):
        ranks.stable_rank(torch.ones(3))


def test_class_stable_rank_is_that_of_the_rows_of_each_sign():
    data = ib.data.gaussian(4, 7, seed=1)
    net = ib.TwoLayer.init(data, 3, 5, ib.relu(), 1.0, seed=[1, 2])
    expected = torch.stack(
        [ib.stable_rank(net.weights[:, :3]), ib.stable_rank(net.weights[:, 3:])], -1
    )
    torch.testing.assert_close(ib.measures.class_stable_rank(net), expected)


def test_class_stable_rank_counts_the_frozen_part_and_knows_missing_signs():
    data = ib.data.gaussian(4, 30, seed=1, space="span")
    net = ib.TwoLayer.init(data, 3, 5, ib.relu(), 1.0, seed=1)
    root = torch.linalg.cholesky(net.frozen_gram)
    full = torch.cat([net.weights, root], -1)
    ranks = ib.measures.class_stable_rank(net)
    torch.testing.assert_close(
        ranks, torch.stack([ib.stable_rank(full[:3]), ib.stable_rank(full[3:])])
    )
    alone = ib.TwoLayer(torch.eye(2).double(), torch.ones(2), ib.relu())
    assert (
        ib.measures.class_stable_rank(alone)[0] == 2
        and ib.measures.class_stable_rank(alone)[1].isnan()
    )


def test_rho_along_a_run_is_rho_at_each_record():
    data = ib.data.gaussian(4, 9, seed=1)
    net = ib.TwoLayer.init(data, 3, 3, ib.relu(), 0.1, seed=[1, 2])
    run = ib.gradient_descent(net, data, 0.1, 20, record=[0, 7, 20])
    along = ib.measures.rho_along(run)
    assert along.shape == (3, 2, 6, 4) and not along[0].any()
    torch.testing.assert_close(along[1], ib.measures.rho(run.net(1), net, data))
    later = ib.gradient_descent(run.final, data, 0.1, 5, record=[5])
    torch.testing.assert_close(
        ib.measures.rho_along(later, net)[0], ib.measures.rho(later.final, net, data)
    )


def test_networks_of_a_run_keep_the_frozen_part():
    data = ib.data.gaussian(4, 30, seed=1, space="span")
    run = ib.gradient_descent(
        ib.TwoLayer.init(data, 3, 3, ib.relu(), 0.1), data, 0.1, 5
    )
    torch.testing.assert_close(ib.measures.networks(run).spectral(), run.spectral)
