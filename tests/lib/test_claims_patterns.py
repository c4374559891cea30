"""Leaky ReLU patterns and limits (K-5.6, K-5.7, K-4.1, S-2, S-3, S-6) against literal
twins and changed runs.
"""

import math
from dataclasses import replace

import literal
import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.theorems import limits
from implicit_bias.theorems.here import s02_loss_constant, s03_rank_gap, s06_whole_layer
from implicit_bias.theorems.kou2023 import lemma_5_6, lemma_5_7, starts, theorem_4_1
from implicit_bias.theorems.kou2023.long_runs import (
    at_kink,
    disorder,
    long_run,
    ordered,
    right,
)
from implicit_bias.theorems.kou2023.orthogonal_limit import frozen_margins

GAMMA = 0.4
LEAKY = ib.leaky_relu(GAMMA)
f64 = torch.float64


def plain(id):
    """A check without the guard that first asks whether a run is what it says."""
    return ib.claims[id].check.__wrapped__


def small_data(p=0.01, n=5, **more):
    return ib.data.correlated(n, d=8, p=p, **more)


def start(data, m=3, scale=0.3, seed=0, activation=LEAKY):
    return ib.TwoLayer.init(data, m, m, activation, scale, output="1/m", seed=seed)


@pytest.fixture(scope="module")
def pieces():
    """Descent and flow on correlated data, with frozen parts of no weight."""
    data = ib.data.correlated(6, p=0.002, norms=[1, 1.1, 1, 1.2, 1, 1])
    net = start(data, m=4, scale=0.05)
    descent = ib.gradient_descent(
        net,
        data,
        2.0,
        5000,
        record=sorted({*range(60), *ib.dynamics.log_spaced(5000, 60)}),
    )
    return descent, ib.gradient_flow(descent.final, data, 400.0)


# -- patterns --------


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
        LEAKY,
    )
    assert at_kink(net, data).tolist() == [[False, False], [True, False]]
    assert right(net, data).tolist() == [[True, True], [False, True]]
    assert not bool(ordered(net, data))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p, step", [(0.0, 0.2), (0.05, 1.0), (0.15, 30.0)])
def test_freezing_step_is_that_of_a_literal_descent(seed, p, step):
    data = small_data(p, signs="random", seed=seed) if p else small_data(0.0)
    net = start(data, seed=seed)
    path = literal.autograd_descent(
        net.weights, net.a, "leaky_relu", GAMMA, data.x, data.y, step, 150
    )
    wrong = [
        any(
            math.copysign(1, float(a)) * float(y) * float(w @ x) <= 0
            for a, w in zip(net.a, weights)
            for x, y in zip(data.x, data.y)
        )
        for weights in path
    ]
    expected = (
        math.inf
        if wrong[-1]
        else (max((k for k, bad in enumerate(wrong) if bad), default=-1) + 1)
    )
    assert float(lemma_5_6.freezing_step(net, data, step, 150)) == expected


def test_freezing_step_of_a_batch_is_that_of_its_members():
    data = small_data()
    steps = torch.tensor([0.1, 1.0, 10.0], dtype=f64)
    together = lemma_5_6.freezing_step(start(data), data, steps, 200)
    assert together.tolist() == [
        float(lemma_5_6.freezing_step(start(data), data, float(s), 200)) for s in steps
    ]


@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0.01, 2.0),
    step=st.floats(0.05, 100.0),
    gamma=st.floats(0.2, 1.0),
    stretch=st.floats(1.0, 3.0),
)
def test_freezing_bound_holds_from_any_start_for_any_step(
    seed, scale, step, gamma, stretch
):
    data = ib.data.orthogonal(3, norms=[1.0, stretch, 1.5])
    net = start(data, m=2, scale=scale, seed=seed, activation=ib.leaky_relu(gamma))
    bound = float(lemma_5_6.freezing_bound(net, data, step))
    horizon = min(math.floor(bound) + 1, 400)
    seen = float(lemma_5_6.freezing_step(net, data, step, horizon))
    assert seen <= bound or (math.isinf(seen) and bound > horizon)


