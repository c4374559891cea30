"""The proxy-PL claims against literal twins, on both sides of every threshold, and
against starts built to be worst.
"""

import math
from dataclasses import replace

import literal
import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import instances, proxy_pl, proxy_pl_attack
from implicit_bias.theorems.frei2023.lemma_d1 import alignment
from implicit_bias.theorems.frei2023.smooth_setting import slopes_fit
from implicit_bias.theorems.frei2023.theorem_3_4 import _bracket, passing_time

LEAKY = ib.leaky_relu(0.3)
SMOOTH = ib.smoothed_leaky_relu(0.3)
LOG2 = math.log(2)


def leaning(P, n=6):
    return ib.data.correlated(n, p=P / (n - 1), signs="oppose")


def literal_ratio(net, data, loss):
    gradient = literal.loop_gradient(
        net.weights,
        net.a,
        net.activation.name,
        net.activation.gamma,
        data.x,
        data.y,
        loss,
    )
    total = 0.0
    for i in range(data.n):
        z = [
            sum(w * c for w, c in zip(row, data.x[i].tolist()))
            for row in net.weights.tolist()
        ]
        f = sum(
            a * literal.phi(zj, net.activation.name, net.activation.gamma)
            for a, zj in zip(net.a.tolist(), z)
        )
        q = float(data.y[i]) * f
        total += math.exp(-q) if loss == "exponential" else 1 / (1 + math.exp(q))
    return float(gradient.norm()) / (total / data.n)


def random_data(seed, n=5, d=7):
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=stream, dtype=torch.float64)
    return ib.Dataset(
        x * (1 + 4 * torch.rand(n, 1, generator=stream, dtype=torch.float64)),
        [1, -1, 1, 1, -1][:n],
    )


# -- constants --------


def test_constants_are_those_of_the_papers():
    data = ib.data.orthogonal(4, norms=[2, 3, 3, 6])
    assert float(proxy_pl.d2_constant(data, 0.3)) == pytest.approx(
        math.sqrt(2) * 2 * 0.3 / (3 * 3 * math.sqrt(4))
    )
    assert float(proxy_pl.e14_constant(data, 0.3)) == pytest.approx(
        0.3 * 2 / (2 * math.sqrt(2) * 3 * math.sqrt(4))
    )
    assert float(proxy_pl.paper_time(data, 0.3, 0.7)) == pytest.approx(
        85 * 0.7 * 9 * 4**3 / (0.09 * 4)
    )


@pytest.mark.parametrize("n", [1, 2, 7])
def test_looseness_on_orthonormal_data(n):
    data = ib.data.orthogonal(n)
    best = proxy_pl.best_constant(data, 0.4)
    assert float(best / proxy_pl.d2_constant(data, 0.4)) == pytest.approx(
        3 / math.sqrt(2), rel=1e-12
    )
    assert float(best / proxy_pl.e14_constant(data, 0.4)) == pytest.approx(
        2 * math.sqrt(2), rel=1e-12
    )


@pytest.mark.parametrize("P", [0.0, 0.3, 0.9])
def test_leaning_data_have_the_smallest_margin_that_P_allows(P):
    data = leaning(P)
    assert float(proxy_pl.best_constant(data, 0.5)) == pytest.approx(
        float(proxy_pl.gram_constant(data, 0.5)), rel=1e-9
    )
    assert float(proxy_pl.gram_constant(data, 0.5)) == pytest.approx(
        0.5 * math.sqrt((1 - P) / 6)
    )


# -- D.1 --------


def test_alignment_is_a_double_sum():
    data = random_data(0)
    for k in range(data.n):
        total = sum(
            float(data.y[i] * data.y[k] * (data.x[i] @ data.x[k]))
            for i in range(data.n)
        )
        assert float(alignment(data)[k]) == pytest.approx(total)


@pytest.mark.parametrize(
    "P, conclusion", [(1 / 3 - 1e-6, "holds"), (1 / 3 + 1e-6, "fails")]
)
def test_d1_breaks_at_one_third(P, conclusion):
    assert ib.claims["F-D.1"].check(leaning(P), 0.9).conclusion == conclusion


