r"""Activations ``φ``: the (leaky) ReLU, its smoothed version, and a base for one of your own.

The kink convention, stated once: where the derivative jumps, ``φ'(0) = 1``. K (Kou, Chen, Gu) fixes
it so, F (Frei et al.) allows any value in ``[γ, 1]`` (Clarke subdifferential), and torch's own
leaky ReLU would say γ.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ._checks import (
    a_flag,
    as_float_tensor,
    fail,
    finite,
    gamma_in_range,
    numbers,
    scalar_or_tensor,
    shown,
)
from ._compare import Comparable
from ._saving import Savable

__all__ = ["Activation", "an_activation", "leaky_relu", "relu", "smoothed_leaky_relu"]

KINDS = {"leaky_relu": False, "relu": False, "smoothed_leaky_relu": True, "smoothed_relu": True}
"""The activations known here by name, and whether each is smooth."""


@dataclass(frozen=True, eq=False)
class Activation(Comparable, Savable):
    """An activation ``φ`` with its leak ``gamma`` (``γ ≤ φ' ≤ 1``) and smoothness ``H``
    (``|φ''| ≤ H``; None where φ has a kink).

    ``gamma`` may be a tensor whose shape is the batch shape of the weights it is used with: slopes
    run as one tensor.

    For one of your own, derive a class that defines ``value(z)`` and ``derivative(z)``, both
    elementwise on a tensor, and give it a name, ``gamma`` and, if φ' is continuous,
    ``smooth=True``; override ``H`` where you know it. Descent and flow then take it as it is. What
    rests on a (leaky) ReLU (KKT points, most theorems) refuses it.

    Raises
    ------
    ValueError
        If the name is none of this library's, or has another ``smooth``; if gamma is outside
        [0, 1].
    """

    name: str
    gamma: float | Tensor
    smooth: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            fail("name", "the name of the activation", shown(self.name))
        object.__setattr__(self, "gamma", scalar_or_tensor(self.gamma, "gamma"))
        object.__setattr__(self, "smooth", a_flag(self.smooth, "smooth"))
        if self._is_own("value"):
            if not self._is_own("derivative"):
                fail(
                    "activation",
                    "a class that defines derivative(z) beside value(z)",
                    type(self).__name__,
                )
            finite(numbers(self.gamma, "gamma"), "gamma")
            return
        if self.name not in KINDS:
            known = ", ".join(KINDS)
            cure = "or a class derived from Activation that defines value(z) and derivative(z)"
            fail("name", f"one of {known}, {cure}", shown(self.name))
        if bool(self.smooth) != KINDS[self.name]:
            fail("smooth", f"{KINDS[self.name]} for {self.name}", self.smooth)
        gamma_in_range(self.gamma, zero=True)
        if self.name in ("relu", "smoothed_relu") and bool(
            (numbers(self.gamma, "gamma") != 0).any()
        ):
            fail("gamma", f"0 for {self.name}", self.gamma)

    def _is_own(self, method: str) -> bool:
        """Whether a derived class brings a ``value`` or a ``derivative`` of its own."""
        return getattr(type(self), method) is not getattr(Activation, method)

    @property
    def own(self) -> bool:
        """Whether a derived class brings its own function: nothing about it may then be taken for
        granted.
        """
        return self._is_own("value") or self._is_own("derivative")

    @property
    def H(self) -> float | Tensor | None:
        """The bound on ``|φ''|``: (1 - γ)/4 for the smoothed leaky ReLU; None for a kink, or if it
        is not known.
        """
        return (1 - self.gamma) / 4 if self.smoothed else None

    @property
    def piecewise_linear(self) -> bool:
        """Whether ``φ(z) = max(z, γz)``: linear on both sides of one kink at 0, slopes γ and 1."""
        return not self.smooth and not self.own

    @property
    def smoothed(self) -> bool:
        """Whether this is the smoothed leaky ReLU, whose formulas are known here."""
        return bool(self.smooth) and not self.own

    @property
    def homogeneous(self) -> bool:
        """Whether this is a (leaky) ReLU, the only kind here with ``φ(βz) = βφ(z)`` for β > 0."""
        return self.piecewise_linear

    def _gamma(self, z: Tensor) -> float | Tensor:
        if not isinstance(self.gamma, Tensor):
            return self.gamma
        gamma = self.gamma.to(z)
        if gamma.ndim and z.ndim < 2:
            fail(
                "z",
                "preactivations of shape (..., m, n), for slopes that are a batch",
                tuple(z.shape),
            )
        return gamma[..., None, None] if gamma.ndim else gamma

    def value(self, z: Tensor) -> Tensor:
        """``φ(z)`` elementwise; z (..., m, n)."""
        z = as_float_tensor(z, "z")
        gamma = self._gamma(z)
        if self.smooth:
            # log((1 + e^z)/2); past the threshold softplus returns z itself, e^{-40} off. Its
            # default of 20 loses ten digits.
            return (F.softplus(z, threshold=40.0).sub_(math.log(2)) * (1 - gamma)).add_(gamma * z)
        return torch.where(z >= 0, z, gamma * z)

    def derivative(self, z: Tensor) -> Tensor:
        """``φ'(z)`` elementwise, 1 at a kink."""
        z = as_float_tensor(z, "z")
        gamma = self._gamma(z)
        if self.smooth:
            return (torch.sigmoid(z) * (1 - gamma)).add_(gamma)
        # Exactly 1 or γ; torch.where between two numbers takes six times longer.
        return (z >= 0).to(z.dtype).clamp(min=gamma)

    def to(self, *args, **kwargs) -> Activation:
        """Move a tensor of slopes along with the weights."""
        return (
            self.with_gamma(self.gamma.to(*args, **kwargs))
            if isinstance(self.gamma, Tensor)
            else self
        )

    def with_gamma(self, gamma: float | Tensor) -> Activation:
        """The same function with another leak."""
        changed = copy.copy(self)
        object.__setattr__(changed, "gamma", gamma)
        changed.__post_init__()
        return changed


def leaky_relu(gamma: float | Tensor) -> Activation:
    """``max(z, γz)``, γ in (0, 1]; γ = 0 is refused here, use :func:`relu`."""
    gamma_in_range(gamma)
    return Activation("leaky_relu", gamma)


def relu() -> Activation:
    """``max(z, 0)``."""
    return Activation("relu", 0.0)


def smoothed_leaky_relu(gamma: float | Tensor) -> Activation:
    """``γz + (1-γ) log((1 + e^z)/2)``: γ-leaky and (1-γ)/4-smooth, the activation of F's
    experiments.
    """
    gamma_in_range(gamma)
    return Activation("smoothed_leaky_relu", gamma, smooth=True)


def an_activation(value: object, argument: str = "activation") -> Activation:
    """Refuse what is no :class:`Activation`, and say what to write instead."""
    if isinstance(value, Activation):
        return value
    fail(
        argument,
        f"leaky_relu(gamma), relu() or smoothed_leaky_relu(gamma){_cure(value)}",
        shown(value),
    )


def _cure(value: object) -> str:
    if value is relu or value is torch.relu or value is F.relu or isinstance(value, torch.nn.ReLU):
        return " (write ib.relu())"
    if value is leaky_relu or value is smoothed_leaky_relu:
        return f" (write ib.{value.__name__}(gamma), with the leak)"
    if isinstance(value, torch.nn.LeakyReLU):
        return f" (write ib.leaky_relu({value.negative_slope:g}))"
    if isinstance(value, type) and issubclass(value, Activation):
        return f" (make one: {value.__name__}(name, gamma))"
    if callable(value):
        return ", or an object of a class derived from ib.Activation that defines value(z) and derivative(z)"
    return ""
