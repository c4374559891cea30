"""What several tests of claims share."""

import torch

import implicit_bias as ib

GRID = [
    (gamma, kappa, n)
    for gamma in (0.1, 0.3, 0.5, 0.7, 0.9)
    for kappa in (0.01, 0.25, 1.0)
    for n in (2, 3, 10, 100)
]


def solve(data, gamma, kappa):
    K = ib.margin.kkt_matrix(data, 1.0, kappa, gamma)
    return torch.linalg.solve(K, torch.ones(data.n, dtype=torch.float64))
