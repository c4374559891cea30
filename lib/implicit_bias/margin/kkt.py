r"""The max-margin problem in parameter space, and its KKT points.

Problem (1) of F:  ``min ½‖W‖_F²  s.t.  y_i f(x_i; W) ≥ 1``.  A KKT point has
multipliers ``λ ≥ 0`` with

.. math::
    w_j = a_j \sum_i λ_i y_i φ'_{ij} x_i, \qquad
    λ_i (y_i f(x_i) - 1) = 0, \qquad y_i f(x_i) \ge 1,

``φ'_{ij}`` any subgradient of φ at ``⟨w_j, x_i⟩``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Dataset, a_dataset
from ..networks.activation import Activation
from ..networks.activations import leaky_relu
from ..networks.two_layer import TwoLayer
from ..saving import Savable
from ..values.checks import fail, fits_memory, joint_shape
from ..values.comparing import Comparable
from ..values.scalars import gamma_in_range, number_between, positive_int
from .least_distance import least_distance, over_batch

__all__ = ["KKTPoint", "class_slopes", "kkt_matrix", "kkt_point"]


FEASIBILITY = 1e-9
"""Relative tolerance of signs and margins when a point is verified."""


@dataclass(frozen=True, eq=False)
class KKTPoint(Comparable, Savable):
    """The candidate of F-3.2: all positive neurons at ``v``, all negative ones at
    ``u``; ``is_kkt`` says whether it is a KKT point.

    Attributes
    ----------
    lam : (..., n)
        Multipliers λ of QP (3).
    v, u, z : (..., d)
        The two neurons, and ``z = (m1/√m) v - (m2/√m) u``.
    net : TwoLayer
        The network, with ``a = ±1/√m``.
    margins : (..., n)
        ``y_i f(x_i; W)``.
    is_kkt : (...) bool
        Verified: λ ≥ 0, margins ≥ 1, and where λ > 0 margins = 1 and the signs of item 3.
    unique : (...) bool
        Whether λ is unique: K is regular (dependent samples can make it singular).
    reason : str
        A sentence.
    """

    lam: Tensor
    v: Tensor
    u: Tensor
    z: Tensor
    net: TwoLayer
    margins: Tensor
    is_kkt: Tensor
    unique: Tensor
    reason: str

    @property
    def weights(self) -> Tensor:
        """``W*`` (..., m, d), positive neurons first."""
        return self.net.weights


def kkt_matrix(
    data: Dataset, m_pos: float, m_neg: float, gamma: float | Tensor
) -> Tensor:
    """``K`` (..., n, n) with ``Kλ = 1`` at the point of F-3.2:
    ``y_i y_k ⟨x_i,x_k⟩ (m1 s_i s_k + m2 t_i t_k)/m``.

    ``s`` is 1 on I+ and γ on I-, ``t`` the reverse: the slopes of positive and of
    negative neurons at each sample.
    """
    # Only their ratio matters: shares and limits of widths serve too.
    expected = "a number > 0, at most 1e300"
    m_pos = number_between(m_pos, "m_pos", 0, 1e300, expected, ends="(]")
    m_neg = number_between(m_neg, "m_neg", 0, 1e300, expected, ends="(]")
    s, t = class_slopes(data, gamma)
    share = m_pos / (m_pos + m_neg)
    agreement = share * s.unsqueeze(-1) * s.unsqueeze(-2) + (1 - share) * t.unsqueeze(
        -1
    ) * t.unsqueeze(-2)
    x = data.x.double()
    y = data.y.double()
    return (x @ x.mT) * agreement * y.unsqueeze(-1) * y.unsqueeze(-2)


def class_slopes(data: Dataset, gamma: float | Tensor) -> tuple[Tensor, Tensor]:
    """``s`` and ``t`` (..., n): the slopes that positive and negative neurons have at
    each sample when all signs are right.
    """
    a_dataset(data)
    gamma = torch.as_tensor(
        gamma_in_range(gamma, zero=True), dtype=torch.float64, device=data.x.device
    )
    batch = data.x.shape[:-2]
    if joint_shape(gamma.shape, batch) is None:
        expected = (
            f"a batch shape that broadcasts with {tuple(batch)}, that of the data"
        )
        fail("gamma", expected, tuple(gamma.shape))
    gamma = gamma[..., None]
    one = torch.ones_like(gamma)
    return torch.where(data.positive, one, gamma), torch.where(
        data.positive, gamma, one
    )


def kkt_point(data: Dataset, m_pos: int, m_neg: int, gamma: float | Tensor) -> KKTPoint:
    """The KKT point of F-3.2, exactly: one n × n linear solve ``Kλ = 1``, then a check
    of everything it must satisfy.

    When ``Kλ = 1`` has a negative entry, some sample is no support vector: the convex
    problem QP (3) is solved instead, by non-negative least squares, and its solution is
    verified in the same way.

    Parameters
    ----------
    data : Dataset
    m_pos, m_neg : int
        Numbers of positive and negative neurons (m₁, m₂).
    gamma : float or (...) tensor
        The leak, in (0, 1].

    Returns
    -------
    KKTPoint
        With ``is_kkt`` False, and ``reason``, when QP (3) has a solution that is no KKT
        point of Problem (1): a duplicated row with opposite labels is the standing
        example. Where even QP (3) is infeasible, the numbers are NaN.
    """
    a_dataset(data)
    m_pos = positive_int(m_pos, "m_pos")
    m_neg = positive_int(m_neg, "m_neg")
    fits_memory((m_pos + m_neg) * data.d, "m_pos, m_neg", (m_pos, m_neg))
    if isinstance(gamma, Activation):
        fail(
            "gamma",
            "the leak of a leaky ReLU, a number in (0, 1]",
            f"the activation {gamma.name}",
        )
    gamma = gamma_in_range(gamma)
    m = m_pos + m_neg
    K = kkt_matrix(data, m_pos, m_neg, gamma)
    batch = K.shape[:-2]
    x = data.x.double()
    y = data.y.double()
    lam, unique = _solve_all(K)
    s, t = class_slopes(data, gamma)
    v = ((lam * y * s).unsqueeze(-1) * x).sum(-2) / m**0.5
    u = -((lam * y * t).unsqueeze(-1) * x).sum(-2) / m**0.5
    z = (m_pos * v - m_neg * u) / m**0.5
    weights = torch.cat(
        [
            v.unsqueeze(-2).expand(*batch, m_pos, -1),
            u.unsqueeze(-2).expand(*batch, m_neg, -1),
        ],
        dim=-2,
    )
    a = torch.cat([torch.ones(m_pos), -torch.ones(m_neg)]).double() / m**0.5
    known = torch.isfinite(weights).all(-1).all(-1)
    net = TwoLayer(torch.nan_to_num(weights), a.to(x.device), leaky_relu(gamma))
    margins = torch.where(known.unsqueeze(-1), y * net(x), torch.nan)
    ok, reason = _verify(
        lam,
        known,
        y * (x @ v.unsqueeze(-1)).squeeze(-1),
        y * (x @ u.unsqueeze(-1)).squeeze(-1),
        margins,
    )
    return KKTPoint(lam, v, u, z, net, margins, ok, unique & known, reason)


def _solve_all(K: Tensor) -> tuple[Tensor, Tensor]:
    """λ (..., n) of QP (3), NaN where infeasible, and whether it is unique."""

    def solve(matrix: np.ndarray) -> tuple[np.ndarray, bool]:
        size = np.sqrt(np.diag(matrix))
        if (size == 0).any():
            return np.full(len(matrix), np.nan), False
        correlation = matrix / np.outer(size, size)
        unique = bool(np.linalg.cond(correlation) < 1e12)
        lam = np.linalg.solve(correlation, 1 / size) / size if unique else None
        if lam is None or (lam < 0).any():
            lam = least_distance(matrix)
        return (np.full(len(matrix), np.nan) if lam is None else lam), unique

    answers = over_batch(solve, K)
    lam = (
        torch.from_numpy(np.stack([lam for lam, _ in answers]))
        .reshape(K.shape[:-1])
        .to(K)
    )
    return lam, torch.tensor(
        [unique for _, unique in answers], device=K.device
    ).reshape(K.shape[:-2])


def _verify(
    lam: Tensor, known: Tensor, along_v: Tensor, along_u: Tensor, margins: Tensor
) -> tuple[Tensor, str]:
    """Whether the candidate is a KKT point of Problem (1), and a sentence on the first
    entry that is none.
    """
    # At an exact zero the subgradient may be anything in [γ, 1], so a sign of 0 is
    # allowed to rounding.
    scale = torch.maximum(along_v.abs().amax(-1), along_u.abs().amax(-1)).unsqueeze(-1)
    # A sample without a multiplier takes no part in v and u: its signs are free, and
    # its true margin is checked below.
    idle = lam <= FEASIBILITY * lam.amax(-1, keepdim=True)
    good_v = idle | (along_v >= -FEASIBILITY * scale)
    good_u = idle | (along_u <= FEASIBILITY * scale)
    feasible = margins >= 1 - FEASIBILITY
    slack = idle | ((margins - 1).abs() <= 1e3 * FEASIBILITY)
    checks = (
        (known.unsqueeze(-1), "QP (3) is infeasible, so the data admit no such point"),
        (lam >= 0, "a multiplier is negative"),
        (
            good_v,
            "a sample lies on the wrong side of v, so the slopes assumed there are not "
            "subgradients",
        ),
        (
            good_u,
            "a sample lies on the wrong side of u, so the slopes assumed there are not "
            "subgradients",
        ),
        (
            feasible,
            "a true margin is below 1: QP (3) has a solution, Problem (1) has not this one",
        ),
        (slack, "a multiplier is positive where the margin exceeds 1"),
    )
    ok = torch.ones_like(known)
    reason = "verified: multipliers, signs and margins are those of a KKT point"
    for passed, sentence in reversed(checks):
        passed = passed.all(-1)
        ok = ok & passed
        if not bool(passed.all()):
            reason = sentence
    return ok, reason
