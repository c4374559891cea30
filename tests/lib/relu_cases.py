"""What several tests of relu share."""

import torch

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import relu_setting
from implicit_bias.theorems.setting import active_shares
from implicit_bias.training.descent import log_spaced


def descend(data, m=12, step_size=0.5, steps=200, scale=0.01, seed=0, record=None):
    net = ib.TwoLayer.init(data, m, m, ib.relu(), scale, output="1/m", seed=seed)
    return ib.gradient_descent(
        net,
        data,
        step_size,
        steps,
        record=range(steps + 1) if record is None else record,
    )


def covered(kind, R=1.0, n=6, m=80, steps=3000, step_size=None, seed=0, record=None):
    """A run that meets the conditions proved for C = 40, with samples of lengths 1 to R."""
    norms = torch.linspace(1, R, n, dtype=torch.float64)[
        torch.randperm(n, generator=torch.Generator().manual_seed(3))
    ]
    data = ib.data.correlated(
        n, p=0.999 / (40 * n * R**2), signs=kind, norms=norms, seed=seed
    )
    step_size = 0.999 * n * m / (40 * R**2) if step_size is None else step_size
    while True:
        net = ib.TwoLayer.init(data, m, m, ib.relu(), 5e-3 / R, output="1/m", seed=seed)
        if float(active_shares(net, data).min()) >= relu_setting.SHARE:
            run = ib.gradient_descent(
                net, data, step_size, steps, record=record or log_spaced(steps, 60)
            )
            assert all(
                bool(part.holds.all()) for part in relu_setting.setting_of_relu(run)
            )
            return run
        seed += 1
