r"""Two-layer networks ``f(x; W) = Σ_j a_j φ(⟨w_j, x⟩)`` with a fixed second layer, and their activations.

The kink convention, stated once: where the derivative jumps, ``φ'(0) = 1``. K (Kou, Chen, Gu) fixes it so, F (Frei et
al.) allows any value in ``[γ, 1]`` (Clarke subdifferential), and torch's own leaky ReLU would say γ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ._checks import as_float_tensor, fail, finite, gamma_in_range, positive, positive_int
from .data import Dataset
from .span import generator, spectral_norm, wishart

__all__ = ["Activation", "TwoLayer", "leaky_relu", "relu", "smoothed_leaky_relu"]


@dataclass(frozen=True)
class Activation:
    """An activation ``φ`` with its leak ``gamma`` (``γ ≤ φ' ≤ 1``) and smoothness ``H`` (``|φ''| ≤ H``; None where φ
    has a kink).

    ``gamma`` may be a tensor whose shape is the batch shape of the weights it is used with: slopes run as one tensor.
    """

    name: str
    gamma: float | Tensor
    smooth: bool = False

    @property
    def H(self) -> float | Tensor | None:
        """The bound on ``|φ''|``: (1 - γ)/4 for the smoothed leaky ReLU, None for a kink."""
        return (1 - self.gamma) / 4 if self.smooth else None

    @property
    def homogeneous(self) -> bool:
        """Whether ``φ(βz) = βφ(z)`` for β > 0."""
        return not self.smooth

    def _gamma(self, z: Tensor) -> float | Tensor:
        if not isinstance(self.gamma, Tensor):
            return self.gamma
        gamma = self.gamma.to(z)
        return gamma[..., None, None] if gamma.ndim else gamma

    def value(self, z: Tensor) -> Tensor:
        """``φ(z)`` elementwise; z (..., m, n)."""
        gamma = self._gamma(z)
        if self.smooth:
            # log((1 + e^z)/2); past the threshold softplus returns z itself, e^{-40} off. Its default of 20 loses ten
            # digits.
            return (F.softplus(z, threshold=40.0).sub_(math.log(2)) * (1 - gamma)).add_(gamma * z)
        return torch.where(z >= 0, z, gamma * z)

    def derivative(self, z: Tensor) -> Tensor:
        """``φ'(z)`` elementwise, 1 at a kink."""
        gamma = self._gamma(z)
        if self.smooth:
            return (torch.sigmoid(z) * (1 - gamma)).add_(gamma)
        # Exactly 1 or γ; torch.where between two numbers takes six times longer.
        return (z >= 0).to(z.dtype).clamp(min=gamma)

    def to(self, *args, **kwargs) -> Activation:
        """Move a tensor of slopes along with the weights."""
        return replace(self, gamma=self.gamma.to(*args, **kwargs)) if isinstance(self.gamma, Tensor) else self


def leaky_relu(gamma: float | Tensor) -> Activation:
    """``max(z, γz)``, γ in (0, 1]; γ = 0 is refused here, use :func:`relu`."""
    gamma_in_range(gamma)
    return Activation("leaky_relu", gamma)


def relu() -> Activation:
    """``max(z, 0)``."""
    return Activation("relu", 0.0)


def smoothed_leaky_relu(gamma: float | Tensor) -> Activation:
    """``γz + (1-γ) log((1 + e^z)/2)``: γ-leaky and (1-γ)/4-smooth, the activation of F's experiments."""
    gamma_in_range(gamma)
    return Activation("smoothed_leaky_relu", gamma, smooth=True)


OUTPUTS = ("1/sqrt(m)", "1/m")


