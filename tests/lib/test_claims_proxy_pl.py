"""The proxy-PL claims against literal twins, on both sides of every threshold, and against starts built to be worst."""

import math

import literal
import pytest
import torch

import implicit_bias as ib
from implicit_bias.claims import instances
from implicit_bias.claims import pl_tools as pl
from implicit_bias.claims.frei_proxy_pl import alignment, passing_time

LEAKY, SMOOTH = ib.leaky_relu(0.3), ib.smoothed_leaky_relu(0.3)
LOG2 = math.log(2)


def leaning(P, n=6):
    return ib.data.correlated(n, p=P / (n - 1), signs="oppose")


def literal_ratio(net, data, loss):
    gradient = literal.loop_gradient(
        net.weights, net.a, net.activation.name, net.activation.gamma, data.x, data.y, loss
    )
    total = 0.0
    for i in range(data.n):
        z = [sum(w * c for w, c in zip(row, data.x[i].tolist())) for row in net.weights.tolist()]
        f = sum(a * literal.phi(zj, net.activation.name, net.activation.gamma) for a, zj in zip(net.a.tolist(), z))
        q = float(data.y[i]) * f
        total += math.exp(-q) if loss == "exponential" else 1 / (1 + math.exp(q))
    return float(gradient.norm()) / (total / data.n)


def random_data(seed, n=5, d=7):
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=stream, dtype=torch.float64)
    return ib.Dataset(x * (1 + 4 * torch.rand(n, 1, generator=stream, dtype=torch.float64)), [1, -1, 1, 1, -1][:n])


# -- constants ---------------------------------------------------------------------------------------------------------


def test_constants_are_those_of_the_papers():
    data = ib.data.orthogonal(4, norms=[2, 3, 3, 6])
    assert float(pl.d2_constant(data, 0.3)) == pytest.approx(math.sqrt(2) * 2 * 0.3 / (3 * 3 * math.sqrt(4)))
    assert float(pl.e14_constant(data, 0.3)) == pytest.approx(0.3 * 2 / (2 * math.sqrt(2) * 3 * math.sqrt(4)))
    assert float(pl.paper_time(data, 0.3, 0.7)) == pytest.approx(85 * 0.7 * 9 * 4**3 / (0.09 * 4))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_looseness_on_orthonormal_data(n):
    data = ib.data.orthogonal(n)
    best = pl.best_constant(data, 0.4)
    assert float(best / pl.d2_constant(data, 0.4)) == pytest.approx(3 / math.sqrt(2), rel=1e-12)
    assert float(best / pl.e14_constant(data, 0.4)) == pytest.approx(2 * math.sqrt(2), rel=1e-12)


@pytest.mark.parametrize("P", [0.0, 0.3, 0.9])
def test_leaning_data_have_the_smallest_margin_that_P_allows(P):
    data = leaning(P)
    assert float(pl.best_constant(data, 0.5)) == pytest.approx(float(pl.gram_constant(data, 0.5)), rel=1e-9)
    assert float(pl.gram_constant(data, 0.5)) == pytest.approx(0.5 * math.sqrt((1 - P) / 6))


# -- D.1 ---------------------------------------------------------------------------------------------------------------


def test_alignment_is_a_double_sum():
    data = random_data(0)
    for k in range(data.n):
        total = sum(float(data.y[i] * data.y[k] * (data.x[i] @ data.x[k])) for i in range(data.n))
        assert float(alignment(data)[k]) == pytest.approx(total)


@pytest.mark.parametrize("P, conclusion", [(1 / 3 - 1e-6, "holds"), (1 / 3 + 1e-6, "fails")])
def test_d1_breaks_at_one_third(P, conclusion):
    assert ib.claims["F-D.1"].check(leaning(P), 0.9).conclusion == conclusion


def test_d1_sees_a_long_mu():
    # All samples lean towards their class: aligned more than enough, but too long.
    data = ib.data.correlated(8, p=0.3, signs="agree")
    verdict = ib.claims["F-D.1"].check(data, 0.9)
    assert verdict.conclusion == "fails" and verdict.constants["length"] < 1 < verdict.constants["alignment"]