def test_freezing_bound_by_hand():
    data = ib.data.orthogonal(2, norms=[1.0, 2.0])  # y = +1, -1
    weights = torch.tensor([[-0.3, 0.5], [0.2, -0.6]], dtype=f64)
    net = ib.TwoLayer(weights, torch.tensor([1.0, -1.0]), LEAKY)
    q1 = -0.3 * GAMMA - 0.2
    far1 = max(0.3 / GAMMA, 0.2)  # own class counts 1/γ
    q2 = -(0.5 * 2 - (-0.6 * 2) * GAMMA)
    far2 = max(0.5 * 2, 0.6 * 2 / GAMMA)
    need = [
        2 * 1 / (0.7 * size) * (far + math.exp(q) * math.expm1(2 * far) / 2)
        for size, far, q in ((1, far1, q1), (4, far2, q2))
    ]
    assert float(lemma_5_6.freezing_bound(net, data, 0.7)) == pytest.approx(
        1 + max(need)
    )
    assert float(lemma_5_6.step_unit(data, net, 0.7)) == pytest.approx(
        2 * 1 / (0.7 * 4)
    )


def test_bound_is_zero_for_an_ordered_start():
    data = ib.data.orthogonal(2)
    net = ib.TwoLayer(
        torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).double(),
        torch.tensor([1.0, -1.0]),
        LEAKY,
    )
    assert (
        float(lemma_5_6.freezing_bound(net, data, 1.0))
        == 0
        == float(lemma_5_6.freezing_step(net, data, 1.0, 20))
    )


@pytest.mark.parametrize("seed", range(5))
def test_drift_inequality_at_random_weights(seed):
    data = small_data(0.02, signs="random", seed=seed)
    net = start(data, scale=1.0, seed=seed)
    gradient = literal.loop_gradient(
        net.weights, net.a, "leaky_relu", GAMMA, data.x, data.y
    )
    push = -(gradient @ data.x.T) * torch.sign(net.a)[:, None] * data.y * data.n * 3
    g = ib.losses.LOGISTIC.g(ib.measures.margins(net, data))
    slopes = LEAKY.derivative(net.preactivations(data.x))
    theta = data.n * data.p * (g.max() / g.min()) / (GAMMA * data.R_min**2)
    assert bool((push >= (1 - theta) * g * slopes * data.norms**2 - 1e-12).all())


# -- joined runs --------


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


def test_joining_refuses_what_does_not_belong(pieces, rejects):
    descent, flow = pieces
    with rejects("flow", "another start"):
        long_run(descent, ib.gradient_flow(descent.initial, descent.data, 2.0))
    with rejects("flow", "gradient_flow"):
        long_run(descent, descent)
    batch = ib.gradient_descent(start(descent.data, seed=[0, 1]), descent.data, 1.0, 3)
    with rejects("run", "member"):
        long_run(batch)
    with rejects("step_size", "> 0"):
        lemma_5_6.freezing_step(descent.initial, descent.data, 0.0, 3)


@pytest.mark.parametrize(
    "id", ["K-5.6", "K-5.7", "K-4.1.a", "K-4.1.b", "K-4.1.d", "S-2", "S-3"]
)
def test_all_hold_on_a_run_within_the_hypotheses(pieces, id):
    verdict = ib.claims[id].check(*pieces)
    assert verdict.verdict == "holds", verdict


def test_the_step_part_of_the_hypothesis_from_both_sides():
    data = small_data(0.0)
    for factor, verdict in ((0.999, "holds"), (1.001, "vacuous")):
        run = ib.gradient_descent(start(data, scale=0.01), data, factor * 5 * 3, 50)
        assert ib.claims["K-5.6"].check(run).verdict == verdict


