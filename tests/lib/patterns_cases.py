"""What several tests of patterns share."""

from dataclasses import replace

import implicit_bias as ib

LEAKY_04 = ib.leaky_relu(0.4)


def plain(id):
    """A check without the guard that first asks whether a run is what it says."""
    return ib.claims[id].check.__wrapped__


def small_data(p=0.01, n=5, **more):
    return ib.data.correlated(n, d=8, p=p, **more)


def start(data, m=3, scale=0.3, seed=0, activation=LEAKY_04):
    return ib.TwoLayer.init(data, m, m, activation, scale, output="1/m", seed=seed)


def tampered(one, change):
    """The run with its weights at every recorded time replaced by ``change(net, k)``."""
    nets = [change(one.net(k), k) for k in range(len(one))]
    return replace(
        one, _states=tuple(range(len(one))), _end=None, _lift=lambda k: nets[k]
    )
