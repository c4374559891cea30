"""What several tests of proxy pl share."""

import torch

import implicit_bias as ib


def leaning(P, n=6):
    return ib.data.correlated(n, p=P / (n - 1), signs="oppose")


def random_data(seed, n=5, d=7):
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=stream, dtype=torch.float64)
    return ib.Dataset(
        x * (1 + 4 * torch.rand(n, 1, generator=stream, dtype=torch.float64)),
        [1, -1, 1, 1, -1][:n],
    )
