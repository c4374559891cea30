"""What several tests of low rank share."""

import implicit_bias as ib


def small_run(
    activation=None, steps=30, record=None, step_size=0.05, scale=0.1, seed=1
):
    data = ib.data.gaussian(5, 12, seed=seed)
    net = ib.TwoLayer.init(
        data, 3, 4, activation or ib.smoothed_leaky_relu(0.4), scale, seed=seed
    )
    return ib.gradient_descent(net, data, step_size, steps, record=record)
