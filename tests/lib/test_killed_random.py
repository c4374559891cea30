"""Random data and random starts: constants and edge cases of what is proved or typical."""

import math

import pytest
import torch

import implicit_bias as ib
from implicit_bias.data import spectra
from implicit_bias.theorems.frei2023 import lemma_3_3 as near
from implicit_bias.theorems.frei2023 import proxy_pl_attack
from implicit_bias.theorems.kou2023.orthogonal_law import class_law
from implicit_bias.theorems.kou2023.orthogonal_runs import chance


def test_one_sample_has_no_pair_to_lean():
    spectrum = spectra.isotropic(1000)
    assert near.typical(1, spectrum).p == near.guaranteed(1, spectrum, 0.1).p == 0
    assert near.typical(1, spectrum).slack("H-3.2", 0.5) == math.inf


def test_two_samples_are_the_fewest_that_need_a_dimension(rejects):
    for delta in (None, 0.1):
        assert 1 < near.dimension_needed("H-3.2", 2, 0.5, delta) < 1e12
        with rejects("n", "2"):
            near.dimension_needed("H-3.2", 1, 0.5, delta)


def test_half_of_the_neurons_is_shown_at_270_where_265_are_needed():
    verdict = ib.claims["K-A.2"].positive()
    wide = next(each for each in verdict.hypotheses if each.name == "width")
    assert float(wide.slack) == pytest.approx(270 / (50 * math.log(2 * 10 / 0.1)))
    assert math.ceil(50 * math.log(2 * 10 / 0.1)) == 265


# -- orthogonal data --------


@pytest.mark.parametrize("positive", [0, 6])
def test_chance_with_one_class_is_that_of_its_law(positive):
    norms = [1, 2, 3, 1, 2, 1.5]
    data = ib.data.orthogonal(6, norms=norms, positive=positive)
    law = class_law(data.norms, 40)
    for delta in (0.3, 0.03):
        targets, reach = chance(data, 40, delta)
        seen, absent = (0, 1) if positive else (1, 0)
        assert targets[seen] == targets[2] == law.rank
        assert reach[seen] == reach[2] == law.reach(delta / 3)
        assert math.isnan(targets[absent]) and math.isnan(reach[absent])


@pytest.mark.parametrize("norms", [[], [[1.0, 2.0]], 3.0])
def test_the_law_of_a_class_takes_one_length_a_sample(rejects, norms):
    with rejects("norms", "a vector"):
        class_law(norms, 5)


def test_the_bracket_of_the_whole_rank_is_from_16_ninths_to_nine():
    seen = ib.claims["K-F.3"].positive().constants
    assert seen["target W"] == pytest.approx((16 / 9 + 9) / 2)


# -- the proxy-PL search --------


@pytest.mark.parametrize(
    "activation", [ib.leaky_relu(0.3), ib.smoothed_leaky_relu(0.3)]
)
def test_the_searched_ratio_is_the_true_one_once_its_steps_are_sharp(activation):
    data = ib.data.gaussian(4, 6, seed=0, space="full")
    net = ib.TwoLayer.init(data, 2, 3, activation, 0.5, seed=[0, 1, 2])
    x = data.x.double()
    y = data.y.double()
    loss = ib.losses.get("logistic")
    searched = proxy_pl_attack._smooth_ratio(
        net.weights, x, y, net.a, activation, loss, 1e-9
    )
    torch.testing.assert_close(searched, ib.measures.proxy_pl_ratio(net, data).square())