def test_the_measured_constant_is_the_best(pieces):
    numbers = ib.claims["K-5.6"].check(*pieces).constants
    measured = numbers["T R²η/(nm)"]
    unit = float(lemma_5_6.step_unit(pieces[0].data, pieces[0].initial, 2.0))
    joined = long_run(*pieces)
    index = joined.frozen_at()
    assert measured == pytest.approx(float(joined.log_step[index].exp()) / unit)
    # From the record before on, the statement is false; every later one will do.
    before = float(joined.log_step[index - 1].exp()) / unit
    verdicts = [
        ib.claims["K-5.6"].check(*pieces, c)
        for c in (measured, 0.999 * before, 7 * measured)
    ]
    assert [v.conclusion for v in verdicts] == ["holds", "fails", "holds"]
    assert [v.verdict for v in verdicts] == ["holds", "undecided", "holds"]
    assert [round(v.slack, 6) for v in verdicts] == [1.0, round(0.999, 6), 7.0]
    assert "the given C" in verdicts[0].why
    assert numbers["C"] > measured


def test_scale_is_read_off_the_start():
    data = ib.data.gaussian(4, 10**7, seed=0)
    net = ib.TwoLayer.init(data, 5, 5, LEAKY, 3e-5, output="1/m", seed=2)
    run = ib.gradient_descent(net, data, 1e-6, 5)
    told, read = (
        ib.claims["K-5.6"].check(run, scale=s).hypotheses[-1].parts[1].slack
        for s in (3e-5, None)
    )
    assert float(told / read) == pytest.approx(1, rel=1e-3)


def test_unordered_run_is_undecided_within_the_hypotheses():
    data = small_data(0.0)
    net = start(data, m=4, scale=0.1)
    run = ib.gradient_descent(net, data, 0.01, 5)
    assert not bool(ordered(run.final, data))
    assert ib.claims["K-5.6"].check(run).verdict == "undecided"
    assert ib.claims["K-5.7"].check(run).verdict == "undecided"
    early = ib.claims["K-5.6"].check(run, None, 1e-4)
    assert (early.verdict, early.conclusion) == ("undecided", "fails")


def test_relu_and_other_outputs_are_vacuous(pieces):
    data = pieces[0].data
    relu = ib.gradient_descent(start(data, activation=ib.relu()), data, 1.0, 50)
    other = ib.gradient_descent(ib.TwoLayer.init(data, 3, 2, LEAKY, 0.1), data, 1.0, 50)
    for id in ("K-5.6", "K-5.7", "K-4.1.a", "K-4.1.b", "K-4.1.c", "K-4.1.d"):
        assert ib.claims[id].check(relu).verdict == "vacuous"
        assert ib.claims[id].check(other).verdict == "vacuous"


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


# -- increments --------


def test_increments_by_an_explicit_loop():
    data = small_data()
    net = start(data, scale=0.1)
    run = ib.gradient_descent(net, data, 1.0, 60, record=range(61))
    joined = long_run(run)
    k = joined.frozen_at()
    before, after = (ib.measures.rho(run.net(t), net, data) for t in (k, 60))
    for i in range(data.n):
        own = [
            float(after[j, i] - before[j, i])
            for j in range(6)
            if float(net.a[j] * data.y[i]) > 0
        ]
        other = [
            float(after[j, i] - before[j, i])
            for j in range(6)
            if float(net.a[j] * data.y[i]) < 0
        ]
        signed = (
            float(data.y[i]) if float(net.a[0] * data.y[i]) > 0 else -float(data.y[i])
        )
        assert max(own) - min(own) < 1e-9 and max(other) - min(other) < 1e-9
        # In the weights both are multiples of y_i j x_i: the own class rises, the other
        # falls by γ times as much.
        assert own[0] * signed > 0
        assert other[0] == pytest.approx(-GAMMA * own[0], rel=1e-9)
    assert lemma_5_7.increment_error(joined, k) < 1e-9
    assert lemma_5_7.increment_error(joined, 0) > 1e-3


