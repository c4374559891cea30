"""What several tests of orthogonal share."""

import implicit_bias as ib


def start(n=6, m=8, scale=0.05, seed=0, **data):
    lot = ib.data.orthogonal(n, **data)
    return lot, ib.TwoLayer.init(lot, m, m, ib.relu(), scale, output="1/m", seed=seed)