def test_d1_sees_a_long_mu():
    # All samples lean towards their class: aligned more than enough, but too long.
    data = ib.data.correlated(8, p=0.3, signs="agree")
    verdict = ib.claims["F-D.1"].check(data, 0.9)
    assert (
        verdict.conclusion == "fails"
        and verdict.constants["length"] < 1 < verdict.constants["alignment"]
    )


def test_d1_against_literal_numbers():
    data = random_data(3)
    mu = sum(data.y[i] * data.x[i] for i in range(5))
    low = float(data.norms.min())
    high = float(data.norms.max())
    along = [float(data.y[k] * (mu @ data.x[k])) for k in range(5)]
    numbers = ib.claims["F-D.1"].check(data, 0.3).constants
    assert numbers["alignment"] == pytest.approx(min(along) / (2 / 3 * low**2))
    assert numbers["length"] == pytest.approx(2 * 5 * high**2 / float(mu @ mu))
    bound = math.sqrt(2) * low / (3 * (high / low) * math.sqrt(5))
    assert numbers["margin"] == pytest.approx(min(along) / float(mu.norm()) / bound)


def test_a_zero_row_leaves_the_bounds_open():
    data = ib.data.orthogonal(3)
    data = ib.Dataset(torch.diag(torch.tensor([0.0, 1.0, 1.0])).double(), data.y)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.1, seed=0)
    for verdict in (
        ib.claims["F-D.1"].check(data, 0.3),
        *(ib.claims[id].check(net, data) for id in ("F-D.2", "F-E.14")),
    ):
        assert (verdict.verdict, verdict.conclusion) == ("vacuous", "undecided")
    assert ib.claims["S-4"].check(data, 0.3).verdict == "vacuous"


# -- D.2 and E.14 --------


@pytest.mark.parametrize("activation", [LEAKY, SMOOTH], ids=["leaky", "smooth"])
@pytest.mark.parametrize("seed", range(3))
def test_slack_is_the_literal_ratio_over_the_constant(activation, seed, loss):
    data = random_data(seed)
    net = ib.TwoLayer.init(data, 2, 3, activation, 0.5, seed=seed)
    ratio = literal_ratio(net, data, loss)
    for id, constant in (
        ("F-D.2", proxy_pl.d2_constant),
        ("F-E.14", proxy_pl.e14_constant),
    ):
        verdict = ib.claims[id].check(net, data, loss, search=False)
        assert verdict.slack == pytest.approx(
            ratio / float(constant(data, 0.3)), rel=1e-9
        )


@pytest.mark.parametrize(
    "id, breaks, activation", [("F-D.2", 7 / 9, LEAKY), ("F-E.14", 7 / 8, SMOOTH)]
)
def test_inequality_breaks_where_its_constant_exceeds_the_best(
    id, breaks, activation, loss
):
    for P, conclusion in ((breaks - 1e-6, "holds"), (breaks + 1e-6, "fails")):
        data = leaning(P)
        net = proxy_pl.extremal_network(data, 3, 2, activation, loss)
        verdict = ib.claims[id].check(net, data, loss, search=False)
        assert (verdict.verdict, verdict.conclusion) == ("vacuous", conclusion)


def test_hypothesis_is_probed_from_both_sides():
    limit = 0.3**3 / 3 * 5 / 6  # H-3.2 in terms of P at n = 6
    for P, verdict in ((limit * 0.999, "holds"), (limit * 1.001, "vacuous")):
        data = leaning(P)
        net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.1)
        assert ib.claims["F-D.2"].check(net, data, search=False).verdict == verdict


def test_adversary_finds_the_violation_by_itself():
    data = leaning(0.9)
    tame = ib.TwoLayer.init(data, 2, 2, LEAKY, 1e-3, seed=3)
    assert ib.claims["F-D.2"].check(tame, data, search=False).conclusion == "holds"
    assert ib.claims["F-D.2"].check(tame, data).conclusion == "fails"


