"""Kou et al., F.3: on orthogonal samples the stable rank of each class tends to 2;
sharper, to ``2k/(k+1)``.
"""

import pytest

import implicit_bias as ib


def test_checks_hold_on_a_run_and_its_start(equal):
    assert [
        ib.claims[id].check(*equal).verdict for id in ("K-F.2", "K-F.3.k", "S-7")
    ] == ["holds"] * 3
    narrow = ib.claims["K-F.3"].check(*equal)
    assert (
        narrow.verdict == "vacuous"
        and narrow.conclusion == "holds"
        and "width" in narrow.why
    )


def test_the_bracket_of_the_whole_rank_is_from_16_ninths_to_nine():
    seen = ib.claims["K-F.3"].positive().constants
    assert seen["target W"] == pytest.approx((16 / 9 + 9) / 2)
