"""Every claim between its two controls, and what a check says off the beaten track."""

import math
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.claim import ORDER
from implicit_bias.theorems.frei2023 import instances
from implicit_bias.theorems.here import s05_break_points, s05_formulas
from implicit_bias.theorems.ledger import table
from implicit_bias.theorems.limits import fitted_rate, limit

IDS = list(ib.claims)


@pytest.mark.parametrize("id", IDS)
def test_claim_describes_itself(id):
    claim = ib.claims[id]
    assert claim.id == id and claim.statement and claim.source and claim.check.__doc__
    assert (Path(__file__).parents[2] / "book/text" / f"{claim.chapter}.md").exists()


def test_ledger_rows_are_dictionaries_too():
    row = ib.ledger(["F-3.2.3"])[0]
    assert dict(row)["slack"] == row["slack"] == row.slack
    assert set(row.keys()) >= {
        "id",
        "statement",
        "chapter",
        "verdict",
        "slack",
        "positive",
        "negative",
        "seconds",
    }
    assert table([row]).count("<tr>") == 2


def test_ledger_counts_seconds(monkeypatch):
    ticks = iter([5.0, 7.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks, 0.0))
    assert ib.ledger(["F-D.1"])[0].seconds == 2.5


def test_ledger_takes_ids_in_the_order_given():
    assert [row.id for row in ib.ledger(["F-B.2", "F-B.1"])] == ["F-B.2", "F-B.1"]


@pytest.mark.parametrize("ids", [["F-9.9"], "F-3.1", 5, [["F-3.1"]], torch.tensor(3.0)])
def test_the_ledger_names_what_is_no_list_of_claims(ids):
    with pytest.raises(ValueError, match="ids: expected a list of claims' ids, got"):
        ib.ledger(ids)


def test_no_claims_no_rows():
    assert ib.ledger([]) == []


def test_every_claim_of_the_register_is_here_and_in_its_order():
    assert IDS == ORDER and len(set(ORDER)) == 70


def test_only_claims_of_the_register_enter():
    claim = replace(ib.claims["F-B.1"], id="F-9.9")
    with pytest.raises(
        ValueError, match="id: expected one of the register, got 'F-9.9'"
    ):
        ib.claims.add(claim)


def test_unknown_claim_names_the_known_ones():
    with pytest.raises(KeyError, match="F-3.2.1"):
        ib.claims["F-9.9"]


# -- the items of Theorem 3.2, each broken by a change that only it should mind --------


def broken(id, change):
    net, data = instances.kkt_within()
    weights = net.weights.clone()
    change(weights)
    return ib.claims[id].check(ib.TwoLayer(weights, net.a, net.activation), data)


def test_one_deviant_row_breaks_item_2():
    def deviate(weights):
        weights[0] *= 1.001

    verdict = broken("F-3.2.2", deviate)
    assert verdict.conclusion == "fails" and verdict.verdict == "undecided"


def test_longer_weights_are_the_same_direction():
    net, data = instances.kkt_within()
    assert ib.claims["F-3.2.1"].check(net.scaled(7.0), data).verdict == "holds"


def test_relu_and_other_second_layers_are_vacuous():
    net, data = instances.kkt_within()
    relu = ib.TwoLayer(net.weights, net.a, ib.relu())
    assert ib.claims["F-3.2.6"].check(relu, data).verdict == "vacuous"
    other = ib.TwoLayer(net.weights, 2 * net.a, net.activation)
    assert "second layer" in ib.claims["F-3.2.6"].check(other, data).why


def test_trained_network_is_undecided_then_settles():
    flow = instances.flow_within()[0]
    early, late = (ib.claims["F-3.2.7"].check(flow.net(k), flow.data) for k in (0, -1))
    assert early.verdict == "vacuous"
    assert late.verdict == "undecided" and late.conclusion == "holds"
    settled = ib.claims["F-3.2.7"].check(ib.measures.clock_velocity(flow), flow.data)
    assert settled.verdict == settled.conclusion == "holds"


def test_b8_holds_for_small_epsilon_and_is_vacuous_past_the_bound():
    check = ib.claims["F-B.8"].check
    assert check(1e-3).verdict == "holds"
    assert check(1 / 73).verdict == "holds"
    assert check(1 / 71).verdict == "vacuous"


# -- limits --------


def test_fitted_rate_reads_a_power_law():
    clock = torch.logspace(0, 3, 40, dtype=torch.float64)
    assert fitted_rate(clock, 5 / clock**1.5) == pytest.approx(1.5)


@pytest.mark.parametrize(
    "error, true",
    [
        (lambda s: 3 / s, True),
        (lambda s: 0.2 + 0 * s, False),
        (lambda s: s**-0.2, False),
        (lambda s: 300 / s, False),  # falling, and far
        (lambda s: 0.01 + 0 * s, False),  # near, and not falling
        (lambda s: 49.9 / s, True),
        (lambda s: 50.1 / s, False),
        (lambda s: 0.04 * (s / 1000) ** -0.501, True),
        (lambda s: 0.04 * (s / 1000) ** -0.499, False),
    ],
)
def test_limit_needs_a_rate(error, true):
    clock = torch.logspace(0, 3, 40, dtype=torch.float64)
    finding, unsettled = limit(clock, error(clock), "x", "s", law=1.0)
    assert finding.true is true and bool(unsettled) is not true