def test_a_batch_is_as_bad_as_its_worst_network():
    data = random_data(1)
    nets = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.5, seed=[0, 1, 2])
    alone = [ib.TwoLayer(w, nets.a, LEAKY) for w in nets.weights]
    slacks = [ib.claims["F-D.2"].check(net, data, search=False).slack for net in alone]
    assert ib.claims["F-D.2"].check(nets, data, search=False).slack == pytest.approx(
        min(slacks)
    )


def test_every_clarke_slope_obeys(loss):
    stream = torch.Generator().manual_seed(0)
    data = random_data(2)
    slopes = 0.3 + 0.7 * torch.rand(
        4000, 4, data.n, generator=stream, dtype=torch.float64
    )
    pulls = torch.rand(4000, data.n, generator=stream, dtype=torch.float64) ** 4
    rows = (slopes * (data.y * pulls)[:, None]) @ data.x / data.n
    ratio = (rows.square().sum((-2, -1)) / 4).sqrt() / pulls.mean(-1)
    assert float(ratio.min()) >= float(proxy_pl.best_constant(data, 0.3))


def test_sum_of_squares_bound_on_random_grams():
    for seed in range(20):
        stream = torch.Generator().manual_seed(seed)
        n = 6
        upper = (
            (torch.rand(n, n, generator=stream, dtype=torch.float64) * 2 - 1)
            .sign()
            .triu(1)
        )
        gram = 0.9 / (n - 1) * (upper + upper.T) + torch.eye(n)
        pull = torch.rand(500, n, generator=stream, dtype=torch.float64)
        theta = pull * (
            0.3 + 0.7 * torch.rand(500, n, generator=stream, dtype=torch.float64)
        )
        square = ((theta @ gram) * theta).sum(-1)
        assert bool(
            (square >= 0.09 * (1 - 0.9) * pull.square().sum(-1) * (1 - 1e-12)).all()
        )


def test_relu_is_vacuous():
    data = leaning(0.0)
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.1)
    assert ib.claims["F-D.2"].check(net, data, search=False).verdict == "vacuous"
    assert ib.claims["F-E.14"].check(net, data, search=False).verdict == "vacuous"


def test_a_dead_relu_is_an_adversary_of_its_own():
    data = leaning(0.0)
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.1, seed=0)
    for id in ("F-D.2", "F-E.14"):
        verdict = ib.claims[id].check(net, data)
        assert (verdict.verdict, verdict.conclusion) == ("vacuous", "fails")


@pytest.mark.parametrize("id", ["F-D.2", "F-E.14"])
def test_one_adversary_meets_one_data_set(id, rejects):
    batch = ib.data.gaussian_spectrum(4, [1.0], [100], draws=3)
    nets = ib.TwoLayer.init(batch, 2, 2, LEAKY, 0.1, seed=0)
    with rejects("search", "False"):
        ib.claims[id].check(nets, batch)
    assert ib.claims[id].check(nets, batch, search=False).verdict == "vacuous"
    leaks = ib.TwoLayer.init(
        leaning(0.0),
        2,
        2,
        ib.leaky_relu(torch.tensor([0.3, 0.4]).double()),
        0.1,
        seed=[0],
    )
    with rejects("search", "False"):
        ib.claims[id].check(leaks, leaning(0.0))


@pytest.mark.parametrize(
    "low, high, fits", [(0.3, 1.0, True), (0.29, 1.0, False), (0.3, 1.01, False)]
)
def test_slopes_of_an_activation_are_looked_at(low, high, fits):
    class Other(ib.Activation):
        def value(self, z):
            return z * self.derivative(z)

        def derivative(self, z):
            return torch.where(z >= 0, high, low).to(z)

    assert slopes_fit(Other("other", 0.3)) is fits
    assert not slopes_fit(Other("other", 0.0))
    assert slopes_fit(SMOOTH) and slopes_fit(
        ib.leaky_relu(torch.tensor([0.2, 0.5]).double())
    )


