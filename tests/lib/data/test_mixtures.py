"""Fresh test points: the same law in span coordinates as in the full space, and the
even and odd parts.
"""

import pytest
import torch

import implicit_bias as ib
from implicit_bias.measures.outputs import even_odd, fresh_outputs, fresh_preactivations

M = 6


def twins(kind, d=40, n=8, frozen=True):
    """One network and data set, held in the full space and in the span of data and
    means.
    """
    full = getattr(ib.data, kind)(n, d, 3.0, seed=1, space="full")
    basis = torch.linalg.qr(torch.cat([full.means, full.x]).T)[0]
    span = ib.Dataset(full.x @ basis, full.y, d, full.means @ basis)
    W = torch.randn(
        M, d, generator=torch.Generator().manual_seed(5), dtype=torch.float64
    )
    a = torch.tensor([0.5, 0.5, 0.5, -0.5, -0.5, -0.5], dtype=torch.float64)
    outside = W - W @ basis @ basis.T
    whole = ib.TwoLayer(W, a, ib.leaky_relu(0.2))
    return (whole, full), (
        ib.TwoLayer(
            W @ basis, a, ib.leaky_relu(0.2), outside @ outside.T if frozen else None
        ),
        span,
    )


@pytest.mark.parametrize("kind", ["xor", "gaussian_mixture"])
def test_span_and_full_space_agree_in_law(kind):
    """Means and covariances of the preactivations, cluster by cluster, against their
    exact values.
    """
    count = 100_000
    for net, data in twins(kind):
        test = ib.data.fresh(data, count, seed=2)
        z = fresh_preactivations(net, test, seed=3)
        covariance = net.weight_gram()
        centre = test.x * 0 + (
            test.y.unsqueeze(-1) * data.means[0] if kind == "gaussian_mixture" else 0
        )
        if kind == "xor":
            side = torch.where(torch.arange(count) % 2 == 0, 1.0, -1.0).double()
            centre = side.unsqueeze(-1) * data.means[(test.y < 0).long()]
        noise = z - net.weights @ centre.T
        scale = covariance.diagonal().sqrt()
        assert ((noise.mean(-1) / scale).abs() < 5 / count**0.5).all()
        error = (torch.cov(noise) - covariance) / torch.outer(scale, scale)
        assert (error.abs() < 10 / count**0.5).all()


def test_forgetting_the_frozen_part_is_seen():
    """The check above can fail: without the frozen part the covariance is far off."""
    net, data = twins("xor", frozen=False)[1]
    z = fresh_preactivations(net, ib.data.fresh(data, 100_000, seed=2))
    whole = twins("xor")[0][0].weight_gram()
    assert (z.var(-1) < 0.9 * (whole.diagonal() + 9)).any()
    assert (torch.cov(z[:, :25_000]) - whole).abs().max() > 0.1 * whole.diagonal().max()


def test_frozen_part_may_be_singular():
    """More neurons than dimensions outside."""
    data = ib.data.xor(4, 8, 1.0, seed=1, space="span")
    net = ib.TwoLayer.init(data, 10, 10, ib.leaky_relu(0.3), 1.0, seed=2)
    z = fresh_preactivations(net, ib.data.fresh(data, 50_000, seed=3))
    spread = torch.cov(z) - net.weight_gram()
    assert (
        net.frozen_gram is not None
        and torch.linalg.matrix_rank(net.frozen_gram) < net.m
    )
    # The clusters' centres add at most ‖W μ‖² to the covariance.
    assert (
        torch.linalg.matrix_norm(spread, 2)
        < 0.1 * net.spectral() ** 2 + (net.weights @ data.means.T).square().sum()
    )


def test_ambient_dimension_decides_the_noise_outside():
    d = 10**8
    data = ib.data.xor(10, d, 3.0, seed=1)
    net = ib.TwoLayer.init(data, 4, 4, ib.leaky_relu(0.3), 1.0, seed=2)
    z = fresh_preactivations(net, ib.data.fresh(data, 20_000, seed=3))
    assert z.std(-1).tolist() == pytest.approx([d**0.5] * 8, rel=0.03)
    assert ib.data.fresh(data, 3).ambient_dim == d


