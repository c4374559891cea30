"""What the claims on long runs share: descent joined with the flow that goes on from
it, and ordered patterns.
"""

import math
from dataclasses import replace

import literal
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from killed_leaky_cases import trained_briefly
from leaky_constants_cases import trained_long
from patterns_cases import small_data, start

import implicit_bias as ib
from implicit_bias.theorems.here import s03_rank_gap
from implicit_bias.theorems.kou2023 import starts, theorem_4_1
from implicit_bias.theorems.kou2023.long_runs import (
    KINK,
    at_kink,
    disorder,
    long_run,
    ordered,
    right,
)

LEAKY_04 = ib.leaky_relu(0.4)


GAMMA_04 = 0.4


f64 = torch.float64


LEAKY_05 = ib.leaky_relu(0.5)


def test_disorder_and_order_pair_by_pair():
    data = small_data()
    net = start(small_data())
    off = disorder(net, data)
    for j, row in enumerate(net.weights):
        for i in range(data.n):
            wanted = (
                -math.copysign(1, float(net.a[j]))
                * float(data.y[i])
                * float(row @ data.x[i])
            )
            assert float(off[j, i]) == pytest.approx(wanted)
    assert bool(ordered(net, data)) == bool((off < 0).all())


def test_kinks_are_neither_right_nor_wrong():
    data = ib.data.orthogonal(2)
    net = ib.TwoLayer(
        torch.tensor([[1.0, -1.0], [1e-9, 1.0]]).double(),
        torch.tensor([1.0, -1.0]),
        LEAKY_04,
    )
    assert at_kink(net, data).tolist() == [[False, False], [True, False]]
    assert right(net, data).tolist() == [[True, True], [False, True]]
    assert not bool(ordered(net, data))


@pytest.mark.parametrize("seed", range(5))
def test_drift_inequality_at_random_weights(seed):
    data = small_data(0.02, signs="random", seed=seed)
    net = start(data, scale=1.0, seed=seed)
    gradient = literal.loop_gradient(
        net.weights, net.a, "leaky_relu", GAMMA_04, data.x, data.y
    )
    push = -(gradient @ data.x.T) * torch.sign(net.a)[:, None] * data.y * data.n * 3
    g = ib.losses.LOGISTIC.g(ib.measures.margins(net, data))
    slopes = LEAKY_04.derivative(net.preactivations(data.x))
    theta = data.n * data.p * (g.max() / g.min()) / (GAMMA_04 * data.R_min**2)
    assert bool((push >= (1 - theta) * g * slopes * data.norms**2 - 1e-12).all())


def test_joined_run_counts_on_in_steps(pieces):
    descent, flow = pieces
    joined = long_run(descent, flow)
    assert (
        len(joined.log_step) == len(descent) + len(flow) - 1 == len(joined.nets.weights)
    )
    k = len(descent) + 10
    time = float(flow.log_time[11].exp())
    assert float(joined.log_step[k].exp()) == pytest.approx(5000 + time / 2.0)
    assert torch.equal(joined.at(k).weights, flow.net(11).weights)
    assert torch.equal(joined.margins[k], flow.margins[11])
    assert bool((joined.log_step.diff() > 0).all())


@pytest.mark.parametrize(
    "id", ["K-5.6", "K-5.7", "K-4.1.a", "K-4.1.b", "K-4.1.d", "S-2", "S-3"]
)
def test_all_hold_on_a_run_within_the_hypotheses(pieces, id):
    verdict = ib.claims[id].check(*pieces)
    assert verdict.verdict == "holds", verdict


def test_one_start_on_several_data_sets_has_members_too():
    sets = [ib.data.correlated(4, p=p) for p in (0.0, 0.05)]
    both = ib.Dataset(
        torch.stack([s.x for s in sets]), torch.stack([s.y for s in sets])
    )
    net = start(sets[0])
    run = ib.gradient_descent(net, both, torch.tensor([[1.0], [2.0]]).double(), 20)
    for i, j in ((0, 1), (1, 0)):
        alone = ib.gradient_descent(net, sets[j], 1.0 + i, 20)
        one = run.member(i, j)
        assert torch.equal(one.initial.weights, net.weights) and torch.equal(
            one.data.x, sets[j].x
        )
        assert torch.allclose(one.final.weights, alone.final.weights)


def test_neuron_norms_hold_the_frozen_part():
    full = ib.data.gaussian(3, 40, seed=0, space="full")
    net = ib.TwoLayer.init(full, 2, 2, LEAKY_04, 0.1, output="1/m")
    run = ib.gradient_descent(net, full, 0.05, 20)
    norms = starts.neuron_norms(long_run(run))
    assert torch.allclose(norms[-1], run.final.weights.norm(dim=-1))
    # The same run in span coordinates, with what lies outside as a Gram matrix.
    basis = torch.linalg.qr(full.x.T).Q
    outside = net.weights - net.weights @ basis @ basis.T
    inside = ib.Dataset(full.x @ basis, full.y, ambient_dim=40)
    reduced = ib.TwoLayer(net.weights @ basis, net.a, LEAKY_04, outside @ outside.T)
    twin = ib.gradient_descent(reduced, inside, 0.05, 20)
    assert torch.allclose(starts.neuron_norms(long_run(twin)), norms)


