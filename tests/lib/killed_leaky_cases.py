"""What several tests of killed leaky share."""

import implicit_bias as ib

LEAKY_05 = ib.leaky_relu(0.5)


def trained_briefly(steps=300):
    data = ib.data.orthogonal(4)
    net = ib.TwoLayer.init(data, 4, 4, LEAKY_05, 0.03, output="1/m", seed=1)
    return ib.gradient_descent(
        net, data, 0.5, steps, record=ib.dynamics.log_spaced(steps, 40)
    )
