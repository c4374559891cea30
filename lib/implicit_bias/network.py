"""Two-layer networks ``f(x; W) = Σ_j a_j φ(⟨w_j, x⟩)`` with a fixed second layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from ._checks import (
    a_choice,
    as_float_tensor,
    destination,
    fail,
    finite,
    fits_memory,
    joint_shape,
    numbers,
    own_tensor,
    positive,
    positive_int,
    seed_number,
    shown,
)
from ._compare import Comparable
from ._saving import Savable
from .activation import Activation, an_activation, leaky_relu, relu, smoothed_leaky_relu
from .data import Dataset
from .dataset import a_dataset
from .span import binary_scale, generator, spectral_norm, wishart

__all__ = [
    "Activation",
    "TwoLayer",
    "a_network",
    "fitting",
    "leaky_relu",
    "relu",
    "smoothed_leaky_relu",
]


OUTPUTS = ("1/sqrt(m)", "1/m")


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
        Second layer, no zeros. F takes ``±1/√m`` (m neurons in all), K takes ``±1/m`` (m neurons of
        each sign). The weight of a ``torch.nn.Linear(m, 1)``, of shape (1, m), is taken as (m,).
    activation : Activation
    frozen_gram : (..., m, m), optional
        Gram matrix of the weights' components outside those coordinates: they never move (every gradient lies in the
        span of the data) and count only in norms and stable rank.

    Raises
    ------
    ValueError
        On shapes that do not fit, NaN or infinity, zeros in ``a``, or a ``frozen_gram`` that is not
        symmetric and positive semidefinite.
    """

    weights: Tensor
    a: Tensor
    activation: Activation
    frozen_gram: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        an_activation(self.activation)
        weights = own_tensor(self.weights, "weights")
        if weights.ndim < 2 or 0 in weights.shape:
            fail("weights", "a non-empty array of shape (..., m, d)", tuple(weights.shape))
        finite(weights, "weights")
        a = _fitting_second_layer(own_tensor(self.a, "a").to(weights), weights)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "a", a)
        object.__setattr__(self, "activation", self.activation.to(weights.device))
        if self.frozen_gram is not None:
            frozen = own_tensor(self.frozen_gram, "frozen_gram").to(weights)
            _check_gram(frozen, self.m, "frozen_gram")
            object.__setattr__(self, "frozen_gram", frozen)
        own = joint_shape(weights.shape[:-2], a.shape[:-1])
        gamma = getattr(self.activation.gamma, "shape", ())
        if joint_shape(own, gamma) is None:
            fail(
                "activation",
                f"slopes whose shape broadcasts with {tuple(own)}, the batch",
                tuple(gamma),
            )
        if self.frozen_gram is not None and joint_shape(own, gamma, frozen.shape[:-2]) is None:
            expected = f"a batch shape that broadcasts with {tuple(own)}, that of the weights"
            fail("frozen_gram", expected, tuple(frozen.shape[:-2]))

    def with_weights(self, weights: Tensor) -> TwoLayer:
        """The same network with another first layer of the same width and number of columns."""
        weights = own_tensor(weights, "weights").to(self.weights.device)
        if weights.shape[-2:] != self.weights.shape[-2:]:
            fail("weights", f"shape (..., {self.m}, {self.d})", tuple(weights.shape))
        finite(weights, "weights")
        net = object.__new__(TwoLayer)
        # What was checked once is not checked again: a run makes a network of each of its records.
        frozen = None if self.frozen_gram is None else self.frozen_gram.to(weights, copy=True)
        a = self.a.to(weights, copy=True)
        parts = {"weights": weights, "a": a, "activation": self.activation, "frozen_gram": frozen}
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
        """Gaussian initialisation: entries of ``W(0)`` i.i.d. N(0, scale²) in all ``data.ambient_dim`` dimensions.

        Positive neurons come first. ``output="1/sqrt(m)"`` is F's second layer (``m = m_pos + m_neg``), ``"1/m"`` is
        K's (``m`` of each sign, so ``m_pos == m_neg``). A tensor of scales, or a list of seeds, gives a batch (seeds
        first): same seed, same draw, times the scale.

        When the data are held in span coordinates, the part of W outside them enters as its exact Wishart Gram matrix.
        """
        a_dataset(data)
        an_activation(activation)
        m_pos, m_neg = positive_int(m_pos, "m_pos"), positive_int(m_neg, "m_neg")
        scale = positive(scale, "scale", zero=True)
        a_choice(output, "output", OUTPUTS)
        if output == "1/m" and m_pos != m_neg:
            fail("m_neg", f"{m_pos}, as many as m_pos (K has m neurons of each sign)", m_neg)
        m = m_pos + m_neg
        outside = m if data.in_span else 0
        fits_memory(m * (data.d + outside), "m_pos, m_neg", (m_pos, m_neg))
        size = math.sqrt(m) if output == "1/sqrt(m)" else m_pos
        a = torch.cat([torch.ones(m_pos), -torch.ones(m_neg)]).to(data.x) / size
        weights, frozen = _seeded_weights(seed, m, data.d, data.ambient_dim - data.d)
        factor = torch.as_tensor(scale, dtype=torch.float64).cpu()
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
        if x.ndim < 2:
            fail("x", f"samples as rows, of shape (..., n, {self.d})", f"shape {tuple(x.shape)}")
        if x.shape[-1] != self.d:
            fail("x", f"{self.d} columns, like the weights", x.shape[-1])
        _batches_fit(self, x.shape[:-2], "x")
        finite(x, "x")
        return self.weights @ x.mT

    def __call__(self, x: Tensor) -> Tensor:
        """``f(x_i; W)`` (..., n) at samples x (..., n, d)."""
        return (self.a.unsqueeze(-1) * self.activation.value(self.preactivations(x))).sum(-2)

    def weight_gram(self) -> Tensor:
        """``W Wᵀ`` (..., m, m), the part outside the coordinates included."""
        gram = self.weights @ self.weights.mT
        return gram if self.frozen_gram is None else gram + self.frozen_gram

    def _binary_scale(self) -> Tensor:
        """A power of two of the size of the largest entry (...), by which squares neither overflow
        nor vanish.
        """
        size = self.weights.abs().amax((-2, -1))
        if self.frozen_gram is not None:
            size = torch.maximum(size, self.frozen_gram.diagonal(dim1=-2, dim2=-1).amax(-1).sqrt())
        return binary_scale(size)

    def _reduced(self) -> tuple[TwoLayer, Tensor]:
        """The network divided by its scale, bit for bit the same otherwise, and the scale (...)."""
        scale = self._binary_scale()
        factor = scale[..., None, None]
        frozen = None if self.frozen_gram is None else self.frozen_gram / factor / factor
        net = self.with_weights(self.weights / factor)
        object.__setattr__(net, "frozen_gram", frozen)
        return net, scale

    def frobenius(self) -> Tensor:
        """``‖W‖_F`` (...)."""
        net, scale = self._reduced()
        return net.weight_gram().diagonal(dim1=-2, dim2=-1).sum(-1).sqrt() * scale

    def spectral(self) -> Tensor:
        """``‖W‖_2`` (...)."""
        net, scale = self._reduced()
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
        """The same network on another device or in another dtype (arguments as for ``Tensor.to``)."""
        destination(*args, **kwargs)
        frozen = None if self.frozen_gram is None else self.frozen_gram.to(*args, **kwargs)
        return TwoLayer(
            self.weights.to(*args, **kwargs), self.a.to(*args, **kwargs), self.activation.to(*args, **kwargs), frozen
        )

    def __repr__(self) -> str:
        batch = f", batch {tuple(self.weights.shape[:-2])}" if self.weights.ndim > 2 else ""
        gamma = self.activation.gamma
        slope = f"({gamma:g})" if isinstance(gamma, (int, float)) else "(γ batch)"
        return f"TwoLayer(m={self.m}, d={self.d}, {self.activation.name}{slope}{batch})"


