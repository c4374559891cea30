"""What several tests of direction share."""

import implicit_bias as ib

GAMMA_05 = 0.5


def flow_of(m_pos=2, m_neg=2, activation=None, data=None, record=None, until=50.0):
    data = ib.data.orthogonal(3) if data is None else data
    start = ib.TwoLayer.init(
        data, m_pos, m_neg, activation or ib.leaky_relu(GAMMA_05), 1e-2, seed=1
    )
    return ib.gradient_flow(start, data, until, record=record)
