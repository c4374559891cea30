"""Every claim on its two controls, one at a time: where it holds, and where its
conclusion is false.
"""

import pytest

import implicit_bias as ib

IDS = list(ib.claims)


@pytest.mark.parametrize("id", IDS)
def test_positive_control_holds(id):
    row = ib.ledger([id])[0]
    assert row.positive == row.verdict == "holds"
    assert row.slack >= 1


@pytest.mark.parametrize("id", IDS)
def test_negative_control_is_refused_and_its_conclusion_false(id):
    verdict = ib.claims[id].negative()
    assert verdict.verdict in ("fails", "vacuous")
    assert verdict.conclusion == "fails", (
        "a check that cannot see a false conclusion is no check"
    )
