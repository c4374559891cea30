"""Kou et al., Lemma 5.4: no sample's sum of coefficients ever falls behind another's
(leaky ReLU).
"""

import torch

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import balances
from implicit_bias.theorems.kou2023 import setting as kou_setting

LEAKY_03 = ib.leaky_relu(0.3)


def test_data_as_a_batch_with_slopes_inside():
    leaks = torch.tensor([0.2, 0.5], dtype=torch.float64)
    x = (
        torch.stack([torch.eye(4), torch.diag(torch.tensor([1.0, 1, 2, 2]))])
        .double()
        .unsqueeze(1)
    )
    data = ib.Dataset(x, torch.tensor([1.0, -1, 1, -1]).expand(2, 1, 4))
    net = ib.TwoLayer.init(
        ib.data.orthogonal(4), 2, 2, ib.leaky_relu(leaks), 1e-3, "1/m"
    )
    run = ib.gradient_descent(
        net, data, 0.3, 500, record=ib.dynamics.log_spaced(500, 20)
    )
    assert kou_setting.gains(run).shape == (2, 2, 4)
    for id in ("K-5.4", "K-B.3", "S-8"):
        assert ib.claims[id].check(run).conclusion == "holds"


def test_conditions_are_read_off_the_run():
    data = ib.data.orthogonal(4)
    for C, verdict in ((9.9, "holds"), (10.1, "vacuous")):
        run = balances.descent_of_K(data, 5, LEAKY_03, 300)
        step = next(
            h
            for h in ib.claims["K-5.4"].check(run, C=C).hypotheses
            if h.name == "H-K4.1"
        ).parts[0]
        assert ("holds" if bool(step.holds) else "vacuous") == verdict