def _fitting_second_layer(a: Tensor, weights: Tensor) -> Tensor:
    m = weights.shape[-2]
    while a.ndim > max(weights.ndim - 1, 1) and a.shape[0] == 1:
        a = a[0]  # a linear layer with one output keeps its weights so
    if a.ndim < 1 or a.shape[-1] != m:
        fail("a", f"{m} entries, one a neuron", tuple(a.shape))
    if a.ndim > weights.ndim - 1:
        cure = f"weights.expand({', '.join(map(str, a.shape[:-1]))}, ...) trains one network for each"
        expected = f"shape ({m},): one output, for the one first layer of shape {tuple(weights.shape)}; {cure}"
        fail("a", expected, tuple(a.shape))
    if any(1 != ours != theirs != 1 for ours, theirs in zip(weights.shape[-3::-1], a.shape[-2::-1])):
        expected = f"a batch shape that broadcasts with {tuple(weights.shape[:-2])}, that of the weights"
        fail("a", expected, tuple(a.shape[:-1]))
    finite(a, "a")
    if bool((a == 0).any()):
        fail("a", "no zero entries (such a neuron would be no part of the network)", "0")
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
        fail(argument, "a symmetric matrix", f"entries off their mirror images by {off:.1e} of the largest")
    # Cholesky, lifted by the rounding allowed, is a sixth of an eigenvalue problem.
    lifted = unit + tolerance * torch.eye(m, dtype=unit.dtype, device=unit.device)
    if bool(torch.linalg.cholesky_ex(lifted).info.any()):
        least = float((torch.linalg.eigvalsh(unit) * size[..., 0]).min())
        fail(argument, "a positive semidefinite matrix (a Gram matrix is one)", f"the eigenvalue {least:.3g}")