def test_a_run_is_no_network():
    data = leaning(0.0)
    run = ib.gradient_descent(ib.TwoLayer.init(data, 2, 2, LEAKY, 0.1), data, 0.1, 3)
    for id in ("F-D.2", "F-E.14"):
        with pytest.raises(TypeError, match="net: expected a TwoLayer"):
            ib.claims[id].check(run, data)
    for id in ("F-D.1", "S-4"):
        with pytest.raises(TypeError, match="data: expected a Dataset"):
            ib.claims[id].check(run, 0.3)


def test_ratio_survives_huge_margins(loss):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 1e4, seed=0)
    assert bool(torch.isfinite(ib.measures.proxy_pl_ratio(net, data, loss)))


# -- S-4 --------

DATA = {
    "within": instances.within,
    "uneven": lambda: ib.data.orthogonal(5, norms=[1, 2, 3, 1, 4]),
    "idle samples": lambda: ib.data.gaussian(8, 10),
    "dependent": lambda: ib.data.digits(n=20, centre=True),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize(
    "activation", [LEAKY, SMOOTH, ib.leaky_relu(1.0)], ids=["leaky", "smooth", "linear"]
)
def test_extremal_network_meets_the_constant(name, activation, loss):
    data = DATA[name]()
    net = proxy_pl.extremal_network(data, 2, 3, activation, loss)
    best = float(proxy_pl.best_constant(data, activation.gamma))
    assert float(ib.measures.proxy_pl_ratio(net, data, loss)) == pytest.approx(
        best, rel=1e-9
    )


@pytest.mark.parametrize("seed", range(6))
def test_adversary_never_passes_the_constant(seed, loss):
    data = random_data(seed)
    found = proxy_pl_attack.attack(data, 2, 2, LEAKY, loss, starts=12, steps=200)
    best = float(proxy_pl.best_constant(data, 0.3))
    assert best * (1 - 1e-12) <= found.ratio <= 1.2 * best
    assert float(ib.measures.proxy_pl_ratio(found.net, data, loss)) == pytest.approx(
        found.ratio
    )


@pytest.mark.parametrize(
    "factor, verdict",
    [(0.99, "fails"), (1.0, "holds"), (1 + 1e-7, "fails"), (1.01, "fails")],
)
def test_s4_refuses_any_other_constant(factor, verdict):
    data = leaning(0.2)
    wrong = factor * float(proxy_pl.best_constant(data, 0.3))
    assert ib.claims["S-4"].check(data, 0.3, constant=wrong).verdict == verdict


@pytest.mark.parametrize(
    "arguments, name",
    [
        ((0.3, 4, 4, "logistic", 0.0), "constant"),
        ((0.3, 4, 4, "logistic", -1.0), "constant"),
        ((0.3, 0, 0), "m_pos, m_neg"),
        ((0.3, -1, 2), "m_pos"),
        (("a",), "gamma"),
        ((0.0,), "gamma"),
    ],
)
def test_s4_names_what_it_refuses(arguments, name, rejects):
    with rejects(name, "expected"):
        ib.claims["S-4"].check(leaning(0.2), *arguments)
    with rejects("data", "one data set"):
        ib.claims["S-4"].check(ib.data.gaussian_spectrum(4, [1.0], [100], draws=3), 0.3)


@pytest.mark.parametrize("id", ["F-D.1", "F-D.2", "F-E.14", "S-4"])
def test_negative_controls_break_one_hypothesis(id):
    negative = ib.claims[id].negative()
    assert (
        len([h for h in negative.hypotheses if not bool(h.holds.all())]) == 1
        and negative.conclusion == "fails"
    )


def test_s4_without_unique_multipliers_is_open():
    twins = ib.Dataset(torch.eye(3, dtype=torch.float64)[[0, 0, 1, 2]], [1, 1, -1, -1])
    verdict = ib.claims["S-4"].check(twins, 0.5)
    assert verdict.verdict == "undecided" and verdict.constants["adversary"] < 1.01


def test_s4_on_inseparable_data_is_vacuous():
    clash = ib.Dataset(torch.eye(3, dtype=torch.float64)[[0, 0, 1]], [1, -1, 1])
    assert ib.claims["S-4"].check(clash, 0.5).verdict == "vacuous"


@pytest.mark.parametrize("m_pos, m_neg", [(3, 3), (2, 3), (3, 2), (1, 4)])
@pytest.mark.parametrize("depth", [50.0, 80.0])
def test_extremal_network_sleeps_as_deep_as_it_says(m_pos, m_neg, depth):
    data = ib.data.orthogonal(5, norms=[1, 2, 3, 1, 4])
    net = proxy_pl.extremal_network(data, m_pos, m_neg, LEAKY, depth=depth)
    z = net.preactivations(data.x[proxy_pl.support(data)])
    # The kind with more neurons meets the depth exactly at the sample where the lift is
    # largest, if it is lifted there.
    nearest = [float(part.max()) for part in (z[:m_pos], z[m_pos:])]
    assert max(nearest) <= -depth * (1 - 1e-9)
    if m_pos == m_neg:
        assert max(nearest) == pytest.approx(-depth)


def test_extremal_network_names_what_is_missing(rejects):
    data = ib.data.orthogonal(3)
    with rejects("m_pos, m_neg", "both signs"):
        proxy_pl.extremal_network(data, 3, 0, LEAKY)
    with rejects("data", "unique multipliers"):
        proxy_pl.extremal_network(ib.Dataset(data.x[[0, 0]], [1, -1]), 1, 1, LEAKY)


# -- Theorem 3.4 --------


def asleep(n, q, gamma, loss="logistic", depth=1e5):
    """Orthonormal data and a network asleep on all of them, every margin q."""
    data = ib.data.orthogonal(n)
    a = proxy_pl.second_layer(1, 1)
    lift = data.y * q / (2 * gamma * float(a[0]))
    return data, ib.TwoLayer(
        torch.stack([lift - depth, -lift - depth]), a, ib.leaky_relu(gamma)
    )


def flow_to_level(net, data, loss="logistic", past=0.01):
    level = math.log(data.n / LOG2)
    return ib.gradient_flow(net, data, level + past, loss, record=[level, level + past])


def test_passing_time_is_that_of_plain_time(loss):
    data = ib.data.gaussian(3, 5, seed=2)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.9), 0.2, seed=0)
    target = math.log(LOG2 / 3)
    t = float(passing_time(flow_to_level(net, data, loss), target).exp())
    start = (net.weights, net.a, "leaky_relu", 0.9, data.x, data.y)
    log_loss, _, _ = literal.flow_in_plain_time(*start, 2000, t / 2000, loss)
    assert log_loss == pytest.approx(target, abs=1e-4)