@dataclass(frozen=True)
class TwoLayer:
    """The network ``f(x; W) = Σ_j a_j φ(⟨w_j, x⟩)``; only ``W`` is trained.

    Parameters
    ----------
    weights : (..., m, d)
        First layer, in the coordinates of the data it is used with.
    a : (m,) or (..., m)
        Second layer, no zeros. F takes ``±1/√m`` (m neurons in all), K takes ``±1/m`` (m neurons of each sign).
    activation : Activation
    frozen_gram : (..., m, m), optional
        Gram matrix of the weights' components outside those coordinates: they never move (every gradient lies in the
        span of the data) and count only in norms and stable rank.
    """

    weights: Tensor
    a: Tensor
    activation: Activation
    frozen_gram: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        weights = as_float_tensor(self.weights, "weights")
        a = as_float_tensor(self.a, "a").to(weights)
        if weights.ndim < 2 or 0 in weights.shape:
            fail("weights", "a non-empty array of shape (..., m, d)", tuple(weights.shape))
        m = weights.shape[-2]
        if a.ndim < 1 or a.shape[-1] != m:
            fail("a", f"{m} entries, one a neuron", tuple(a.shape))
        if any(1 != ours != theirs != 1 for ours, theirs in zip(weights.shape[-3::-1], a.shape[-2::-1])):
            fail(
                "a",
                f"a batch shape that broadcasts with {tuple(weights.shape[:-2])}, that of the weights",
                tuple(a.shape[:-1]),
            )
        finite(weights, "weights")
        finite(a, "a")
        if bool((a == 0).any()):
            fail("a", "no zero entries (such a neuron would be no part of the network)", "0")
        if not isinstance(self.activation, Activation):
            fail("activation", "leaky_relu(gamma), relu() or smoothed_leaky_relu(gamma)", repr(self.activation))
        if self.frozen_gram is not None:
            frozen = as_float_tensor(self.frozen_gram, "frozen_gram").to(weights)
            if frozen.shape[-2:] != (m, m):
                fail("frozen_gram", f"shape (..., {m}, {m})", tuple(frozen.shape))
            finite(frozen, "frozen_gram")
            object.__setattr__(self, "frozen_gram", frozen)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "a", a)

    @classmethod
    def init(
        cls,
        data: Dataset,
        m_pos: int,
        m_neg: int,
        activation: Activation,
        scale: float | Tensor,
        output: str = "1/sqrt(m)",
        seed: int | Sequence[int] | None = 0,
    ) -> TwoLayer:
        """Gaussian initialisation: entries of ``W(0)`` i.i.d. N(0, scale²) in all ``data.ambient_dim`` dimensions.

        Positive neurons come first. ``output="1/sqrt(m)"`` is F's second layer (``m = m_pos + m_neg``), ``"1/m"`` is
        K's (``m`` of each sign, so ``m_pos == m_neg``). A tensor of scales, or a list of seeds, gives a batch (seeds
        first): same seed, same draw, times the scale.

        When the data are held in span coordinates, the part of W outside them enters as its exact Wishart Gram matrix.
        """
        m_pos, m_neg = positive_int(m_pos, "m_pos"), positive_int(m_neg, "m_neg")
        positive(scale, "scale", zero=True)
        if output not in OUTPUTS:
            fail("output", " or ".join(map(repr, OUTPUTS)), repr(output))
        if output == "1/m" and m_pos != m_neg:
            fail("m_neg", f"{m_pos}, as many as m_pos (K has m neurons of each sign)", m_neg)
        m = m_pos + m_neg
        size = math.sqrt(m) if output == "1/sqrt(m)" else m_pos
        a = torch.cat([torch.ones(m_pos), -torch.ones(m_neg)]).to(data.x) / size
        outside = data.ambient_dim - data.d

        def draw(one_seed: int | None) -> tuple[Tensor, Tensor | None]:
            stream = generator(one_seed, "weights")
            inside = torch.randn(m, data.d, generator=stream, dtype=torch.float64)
            return inside, wishart(m, outside, stream) if outside else None

        if isinstance(seed, Sequence):
            parts = [draw(one) for one in seed]
            weights = torch.stack([inside for inside, _ in parts])
            frozen = torch.stack([gram for _, gram in parts]) if outside else None
        else:
            weights, frozen = draw(seed)
        factor = torch.as_tensor(scale, dtype=torch.float64)
        if factor.ndim:
            lead = (slice(None),) * (weights.ndim - 2) + (None,) * factor.ndim
            weights, frozen = weights[lead], None if frozen is None else frozen[lead]
            factor = factor[..., None, None]
        weights = (weights * factor).to(data.x)
        return cls(weights, a, activation, None if frozen is None else (frozen * factor**2).to(data.x))

    @property
    def m(self) -> int:
        """Number of neurons."""
        return self.weights.shape[-2]

    @property
    def d(self) -> int:
        """Number of columns of ``weights``."""
        return self.weights.shape[-1]

    @property
    def positive(self) -> Tensor:
        """Mask of the neurons with ``a_j > 0``."""
        return self.a > 0

    @property
    def m_pos(self) -> int:
        """Number of positive neurons (m₁ in F); the batch must agree on it."""
        counts = self.positive.sum(-1).unique()
        if counts.numel() > 1:
            fail("a", "the same number of positive neurons in every batch entry", counts.tolist())
        return int(counts)

    @property
    def m_neg(self) -> int:
        """Number of negative neurons (m₂ in F)."""
        return self.m - self.m_pos

    @property
    def kappa(self) -> float:
        """``κ = min(m₁, m₂)/max(m₁, m₂)``."""
        return min(self.m_pos, self.m_neg) / max(self.m_pos, self.m_neg)

    def preactivations(self, x: Tensor) -> Tensor:
        """``⟨w_j, x_i⟩`` (..., m, n) at samples x (..., n, d)."""
        x = as_float_tensor(x, "x").to(self.weights)
        if x.shape[-1] != self.d:
            fail("x", f"{self.d} columns, like the weights", x.shape[-1])
        return self.weights @ x.mT

    def __call__(self, x: Tensor) -> Tensor:
        """``f(x_i; W)`` (..., n) at samples x (..., n, d)."""
        return (self.a.unsqueeze(-1) * self.activation.value(self.preactivations(x))).sum(-2)

    def weight_gram(self) -> Tensor:
        """``W Wᵀ`` (..., m, m), the part outside the coordinates included."""
        gram = self.weights @ self.weights.mT
        return gram if self.frozen_gram is None else gram + self.frozen_gram

    def frobenius(self) -> Tensor:
        """``‖W‖_F`` (...)."""
        return self.weight_gram().diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()

    def spectral(self) -> Tensor:
        """``‖W‖_2`` (...)."""
        if self.frozen_gram is None and self.d < self.m:
            return spectral_norm(self.weights.mT @ self.weights)
        return spectral_norm(self.weight_gram())

    def scaled(self, factor: float | Tensor) -> TwoLayer:
        """The network with ``factor · W``."""
        factor = torch.as_tensor(factor, dtype=self.weights.dtype, device=self.weights.device)
        factor = factor[..., None, None] if factor.ndim else factor
        frozen = None if self.frozen_gram is None else self.frozen_gram * factor**2
        return replace(self, weights=self.weights * factor, frozen_gram=frozen)

    def to(self, *args, **kwargs) -> TwoLayer:
        """The same network on another device or in another dtype (arguments as for ``Tensor.to``)."""
        frozen = None if self.frozen_gram is None else self.frozen_gram.to(*args, **kwargs)
        return TwoLayer(
            self.weights.to(*args, **kwargs), self.a.to(*args, **kwargs), self.activation.to(*args, **kwargs), frozen
        )

    def __repr__(self) -> str:
        batch = f", batch {tuple(self.weights.shape[:-2])}" if self.weights.ndim > 2 else ""
        gamma = self.activation.gamma
        slope = f"({gamma:g})" if isinstance(gamma, (int, float)) else "(γ batch)"
        return f"TwoLayer(m={self.m}, d={self.d}, {self.activation.name}{slope}{batch})"
