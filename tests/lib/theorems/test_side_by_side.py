"""The measurements that hold F and K against one run, each against a slow literal twin
in the full space.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems import side_by_side as sb
from implicit_bias.theorems.here.s06_whole_layer import whole_rank
from implicit_bias.theorems.kou2023.long_runs import ordered

GAMMA = 0.3
LEAKS = torch.tensor([0.2, 0.7], dtype=torch.float64)


@pytest.fixture(scope="module")
def data():
    return ib.data.gaussian(6, 400, seed=3)


@pytest.fixture(scope="module")
def run(data):
    net = ib.TwoLayer.init(data, 5, 5, ib.leaky_relu(GAMMA), 1e-3, output="1/m", seed=1)
    return ib.gradient_descent(net, data, 0.05, 300)


def literal_svd(rows):
    _, values, right = torch.linalg.svd(rows, full_matrices=False)
    return values, right[0]


def test_units_give_the_same_function_and_path(data, run):
    ours = sb.in_units_of_F(run.initial)
    assert torch.allclose(ours(data.x), run.initial(data.x), rtol=0, atol=1e-12)
    assert torch.allclose(ours.a.abs(), torch.full_like(ours.a, 10**-0.5))
    other = ib.gradient_descent(ours, data, 0.05 * 2 / 5, 300)
    assert torch.allclose(
        other.final.weights, sb.in_units_of_F(run.final).weights, rtol=1e-9
    )


def test_units_refuse_other_networks(data):
    with pytest.raises(ValueError, match="net: expected K's network"):
        sb.in_units_of_F(ib.TwoLayer.init(data, 5, 5, ib.relu(), 1e-3))
    with pytest.raises(ValueError, match="net: expected K's network"):
        sb.in_units_of_F(ib.TwoLayer.init(data, 4, 6, ib.relu(), 1e-3))


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.lists(st.floats(-5, 5), min_size=6, max_size=6).filter(lambda v: any(v)),
)
def test_two_rows_against_the_svd(m_pos, m_neg, numbers):
    v, u = torch.tensor(numbers, dtype=torch.float64).reshape(2, 3)
    full = torch.cat([v.expand(m_pos, 3), u.expand(m_neg, 3)])
    if full.norm() < 1e-100:
        return
    expected = float(ib.stable_rank(full))
    assert float(sb.two_row_stable_rank(v, u, m_pos, m_neg)) == pytest.approx(
        expected, rel=1e-9
    )
    assert 1 - 1e-12 <= expected <= 2 + 1e-9


def test_displayed_form_of_the_rank():
    v, u = torch.randn(
        2, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    T = 3 * v @ v + 5 * u @ u
    D = 15 * ((v @ v) * (u @ u) - (v @ u) ** 2)
    assert torch.allclose(
        sb.two_row_stable_rank(v, u, 3, 5), 2 / (1 + (1 - 4 * D / T**2).sqrt())
    )


@pytest.mark.parametrize("gamma", [0.05, 0.5, 1.0])
def test_leaky_limit_is_the_kkt_point_at_p_0(gamma):
    point = ib.kkt_point(ib.data.orthogonal(8, norms=3.0), 4, 4, gamma)
    assert float(whole_rank(gamma)) == pytest.approx(
        float(ib.stable_rank(point.weights)), rel=1e-12
    )
    assert float(whole_rank(gamma)) == pytest.approx(
        2 * (1 + gamma**2) / (1 + gamma) ** 2, rel=1e-12
    )


def test_relu_limits_are_those_of_many_random_halves():
    k = 5
    stream = torch.Generator().manual_seed(0)
    masks = [
        (torch.rand(200_000, k, generator=stream) < 0.5).double() for _ in range(2)
    ]
    each, whole = sb.relu_limits(k)
    assert float(ib.stable_rank(masks[0])) == pytest.approx(each, abs=0.01)
    assert float(ib.stable_rank(torch.block_diag(*masks))) == pytest.approx(
        whole, abs=0.02
    )
    with pytest.raises(ValueError, match="k: expected an integer"):
        sb.relu_limits(0)


def test_halves_against_loops(run):
    lengths, rest, bound = sb.class_means(run.final)
    for j, rows in enumerate((run.final.weights[:5], run.final.weights[5:])):
        mean = sum(rows) / 5
        off = sum(float((row - mean).square().sum()) for row in rows)
        assert float(lengths[j]) == pytest.approx(float(mean.norm()), rel=1e-9)
        assert float(rest[j]) == pytest.approx(off, rel=1e-9)
        assert float(bound[j]) >= float(ib.stable_rank(rows)) * (1 - 1e-12)


def test_angles_against_the_svd_with_and_without_a_frozen_part(data, run):
    star = ib.kkt_point(data, 5, 5, GAMMA)
    net = run.final
    basis = torch.linalg.qr(data.x.mT)[0]
    expected = []
    for rows, target in ((net.weights[:5], star.v), (net.weights[5:], star.u)):
        right = literal_svd(rows)[1]
        expected.append(math.acos(min(1.0, abs(float(right @ target / target.norm())))))
    assert sb.angles(net, star.v, star.u).tolist() == pytest.approx(expected, abs=1e-7)
    inside = net.weights @ basis
    outside = net.weights - inside @ basis.mT
    reduced = ib.TwoLayer(inside, net.a, net.activation, outside @ outside.mT)
    seen = sb.angles(reduced, star.v @ basis, star.u @ basis)
    assert seen.tolist() == pytest.approx(expected, abs=1e-7)
    assert torch.allclose(
        torch.stack(sb.class_means(reduced)), torch.stack(sb.class_means(net))
    )


def test_remainder_freezes_and_the_angle_to_the_mean_obeys_its_bound(data, run):
    nets = ib.measures.networks(run)
    late = ordered(nets, data)
    first = int(late.int().argmax())
    assert bool(late[first:].all()) and first < len(run) - 10
    rest = sb.class_means(nets)[1][first:]
    assert torch.allclose(rest, rest[:1].expand_as(rest), rtol=1e-9)
    for k in (first, -1):
        weights = nets.weights[k]
        means = weights[:5].mean(0), weights[5:].mean(0)
        one = ib.TwoLayer(weights, nets.a, nets.activation)
        for j, (mean, rows) in enumerate(zip(means, (weights[:5], weights[5:]))):
            limit = literal_svd(rows - mean)[0][0] ** 2 / (5 * mean @ mean)
            assert (
                float(sb.angles(one, *means)[j].sin())
                <= float(limit) * (1 + 1e-6) + 1e-12
            )


def test_ordered_literally(data):
    exact = ib.kkt_point(data, 5, 5, GAMMA).net
    literal = all(
        (float(w @ x) >= 0) == (float(a * y) > 0)
        for w, a in zip(exact.weights, exact.a)
        for x, y in zip(data.x, data.y)
    )
    assert bool(ordered(exact, data)) and literal
    assert not bool(
        ordered(ib.TwoLayer(-exact.weights, exact.a, exact.activation), data)
    )


def test_steps_of_a_flow_count_on(data, run):
    flow = ib.gradient_flow(run.final, data, 12.0, record=[11.0, 12.0])
    time = sb.log_steps(flow, 300, 0.05)
    assert time.tolist() == pytest.approx(
        [math.log(300 + math.exp(float(t)) / 0.05) for t in flow.log_time]
    )
    assert sb.log_steps(run)[-1].exp() == pytest.approx(300)


def test_clocks_end_exactly():
    grid = sb.clock_grid(7.0, 300.0, 9)
    assert grid[-1] == 300.0 and len(grid) == 9 and grid == sorted(grid)
    with pytest.raises(ValueError, match="start, until, count"):
        sb.clock_grid(3.0, 2.0, 5)


def test_starts_are_those_drawn_one_by_one():
    sets = [ib.data.gaussian_mixture(6, 500, 0.3, seed=s, space="span") for s in (0, 1)]
    net, batch = sb.starts(sets, 4, ib.leaky_relu(LEAKS), 1e-3, [5, 6])
    run = ib.gradient_descent(net, batch, 0.1, 40)
    for b in range(2):
        for k, gamma in enumerate(LEAKS.tolist()):
            alone = ib.TwoLayer.init(
                sets[b], 4, 4, ib.leaky_relu(gamma), 1e-3, output="1/m", seed=5 + b
            )
            twin = ib.gradient_descent(alone, sets[b], 0.1, 40)
            one = run.member(b, k)
            assert torch.allclose(one.margins, twin.margins)
            assert torch.allclose(one.final.weights, twin.final.weights)
            assert torch.allclose(
                ib.measures.margins(one.final, one.data), twin.margins[-1]
            )
            assert torch.allclose(one.stable_rank, twin.stable_rank)
    with pytest.raises(ValueError, match="seeds: expected 2 seeds"):
        sb.starts(sets, 4, ib.relu(), 1e-3, [5])
    with pytest.raises(ValueError, match="sets: expected data sets of one shape"):
        sb.batch_of([sets[0], ib.data.gaussian(5, 500)])


def test_laws_of_gap_and_angle_at_p_0():
    """The two constants displayed for orthogonal samples, against a long flow."""
    n = 6
    m = 5
    R = 4.0
    scale = 0.5
    data = ib.data.orthogonal(n, 200, norms=R)
    net = ib.TwoLayer.init(
        data, m, m, ib.leaky_relu(GAMMA), scale, seed=2, output="1/m"
    )
    flow = ib.gradient_flow(net, data, 4000.0, record=[4000.0])
    star = ib.kkt_point(data, m, m, GAMMA)
    log_t = float(flow.log_time[-1])
    row = R * ((1 + GAMMA**2) / (n / 2)) ** 0.5
    outside = flow.initial.weights[:, n:]  # never moves
    rest = outside - torch.cat(
        [half.mean(0).expand(m, -1) for half in (outside[:m], outside[m:])]
    )
    gaps = ib.measures.class_stable_rank(flow.final) - 1
    angles = sb.angles(flow.final, star.v, star.u)
    for j, rows in enumerate((slice(0, m), slice(m, 2 * m))):
        assert float(gaps[j]) * log_t**2 == pytest.approx(
            row**2 * float(rest[rows].square().sum()) / m, rel=0.1
        )
        assert float(angles[j]) * log_t == pytest.approx(
            row * float(outside[rows].mean(0).norm()), rel=0.1
        )