def test_one_neuron_out_of_step_breaks_the_increments(pieces):
    def push(net, k):
        weights = net.weights.clone()
        weights[0] *= 1 + 1e-3 * min(k, 100) / 100
        return replace(net, weights=weights)

    verdict = plain("K-5.7")(tampered(pieces[0], push))
    assert (
        verdict.conclusion == "fails" and verdict.verdict == "undecided"
    )  # records are far apart
    early = ib.gradient_descent(
        pieces[0].initial, pieces[0].data, 2.0, 60, record=range(61)
    )
    assert plain("K-5.7")(tampered(early, push)).verdict == "fails"
    with pytest.raises(ValueError, match="not what it says|others at record"):
        ib.claims["K-5.7"].check(tampered(early, push))


def tampered(one, change):
    """The run with its weights at every recorded time replaced by ``change(net, k)``."""
    nets = [change(one.net(k), k) for k in range(len(one))]
    return replace(
        one, _states=tuple(range(len(one))), _end=None, _lift=lambda k: nets[k]
    )


# -- limits --------


@pytest.mark.parametrize(
    "start_at, rate, time",
    [(0.1, 0.3, 0.0), (-2.0, 1.7, 5.0), (3.0, 0.01, 1e5), (1.0, 2.0, 1e200)],
)
def test_frozen_margins_against_many_digits(start_at, rate, time):
    q = float(frozen_margins(start_at, rate, torch.tensor(time, dtype=f64).log()))
    with mpmath.workdps(300):
        z = (
            mpmath.mpf(rate) * mpmath.mpf(time)
            + mpmath.mpf(start_at)
            + mpmath.exp(mpmath.mpf(start_at))
        )
        exact = mpmath.findroot(lambda v: v - mpmath.log(z - v), q)
    assert q == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


def test_frozen_margins_are_the_flow():
    data = ib.data.orthogonal(3, norms=[1, 2, 3])
    weights = torch.tensor(
        [[0.1, 0.2, -0.1], [0.3, 0.1, -0.2], [-0.1, -0.2, 0.3], [-0.3, -0.1, 0.1]],
        dtype=f64,
    )
    net = ib.TwoLayer(weights, torch.tensor([0.5, 0.5, -0.5, -0.5]), LEAKY)
    assert bool(ordered(net, data))
    run = ib.gradient_flow(net, data, 5.0)
    rate = s02_loss_constant.feature_gram(net, data).diag() / 3
    exact = frozen_margins(run.margins[0], rate, run.log_time[:, None])
    assert torch.allclose(run.margins, exact, rtol=1e-6, atol=1e-7)


def test_neuron_norms_hold_the_frozen_part():
    full = ib.data.gaussian(3, 40, seed=0, space="full")
    net = ib.TwoLayer.init(full, 2, 2, LEAKY, 0.1, output="1/m")
    run = ib.gradient_descent(net, full, 0.05, 20)
    norms = starts.neuron_norms(long_run(run))
    assert torch.allclose(norms[-1], run.final.weights.norm(dim=-1))
    # The same run in span coordinates, with what lies outside as a Gram matrix.
    basis = torch.linalg.qr(full.x.T).Q
    outside = net.weights - net.weights @ basis @ basis.T
    inside = ib.Dataset(full.x @ basis, full.y, ambient_dim=40)
    reduced = ib.TwoLayer(net.weights @ basis, net.a, LEAKY, outside @ outside.T)
    twin = ib.gradient_descent(reduced, inside, 0.05, 20)
    assert torch.allclose(starts.neuron_norms(long_run(twin)), norms)


def test_paper_exponent():
    data = small_data(0.02)
    joined = long_run(ib.gradient_descent(start(data), data, 1.0, 3))
    s = 3 * 0.02 * 5 / GAMMA**2
    assert theorem_4_1.paper_exponent(joined, 3.0) == pytest.approx((1 - s) / (1 + s))


