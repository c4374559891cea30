r"""The dimension disappears: exact reduction to the span of the data, and sampling
straight into it.

Every gradient of a two-layer network is a combination of the samples, so

.. math::
    w_j(t) = w_j(0) + \sum_i \rho_{ji}(t)\, x_i / \|x_i\|^2 \qquad\text{(K-5.1)}

and everything a run needs is three Gram matrices, whatever the dimension ``d``:

* ``gram``         ``X Xᵀ``    (n, n)   inner products of samples,
* ``preactivation`` ``W(0) Xᵀ`` (m, n)   what the first layer says at the start,
* ``weight_gram``  ``W(0) W(0)ᵀ`` (m, m)   lengths and angles of the starting weights.

:class:`Span` holds the three and the map from the run's state to preactivations. The
state is the matrix of coefficients ``ρ_ji/‖x_i‖²``; with more than twice as many
samples as dimensions it is the displacement ``W - W(0)``, then the smaller matrix.

For Gaussian data none of the three costs more at ``d = 10^12`` than at ``d = 10^3``:
:func:`gaussian_rows` draws the coordinates of ``n`` Gaussian vectors in their own span
and :func:`wishart` draws the Gram matrix of what is left (Bartlett's decomposition),
both exact in law.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..values.checks import fail
from ..values.scalars import seed_number

__all__ = [
    "Span",
    "binary_scale",
    "chi",
    "gaussian_rows",
    "generator",
    "spectral_norm",
    "wishart",
]


PURPOSES = {
    "data": 0,
    "weights": 0x2545_0000,
    "fresh": 0x5EED_0000,
    "outside": 0x7F4A_0000,
    "batches": 0x1CE4_0000,
}
"""Added to a seed (torch reads its lower 32 bits), so that samples and weights drawn
with one seed are independent.
"""


def generator(seed: int | None, purpose: str = "data") -> torch.Generator:
    """A CPU random stream of its own for a purpose, so that nothing here touches the
    global one.
    """
    stream = torch.Generator()
    seed = seed_number(seed)
    if seed is None:
        stream.seed()
    else:
        stream.manual_seed(seed + PURPOSES[purpose])
    return stream


def chi(degrees: Tensor, stream: torch.Generator) -> Tensor:
    """Chi variables: the square root of twice a Gamma(degrees/2) draw."""
    return torch._standard_gamma(degrees / 2, generator=stream).mul(2).sqrt()


def gaussian_rows(n: int, d: int, stream: torch.Generator) -> Tensor:
    """Coordinates (n, min(n, d)) of ``n`` independent N(0, I_d) vectors in an
    orthonormal basis of their span.

    Gram-Schmidt on Gaussian rows leaves a lower-triangular matrix: row i has i standard
    normals, then a chi variable with d - i degrees of freedom. Rows past the d-th lie
    in the span already and are plain Gaussian.
    """
    r = min(n, d)
    rows = torch.randn(n, r, generator=stream, dtype=torch.float64).tril(-1)
    # Counted from 0: near 2^53 a floating range from d down has the wrong length.
    rows.diagonal().copy_(chi(d - torch.arange(r, dtype=torch.float64), stream))
    return rows


def wishart(m: int, degrees: int, stream: torch.Generator) -> Tensor:
    """The Gram matrix (m, m) of ``m`` independent N(0, I) vectors in ``degrees``
    dimensions (zero when there are none).
    """
    if degrees <= 0:
        return torch.zeros(m, m, dtype=torch.float64)
    rows = gaussian_rows(m, degrees, stream)
    return rows @ rows.mT


def binary_scale(size: Tensor) -> Tensor:
    """The largest power of two that is at most this size (...), 1 where it is 0:
    dividing by it rounds nothing.
    """
    mantissa = torch.frexp(size).mantissa
    return torch.where(size > 0, size / (2 * mantissa), torch.ones_like(size))


def spectral_norm(weight_gram: Tensor) -> Tensor:
    """``‖W‖_2`` (...) from ``W Wᵀ`` (..., m, m): the root of its largest eigenvalue, by
    a full symmetric eigensolve.
    """
    return torch.linalg.eigvalsh(weight_gram)[..., -1].clamp_min(0).sqrt()


@dataclass(frozen=True)
class Span:
    """The three Gram matrices of a run, and the linear maps between its state and what
    is observed.

    ``state`` is ``c`` (..., m, n) with ``w_j = w_j(0) + Σ_i c_ji x_i`` (so
    ``ρ_ji = c_ji ‖x_i‖²``), or ``W - W(0)`` (..., m, d) when ``coordinates`` is set.
    """

    x: Tensor  # (..., n, d)
    weights: Tensor  # (..., m, d)
    preactivation: Tensor  # (..., m, n)
    weight_gram: Tensor  # (..., m, m)
    readout: Tensor  # (..., k, n): preactivations are preactivation + state @ readout
    coordinates: bool

    @classmethod
    def of(
        cls,
        x: Tensor,
        weights: Tensor,
        frozen_gram: Tensor | None = None,
        coordinates: bool = False,
    ) -> Span:
        """Reduce samples ``x`` (..., n, d) and weights (..., m, d); ``frozen_gram``
        adds what lies outside ``x``'s coordinates. ``coordinates`` makes the state
        ``W - W(0)`` in any case.
        """
        if x.shape[-1] != weights.shape[-1]:
            fail(
                "weights",
                f"rows of length {x.shape[-1]}, like the samples",
                weights.shape[-1],
            )
        weight_gram = weights @ weights.mT
        if frozen_gram is not None:
            weight_gram = weight_gram + frozen_gram
        coordinates = coordinates or x.shape[-2] > 2 * x.shape[-1]
        return cls(
            x,
            weights,
            weights @ x.mT,
            weight_gram,
            x.mT if coordinates else x @ x.mT,
            coordinates,
        )

    @property
    def state_shape(self) -> torch.Size:
        """Shape of the state, (..., m, k)."""
        batch = torch.broadcast_shapes(self.x.shape[:-2], self.weights.shape[:-2])
        return batch + torch.Size((self.weights.shape[-2], self.readout.shape[-2]))

    def preactivations(self, state: Tensor) -> Tensor:
        """``⟨w_j, x_i⟩`` (..., m, n) at a state."""
        return self.preactivation + state @ self.readout

    def velocity(self, coefficients: Tensor) -> Tensor:
        """The state's velocity when every ``w_j`` moves by ``Σ_i coefficients_ji x_i``;
        coefficients (..., m, n).
        """
        return coefficients @ self.x if self.coordinates else coefficients

    def displacement(self, state: Tensor) -> Tensor:
        """``W - W(0)`` (..., m, d) in the coordinates of ``x``."""
        return state if self.coordinates else state @ self.x

    def weight_gram_at(self, state: Tensor) -> Tensor:
        """``W Wᵀ`` (..., m, m) at a state, without forming ``W``."""
        if self.coordinates:
            cross = state @ self.weights.mT
            square = state @ state.mT
        else:
            cross = state @ self.preactivation.mT
            square = state @ self.readout @ state.mT
        return self.weight_gram + cross + cross.mT + square
