"""What several tests of at point share."""

import torch

import implicit_bias as ib

ITEMS = [f"F-3.2.{k}" for k in range(1, 8)]


IDS = [*ITEMS, "F-B.1", "F-B.2", "S-1"]


LEAKY_05 = ib.leaky_relu(0.5)


def leaning(n, p, **options):
    return ib.data.correlated(n, p=p, signs="oppose", **options)


CASES = {
    "two": (ib.data.orthogonal(2), 1, 1, 0.5),
    "one sample": (ib.data.orthogonal(1), 2, 2, 0.3),
    "one class": (ib.Dataset(torch.eye(4).double(), torch.ones(4)), 2, 3, 0.5),
    "six": (ib.data.gaussian(6, 10**6, seed=1), 4, 4, 0.5),
    "thirty": (ib.data.orthogonal(30), 2, 3, 0.5),
    "nearly linear": (leaning(5, 0.01), 3, 4, 0.999),
    "small leak": (leaning(5, 1e-6), 3, 4, 0.05),
    "wide": (ib.data.orthogonal(3), 300, 4, 0.5),
    "uneven": (ib.data.orthogonal(4, norms=[1, 10, 1e2, 1e3]), 2, 2, 0.5),
    "tiny": (ib.data.orthogonal(3, norms=1e-150), 2, 2, 0.5),
    "huge": (ib.data.orthogonal(3, norms=1e150), 2, 2, 0.5),
}


def exact(name):
    data, m_pos, m_neg, gamma = CASES[name]
    return ib.kkt_point(data, m_pos, m_neg, gamma), data


def moved(net, size, seed=0):
    stream = torch.Generator().manual_seed(seed)
    noise = torch.randn(net.weights.shape, generator=stream, dtype=torch.float64)
    return ib.TwoLayer(
        net.weights + size * net.weights.norm() / noise.norm() * noise,
        net.a,
        net.activation,
    )


def reweighted(point, data, size):
    """The network of multipliers of which the first is larger: exactly stationary, and
    not tight.
    """
    lam = point.lam.clone()
    lam[0] *= 1 + size
    s, t = ib.margin.class_slopes(data, point.net.activation.gamma)
    v = ((lam * data.y * s)[:, None] * data.x).sum(0) / point.net.m**0.5
    u = -((lam * data.y * t)[:, None] * data.x).sum(0) / point.net.m**0.5
    rows = torch.cat([v.expand(point.net.m_pos, -1), u.expand(point.net.m_neg, -1)])
    return ib.TwoLayer(rows, point.net.a, point.net.activation)


def verdicts(net, data, ids=IDS):
    """Of the claims that say something: one margin is 1 by scaling, and two rows are at
    most two.
    """
    silent = {"F-3.2.1"} if data.n == 1 else set()
    silent |= {"F-3.2.2", "F-3.2.6"} if net.m == 2 else set()
    return {
        id: ib.claims[id].check(net, data).verdict for id in ids if id not in silent
    }


def no_points():
    data = ib.data.orthogonal(4)
    a = torch.tensor([0.5, 0.5, -0.5, -0.5]).double()
    slopes = torch.where(a > 0, 1.0, 0.5)
    one = (a * slopes * data.y[0])[:, None] * data.x[0]
    point = ib.kkt_point(data, 2, 2, 0.5).net
    alone = data.x.clone()
    alone[0] = 0
    yield "zero network", ib.TwoLayer(torch.zeros(4, 4), a, LEAKY_05), data
    yield "fits one sample", ib.TwoLayer(one, a, LEAKY_05), data
    yield "wrong way", ib.TwoLayer(-point.weights, a, LEAKY_05), data
    yield "zero row", point, ib.Dataset(alone, data.y)
    yield "zero data", point, ib.Dataset(0 * alone, data.y)
    yield "one sign", ib.TwoLayer(point.weights, a.abs(), LEAKY_05), data
    yield "one neuron", ib.TwoLayer(point.weights[:1], [1.0], LEAKY_05), data
    yield "ReLU", ib.TwoLayer(point.weights, a, ib.relu()), data
    yield "second layer", ib.TwoLayer(point.weights, 2 * a, LEAKY_05), data
    yield "linear", ib.TwoLayer(point.weights, a, ib.leaky_relu(1.0)), data
    yield "random", ib.TwoLayer.init(data, 2, 2, LEAKY_05, 1.0, seed=3), data
