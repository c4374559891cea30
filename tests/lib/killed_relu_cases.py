"""What several tests of killed relu share."""

import implicit_bias as ib


def descend_narrow(data, m=6, step_size=0.5, steps=200, scale=0.01, record=None):
    net = ib.TwoLayer.init(data, m, m, ib.relu(), scale, output="1/m", seed=0)
    record = range(steps + 1) if record is None else record
    return ib.gradient_descent(net, data, step_size, steps, record=record)