def _seeded_weights(seed: object, m: int, d: int, outside: int) -> tuple[Tensor, Tensor | None]:
    """Standard Gaussian weights (m, d), or (seeds, m, d), and the Gram matrices of what lies
    outside.
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
    return weights, torch.stack([gram for _, gram in parts]) if outside else None


def _draw(seed: int | None, m: int, d: int, outside: int) -> tuple[Tensor, Tensor | None]:
    stream = generator(seed, "weights")
    inside = torch.randn(m, d, generator=stream, dtype=torch.float64)
    return inside, wishart(m, outside, stream) if outside else None


def _batches_fit(net: TwoLayer, batch: torch.Size, argument: str) -> None:
    """Refuse a batch that does not broadcast with that of the network."""
    gamma = getattr(net.activation.gamma, "shape", ())
    own = joint_shape(net.weights.shape[:-2], net.a.shape[:-1], gamma)
    if joint_shape(own, batch) is None:
        fail(
            argument,
            f"a batch shape that broadcasts with {tuple(own)}, that of the networks",
            tuple(batch),
        )


def fitting(net: TwoLayer, data: Dataset, argument: str = "data") -> Dataset:
    """The data, beside the network, once both are what they should be and fit each other."""
    a_network(net)
    a_dataset(data, argument)
    if net.d != data.d:
        fail("net", f"weights with {data.d} columns, like the data", net.d)
    _batches_fit(net, data.x.shape[:-2], argument)
    return data if data.x.device == net.weights.device else data.to(net.weights.device)


def a_network(value: object, argument: str = "net") -> TwoLayer:
    """Refuse what is no :class:`TwoLayer`, and say how to make one."""
    if isinstance(value, TwoLayer):
        return value
    cure = ""
    if isinstance(value, torch.nn.Module):
        cure = ": of two linear layers without biases, ib.TwoLayer(first.weight, second.weight, ib.relu())"
    elif hasattr(value, "final"):
        cure = ": of a run, run.final or run.net(index)"
    return fail(argument, f"an ib.TwoLayer{cure}", type(value).__name__)
