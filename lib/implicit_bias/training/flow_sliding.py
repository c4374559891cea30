r"""The slopes of pairs (neuron, sample) that reach their kink within a step, or slide
along it.

Where both sides of a kink push a preactivation back to it, the flow holds it there: its
slope is whatever value in ``[γ, 1]`` keeps it still (Filippov's solution). Over a step
the *mean* slope ``σ`` of such a pair may lie anywhere between its bounds, and what it
is depends on where the step ends,

.. math:: z_{end} = b - K u, \qquad u = p σ, \quad p > 0:

``z_end = 0`` where ``σ`` is between its bounds, ``z_end ≥ 0`` at the upper one and
``z_end ≤ 0`` at the lower one. For one neuron this is the optimality condition of a
convex quadratic problem in a box, with the Gram matrix ``K`` of its samples; so the
answer is unique where they are independent. All neurons are solved at once.
"""

from __future__ import annotations

import numpy as np

__all__ = ["mean_slopes"]


BLOCK_TURNS = 8
"""So many times all wrong pairs change at once; then one a neuron, which always ends."""


RIDGE = 1e-13
"""Added to the diagonal, relative to its largest: samples on one neuron's kinks may
depend.
"""


def mean_slopes(
    gram: np.ndarray,
    pairs: np.ndarray,
    end: np.ndarray,
    push: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean slopes of ``pairs`` over a step, and which of them end at their kink.

    Parameters
    ----------
    gram : (n, n)
        ``⟨x_i, x_k⟩``.
    pairs : (m, n) of bool
        The pairs that may be held.
    end : (m, n)
        Where the preactivations end if no pair of ``pairs`` pushes: ``b``.
    push : (m, n)
        What one unit of slope takes from the coefficient of ``x_i`` in ``w_j``: ``p``,
        positive on ``pairs``.
    low, high : (m, n)
        Bounds on the mean slope.

    Returns
    -------
    slopes : (m, n), 0 off ``pairs``
    held : (m, n) of bool
    """
    rows, place, columns = _places(pairs)
    shape = (rows[-1] + 1, place.max() + 1)
    where = np.flatnonzero(pairs.any(axis=1))[rows], columns

    def packed(values: np.ndarray, empty: float) -> np.ndarray:
        out = np.full(shape, empty)
        out[rows, place] = values[where]
        return out

    index = np.zeros(shape, dtype=int)
    index[rows, place] = columns
    real = np.zeros(shape, dtype=bool)
    real[rows, place] = True
    K = gram[index[:, :, None], index[:, None, :]] * (
        real[:, :, None] & real[:, None, :]
    )
    diagonal = np.arange(shape[1])
    K[:, diagonal, diagonal] += RIDGE * K.max() + np.finfo(float).tiny
    p = packed(push, 1.0)
    u, free = _in_box(
        K, packed(end, 0.0), p * packed(low, 0.0), p * packed(high, 0.0), real
    )
    slopes = np.zeros(pairs.shape)
    held = np.zeros(pairs.shape, dtype=bool)
    slopes[where] = (u / p)[rows, place]
    held[where] = free[rows, place]
    return slopes, held


def _places(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pair: the number of its neuron among those that have any, its place in
    that neuron's list, its sample.
    """
    neurons, columns = np.nonzero(pairs)
    first = np.r_[True, neurons[1:] != neurons[:-1]]
    rows = np.cumsum(first) - 1
    return rows, np.arange(len(rows)) - np.flatnonzero(first)[rows], columns


def _in_box(
    K: np.ndarray, b: np.ndarray, low: np.ndarray, high: np.ndarray, real: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``u`` (J, k) in ``[low, high]`` with ``b - K u`` zero between the bounds, at
    least 0 at the upper and at most 0 at the lower; and where it lies between.

    Principal pivoting: a pair beyond a bound is put on it, one pushed off its bound is
    let go.
    """
    at_low = ~real
    at_high = np.zeros_like(real)
    noise = 1e-14 * np.abs(b).max(axis=1, keepdims=True)
    eye = np.eye(K.shape[1])
    for turn in range(BLOCK_TURNS + 10 * K.shape[1]):
        free = ~(at_low | at_high)
        u = np.where(at_high, high, low) * ~free
        inside = free[:, :, None] & free[:, None, :]
        right = (b - (K @ u[:, :, None])[:, :, 0]) * free
        matrix = np.where(inside, K, eye)
        u += np.linalg.solve(matrix, right[:, :, None])[:, :, 0]
        end = b - (K @ u[:, :, None])[:, :, 0]
        below = free & (u < low)
        above = free & (u > high)
        loose = real & ((at_low & (end > noise)) | (at_high & (end < -noise)))
        wrong = below | above | loose
        if not wrong.any():
            break
        if turn >= BLOCK_TURNS:
            wrong &= wrong.cumsum(axis=1) == 1
        at_low = (at_low & ~(loose & wrong)) | (below & wrong)
        at_high = (at_high & ~(loose & wrong)) | (above & wrong)
    return np.clip(u, low, high), free & real