# -- D.2 and E.14 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [LEAKY, SMOOTH], ids=["leaky", "smooth"])
@pytest.mark.parametrize("seed", range(3))
def test_slack_is_the_literal_ratio_over_the_constant(activation, seed, loss):
    data = random_data(seed)
    net = ib.TwoLayer.init(data, 2, 3, activation, 0.5, seed=seed)
    ratio = literal_ratio(net, data, loss)
    for id, constant in (("F-D.2", pl.d2_constant), ("F-E.14", pl.e14_constant)):
        verdict = ib.claims[id].check(net, data, loss, search=False)
        assert verdict.slack == pytest.approx(ratio / float(constant(data, 0.3)), rel=1e-9)


@pytest.mark.parametrize("id, breaks, activation", [("F-D.2", 7 / 9, LEAKY), ("F-E.14", 7 / 8, SMOOTH)])
def test_inequality_breaks_where_its_constant_exceeds_the_best(id, breaks, activation, loss):
    for P, conclusion in ((breaks - 1e-6, "holds"), (breaks + 1e-6, "fails")):
        data = leaning(P)
        net = pl.extremal_network(data, 3, 2, activation, loss)
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
    assert ib.claims["F-D.2"].check(nets, data, search=False).slack == pytest.approx(min(slacks))


def test_every_clarke_slope_obeys(loss):
    stream, data = torch.Generator().manual_seed(0), random_data(2)
    slopes = 0.3 + 0.7 * torch.rand(4000, 4, data.n, generator=stream, dtype=torch.float64)
    pulls = torch.rand(4000, data.n, generator=stream, dtype=torch.float64) ** 4
    rows = (slopes * (data.y * pulls)[:, None]) @ data.x / data.n
    ratio = (rows.square().sum((-2, -1)) / 4).sqrt() / pulls.mean(-1)
    assert float(ratio.min()) >= float(pl.best_constant(data, 0.3))


def test_sum_of_squares_bound_on_random_grams():
    for seed in range(20):
        stream = torch.Generator().manual_seed(seed)
        n = 6
        upper = (torch.rand(n, n, generator=stream, dtype=torch.float64) * 2 - 1).sign().triu(1)
        gram = 0.9 / (n - 1) * (upper + upper.T) + torch.eye(n)
        pull = torch.rand(500, n, generator=stream, dtype=torch.float64)
        theta = pull * (0.3 + 0.7 * torch.rand(500, n, generator=stream, dtype=torch.float64))
        square = ((theta @ gram) * theta).sum(-1)
        assert bool((square >= 0.09 * (1 - 0.9) * pull.square().sum(-1) * (1 - 1e-12)).all())


def test_relu_is_vacuous():
    data = leaning(0.0)
    net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.1)
    assert ib.claims["F-D.2"].check(net, data, search=False).verdict == "vacuous"
    assert ib.claims["F-E.14"].check(net, data, search=False).verdict == "vacuous"


def test_ratio_survives_huge_margins(loss):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 1e4, seed=0)
    assert bool(torch.isfinite(ib.measures.proxy_pl_ratio(net, data, loss)))


# -- S-4 ---------------------------------------------------------------------------------------------------------------