def test_paper_exponent():
    data = small_data(0.02)
    joined = long_run(ib.gradient_descent(start(data), data, 1.0, 3))
    s = 3 * 0.02 * 5 / GAMMA_04**2
    assert theorem_4_1.paper_exponent(joined, 3.0) == pytest.approx((1 - s) / (1 + s))


@pytest.mark.parametrize("factor, kkt", [(0.999, True), (1.001, False)])
@pytest.mark.parametrize("gamma", [0.2, 0.5, 0.9])
def test_order_ends_on_leaning_data_where_the_chapter_says(gamma, factor, kkt):
    P = factor * 5 * gamma / (3 + 2 * gamma)
    assert (
        bool(
            ib.kkt_point(
                ib.data.correlated(6, p=P / 5, signs="oppose"), 6, 6, gamma
            ).is_kkt
        )
        is kkt
    )


@given(seed=st.integers(0, 10**6), n=st.integers(2, 5))
def test_the_lyapunov_identity_of_the_proof(seed, n):
    stream = torch.Generator().manual_seed(seed)
    root = torch.randn(n, n + 2, generator=stream, dtype=f64)
    K = root @ root.T
    from implicit_bias.margin.least_distance import least_distance

    lam = least_distance(K.numpy())
    best = torch.from_numpy(lam / lam.sum())
    c = 1 / float(lam.sum())
    share = torch.softmax(3 * torch.randn(n, generator=stream, dtype=f64), -1)
    across = float(best @ K @ share)
    own = float(share @ K @ share)
    Q = float((share - best) @ K @ (share - best))
    assert across - own == pytest.approx(-Q - (across - c), abs=1e-9 * own)
    assert Q >= 0 and across >= c - 1e-9 * own


def test_the_limit_constant_is_reached(pieces):
    joined = long_run(*pieces)
    rows = s03_rank_gap.growth(joined)
    box = s03_rank_gap.rank_sandwich(joined.at(joined.frozen_at()), rows)
    star = ib.kkt_point(joined.data, 4, 4, GAMMA_04)
    unit = math.sqrt(4 / 2)  # W* in K's units
    assert torch.allclose(rows, torch.stack([star.v, star.u]) * unit, rtol=1e-4)
    gap = ib.measures.class_stable_rank(joined.at(-1)) - 1
    clock = float(joined.log_step[-1])
    assert torch.allclose(
        gap * clock**2, box.limit / (4 * rows.square().sum(-1)), rtol=0.05
    )


def test_late_is_past_step_two():
    run = trained_long(steps=10)
    run = ib.gradient_descent(run.initial, run.data, 1.0, 10, record=range(11))
    assert long_run(run).late.tolist() == [False] * 3 + [True] * 8


@pytest.mark.parametrize("factor, kink", [(0.99, True), (1.01, False)])
def test_kinks_are_relative_to_their_sample(factor, kink):
    data = ib.data.orthogonal(2)
    net = ib.TwoLayer(
        torch.tensor([[1.0, 1e-5], [-2.0, 1e-5 * KINK * factor]]).double(),
        [1.0, -1.0],
        LEAKY_04,
    )
    assert at_kink(net, data).tolist() == [[False, False], [False, kink]]


def test_blur_of_the_box_is_what_it_says():
    joined = long_run(trained_long(steps=200))
    k = joined.frozen_at()
    nets = replace(joined.nets, weights=joined.nets.weights[k:])
    root = s03_rank_gap.rank_gap(nets).sqrt()
    blur = 1e-11 * nets.frobenius()[:, None]
    for part, inside in ((0.9, True), (1.1, False)):
        low = (root + part * blur).amin(0) ** 2
        high = (root - part * blur).amax(0) ** 2
        alone = [
            s03_rank_gap.Sandwich(low, 4 * root.amax(0) ** 2),
            s03_rank_gap.Sandwich(low * 0, high),
        ]
        tight = [s03_rank_gap.inside_box(joined, k, box) for box in alone]
        assert tight[0] >= 1 - 1e-13 if inside else tight[0] < 1 + 1e-10
    assert s03_rank_gap.BLUR == 1e-11


def test_a_run_that_starts_in_order_is_frozen_from_its_first_record():
    data = ib.data.orthogonal(4)
    a = torch.tensor([0.5, 0.5, -0.5, -0.5], dtype=torch.float64)
    net = ib.TwoLayer(torch.sign(a)[:, None] * data.y * 0.1, a, LEAKY_05)
    run = ib.gradient_descent(net, data, 0.5, 20, record=range(21))
    assert long_run(run).frozen_at() == 0
    reversed_start = ib.TwoLayer(-net.weights, a, LEAKY_05)
    run = ib.gradient_descent(reversed_start, data, 0.5, 1, record=[0])
    assert long_run(run).frozen_at() is None


@pytest.mark.parametrize("other", [ib.leaky_relu(0.25), ib.smoothed_leaky_relu(0.5)])
def test_a_flow_of_another_activation_does_not_go_on_from_a_descent(rejects, other):
    run = trained_briefly(steps=20)
    same = ib.gradient_flow(run.final, run.data, 2.0)
    assert len(long_run(run, same).log_step) == len(run) + len(same) - 1
    moved = replace(same, initial=replace(same.initial, activation=other))
    with rejects("flow", "another activation"):
        long_run(run, moved)
