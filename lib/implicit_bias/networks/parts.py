"""The parts of a network, checked or drawn: second layers, Gram matrices, Gaussian
starts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..data.span import binary_scale, generator, wishart
from ..values.checks import fail, finite, joint_shape, own_tensor, shown
from ..values.scalars import a_choice, seed_number

if TYPE_CHECKING:
    from .two_layer import TwoLayer

__all__ = []


def _fitting_second_layer(a: Tensor, weights: Tensor) -> Tensor:
    m = weights.shape[-2]
    while a.ndim > max(weights.ndim - 1, 1) and a.shape[0] == 1:
        a = a[0]  # a linear layer with one output keeps its weights so
    if a.ndim < 1 or a.shape[-1] != m:
        fail("a", f"{m} entries, one a neuron", tuple(a.shape))
    if a.ndim > weights.ndim - 1:
        cure = (
            f"weights.expand({', '.join(map(str, a.shape[:-1]))}, ...) trains one "
            "network for each"
        )
        expected = (
            f"shape ({m},): one output, for the one first layer of shape "
            f"{tuple(weights.shape)}; {cure}"
        )
        fail("a", expected, tuple(a.shape))
    if any(
        1 != ours != theirs != 1
        for ours, theirs in zip(weights.shape[-3::-1], a.shape[-2::-1])
    ):
        expected = (
            f"a batch shape that broadcasts with {tuple(weights.shape[:-2])}, "
            "that of the weights"
        )
        fail("a", expected, tuple(a.shape[:-1]))
    finite(a, "a")
    if bool((a == 0).any()):
        fail(
            "a", "no zero entries (such a neuron would be no part of the network)", "0"
        )
    return a


def _check_gram(gram: Tensor, m: int, argument: str) -> None:
    """Refuse what is no Gram matrix of m vectors, beyond rounding in its own dtype."""
    if gram.ndim < 2 or gram.shape[-2:] != (m, m):
        fail(argument, f"shape (..., {m}, {m})", tuple(gram.shape))
    finite(gram, argument)
    tolerance = 16 * m * torch.finfo(gram.dtype).eps
    size = binary_scale(gram.abs().amax((-2, -1)))[..., None, None]
    unit = gram.to(torch.float64) / size.to(torch.float64)
    if bool(((unit - unit.mT).abs() > tolerance).any()):
        off = float((unit - unit.mT).abs().max())
        fail(
            argument,
            "a symmetric matrix",
            f"entries off their mirror images by {off:.1e} of the largest",
        )
    # Cholesky, lifted by the rounding allowed, is a sixth of an eigenvalue problem.
    lifted = unit + tolerance * torch.eye(m, dtype=unit.dtype, device=unit.device)
    if bool(torch.linalg.cholesky_ex(lifted).info.any()):
        least = float((torch.linalg.eigvalsh(unit) * size[..., 0]).min())
        fail(
            argument,
            "a positive semidefinite matrix (a Gram matrix is one)",
            f"the eigenvalue {least:.3g}",
        )


OUTPUTS = ("1/sqrt(m)", "1/m")


def _outputs(output: str, m_pos: int, m_neg: int) -> Tensor:
    """F's or K's second layer (m,), positive neurons first."""
    a_choice(output, "output", OUTPUTS)
    if output == "1/m" and m_pos != m_neg:
        equal = f"{m_pos}, as many as m_pos (K has m neurons of each sign)"
        fail("m_neg", equal, m_neg)
    size = math.sqrt(m_pos + m_neg) if output == "1/sqrt(m)" else m_pos
    signs = torch.cat([torch.ones(m_pos), -torch.ones(m_neg)])
    return signs.to(torch.float64) / size


def _seeded_weights(
    seed: object, m: int, d: int, outside: int
) -> tuple[Tensor, Tensor | None]:
    """Standard Gaussian weights (m, d), or (seeds, m, d), and the Gram matrices of what
    lies outside.
    """
    if isinstance(seed, (np.ndarray, Tensor)) and seed.ndim == 1:
        seed = own_tensor(seed, "seed").tolist() if len(seed) == 0 else list(seed)
    if not isinstance(seed, (list, tuple, range)):
        return _draw(seed_number(seed), m, d, outside)
    seeds = [seed_number(one) for one in seed]
    if not seeds:
        fail("seed", "a whole number, or a list of at least one", shown(seed))
    parts = [_draw(one, m, d, outside) for one in seeds]
    weights = torch.stack([inside for inside, _ in parts])
    grams = [gram for _, gram in parts if gram is not None]
    return weights, torch.stack(grams) if grams else None


def _draw(
    seed: int | None, m: int, d: int, outside: int
) -> tuple[Tensor, Tensor | None]:
    stream = generator(seed, "weights")
    inside = torch.randn(m, d, generator=stream, dtype=torch.float64)
    return inside, wishart(m, outside, stream) if outside else None


def _batches_fit(net: TwoLayer, batch: torch.Size, argument: str) -> None:
    """Refuse a batch that does not broadcast with that of the network."""
    gamma = getattr(net.activation.gamma, "shape", ())
    own = torch.broadcast_shapes(net.weights.shape[:-2], net.a.shape[:-1], gamma)
    if joint_shape(own, batch) is None:
        fail(
            argument,
            f"a batch shape that broadcasts with {tuple(own)}, that of the networks",
            tuple(batch),
        )


def _scaled_weights(
    weights: Tensor, frozen: Tensor | None, scale: float | Tensor
) -> tuple[Tensor, Tensor | None]:
    """Drawn weights and frozen Gram matrices times a scale, or (seeds first) times each of
    a tensor of scales.
    """
    factor = torch.as_tensor(scale, dtype=torch.float64).cpu()
    if factor.ndim:
        lead = (slice(None),) * (weights.ndim - 2) + (None,) * factor.ndim
        weights = weights[lead]
        frozen = None if frozen is None else frozen[lead]
        factor = factor[..., None, None]
    return weights * factor, None if frozen is None else frozen * factor**2