def test_limit_of_a_short_run_is_unsettled():
    clock = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert limit(clock, 1 / clock, "x", "s", law=1.0)[1]


def test_descent_is_no_flow():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.1)
    with pytest.raises(ValueError, match="run: expected a run of gradient flow"):
        ib.claims["F-3.5"].check(ib.gradient_descent(net, data, 0.1, 3))


# -- S-5 --------

GRID = [
    (gamma, kappa, n)
    for gamma in (0.1, 0.3, 0.5, 0.7, 0.9)
    for kappa in (0.01, 0.25, 1.0)
    for n in (2, 3, 10, 100)
]


def solve(data, gamma, kappa):
    K = ib.margin.kkt_matrix(data, 1.0, kappa, gamma)
    return torch.linalg.solve(K, torch.ones(data.n, dtype=torch.float64))


@pytest.mark.parametrize("gamma, kappa, n", GRID)
def test_each_part_breaks_on_its_worst_data_exactly_where_predicted(gamma, kappa, n):
    points = s05_formulas.break_points(gamma, kappa, n)
    N = n - 1
    scarce = (kappa + gamma**2) / (1 + kappa)
    lean = "low" if gamma > scarce else "low, one class"
    if points.sign < 1:
        at = s05_formulas.worst_data(n, points.sign / N)
        assert abs(float(s05_formulas.candidate_signs(at, gamma, kappa))) < 1e-9
    if not math.isnan(points.low):
        assert float(
            solve(s05_formulas.worst_data(n, points.low / N, lean), gamma, kappa).min()
        ) == pytest.approx(0.5)
    if not math.isnan(points.zero):
        assert float(
            solve(s05_formulas.worst_data(n, points.zero / N, lean), gamma, kappa).min()
        ) == pytest.approx(0, abs=1e-9)
    if not math.isnan(points.high) and points.high < 1:
        largest = solve(
            s05_formulas.worst_data(n, points.high / N, "high"), gamma, kappa
        ).max()
        assert float(largest) == pytest.approx(1.5 / gamma**2)


@pytest.mark.parametrize("gamma, kappa, n", [case for case in GRID if case[2] <= 10])
def test_no_random_data_lose_a_sign_before(gamma, kappa, n):
    points = s05_formulas.break_points(gamma, kappa, n)
    p = (
        0.999
        * min(points.sign, points.zero if points.zero == points.zero else 1.0)
        / (n - 1)
    )
    stream = torch.Generator().manual_seed(n)
    assert bool(
        (
            s05_formulas.candidate_signs(
                s05_break_points._random_data(n, p, 500, stream), gamma, kappa
            )
            > 0
        ).all()
    )


@pytest.mark.parametrize("gamma, kappa, n", [case for case in GRID if case[2] <= 10])
def test_no_multiplier_of_random_data_exceeds_the_proved_bound(gamma, kappa, n):
    P = 0.6
    stream = torch.Generator().manual_seed(n)
    data = s05_break_points._random_data(n, P / (n - 1), 500, stream)
    K = ib.margin.kkt_matrix(data, 1.0, kappa, gamma)
    lam = torch.linalg.solve(K, torch.ones(500, n, 1, dtype=torch.float64)).squeeze(-1)
    largest = lam.amax(-1)[(lam >= 0).all(-1)] * data.R_min[(lam >= 0).all(-1)] ** 2
    bound = (1 + kappa) / ((kappa + gamma**2) * (1 - P))
    assert len(largest) and float(largest.max()) <= bound * (1 + 1e-12)
    attained = solve(s05_formulas.worst_data(n, P / (n - 1), "high"), gamma, kappa)
    assert float(attained.min()) == pytest.approx(bound) == float(attained.max())


def test_safe_zone_of_all_kkt_points_lies_between_hypothesis_and_break():
    for gamma, kappa, n in GRID:
        assert (
            gamma**3 / 3
            < s05_formulas.every_kkt_point(gamma, kappa)
            <= s05_formulas.break_points(gamma, kappa, n).sign * (1 + 1e-12)
        )


def test_break_points_refuse_what_they_do_not_cover():
    with pytest.raises(ValueError, match="kappa"):
        s05_formulas.break_points(0.5, 1.5, 10)


# -- what readers see --------


def test_verdict_reads_as_a_sentence_and_as_html():
    verdict = ib.claims["F-B.2"].positive()
    assert re.match(r"F-B\.2 holds \(slack \d\.\d\d\): .+\.$", str(verdict))
    assert 'class="ib-verdict ib-holds"' in verdict._repr_html_()
    assert bool(verdict) and not bool(ib.claims["F-B.2"].negative())
