"""What several tests of kkt items share."""

from dataclasses import replace

from implicit_bias.theorems.frei2023.at_point import AtPoint


def changed(point, weights=None, lam=None):
    net = point.net if weights is None else replace(point.net, weights=weights)
    residual = point.residual if lam is None else replace(point.residual, lam=lam)
    return AtPoint(net, point.data, residual)