@pytest.mark.parametrize(
    "factor, conclusion", [(1.0, "holds"), (0.995, "fails"), (0.8, "fails")]
)
def test_a_slower_loss_is_open(factor, conclusion):
    data = small_data(0.0)
    run = ib.gradient_flow(start(data, scale=0.01), data, 60.0, record=range(1, 61))
    verdict = plain("K-4.1.c")(replace(run, log_loss=factor * run.log_loss))
    assert verdict.conclusion == conclusion
    assert verdict.verdict == ("holds" if conclusion == "holds" else "undecided")


def test_margins_that_keep_their_ratio_are_refuted(pieces):
    wrong = []
    for part in pieces:
        margins = part.margins.clone()
        margins[:, 0] *= 1.5
        wrong.append(replace(part, margins=margins))
    assert plain("K-4.1.d")(*wrong).conclusion == "fails"
    assert plain("K-4.1.d")(*wrong).verdict == "undecided"


def test_margins_that_agree_have_arrived():
    data = ib.data.correlated(6, p=0.004)
    run = ib.gradient_flow(start(data, scale=0.01), data, 300.0)
    verdict = ib.claims["K-4.1.d"].check(run)
    assert verdict.verdict == "holds" and verdict.constants["last"] < limits.FLOW_ERROR


def test_norms_that_stop_are_refuted(pieces):
    descent, flow = pieces
    size = float(flow.net(0).weights.norm())
    still = tampered(
        flow, lambda net, k: net.scaled(size / float(net.weights.norm())) if k else net
    )
    assert plain("K-4.1.a")(descent, still).conclusion == "fails"


def test_a_rank_that_stays_is_refuted(pieces):
    descent, flow = pieces

    def spread(net, k):
        extra = torch.zeros_like(net.weights)
        extra[0, 0] = 0.3 * float(net.weights.norm()) if k else 0.0
        return replace(net, weights=net.weights + extra)

    for id in ("K-4.1.b", "S-3"):
        verdict = plain(id)(descent, tampered(flow, spread))
        assert verdict.conclusion == "fails", id


# -- S-2 --------


def test_feature_gram_by_autograd():
    data = small_data(0.1)
    net = start(small_data(0.1))
    rows = []
    for x, y in zip(data.x, data.y):
        model = literal.Net(net.weights, net.a, "leaky_relu", GAMMA)
        (y * model(x[None])[0]).backward()
        rows.append(model.W.grad.flatten())
    features = torch.stack(rows)
    assert torch.allclose(
        s02_loss_constant.feature_gram(net, data), features @ features.T
    )


def test_gram_of_the_ordered_pattern_as_displayed(pieces):
    data = pieces[0].data
    K = s02_loss_constant.feature_gram(pieces[1].final, pieces[0].data)
    for i in range(data.n):
        for k in range(data.n):
            same = 1 + GAMMA**2 if data.y[i] == data.y[k] else 2 * GAMMA
            assert float(K[i, k]) == pytest.approx(
                same / 4 * float(data.y[i] * data.y[k] * (data.x[i] @ data.x[k])),
                abs=1e-15,
            )


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


def test_leads_of_the_margins_are_logarithms_of_multipliers(pieces):
    q = pieces[1].margins[-1]
    lam = s02_loss_constant.pattern_multipliers(pieces[1].final, pieces[1].data)
    assert torch.allclose(q - q[0], -(lam / lam[0]).log(), atol=1e-5)


