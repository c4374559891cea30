"""Frei et al., Lemmas B.1 and B.2: at a KKT point no sample weighs too much, and none
too little.
"""

import pytest
from kkt_items_cases import changed

from implicit_bias.theorems.frei2023 import lemma_b1_b2

GAMMA_04 = 0.4


def test_both_bounds_on_weights_of_samples(point):
    weight = []
    for i in range(5):
        z = point.net.weights @ point.data.x[i]
        weight.append(
            float(point.lam[i]) * sum(1.0 if float(v) > 0 else GAMMA_04 for v in z)
        )
    low = float(point.data.R_min) ** 2
    high = float(point.data.R_max) ** 2
    assert lemma_b1_b2.upper_bound(point).slack == pytest.approx(
        3 * 8 / (2 * GAMMA_04 * low) / max(weight)
    )
    assert lemma_b1_b2.lower_bound(point).slack == pytest.approx(
        min(weight) / (8 / (2 * high))
    )
    assert lemma_b1_b2.upper_bound(point).worst == f"sample {weight.index(max(weight))}"
    assert lemma_b1_b2.lower_bound(point).worst == f"sample {weight.index(min(weight))}"


@pytest.mark.parametrize("bound", [lemma_b1_b2.upper_bound, lemma_b1_b2.lower_bound])
@pytest.mark.parametrize("factor, true", [(0.9, True), (1.1, False)])
def test_weights_beyond_their_bound_by_less_and_more_than_is_judged(
    point, bound, factor, true
):
    slack = bound(point).slack
    share = slack if bound is lemma_b1_b2.upper_bound else 1 / slack
    judged = changed(point, lam=point.lam * share).multipliers
    off = (
        1 + factor * judged if bound is lemma_b1_b2.upper_bound else 1 - factor * judged
    )
    assert bound(changed(point, lam=point.lam * share * off)).true is true
