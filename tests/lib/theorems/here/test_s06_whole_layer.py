"""Found here: S-6. Where the whole first layer of a leaky network goes on orthogonal
data.
"""

import math

import literal
import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.here import s06_whole_layer
from implicit_bias.theorems.kou2023.long_runs import long_run
from implicit_bias.theorems.setting import logistic

f64 = torch.float64


LEAKY_04 = ib.leaky_relu(0.4)


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
    run = ib.gradient_flow(ib.TwoLayer.init(data, *widths, LEAKY_04, 0.01), data, 20.0)
    verdict = ib.claims["S-6"].check(run)
    assert verdict.verdict == "vacuous" and name in verdict.why


def test_errors_of_the_whole_layer():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY_04, 1e-3, output="1/m", seed=1)
    run = ib.gradient_descent(net, data, 1.0, 3000)
    seen = ib.claims["S-6"].check(run).constants
    final = run.final
    rank = 2 * 1.16 / 1.4**2
    assert seen["rank error"] == pytest.approx(
        abs(float(ib.stable_rank(final)) / rank - 1)
    )
    z = (final.a[:, None] * final.weights).sum(0) / run.margins[-1].min()
    star = math.sqrt(4.0)
    assert seen["length error"] == pytest.approx(
        abs(float(z.norm()) / star / (1.4 / 1.16) - 1)
    )
    assert logistic(long_run(run).loss).holds