DATA = {
    "within": instances.within,
    "uneven": lambda: ib.data.orthogonal(5, norms=[1, 2, 3, 1, 4]),
    "idle samples": lambda: ib.data.gaussian(8, 10),
    "dependent": lambda: ib.data.digits(n=20),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("activation", [LEAKY, SMOOTH, ib.leaky_relu(1.0)], ids=["leaky", "smooth", "linear"])
def test_extremal_network_meets_the_constant(name, activation, loss):
    data = DATA[name]()
    net = pl.extremal_network(data, 2, 3, activation, loss)
    best = float(pl.best_constant(data, activation.gamma))
    assert float(ib.measures.proxy_pl_ratio(net, data, loss)) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_adversary_never_passes_the_constant(seed, loss):
    data = random_data(seed)
    found = pl.attack(data, 2, 2, LEAKY, loss, starts=12, steps=200)
    best = float(pl.best_constant(data, 0.3))
    assert best * (1 - 1e-12) <= found.ratio <= 1.2 * best
    assert float(ib.measures.proxy_pl_ratio(found.net, data, loss)) == pytest.approx(found.ratio)


@pytest.mark.parametrize("factor, verdict", [(0.99, "fails"), (1.0, "holds"), (1 + 1e-7, "fails"), (1.01, "fails")])
def test_s4_refuses_any_other_constant(factor, verdict):
    data = leaning(0.2)
    wrong = factor * float(pl.best_constant(data, 0.3))
    assert ib.claims["S-4"].check(data, 0.3, constant=wrong).verdict == verdict


def test_s4_without_unique_multipliers_is_open():
    twins = ib.Dataset(torch.eye(3, dtype=torch.float64)[[0, 0, 1, 2]], [1, 1, -1, -1])
    verdict = ib.claims["S-4"].check(twins, 0.5)
    assert verdict.verdict == "undecided" and verdict.constants["adversary"] < 1.01


def test_s4_on_inseparable_data_is_vacuous():
    clash = ib.Dataset(torch.eye(3, dtype=torch.float64)[[0, 0, 1]], [1, -1, 1])
    assert ib.claims["S-4"].check(clash, 0.5).verdict == "vacuous"


def test_extremal_network_names_what_is_missing(rejects):
    data = ib.data.orthogonal(3)
    with rejects("m_pos, m_neg", "both signs"):
        pl.extremal_network(data, 3, 0, LEAKY)
    with rejects("data", "unique multipliers"):
        pl.extremal_network(ib.Dataset(data.x[[0, 0]], [1, -1]), 1, 1, LEAKY)


# -- Theorem 3.4 -------------------------------------------------------------------------------------------------------


def asleep(n, q, gamma, loss="logistic", depth=1e5):
    """Orthonormal data and a network asleep on all of them, every margin q."""
    data, a = ib.data.orthogonal(n), pl.second_layer(1, 1)
    lift = data.y * q / (2 * gamma * float(a[0]))
    return data, ib.TwoLayer(torch.stack([lift - depth, -lift - depth]), a, ib.leaky_relu(gamma))


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
    between = passing_time(ib.gradient_flow(net, data, level + 0.02, record=[level - 0.02, level + 0.02]), -level)
    assert float(between) == pytest.approx(float(exact), abs=1e-3)
    short = ib.gradient_flow(net, data, 1.0)
    assert float(passing_time(short, -level)) == math.inf
    assert float(passing_time(short, 1.0)) == -math.inf


def test_sleeping_flow_has_the_closed_form_time():
    data, net = asleep(4, 0.0, 0.2)
    t0 = float(passing_time(flow_to_level(net, data), math.log(LOG2 / 4)).exp())
    q = -math.log(2**0.25 - 1)  # log(1 + e^{-q}) = log(2)/4
    assert t0 == pytest.approx(4 / 0.04 * (math.exp(q) + q - 1), rel=1e-6)


@pytest.mark.parametrize("loss, factor, Y", [("logistic", 63.004, 1.9729), ("exponential", 340 * LOG2**2, 2 * LOG2)])
def test_never_sharp_theorem_is_attained_at_one_sample(loss, factor, Y):
    q = -math.log(math.expm1(Y)) if loss == "logistic" else -math.log(Y)
    data, net = asleep(1, q, 0.3)
    verdict = ib.claims["F-3.4"].check(flow_to_level(net, data, loss))
    assert verdict.verdict == "holds" and verdict.slack == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 0.3, 10.0])
def test_both_bounds_hold_from_any_start(scale, loss):
    for seed in range(3):
        data = leaning(0.02, n=5)
        net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), scale, seed=seed)
        verdict = ib.claims["F-3.4"].check(flow_to_level(net, data, loss))
        assert verdict.conclusion == "holds" and verdict.constants["t0"] <= verdict.constants["repaired"]


def test_loss_at_the_start_is_read_from_the_start():
    data, net = asleep(3, -30.0, 0.5)
    bound = ib.claims["F-3.4"].check(flow_to_level(net, data)).constants["bound"]
    assert bound == pytest.approx(float(pl.paper_time(data, 0.5, 30.0)), rel=1e-9)


def test_a_run_that_ends_before_the_level_decides_nothing():
    data = ib.data.orthogonal(5)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY, 0.01)
    assert ib.claims["F-3.4"].check(ib.gradient_flow(net, data, 1.0)).verdict == "undecided"


def test_repaired_time_formula():
    data = ib.data.correlated(4, p=0.1, norms=2.0)
    unit = 16 / (0.25 * 4 * (1 - 0.3 / 4))
    assert float(pl.repaired_time(data, 0.5, 0.7, "exponential")) == pytest.approx(unit / LOG2)
    assert float(pl.repaired_time(data, 0.5, 0.7)) == pytest.approx(unit * (0.7 + 1 / LOG2) / (1 - 1 / math.e) ** 2)
