"""What several tests of optimum share."""

from implicit_bias.theorems.frei2023.at_point import AtPoint


def at(net, data):
    return AtPoint.of(net, data)
