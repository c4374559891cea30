"""The coefficients ρ of the data-correlated decomposition, from the weights alone
(K-5.1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..networks.compatible import a_network, fitting
from ..networks.two_layer import TwoLayer
from ..training.trajectory import Trajectory, a_run
from ..values.checks import fail
from .runs import networks

__all__ = ["independent", "rho", "rho_along"]


def independent(data: Dataset) -> bool:
    """Whether the samples are linearly independent (every data set of a batch): then ρ
    is unique.
    """
    norms = data.norms.unsqueeze(-1)
    if not bool((norms > 0).all()):
        return False
    directions = data.x / norms
    cosines = directions @ directions.mT
    return bool((torch.linalg.matrix_rank(cosines, hermitian=True) == data.n).all())


def rho(net: TwoLayer, initial: TwoLayer, data: Dataset) -> Tensor:
    """``ρ_ji`` (..., m, n) with ``w_j = w_j(0) + Σ_i ρ_ji x_i/‖x_i‖²`` (K-5.1), from
    the weights alone.

    Raises
    ------
    ValueError
        If the samples are linearly dependent, where ρ is not unique.
    """
    data = fitting(net, data)
    if a_network(initial, "initial").weights.shape[-2:] != net.weights.shape[-2:]:
        fail(
            "initial",
            f"{net.m} neurons and {net.d} columns, like net",
            tuple(initial.weights.shape[-2:]),
        )
    if not independent(data):
        fail(
            "data",
            "linearly independent samples (rho is not unique otherwise)",
            "dependent ones",
        )
    norms = data.norms.unsqueeze(-1)
    directions = data.x / norms
    moved = (net.weights - initial.weights).to(directions) @ directions.mT
    return torch.linalg.solve(directions @ directions.mT, moved.mT).mT * norms.mT


def rho_along(run: Trajectory, initial: TwoLayer | None = None) -> Tensor:
    """``ρ_ji`` (T, ..., m, n) at every recorded time of a run (K-5.1), counted from
    ``initial``: where this run began, unless the start of an earlier run that it goes
    on from is given.
    """
    a_run(run)
    return rho(networks(run), run.initial if initial is None else initial, run.data)
