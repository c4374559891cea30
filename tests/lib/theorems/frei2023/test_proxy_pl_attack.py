"""An adversary for the proxy-PL inequality: descent on the ratio ``‖∇L‖_F/G`` over all
networks in the span of the data.
"""

import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import proxy_pl_attack


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
