"""Frei et al., Corollary 3.5: under H-3.2 every start has one limit, the KKT point of
Theorem 3.2.
"""

import pytest
import torch
from direction_cases import flow_of

import implicit_bias as ib

GAMMA_05 = 0.5


def test_descent_is_no_flow():
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.5), 0.1)
    with pytest.raises(ValueError, match="run: expected a run of gradient flow"):
        ib.claims["F-3.5"].check(ib.gradient_descent(net, data, 0.1, 3))


def test_vacuous_and_short_says_both():
    data = ib.data.correlated(6, p=0.03, signs="oppose", positive=1)
    start = ib.TwoLayer.init(data, 3, 3, ib.leaky_relu(GAMMA_05), 100.0, seed=1)
    verdict = ib.claims["F-3.5"].check(ib.gradient_flow(start, data, 200.0))
    assert (
        verdict.verdict == "vacuous"
        and "The conclusion is open. At s = 200 the start still shows" in verdict.why
    )


@pytest.mark.parametrize(
    "id, change, expected",
    [
        ("F-3.5", dict(activation=ib.relu()), "activation"),
        ("F-3.5", dict(data=ib.data.correlated(3, p=0.2, signs="agree")), "H-3.2"),
        (
            "F-3.5",
            dict(
                data=ib.Dataset([[0.0, 0, 0], [0, 1, 0], [0, 0, 1]], [1, 1, -1]),
                until=1.0,
            ),
            "H-3.2",
        ),
        ("F-3.1", dict(until=0.5), "small loss"),
    ],
)
def test_each_hypothesis_alone(id, change, expected):
    verdict = ib.claims[id].check(flow_of(**change))
    assert verdict.verdict == "vacuous" and expected in {
        h.name for h in verdict.hypotheses if not bool(h.holds.all())
    }


def test_neurons_of_one_sign_have_no_limit_of_f35():
    data = ib.Dataset(torch.eye(2).double(), [1.0, 1.0])
    rows = torch.rand(2, 2, generator=torch.Generator().manual_seed(0)).double()
    start = ib.TwoLayer(
        rows, torch.full((2,), 0.5**0.5).double(), ib.leaky_relu(GAMMA_05)
    )
    verdict = ib.claims["F-3.5"].check(ib.gradient_flow(start, data, 20.0))
    assert (verdict.verdict, verdict.conclusion) == ("vacuous", "undecided")