def test_passing_time_interpolates_and_knows_never_and_always():
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.01)
    level = math.log(3 / LOG2)
    exact = passing_time(flow_to_level(net, data), -level)
    between = passing_time(
        ib.gradient_flow(net, data, level + 0.02, record=[level - 0.02, level + 0.02]),
        -level,
    )
    assert float(between) == pytest.approx(float(exact), abs=1e-3)
    short = ib.gradient_flow(net, data, 1.0)
    assert float(passing_time(short, -level)) == math.inf
    assert float(passing_time(short, 1.0)) == -math.inf


def test_sleeping_flow_has_the_closed_form_time():
    data, net = asleep(4, 0.0, 0.2)
    t0 = float(passing_time(flow_to_level(net, data), math.log(LOG2 / 4)).exp())
    q = -math.log(2**0.25 - 1)  # log(1 + e^{-q}) = log(2)/4
    assert t0 == pytest.approx(4 / 0.04 * (math.exp(q) + q - 1), rel=1e-6)


@pytest.mark.parametrize(
    "loss, factor, Y",
    [("logistic", 63.004, 1.9729), ("exponential", 340 * LOG2**2, 2 * LOG2)],
)
def test_never_sharp_theorem_is_attained_at_one_sample(loss, factor, Y):
    q = -math.log(math.expm1(Y)) if loss == "logistic" else -math.log(Y)
    data, net = asleep(1, q, 0.3)
    verdict = ib.claims["F-3.4"].check(flow_to_level(net, data, loss))
    assert verdict.verdict == "holds" and verdict.slack == pytest.approx(
        factor, rel=1e-4
    )


