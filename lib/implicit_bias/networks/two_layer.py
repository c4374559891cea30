"""Two-layer networks ``f(x; W) = Σ_j a_j φ(⟨w_j, x⟩)`` with a fixed second layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..data.dataset import Dataset, a_dataset
from ..data.span import binary_scale, spectral_norm
from ..saving import Savable
from ..values.checks import (
    as_float_tensor,
    destination,
    fail,
    finite,
    fits_memory,
    joint_shape,
    own_tensor,
)
from ..values.comparing import Comparable
from ..values.scalars import numbers, positive, positive_int
from .activation import Activation, an_activation
from .parts import (
    _batches_fit,
    _check_gram,
    _fitting_second_layer,
    _outputs,
    _scaled_weights,
    _seeded_weights,
)

__all__ = ["TwoLayer"]


@dataclass(frozen=True, eq=False)
class TwoLayer(Comparable, Savable):
    """The network ``f(x; W) = Σ_j a_j φ(⟨w_j, x⟩)``; only ``W`` is trained.

    It keeps copies of what it is given, without gradients. ``==`` compares bit for bit;
    :meth:`save` and :meth:`load` write and read a file.

    Parameters
    ----------
    weights : (..., m, d)
        First layer, in the coordinates of the data it is used with.
    a : (m,) or (..., m)
        Second layer, no zeros. F takes ``±1/√m`` (m neurons in all), K takes ``±1/m``
        (m neurons of each sign). The weight of a ``torch.nn.Linear(m, 1)``, of shape
        (1, m), is taken as (m,).
    activation : Activation
    frozen_gram : (..., m, m), optional
        Gram matrix of the weights' components outside those coordinates: they never
        move (every gradient lies in the span of the data) and count only in norms and
        stable rank.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinity, zeros in ``a``, or a ``frozen_gram``
        that is not symmetric and positive semidefinite.
    """

    weights: Tensor
    a: Tensor
    activation: Activation
    frozen_gram: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        an_activation(self.activation)
        weights = own_tensor(self.weights, "weights")
        if weights.ndim < 2 or 0 in weights.shape:
            fail(
                "weights",
                "a non-empty array of shape (..., m, d)",
                tuple(weights.shape),
            )
        finite(weights, "weights")
        a = _fitting_second_layer(own_tensor(self.a, "a").to(weights), weights)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "a", a)
        object.__setattr__(self, "activation", self.activation.to(weights.device))
        if self.frozen_gram is not None:
            frozen = own_tensor(self.frozen_gram, "frozen_gram").to(weights)
            _check_gram(frozen, self.m, "frozen_gram")
            object.__setattr__(self, "frozen_gram", frozen)
        own = torch.broadcast_shapes(weights.shape[:-2], a.shape[:-1])
        gamma = getattr(self.activation.gamma, "shape", ())
        if joint_shape(own, gamma) is None:
            fail(
                "activation",
                f"slopes whose shape broadcasts with {tuple(own)}, the batch",
                tuple(gamma),
            )
        if (
            self.frozen_gram is not None
            and joint_shape(own, gamma, frozen.shape[:-2]) is None
        ):
            expected = (
                f"a batch shape that broadcasts with {tuple(own)}, that of the weights"
            )
            fail("frozen_gram", expected, tuple(frozen.shape[:-2]))

    def with_weights(self, weights: Tensor) -> TwoLayer:
        """The same network with another first layer of the same width and number of
        columns.
        """
        weights = own_tensor(weights, "weights").to(self.weights.device)
        if weights.shape[-2:] != self.weights.shape[-2:]:
            fail("weights", f"shape (..., {self.m}, {self.d})", tuple(weights.shape))
        finite(weights, "weights")
        net = object.__new__(TwoLayer)
        # What was checked once is not checked again: a run makes a network of each of
        # its records.
        frozen = (
            None
            if self.frozen_gram is None
            else self.frozen_gram.to(weights, copy=True)
        )
        a = self.a.to(weights, copy=True)
        parts = {
            "weights": weights,
            "a": a,
            "activation": self.activation,
            "frozen_gram": frozen,
        }
        for name, part in parts.items():
            object.__setattr__(net, name, part)
        return net

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
        """Gaussian initialisation: entries of ``W(0)`` i.i.d. N(0, scale²) in all
        ``data.ambient_dim`` dimensions.

        Positive neurons come first. ``output="1/sqrt(m)"`` is F's second layer
        (``m = m_pos + m_neg``), ``"1/m"`` is K's (``m`` of each sign, so
        ``m_pos == m_neg``). A tensor of scales, or a list of seeds, gives a batch
        (seeds first): same seed, same draw, times the scale.

        When the data are held in span coordinates, the part of W outside them enters as
        its exact Wishart Gram matrix.
        """
        a_dataset(data)
        an_activation(activation)
        m_pos = positive_int(m_pos, "m_pos")
        m_neg = positive_int(m_neg, "m_neg")
        scale = positive(scale, "scale", zero=True)
        m = m_pos + m_neg
        outside = m if data.in_span else 0
        fits_memory(m * (data.d + outside), "m_pos, m_neg", (m_pos, m_neg))
        a = _outputs(output, m_pos, m_neg)
        weights, frozen = _seeded_weights(seed, m, data.d, data.ambient_dim - data.d)
        weights, frozen = _scaled_weights(weights, frozen, scale)
        frozen = None if frozen is None else frozen.to(data.x)
        return cls(weights.to(data.x), a.to(data.x), activation, frozen)

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
            fail(
                "a",
                "the same number of positive neurons in every batch entry",
                counts.tolist(),
            )
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
        if x.ndim < 2:
            fail(
                "x",
                f"samples as rows, of shape (..., n, {self.d})",
                f"shape {tuple(x.shape)}",
            )
        if x.shape[-1] != self.d:
            fail("x", f"{self.d} columns, like the weights", x.shape[-1])
        _batches_fit(self, x.shape[:-2], "x")
        finite(x, "x")
        return self.weights @ x.mT

    def __call__(self, x: Tensor) -> Tensor:
        """``f(x_i; W)`` (..., n) at samples x (..., n, d)."""
        return (
            self.a.unsqueeze(-1) * self.activation.value(self.preactivations(x))
        ).sum(-2)

    def weight_gram(self) -> Tensor:
        """``W Wᵀ`` (..., m, m), the part outside the coordinates included."""
        gram = self.weights @ self.weights.mT
        return gram if self.frozen_gram is None else gram + self.frozen_gram

    def _binary_scale(self) -> Tensor:
        """A power of two of the size of the largest entry (...), by which squares
        neither overflow nor vanish.
        """
        size = self.weights.abs().amax((-2, -1))
        if self.frozen_gram is not None:
            size = torch.maximum(
                size, self.frozen_gram.diagonal(dim1=-2, dim2=-1).amax(-1).sqrt()
            )
        return binary_scale(size)

    def reduced(self) -> tuple[TwoLayer, Tensor]:
        """The network divided by its scale, bit for bit the same otherwise, and the
        scale (...).
        """
        scale = self._binary_scale()
        factor = scale[..., None, None]
        frozen = (
            None if self.frozen_gram is None else self.frozen_gram / factor / factor
        )
        net = self.with_weights(self.weights / factor)
        object.__setattr__(net, "frozen_gram", frozen)
        return net, scale

    def frobenius(self) -> Tensor:
        """``‖W‖_F`` (...)."""
        net, scale = self.reduced()
        return net.weight_gram().diagonal(dim1=-2, dim2=-1).sum(-1).sqrt() * scale

    def spectral(self) -> Tensor:
        """``‖W‖_2`` (...)."""
        net, scale = self.reduced()
        if self.frozen_gram is None and self.d < self.m:
            return spectral_norm(net.weights.mT @ net.weights) * scale
        return spectral_norm(net.weight_gram()) * scale

    def scaled(self, factor: float | Tensor) -> TwoLayer:
        """The network with ``factor · W``."""
        factor = numbers(factor, "factor").to(self.weights)
        finite(factor, "factor")
        factor = factor[..., None, None] if factor.ndim else factor
        frozen = None if self.frozen_gram is None else self.frozen_gram * factor**2
        return replace(self, weights=self.weights * factor, frozen_gram=frozen)

    def to(self, *args, **kwargs) -> TwoLayer:
        """The same network on another device or in another dtype (arguments as for
        ``Tensor.to``).
        """
        destination(*args, **kwargs)
        frozen = (
            None if self.frozen_gram is None else self.frozen_gram.to(*args, **kwargs)
        )
        return TwoLayer(
            self.weights.to(*args, **kwargs),
            self.a.to(*args, **kwargs),
            self.activation.to(*args, **kwargs),
            frozen,
        )

    def __repr__(self) -> str:
        batch = (
            f", batch {tuple(self.weights.shape[:-2])}" if self.weights.ndim > 2 else ""
        )
        gamma = self.activation.gamma
        slope = f"({gamma:g})" if isinstance(gamma, (int, float)) else "(γ batch)"
        return f"TwoLayer(m={self.m}, d={self.d}, {self.activation.name}{slope}{batch})"
