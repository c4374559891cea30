"""What several tests of leaky constants share."""

import implicit_bias as ib

LEAKY_04 = ib.leaky_relu(0.4)


def hypothesis(verdict, name):
    return next(h for h in verdict.hypotheses if h.name == name)


def trained_long(n=4, m=4, steps=600, step_size=1.0, scale=1e-2, **more):
    data = ib.data.correlated(n, **{"d": n + 2, "p": 0.004, **more})
    net = ib.TwoLayer.init(data, m, m, LEAKY_04, scale, output="1/m", seed=1)
    return ib.gradient_descent(
        net, data, step_size, steps, record=ib.dynamics.log_spaced(steps, 60)
    )