@pytest.mark.parametrize("scale", [1e-4, 0.3, 10.0])
def test_both_bounds_hold_from_any_start(scale, loss):
    for seed in range(3):
        data = leaning(0.02, n=5)
        net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), scale, seed=seed)
        verdict = ib.claims["F-3.4"].check(flow_to_level(net, data, loss))
        assert (
            verdict.conclusion == "holds"
            and verdict.constants["t0"] <= verdict.constants["repaired"]
        )


def test_loss_at_the_start_is_read_from_the_start():
    data, net = asleep(3, -30.0, 0.5)
    bound = ib.claims["F-3.4"].check(flow_to_level(net, data)).constants["bound"]
    assert bound == pytest.approx(float(proxy_pl.paper_time(data, 0.5, 30.0)), rel=1e-9)


def test_a_run_that_ends_before_the_level_decides_nothing():
    data = ib.data.orthogonal(5)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.01)
    assert (
        ib.claims["F-3.4"].check(ib.gradient_flow(net, data, 1.0)).verdict
        == "undecided"
    )


def test_repaired_time_formula():
    data = ib.data.correlated(4, p=0.1, norms=2.0)
    unit = 16 / (0.25 * 4 * (1 - 0.3 / 4))
    assert float(
        proxy_pl.repaired_time(data, 0.5, 0.7, "exponential")
    ) == pytest.approx(unit / LOG2)
    assert float(proxy_pl.repaired_time(data, 0.5, 0.7)) == pytest.approx(
        unit * (0.7 + 1 / LOG2) / (1 - 1 / math.e) ** 2
    )


# -- F-3.4 on runs that say little --------


def test_between_records_time_is_interpolated_by_hand():
    """Past the first interval log t is linear in log L; within it t is."""
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.01)
    run = ib.gradient_flow(net, data, 4.0, record=[1.0, 2.0, 4.0])
    high, low = run.log_loss[1:3].tolist()
    early, late = run.log_time[1:3].tolist()
    for share in (0.1, 0.5, 0.9):
        level = high + share * (low - high)
        assert float(passing_time(run, level)) == pytest.approx(
            early + share * (late - early)
        )
    start = run.initial
    first = run.log_loss[0]
    zero = ib.gradient_flow(
        start,
        data,
        1.0,
        record=[float(-run.loss.log_mean(ib.measures.margins(start, data))), 1.0],
    )
    assert float(zero.log_time[0]) == -math.inf
    high, low = zero.log_loss.tolist()
    third = passing_time(zero, high + 0.3 * (low - high)).exp()
    assert float(third) == pytest.approx(0.3 * float(zero.log_time[1].exp()))
    assert float(passing_time(run, float(first) + 1e-9)) == float(run.log_time[0])


def test_sparse_records_refute_nothing():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.01, seed=0)
    verdict = ib.claims["F-3.4"].check(
        ib.gradient_flow(net, data, 100.0, record=[50.0, 100.0])
    )
    assert (
        verdict.verdict == verdict.conclusion == "undecided"
        and "too far apart" in verdict.why
    )
    exact = ib.claims["F-3.4"].check(flow_to_level(net, data))
    assert exact.verdict == "holds" and "1 later records agree" in exact.why


@pytest.mark.parametrize("factor, verdict", [(0.999, "fails"), (1.001, "holds")])
def test_the_bound_from_both_sides(factor, verdict, monkeypatch):
    data = ib.data.orthogonal(4)
    run = flow_to_level(
        ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.01, seed=0), data
    )
    level = math.log(LOG2 / 4)
    t0 = passing_time(run, level).exp()
    check = ib.claims["F-3.4"].check.__wrapped__
    monkeypatch.setitem(check.__globals__, "paper_time", lambda *_: factor * t0)
    # Records right at the level: what lies between is too little to doubt.
    monkeypatch.setitem(check.__globals__, "_bracket", lambda *_: (t0.log(), t0.log()))
    assert check(run).verdict == verdict


