"""The convex problem under every margin here: ``min ½‖c‖² s.t. A c ≥ 1``, known only through ``K = A Aᵀ``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

__all__ = ["least_distance", "over_batch"]


def least_distance(K: np.ndarray) -> np.ndarray | None:
    """Multipliers λ ≥ 0 (n,) of ``min ½‖c‖² s.t. Ac ≥ 1`` with ``AAᵀ = K``; None when no c is feasible.

    Lawson and Hanson's least-distance programming: one non-negative least-squares problem, exact after finitely many
    pivots, whose zero residual is Farkas' certificate of infeasibility. The active set is then solved again without
    the detour.
    """
    n = len(K)
    scale = np.sqrt(np.diag(K).max())
    if scale == 0:
        return None
    values, vectors = np.linalg.eigh(K / scale**2)
    A = vectors * np.sqrt(values.clip(0))
    # Rows are divided by the scale, so c' = scale · c and the right-hand side stays 1.
    stacked, target = np.vstack([A.T, np.ones(n)]), np.append(np.zeros(n), 1.0)
    weights, _ = nnls(stacked, target, maxiter=50 * (n + 1))
    slack = 1.0 - weights.sum()
    if slack <= 1e-10 * max(1.0, weights.sum()):
        return None
    lam = weights / slack
    active = lam > 1e-12 * lam.max()
    polished = np.linalg.lstsq(K[np.ix_(active, active)] / scale**2, np.ones(active.sum()), rcond=1e-13)[0]
    if (polished >= 0).all():
        lam = np.zeros(n)
        lam[active] = polished
    return lam / scale**2


def over_batch(function: Callable, *tensors: Tensor) -> list:
    """Apply a NumPy function to every batch entry; the results in order."""
    batch = torch.broadcast_shapes(*(t.shape[:-2] for t in tensors))
    flat = [t.expand(*batch, *t.shape[-2:]).reshape(-1, *t.shape[-2:]).detach().cpu().numpy() for t in tensors]
    return [function(*entries) for entries in zip(*flat)]
