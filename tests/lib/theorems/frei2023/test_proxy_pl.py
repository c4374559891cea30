"""What the claims on the proxy-PL inequality share: its constants, the network that
meets the best, and an adversary.
"""

import math

import pytest
import torch
from proxy_pl_cases import leaning, random_data

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import instances, proxy_pl, proxy_pl_attack

LEAKY_03 = ib.leaky_relu(0.3)


SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


LOG2 = math.log(2)


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


def test_a_zero_row_leaves_the_bounds_open():
    data = ib.data.orthogonal(3)
    data = ib.Dataset(torch.diag(torch.tensor([0.0, 1.0, 1.0])).double(), data.y)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.1, seed=0)
    for verdict in (
        ib.claims["F-D.1"].check(data, 0.3),
        *(ib.claims[id].check(net, data) for id in ("F-D.2", "F-E.14")),
    ):
        assert (verdict.verdict, verdict.conclusion) == ("vacuous", "undecided")
    assert ib.claims["S-4"].check(data, 0.3).verdict == "vacuous"


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


def test_a_run_is_no_network():
    data = leaning(0.0)
    run = ib.gradient_descent(ib.TwoLayer.init(data, 2, 2, LEAKY_03, 0.1), data, 0.1, 3)
    for id in ("F-D.2", "F-E.14"):
        with pytest.raises(TypeError, match="net: expected a TwoLayer"):
            ib.claims[id].check(run, data)
    for id in ("F-D.1", "S-4"):
        with pytest.raises(TypeError, match="data: expected a Dataset"):
            ib.claims[id].check(run, 0.3)


def test_ratio_survives_huge_margins(loss):
    data = ib.data.orthogonal(3)
    net = ib.TwoLayer.init(data, 2, 2, LEAKY_03, 1e4, seed=0)
    assert bool(torch.isfinite(ib.measures.proxy_pl_ratio(net, data, loss)))


DATA = {
    "within": instances.within,
    "uneven": lambda: ib.data.orthogonal(5, norms=[1, 2, 3, 1, 4]),
    "idle samples": lambda: ib.data.gaussian(8, 10),
    "dependent": lambda: ib.data.digits(n=20, centre=True),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize(
    "activation",
    [LEAKY_03, SMOOTH_03, ib.leaky_relu(1.0)],
    ids=["leaky", "smooth", "linear"],
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
    found = proxy_pl_attack.attack(data, 2, 2, LEAKY_03, loss, starts=12, steps=200)
    best = float(proxy_pl.best_constant(data, 0.3))
    assert best * (1 - 1e-12) <= found.ratio <= 1.2 * best
    assert float(ib.measures.proxy_pl_ratio(found.net, data, loss)) == pytest.approx(
        found.ratio
    )


@pytest.mark.parametrize("id", ["F-D.1", "F-D.2", "F-E.14", "S-4"])
def test_negative_controls_break_one_hypothesis(id):
    negative = ib.claims[id].negative()
    assert (
        len([h for h in negative.hypotheses if not bool(h.holds.all())]) == 1
        and negative.conclusion == "fails"
    )


@pytest.mark.parametrize("m_pos, m_neg", [(3, 3), (2, 3), (3, 2), (1, 4)])
@pytest.mark.parametrize("depth", [50.0, 80.0])
def test_extremal_network_sleeps_as_deep_as_it_says(m_pos, m_neg, depth):
    data = ib.data.orthogonal(5, norms=[1, 2, 3, 1, 4])
    net = proxy_pl.extremal_network(data, m_pos, m_neg, LEAKY_03, depth=depth)
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
        proxy_pl.extremal_network(data, 3, 0, LEAKY_03)
    with rejects("data", "unique multipliers"):
        proxy_pl.extremal_network(ib.Dataset(data.x[[0, 0]], [1, -1]), 1, 1, LEAKY_03)


def test_repaired_time_formula():
    data = ib.data.correlated(4, p=0.1, norms=2.0)
    unit = 16 / (0.25 * 4 * (1 - 0.3 / 4))
    assert float(
        proxy_pl.repaired_time(data, 0.5, 0.7, "exponential")
    ) == pytest.approx(unit / LOG2)
    assert float(proxy_pl.repaired_time(data, 0.5, 0.7)) == pytest.approx(
        unit * (0.7 + 1 / LOG2) / (1 - 1 / math.e) ** 2
    )


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
        LEAKY_03,
    )
    assert float(ib.measures.proxy_pl_ratio(net, pair)) == pytest.approx(
        float(proxy_pl.best_constant(pair, 0.3)), rel=1e-9
    )


@pytest.mark.parametrize("m_pos, m_neg", [(2, 2), (1, 4), (4, 1), (2, 3)])
@pytest.mark.parametrize("flip", [1, -1])
def test_depth_of_the_extremal_network_by_hand(m_pos, m_neg, flip):
    data = ib.data.orthogonal(5, norms=[1, 2, 3, 1, 4])
    data = ib.Dataset(data.x, flip * data.y)
    net = proxy_pl.extremal_network(data, m_pos, m_neg, ib.leaky_relu(0.3), depth=60.0)
    z = net.preactivations(data.x)
    push = z[:m_pos].sum(0)
    pull = z[m_pos:].sum(0)
    lift = (push - pull) / 2
    sink = (push + pull) / 2
    assert torch.allclose(
        sink,
        torch.full_like(sink, -(60.0 * max(m_pos, m_neg) + float(lift.abs().max()))),
    )
    q = data.y * (net.a @ ib.leaky_relu(0.3).value(z))
    assert torch.allclose(2 * 0.3 * float(net.a.max()) * lift * data.y, q)