@pytest.mark.parametrize(
    "before, after, verdict",
    [(0.0, 1.0, "fails"), (-1.0, 0.0, "holds"), (-1.0, 1.0, "undecided")],
)
def test_a_bound_right_at_a_record(before, after, verdict, monkeypatch):
    data = ib.data.orthogonal(4)
    run = flow_to_level(
        ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.01, seed=0), data
    )
    check = ib.claims["F-3.4"].check.__wrapped__
    one = torch.ones(()).double()
    parts = tuple(map(torch.tensor, (before, after)))
    monkeypatch.setitem(check.__globals__, "paper_time", lambda *_: one)
    monkeypatch.setitem(check.__globals__, "_bracket", lambda *_: parts)
    middle = 0.5 * (before + after) + (
        1e-3 if verdict == "fails" else -1e-3
    ) * torch.ones(())
    monkeypatch.setitem(check.__globals__, "passing_time", lambda *_: middle.double())
    quiet = replace(run, log_loss=run.log_loss - 100.0)
    assert check(quiet).verdict == verdict


def test_the_bracket_of_the_passing_time():
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.01)
    run = ib.gradient_flow(net, data, 4.0, record=[1.0, 2.0, 4.0])
    for k, level in ((0, -1.5), (1, -3.0)):
        before, after = _bracket(run, level)
        assert (float(before), float(after)) == tuple(run.log_time[k : k + 2].tolist())
    before, after = _bracket(run, 1.0)
    assert float(before) == -math.inf and float(after) == float(run.log_time[0])


def test_a_run_that_stalls_or_stops_early_decides_nothing():
    data = ib.data.orthogonal(5)
    short = ib.gradient_flow(ib.TwoLayer.init(data, 2, 2, LEAKY, 0.01), data, 1.0)
    check = ib.claims["F-3.4"].check.__wrapped__
    assert ib.claims["F-3.4"].check(short).conclusion == "undecided"
    stalled = check(replace(short, outcome=replace(short.outcome, status="stalled")))
    assert stalled.verdict == "undecided" and "stalls before" in stalled.why
    late = check(replace(short, log_time=short.log_time + 100.0))
    assert late.verdict == "fails" and late.slack == 0


def test_a_loss_that_rises_again_is_seen():
    data = ib.data.orthogonal(3)
    run = flow_to_level(ib.TwoLayer.init(data, 2, 2, LEAKY, 0.01), data, past=0.5)
    check = ib.claims["F-3.4"].check.__wrapped__
    log_loss = run.log_loss.clone()
    log_loss = torch.cat([log_loss, log_loss[:1] + 1])
    longer = replace(
        run,
        log_loss=log_loss,
        log_time=torch.cat([run.log_time, run.log_time[-1:] + 1]),
    )
    longer = replace(longer, _states=(*run._states, run._states[-1]))
    assert check(longer).verdict == "fails" and "rose above" in check(longer).why
    with pytest.raises(ValueError, match="^run:"):
        ib.claims["F-3.4"].check(replace(run, log_loss=run.log_loss - 5.0))


def test_positive_neurons_alone_reach_it_where_their_sample_has_no_multiplier():
    # The negative sample has the only multiplier. Asleep on it, awake on the positive
    # one, that one has no share.
    pair = ib.Dataset(
        torch.tensor([[-1.0, 0.0], [2.0, 1.0]], dtype=torch.float64), [-1.0, 1.0]
    )
    assert ib.max_margin(pair).lam.tolist() == pytest.approx([1.0, 0.0])
    net = ib.TwoLayer(
        torch.tensor([[1e-4, 100.0]], dtype=torch.float64).expand(4, -1),
        torch.full((4,), 0.5),
        LEAKY,
    )
    assert float(ib.measures.proxy_pl_ratio(net, pair)) == pytest.approx(
        float(proxy_pl.best_constant(pair, 0.3)), rel=1e-9
    )
