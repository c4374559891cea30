"""The convex problem under every margin here: ``min ½‖c‖² s.t. A c ≥ 1``, known only
through ``K = A Aᵀ``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy
import torch
from torch import Tensor

__all__ = ["least_distance", "nonnegative_least_squares", "over_batch"]


OPTIMAL = 1e-9
"""How far, relatively, the optimality conditions of a non-negative least-squares answer
may be missed.
"""


SEPARATED = 1e-15
"""Below this the residual of the least-distance problem is rounding: no c is feasible."""


VERIFIED = 1e-6
"""By how much a verified solution may miss its constraints ``A c ≥ 1``."""


def nonnegative_least_squares(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``argmin ‖A x - b‖`` over ``x ≥ 0``.

    scipy's ``nnls`` is fast; some of its versions give wrong answers or give up on
    singular matrices. So each answer is put to the optimality conditions of the
    problem, and where it fails them a bounded-variable solver is asked.
    """
    size = np.abs(A).max(initial=0.0)
    if size == 0:
        return np.zeros(A.shape[1])
    try:
        x = scipy.optimize.nnls(A, b, maxiter=100 * (A.shape[1] + 1))[0]
    except (RuntimeError, ValueError, np.linalg.LinAlgError):
        x = None
    if x is not None and missed(A, b, x) <= OPTIMAL:
        return x
    other = scipy.optimize.lsq_linear(
        A,
        b,
        bounds=(0, np.inf),
        method="bvls",
        tol=1e-15,
        max_iter=100 * (A.shape[1] + 1),
    ).x
    other = other.clip(0)
    if x is None or missed(A, b, other) < missed(A, b, x):
        return other
    return x


def missed(A: np.ndarray, b: np.ndarray, x: np.ndarray) -> float:
    """How far ``x`` misses optimality: ``x ≥ 0``, ``g = Aᵀ(b - Ax) ≤ 0``, and
    ``g_i = 0`` where ``x_i > 0``.

    Relative to ``‖b‖`` and to the lengths of the columns, so that it is the cosine of
    an angle.
    """
    if not np.isfinite(x).all() or (x < 0).any():
        return np.inf
    lengths = np.linalg.norm(A, axis=0)
    slope = (
        A.T
        @ (b - A @ x)
        / np.where(lengths > 0, lengths, 1.0)
        / max(np.linalg.norm(b), 1e-300)
    )
    active = x > 0
    return float(max(slope.max(initial=0.0), np.abs(slope[active]).max(initial=0.0)))


def least_distance(K: np.ndarray) -> np.ndarray | None:
    """Multipliers λ ≥ 0 (n,) of ``min ½‖c‖² s.t. Ac ≥ 1`` with ``AAᵀ = K``; None when
    no c is feasible.

    Lawson and Hanson's least-distance programming: one non-negative least-squares
    problem, exact after finitely many pivots, whose zero residual is Farkas'
    certificate of infeasibility. The active set is then solved again without the
    detour, and the solution is put to its constraints. Rows are first brought to one
    length, so that short ones are not mistaken for none.
    """
    n = len(K)
    lengths = np.sqrt(np.diag(K))
    if (lengths == 0).any():
        return None
    unit = K / lengths[:, None] / lengths
    values, vectors = np.linalg.eigh(unit)
    A = vectors * np.sqrt(values.clip(0))
    # With c' = c · min ‖row‖ the right-hand sides are at most 1.
    shortest = lengths.min()
    wanted = shortest / lengths
    stacked = np.vstack([A.T, wanted])
    target = np.append(np.zeros(n), 1.0)
    weights = nonnegative_least_squares(stacked, target)
    slack = 1.0 - wanted @ weights
    if slack <= SEPARATED * max(1.0, weights.sum()):
        return None
    lam = weights / slack
    polished = on_active_set(unit, wanted, lam > 1e-12 * lam.max())
    if (polished >= 0).all() and least_share(unit, polished, wanted) >= least_share(
        unit, lam, wanted
    ):
        lam = polished
    if least_share(unit, lam, wanted) < 1 - VERIFIED:
        return None
    return lam / lengths / shortest


def on_active_set(
    unit: np.ndarray, wanted: np.ndarray, active: np.ndarray
) -> np.ndarray:
    """Multipliers with ``unit λ = wanted`` on the active set, which grows by every
    constraint that is then missed: one far below the others in size is not seen by the
    solver before.
    """
    while True:
        lam = np.zeros(len(wanted))
        lam[active] = np.linalg.lstsq(
            unit[np.ix_(active, active)], wanted[active], rcond=1e-13
        )[0]
        missing = ~active & (unit @ lam < wanted * (1 - OPTIMAL))
        if not missing.any():
            return lam
        active = active | missing


def least_share(unit: np.ndarray, lam: np.ndarray, wanted: np.ndarray) -> float:
    """The smallest share of its right-hand side that a constraint gets."""
    return float((unit @ lam / wanted).min())


def over_batch(function: Callable, *tensors: Tensor) -> list:
    """Apply a NumPy function to every batch entry; the results in order."""
    batch = torch.broadcast_shapes(*(t.shape[:-2] for t in tensors))
    flat = [
        t.expand(*batch, *t.shape[-2:])
        .reshape(-1, *t.shape[-2:])
        .detach()
        .cpu()
        .numpy()
        for t in tensors
    ]
    return [function(*entries) for entries in zip(*flat)]
