"""Adversaries for F-E.2, F-E.3 and F-E.7: gradient ascent on the ratio that a lemma
bounds by 1.
"""

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import hunts as loss_ratio_search

SMOOTH_04 = ib.smoothed_leaky_relu(0.4)


def test_gradients_are_sought_in_the_span_of_samples_in_few_dimensions():
    data = ib.data.gaussian(6, 3, seed=0)
    found = loss_ratio_search.hunt_gradient(data, 1, 2, SMOOTH_04, starts=3, steps=5)
    assert [part.shape[-2:] for part in found.parts] == [(3, 3), (3, 3)]
