"""The activations of this library, a class each: (leaky) ReLU, its smoothed version,
squared ReLU and GELU.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..values.checks import as_float_tensor, fail, shown
from ..values.scalars import gamma_in_range, numbers
from .activation import KINDS, MAKERS, NEAR, Activation, _mean

__all__ = [
    "GELU",
    "LeakyReLU",
    "ReLU",
    "SmoothedLeakyReLU",
    "SmoothedReLU",
    "SquaredReLU",
    "gelu",
    "leaky_relu",
    "relu",
    "smoothed_leaky_relu",
    "squared_relu",
]


class _Known(Activation):
    """An activation of this library: its name, whether φ' is continuous, and whether it
    takes a leak.
    """

    known_as = ""
    continuous_slope = False
    takes_leak = False

    def __init_subclass__(cls, **rest: object) -> None:
        super().__init_subclass__(**rest)
        if cls.__module__ != __name__:
            # What is known of the one would be claimed of the other.
            raise TypeError(
                f"{cls.__name__}: derive it from ib.Activation, which claims nothing"
            )

    def _check(self) -> None:
        if self.name != self.known_as:
            fail(
                "name", f"{self.known_as} for a {type(self).__name__}", shown(self.name)
            )
        if bool(self.smooth) != self.continuous_slope:
            fail("smooth", f"{self.continuous_slope} for {self.name}", self.smooth)
        gamma_in_range(self.gamma, zero=True)
        if not self.takes_leak and bool((numbers(self.gamma, "gamma") != 0).any()):
            fail("gamma", f"0 for {self.name}", self.gamma)

    def weighted(self, z: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """``a φ'(z)`` and ``a φ(z)`` (..., m, n), for descent: tensors that it may
        write into.
        """
        return self.derivative(z).mul_(a), self.value(z).mul_(a)


class LeakyReLU(_Known):
    """``max(z, γz)``."""

    known_as = "leaky_relu"
    takes_leak = True
    degree = 1
    piecewise_linear = True
    offset_below = 0.0

    def value(self, z: Tensor) -> Tensor:
        """``φ(z)`` elementwise; z (..., m, n)."""
        z = as_float_tensor(z, "z")
        return torch.where(z >= 0, z, self.gamma_for(z) * z)

    def derivative(self, z: Tensor) -> Tensor:
        """``φ'(z)`` elementwise, 1 at the kink."""
        z = as_float_tensor(z, "z")
        # Exactly 1 or γ; torch.where between two numbers takes six times longer.
        return (z >= 0).to(z.dtype).clamp(min=self.gamma_for(z))

    def weighted(self, z: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """``a φ'(z)`` and ``a φ(z)`` (..., m, n), which is the first times z."""
        slopes = self.derivative(z).mul_(a)
        return slopes, slopes * z

    def increment(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z)`` elementwise: ``φ'(z) u`` on one side of the kink."""
        plain = self.value(z + u) - self.value(z)
        return torch.where((z >= 0) == (z + u >= 0), self.derivative(z) * u, plain)


class ReLU(LeakyReLU):
    """``max(z, 0)``."""

    known_as = "relu"
    takes_leak = False


class SmoothedLeakyReLU(_Known):
    """``γz + (1-γ) log((1 + e^z)/2)``."""

    known_as = "smoothed_leaky_relu"
    continuous_slope = True
    takes_leak = True
    smoothed = True

    def value(self, z: Tensor) -> Tensor:
        """``φ(z)`` elementwise; z (..., m, n)."""
        z = as_float_tensor(z, "z")
        gamma = self.gamma_for(z)
        # log((1 + e^z)/2); past the threshold softplus returns z itself, e^{-40} off. Its
        # default of 20 loses ten digits.
        return (F.softplus(z, threshold=40.0).sub_(math.log(2)) * (1 - gamma)).add_(
            gamma * z
        )

    def derivative(self, z: Tensor) -> Tensor:
        """``φ'(z)`` elementwise."""
        z = as_float_tensor(z, "z")
        gamma = self.gamma_for(z)
        return (torch.sigmoid(z) * (1 - gamma)).add_(gamma)

    def increment(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z)`` elementwise."""
        # softplus(z+u) - softplus(z) = log(1 + σ(z)(e^u - 1)); at large u the plain
        # difference is as good and cannot overflow.
        gamma = self.gamma_for(z)
        small = torch.log1p(torch.sigmoid(z) * torch.expm1(u.clamp(-1, 1)))
        plain = self.value(z + u) - self.value(z)
        return torch.where(u.abs() < 1, gamma * u + (1 - gamma) * small, plain)

    @property
    def H(self) -> float | Tensor:
        """``(1-γ)/4``: ``φ'' = (1-γ) σ(1-σ)`` with the sigmoid σ, largest at σ = 1/2."""
        return (1 - self.gamma) / 4

    @property
    def offset_below(self) -> float | Tensor:
        """``-(1-γ) log 2``: far below 0 this is the leaky ReLU, shifted."""
        return -((1 - self.gamma) * math.log(2))


class SmoothedReLU(SmoothedLeakyReLU):
    """``log((1 + e^z)/2)``."""

    known_as = "smoothed_relu"
    takes_leak = False


class SquaredReLU(_Known):
    """``max(z, 0)²``: of degree 2, with a slope that is continuous but not bounded."""

    known_as = "squared_relu"
    continuous_slope = True
    degree = 2

    def value(self, z: Tensor) -> Tensor:
        """``φ(z)`` elementwise."""
        return as_float_tensor(z, "z").clamp_min(0).square()

    def derivative(self, z: Tensor) -> Tensor:
        """``φ'(z) = 2 max(z, 0)`` elementwise."""
        return as_float_tensor(z, "z").clamp_min(0) * 2

    def increment(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z)`` elementwise: ``(2z + u) u`` above 0."""
        both = (z >= 0) & (z + u >= 0)
        return torch.where(both, (2 * z + u) * u, self.value(z + u) - self.value(z))

    def remainder(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z) - φ'(z) u`` elementwise: ``u²`` above 0."""
        plain = self.value(z + u) - self.value(z) - self.derivative(z) * u
        return torch.where((z >= 0) & (z + u >= 0), u.square(), plain)

    @property
    def H(self) -> float:
        """2: ``φ''`` is 2 above 0 and 0 below, and φ' has no jump between."""
        return 2.0


class GELU(_Known):
    """``z Φ(z)`` with the distribution function Φ of the standard normal; smooth, of no
    degree, not monotone: ``-0.129 ≤ φ' ≤ 1.129``.
    """

    known_as = "gelu"
    continuous_slope = True

    def value(self, z: Tensor) -> Tensor:
        """``φ(z)`` elementwise."""
        z = as_float_tensor(z, "z")
        return z * _normal(z)

    def derivative(self, z: Tensor) -> Tensor:
        """``φ'(z) = Φ(z) + z p(z)`` elementwise, p the density."""
        z = as_float_tensor(z, "z")
        density = torch.exp(z.square() * -0.5) / math.sqrt(2 * math.pi)
        return _normal(z) + z * density

    def increment(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z)`` elementwise: ``u`` times the mean slope where u is small."""
        small = u.clamp(-NEAR, NEAR)
        mean = _mean(lambda share: self.derivative(z + share * small))
        return torch.where(
            u.abs() < NEAR, small * mean, self.value(z + u) - self.value(z)
        )

    @property
    def H(self) -> float:
        """``√(2/π)``, reached at 0."""
        # With p' = -z p: φ'' = (2 - z²) p and φ''' = -z (4 - z²) p. So |φ''| is largest
        # at one of z = 0, where it is 2 p(0) = √(2/π) = 0.798, and z = ±2, where it is
        # 2 p(2) = 0.108.
        return math.sqrt(2 / math.pi)


def _normal(z: Tensor) -> Tensor:
    """``Φ(z)``. Unlike ``1 + erf``, which torch's own takes, it keeps its digits far
    below 0.
    """
    return torch.erfc(z * -math.sqrt(0.5)) * 0.5


KINDS |= {
    cls.known_as: cls for cls in (LeakyReLU, ReLU, SmoothedLeakyReLU, SmoothedReLU)
}


def leaky_relu(gamma: float | Tensor) -> Activation:
    """``max(z, γz)``, γ in (0, 1]; γ = 0 is refused here, use :func:`relu`."""
    gamma_in_range(gamma)
    return LeakyReLU("leaky_relu", gamma)


def relu() -> Activation:
    """``max(z, 0)``."""
    return ReLU("relu", 0.0)


def smoothed_leaky_relu(gamma: float | Tensor) -> Activation:
    """``γz + (1-γ) log((1 + e^z)/2)``: γ-leaky and (1-γ)/4-smooth, the activation of F's
    experiments.
    """
    gamma_in_range(gamma)
    return SmoothedLeakyReLU("smoothed_leaky_relu", gamma, smooth=True)


def squared_relu() -> Activation:
    """``max(z, 0)²``. Homogeneous of degree 2: for training, and outside the theorems
    here.
    """
    return SquaredReLU("squared_relu", 0.0, smooth=True)


def gelu() -> Activation:
    """``z Φ(z)``, Φ the distribution function of the standard normal: for training, and
    outside the theorems here.
    """
    return GELU("gelu", 0.0, smooth=True)


MAKERS |= {
    "leaky_relu(gamma)": leaky_relu,
    "relu()": relu,
    "smoothed_leaky_relu(gamma)": smoothed_leaky_relu,
    "squared_relu()": squared_relu,
    "gelu()": gelu,
}
"""The functions above, as they are called."""
