"""What several tests of smooth constants share."""

import implicit_bias as ib

SMOOTH_04 = ib.smoothed_leaky_relu(0.4)


def slack_of(verdict, name):
    return float(next(h for h in verdict.hypotheses if h.name == name).slack.min())


def leaning(p=1e-4, norms=(1, 1.5, 1, 2)):
    return ib.data.correlated(4, p=p, norms=list(norms))


def net_on(data, scale=0.3, m=3, activation=SMOOTH_04, seed=1):
    return ib.TwoLayer.init(data, m, m, activation, scale, seed=seed)


def short(data, step=1e-4, scale=0.3, activation=SMOOTH_04, steps=2):
    net = net_on(data, scale, activation=activation)
    return ib.gradient_descent(net, data, step, steps, record=range(steps + 1))
