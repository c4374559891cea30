"""Kou et al., Lemmas 5.4, 5.5, B.3, B.4: no sample's coefficients ever fall behind
another's.
"""

import itertools
import math

import pytest
import torch
from decomposition_cases import trained

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import balances, sample_clocks

LEAKY_03 = ib.leaky_relu(0.3)


f64 = torch.float64


@pytest.mark.parametrize("which", ["sums", "neurons", "active"])
def test_ratios_are_loops(which):
    run = trained(ib.relu() if which == "active" else LEAKY_03, steps=5, m=4)
    rho = ib.measures.rho_along(run)
    z = run.initial.preactivations(run.data.x)
    step, ratio = balances.balance_along(run, which)
    assert step.tolist() == [1, 2, 3, 4, 5]
    for t in range(1, 6):
        small = []
        large = []
        for j, i in itertools.product((1, -1), range(5)):
            rows = [r for r in range(8) if (run.initial.a[r] > 0) == (j > 0)]
            sizes = [abs(float(rho[t, r, i])) for r in rows]
            large += [sum(sizes)] if which == "sums" else sizes
            if which == "active":
                small += [
                    s
                    for r, s in zip(rows, sizes)
                    if j == int(run.data.y[i]) and float(z[r, i]) >= 0
                ]
        assert float(ratio[t - 1]) == pytest.approx(min(small or large) / max(large))


def test_means_put_the_own_class_first():
    run = trained(steps=3)
    means = balances.own_class_means(run)
    rho = ib.measures.rho_along(run)
    for i in range(5):
        own = rho[2, :3, i] if run.data.y[i] > 0 else rho[2, 3:, i]
        other = rho[2, 3:, i] if run.data.y[i] > 0 else rho[2, :3, i]
        assert float(means[1, 0, i]) == pytest.approx(float(own.abs().mean()))
        assert float(means[1, 1, i]) == pytest.approx(float(other.abs().mean()))


def test_constants_of_the_papers_proofs():
    run = trained(steps=1, scale=0.01)
    beta = max(abs(float(w @ x)) for w in run.initial.weights for x in run.data.x)
    g = 0.3
    early = 1 / (1 + math.exp((1 + g) * (1 + beta))) / 4
    late = (
        min(
            1,
            math.log1p(math.exp(-(1 + g) * beta) / 4)
            / math.log1p(g * math.exp(2 * beta)),
        )
        / 6
    )
    assert float(balances.paper_constant(run)) == pytest.approx(min(early, late))
    relu = trained(ib.relu(), steps=1, scale=0.01)
    early = 1 / (1 + math.exp(1 + beta)) / 4
    late = (
        0.16 * math.log1p(math.exp(-beta) / 20) / math.log1p(1.2 * math.exp(2 * beta))
    )
    assert float(balances.relu_constant(relu)) == pytest.approx(min(early, late))


def test_limit_reads_an_intercept():
    step = torch.tensor([1, 10, 100, 1000, 10_000, 100_000])
    unit = torch.tensor(0.3, dtype=torch.float64)
    ratio = 0.4 + 0.7 / torch.log1p(0.3 * step.double())
    assert float(balances.limit_of(step, ratio, unit)) == pytest.approx(0.4)
    assert math.isnan(float(balances.limit_of(step[:2], ratio[:2], unit)))


def test_a_ratio_that_heads_below_the_floor_is_unsettled():
    data = ib.data.gaussian(10, 200_000_000, seed=0)
    run = balances.descent_of_K(data, 20, ib.leaky_relu(0.5), 20_000)
    finding, unsettled = balances._constant(
        run, "sums", 2, torch.tensor(2.004).double()
    )
    assert finding.true and "still falls" in unsettled
    assert not balances._constant(run, "sums", 2, torch.tensor(1.9).double())[1]
    finding, unsettled = balances._constant(run, "sums", 2, torch.tensor(2.1).double())
    assert not finding.true and "refutes nothing" in unsettled


@pytest.mark.parametrize("C", [30.0, 3000.0])
def test_ceiling_comes_down_to_the_sharp_value(C):
    run = balances.descent_of_K(
        ib.data.orthogonal(4, norms=[1, 1, 2, 2]), 4, ib.leaky_relu(0.5), 3000, C=C
    )
    step, _ = balances.balance_along(run, "neurons")
    top = float(sample_clocks.ceiling(run, sample_clocks.clocks_of(run), step)) / (
        0.5 / 4
    )
    assert top < {30.0: 3.0, 3000.0: 1.2}[C]


@pytest.mark.parametrize("count, wanted", [(101, 0.4), (100, 0.4)])
def test_a_limit_is_read_over_two_decades(count, wanted):
    step = torch.tensor([1, 9, 11, 100, 1000], dtype=torch.int64)
    unit = torch.tensor(0.3, dtype=f64)
    ratio = 0.4 + 0.7 / torch.log1p(0.3 * step.double())
    ratio[:2] += 5  # before the last two decades
    assert float(balances.limit_of(step, ratio, unit)) == pytest.approx(wanted)
    step = torch.tensor([1, 10, 1000], dtype=torch.int64)
    assert not math.isnan(
        float(balances.limit_of(torch.tensor([10, 100, 1000]), ratio[:3], unit))
    )
    assert math.isnan(float(balances.limit_of(step, ratio[:3], unit)))