def test_units_of_the_two_papers(pieces):
    data = pieces[0].data
    net = pieces[1].final
    ours = s02_loss_constant.feature_gram(net, data)
    theirs = ib.margin.kkt_matrix(data, 4, 4, GAMMA)
    assert torch.allclose(ours, 2 / 4 * theirs)
    lam = s02_loss_constant.pattern_multipliers(net, data)
    assert torch.allclose(ours @ lam, torch.ones(6, dtype=f64))
    star = ib.kkt_point(data, 4, 4, GAMMA)
    assert float(lam.sum()) == pytest.approx(4 / 2 * float(star.weights.square().sum()))


@pytest.mark.parametrize(
    "factor, conclusion",
    [(1 + 9e-4, "holds"), (1 + 1.1e-3, "fails"), (0.9985, "fails")],
)
def test_s2_refuses_any_other_constant(pieces, factor, conclusion):
    moved = tuple(
        replace(part, log_loss=part.log_loss + math.log(factor)) for part in pieces
    )
    assert plain("S-2")(*moved).conclusion == conclusion
    assert plain("S-2")(*moved).verdict == (
        "holds" if conclusion == "holds" else "undecided"
    )


@pytest.mark.parametrize("positive, negative", [(3, 3), (5, 2)])
def test_s2_in_other_units_and_widths_and_for_samples_that_support_nothing(
    positive, negative
):
    gram = torch.tensor([[1.0, 2.9, 0.0], [2.9, 9.0, 0.0], [0.0, 0.0, 1.0]], dtype=f64)
    data = ib.data.from_gram(gram, y=torch.tensor([1.0, 1.0, -1.0]))
    net = ib.TwoLayer.init(data, positive, negative, LEAKY, 0.01)
    run = ib.gradient_flow(net, data, 200.0)
    lam = s02_loss_constant.pattern_multipliers(run.final, data)
    assert float(lam[1]) == 0
    assert ib.claims["S-2"].check(run).verdict == "holds"


def test_s2_wants_a_fixed_pattern():
    data = ib.data.correlated(6, p=0.16, signs="oppose")
    run = ib.gradient_flow(start(data, m=4, scale=0.01), data, 30.0)
    verdict = ib.claims["S-2"].check(run)
    assert verdict.verdict == "vacuous" and "kink" in verdict.why


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


# -- S-3 --------


def grown(seed, size, m=5, d=4):
    stream = torch.Generator().manual_seed(seed)
    weights = torch.randn(2 * m, d, generator=stream, dtype=f64)
    direction = torch.randn(2, d, generator=stream, dtype=f64)
    a = torch.cat([torch.ones(m), -torch.ones(m)])
    moved = weights + size * direction.repeat_interleave(m, dim=0)
    return ib.TwoLayer(weights, a, LEAKY), ib.TwoLayer(moved, a, LEAKY), direction