@pytest.mark.parametrize(
    "activation", [ib.leaky_relu(0.3), ib.relu(), ib.smoothed_leaky_relu(0.3)]
)
def test_even_and_odd_parts_against_the_mirrored_point(activation):
    data = ib.data.xor(6, 12, 2.0, seed=1)
    net = ib.TwoLayer.init(data, 3, 4, activation, 0.7, seed=2)
    x = ib.data.fresh(data, 50, seed=3).x
    even, odd = even_odd(net, net.preactivations(x))
    torch.testing.assert_close(even + odd, net(x))
    torch.testing.assert_close(even - odd, net(-x))


def test_two_distinct_neurons_stay_in_the_cone_and_three_do_not():
    stream = torch.Generator().manual_seed(1)
    x = torch.randn(500, 5, generator=stream, dtype=torch.float64)
    for gamma in (0.05, 0.5, 0.9):
        v, u, w = torch.randn(3, 5, generator=stream, dtype=torch.float64)
        a = torch.tensor([1.0, 1.0, -1.0]).double() / 3**0.5
        two = ib.TwoLayer(torch.stack([v, v, u]), a, ib.leaky_relu(gamma))
        three = ib.TwoLayer(torch.stack([v, w, u]), a, ib.leaky_relu(gamma))
        for net, inside in ((two, True), (three, False)):
            even, odd = even_odd(net, net.preactivations(x))
            cone = even.abs() <= (1 - gamma) / (1 + gamma) * odd.abs() * (1 + 1e-12)
            assert bool(cone.all()) is inside


def test_accuracy_on_pairs_by_the_theorem_and_by_counting():
    data = ib.data.xor(20, 30, 3.0, seed=1)
    net = ib.TwoLayer.init(data, 8, 8, ib.leaky_relu(0.1), 0.5, seed=2)
    test = ib.data.fresh(data, 400, seed=3)
    even, odd = even_odd(net, fresh_preactivations(net, test))
    right, wrong = (
        (sign * test.y * even > odd.abs()).double().mean() for sign in (1, -1)
    )
    counted = (
        sum(((net(side * test.x) * test.y) > 0).double().mean() for side in (1, -1)) / 2
    )
    assert float(0.5 + (right - wrong) / 2) == pytest.approx(float(counted))


def test_a_linear_boundary_is_a_coin_on_pairs():
    data = ib.data.xor(10, 10**9, 200.0, seed=1)
    point = ib.kkt_point(data, 3, 5, 0.5)
    test = ib.data.fresh(data, 301, seed=3)
    even, odd = even_odd(point.net, fresh_preactivations(point.net, test))
    assert bool(point.is_kkt) and bool((even.abs() < odd.abs()).all())


def test_fresh_points_are_new_and_seeded():
    data = ib.data.xor(10, 50, 2.0, seed=7)
    one, same, other = (ib.data.fresh(data, 10, seed=k) for k in (7, 7, 8))
    assert torch.equal(one.x, same.x) and not torch.equal(one.x, other.x)
    assert not torch.isclose(one.x, data.x).any(), (
        "a test set must not repeat its training set"
    )
    assert (one.ambient_dim, one.d, one.n) == (50, 50, 10)
    assert float(
        (ib.data.fresh(data, 1000, label_noise=0.2).y > 0).double().mean()
    ) == pytest.approx(0.5)


def test_xor_share_of_centres_and_labels():
    data = ib.data.xor(40, 20, 100.0, seed=1)
    test = ib.data.fresh(data, 1000, seed=1)
    nearest = (test.x @ torch.cat([data.means, -data.means]).T).argmax(-1)
    assert nearest.bincount(minlength=4).tolist() == [250] * 4
    assert torch.equal(test.y > 0, nearest % 2 == 0)


def test_unknown_distributions_and_bad_counts_are_refused(rejects):
    with rejects("data", "means"):
        ib.data.fresh(ib.data.gaussian(4, 5), 10)
    data = ib.data.xor(4, 5, 1.0)
    with rejects("count", "integer"):
        ib.data.fresh(data, 0)
    with rejects("label_noise", "0, 1"):
        ib.data.fresh(data, 4, label_noise=1.5)


def test_outputs_are_those_of_the_preactivations():
    net, data = twins("xor")[1]
    test = ib.data.fresh(data, 20, seed=1)
    z = fresh_preactivations(net, test, seed=4)
    f = fresh_outputs(net, test, seed=4)
    literal = torch.stack(
        [
            sum(a * max(v, 0.2 * v) for a, v in zip(net.a.tolist(), z[:, k].tolist()))
            * torch.ones(())
            for k in range(20)
        ]
    )
    torch.testing.assert_close(f, literal.double())
