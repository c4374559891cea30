"""Random data and random starts: constants and edge cases of what is proved or typical."""

import math

from implicit_bias import spectra
from implicit_bias.claims import near


def test_one_sample_has_no_pair_to_lean():
    spectrum = spectra.isotropic(1000)
    assert near.typical(1, spectrum).p == near.guaranteed(1, spectrum, 0.1).p == 0
    assert near.typical(1, spectrum).slack("H-3.2", 0.5) == math.inf


def test_two_samples_are_the_fewest_that_need_a_dimension(rejects):
    for delta in (None, 0.1):
        assert 1 < near.dimension_needed("H-3.2", 2, 0.5, delta) < 1e12
        with rejects("n", "2"):
            near.dimension_needed("H-3.2", 1, 0.5, delta)