@given(seed=st.integers(0, 10**6), size=st.floats(-1e3, 1e3))
def test_the_two_bounds_hold_at_any_growth(seed, size):
    before, after, _ = grown(seed, size)
    box = s03_rank_gap.rank_sandwich(before)
    gap = s03_rank_gap.rank_gap(after)
    assert bool((gap >= box.floor * (1 - 1e-8)).all()) and bool(
        (gap <= box.ceiling * (1 + 1e-8)).all()
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_gap_by_singular_values_and_its_limit(seed):
    before, after, direction = grown(seed, 1e5)
    box = s03_rank_gap.rank_sandwich(before, direction)
    for j in range(2):
        rows = after.weights[5 * j : 5 * j + 5].numpy()
        values = np.linalg.svd(rows, compute_uv=False)
        assert float(s03_rank_gap.rank_gap(after)[j]) == pytest.approx(
            float((values[1:] ** 2).sum()), rel=1e-4
        )
        spread = before.weights[5 * j : 5 * j + 5] - before.weights[
            5 * j : 5 * j + 5
        ].mean(0)
        e = direction[j] / direction[j].norm()
        limit = float((spread - torch.outer(spread @ e, e)).square().sum())
        assert float(box.limit[j]) == pytest.approx(limit)
        assert float((values[1:] ** 2).sum()) == pytest.approx(limit, rel=1e-3)


def test_the_limit_constant_is_reached(pieces):
    joined = long_run(*pieces)
    rows = s03_rank_gap.growth(joined)
    box = s03_rank_gap.rank_sandwich(joined.at(joined.frozen_at()), rows)
    star = ib.kkt_point(joined.data, 4, 4, GAMMA)
    unit = math.sqrt(4 / 2)  # W* in K's units
    assert torch.allclose(rows, torch.stack([star.v, star.u]) * unit, rtol=1e-4)
    gap = ib.measures.class_stable_rank(joined.at(-1)) - 1
    clock = float(joined.log_step[-1])
    assert torch.allclose(
        gap * clock**2, box.limit / (4 * rows.square().sum(-1)), rtol=0.05
    )


# -- S-6 --------


@pytest.mark.parametrize("gamma", [0.05, 0.4142, 0.9, 1.0])
@pytest.mark.parametrize("norms", [[1.0] * 4, [1, 2, 3, 0.5]])
@pytest.mark.parametrize("positive", [1, 2])
def test_whole_rank_and_z_are_those_of_the_kkt_point(gamma, norms, positive):
    data = ib.data.orthogonal(4, norms=norms, positive=positive)
    star = ib.kkt_point(data, 3, 3, gamma)
    inverse = data.norms**-2
    share = inverse[data.positive].sum() / inverse.sum()
    assert float(s06_whole_layer.whole_rank(gamma, share)) == pytest.approx(
        literal.stable_rank(star.weights)
    )
    z = float(s06_whole_layer.linear_predictor(star.net, data))
    assert z == pytest.approx(float(star.z.norm()))
    assert z / float(ib.max_margin(data).z.norm()) == pytest.approx(
        float(s06_whole_layer.z_ratio(gamma))
    )


def test_balanced_formula_is_the_special_case():
    gamma = torch.linspace(0.01, 1, 50, dtype=f64)
    assert torch.allclose(
        s06_whole_layer.whole_rank(gamma), 2 * (1 + gamma**2) / (1 + gamma) ** 2
    )
    best = gamma[s06_whole_layer.z_ratio(gamma).argmax()]
    assert float(best) == pytest.approx(math.sqrt(2) - 1, abs=0.02)
    with pytest.raises(ValueError, match="gamma"):
        s06_whole_layer.whole_rank(0.0)


@pytest.mark.parametrize(
    "data, widths, name",
    [
        (ib.data.orthogonal(4, norms=[1, 1, 2, 2]), (3, 3), "equal norms"),
        (ib.data.orthogonal(5), (3, 3), "balanced"),
        (ib.data.orthogonal(4), (3, 2), "equal widths"),
        (ib.data.correlated(4, p=0.05), (3, 3), "p = 0"),
    ],
)
def test_every_hypothesis_of_s6_is_looked_at(data, widths, name):
    run = ib.gradient_flow(ib.TwoLayer.init(data, *widths, LEAKY, 0.01), data, 20.0)
    verdict = ib.claims["S-6"].check(run)
    assert verdict.verdict == "vacuous" and name in verdict.why


def test_where_preactivations_slide_along_kinks_no_norm_is_told():
    """Their signs are rounding's, and so would be ``W*`` of the pattern they make."""
    data = ib.data.correlated(6, p=0.12, signs="oppose")
    net = ib.TwoLayer.init(data, 6, 6, ib.leaky_relu(0.2), 1e-2, output="1/m", seed=1)
    descent = ib.gradient_descent(
        net, data, 4.0, 1000, record=ib.dynamics.log_spaced(1000, 30)
    )
    verdict = ib.claims["S-2"].check(
        descent, ib.gradient_flow(descent.final, data, until=60)
    )
    assert (verdict.verdict, verdict.conclusion) == ("vacuous", "undecided")
    assert "35 preactivation(s) sit at their kink" in verdict.why
