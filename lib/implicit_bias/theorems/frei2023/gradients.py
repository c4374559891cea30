"""How near to orthogonal, and how long, the gradients of the outputs are (the constants of
E.5 and E.6).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...measures.gradients import gradient_gram
from ...networks.two_layer import TwoLayer
from ...values.checks import fail

__all__ = [
    "best_orthogonality",
    "contraction_constant",
    "dominance",
    "orthogonality",
    "persistence",
]


def contraction_constant(data: Dataset, c: float | Tensor) -> Tensor:
    """``10 R²/c + 10`` (...): the constant of F-E.8 and F-E.10, and ``C_R`` at
    ``c = γ²``.
    """
    return 10 * data.R.double() ** 2 / torch.as_tensor(c, dtype=torch.float64) + 10


def orthogonality(net: TwoLayer, data: Dataset) -> Tensor:
    """The best ``C'`` of F-E.5 at every sample (..., n):
    ``‖∇f_i‖_F² / (n max_{k≠i} |⟨∇f_i, ∇f_k⟩|)``; ∞ where all others are orthogonal to
    it.
    """
    return dominance(gradient_gram(net, data))


def dominance(gram: Tensor) -> Tensor:
    """Of each vector (..., n) of a Gram matrix (..., n, n), its square over n times its
    largest product with another; ∞ where it is orthogonal to all.
    """
    squares = gram.diagonal(dim1=-2, dim2=-1)
    others = gram.abs() - torch.diag_embed(squares)
    return squares / (gram.shape[-1] * others.amax(-1))


def persistence(net: TwoLayer, data: Dataset) -> Tensor:
    """The best ``c`` of F-E.6 at every sample (..., n):
    ``‖∇f_i‖_F² / ‖x_i‖² = Σ_j a_j² φ'_ij²``.
    """
    slopes = net.activation.derivative(net.preactivations(data.x))
    return ((net.a.unsqueeze(-1) * slopes) ** 2).sum(-2)


def best_orthogonality(data: Dataset) -> Tensor:
    """The largest C (...) with ``‖x_i‖² ≥ C n max_k |⟨x_i, x_k⟩|`` for all i; ∞ for
    orthogonal data.
    """
    return dominance(data.gram.double()).amin(-1)


def _gradient_conditions(
    net: TwoLayer, data: Dataset, c: Tensor
) -> tuple[Hypothesis, ...]:
    """E.6 with ``c`` and E.5 with ``25R²/c + 25`` (...) at every network of a batch."""
    wanted = 25 * data.R.double() ** 2 / c + 25
    positive_c = Hypothesis(
        "E.6", "‖∇f_i‖² ≥ c‖x_i‖², c > 0", persistence(net, data).amin(-1), c
    )
    return positive_c, Hypothesis(
        "E.5",
        "‖∇f_i‖² ≥ (25R²/c+25) n max_k |⟨∇f_i,∇f_k⟩|",
        orthogonality(net, data).amin(-1),
        wanted,
    )


def _step_bound(
    data: Dataset, c: Tensor, H: float | Tensor, step: float | Tensor, name: str
) -> Hypothesis:
    """``α ≤ [5 H R_max² n (10R²/c + 10)]⁻¹``."""
    H = torch.as_tensor(H, dtype=torch.float64)
    bound = 1 / (
        5 * H * data.R_max.double() ** 2 * data.n * contraction_constant(data, c)
    )
    step = torch.as_tensor(step, dtype=torch.float64).expand_as(bound)
    return Hypothesis("step", f"α ≤ 1/(5 {name} R_max² n (10R²/c+10))", bound, step)


def _persistence_of(net: TwoLayer, data: Dataset, c: float | None) -> Tensor:
    best = persistence(net, data).amin(-1)
    if c is None:
        return best.clamp_min(1e-300)
    if not c > 0:
        fail("c", "a constant > 0", c)
    return torch.full_like(best, c)
