r"""Activations ``φ``: one small class each, and a base for one of your own.

Other modules ask an activation what they need to know (is it homogeneous, has it a leak, how much
does it grow from here to there), never which one it is: a new one is a class here, a name in the
package, and a test.

The kink convention, stated once: where the derivative jumps, ``φ'(0) = 1``. K (Kou, Chen, Gu) fixes
it so, F (Frei et al.) allows any value in ``[γ, 1]`` (Clarke subdifferential), and torch's own
leaky ReLU would say γ.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
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

__all__ = [
    "Activation",
    "GELU",
    "LeakyReLU",
    "ReLU",
    "SmoothedLeakyReLU",
    "SmoothedReLU",
    "SquaredReLU",
    "an_activation",
    "gelu",
    "leaky_relu",
    "relu",
    "smoothed_leaky_relu",
    "squared_relu",
]

OWN = "a class derived from Activation that defines value(z) and derivative(z)"

NODES, WEIGHTS = (part.tolist() for part in np.polynomial.legendre.leggauss(6))
"""Gauss's rule on [-1, 1]."""

NEAR = 0.1
"""Changes of z below this are integrated by Gauss's rule; above, differences lose one digit."""


# -- the base --------


@dataclass(frozen=True, eq=False)
class Activation(Comparable, Savable):
    """An activation ``φ`` with its leak ``gamma`` and smoothness ``H``.

    A leak above 0 promises ``γ ≤ φ' ≤ 1``; a leak of 0 promises nothing. ``gamma`` may be a tensor
    whose shape is the batch shape of the weights it is used with: slopes run as one tensor.

    For one of your own, derive a class that defines ``value(z)`` and ``derivative(z)``, both
    elementwise on a tensor, and give it a name, ``gamma`` and, if φ' is continuous,
    ``smooth=True``; override ``H`` where you know it. Descent and flow then take it as it is. What
    rests on a (leaky) ReLU (KKT points, most theorems) refuses it: whatever is not defined anew
    below claims nothing about φ.

    ``Activation("leaky_relu", 0.1)`` is another way to write ``leaky_relu(0.1)``.

    Raises
    ------
    ValueError
        If the name is none of this library's, or has another ``smooth``; if gamma is outside
        [0, 1].
    """

    name: str
    gamma: float | Tensor
    smooth: bool = False

    degree = None
    """The k with ``φ(βz) = β^k φ(z)`` for all β > 0; None where there is none, or none known."""

    piecewise_linear = False
    """Whether ``φ(z) = max(z, γz)``: linear on both sides of one kink at 0, slopes γ and 1."""

    smoothed = False
    """Whether ``φ(z) = γz + (1-γ) log((1 + e^z)/2)``."""

    def __new__(cls, name: object = None, *rest: object, **more: object) -> Activation:
        known = cls is Activation and isinstance(name, str)
        return object.__new__(KINDS.get(name, cls) if known else cls)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            fail("name", "the name of the activation", shown(self.name))
        object.__setattr__(self, "gamma", scalar_or_tensor(self.gamma, "gamma"))
        object.__setattr__(self, "smooth", a_flag(self.smooth, "smooth"))
        self._check()

    def _check(self) -> None:
        """Refuse fields that do not belong to this class."""
        if type(self) is Activation:
            _kind(self.name)
        if type(self).value is Activation.value:
            fail("activation", OWN, type(self).__name__)
        if type(self).derivative is Activation.derivative:
            expected = "a class that defines derivative(z) beside value(z)"
            fail("activation", expected, type(self).__name__)
        finite(numbers(self.gamma, "gamma"), "gamma")

    def __setstate__(self, state: object) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            for name, value in (part or {}).items():
                object.__setattr__(self, name, value)
        if type(self) is Activation:
            # Pickled when one class stood for all.
            object.__setattr__(self, "__class__", _kind(self.name))

    # -- the function

    def value(self, z: Tensor) -> Tensor:
        """``φ(z)`` elementwise; z (..., m, n)."""
        raise NotImplementedError(f"value(z): {OWN}")

    def derivative(self, z: Tensor) -> Tensor:
        """``φ'(z)`` elementwise, 1 at a kink."""
        raise NotImplementedError(f"derivative(z): {OWN}")

    def weighted(self, z: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """``a φ'(z)`` and ``a φ(z)`` (..., m, n), for descent: tensors that it may write into."""
        # A function of your own may hand back what it was given, or write into it.
        return a * self.derivative(z.clone()), a * self.value(z.clone())

    def increment(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z)`` elementwise; z, u (..., m, n). This library's are exact to full
        relative precision for small ``u``.
        """
        return self.value(z + u) - self.value(z)

    def remainder(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z) - φ'(z) u`` elementwise; z, u (..., m, n). Where φ is smooth, without
        the cancellation at small ``u``: there it is ``u ∫ (φ'(z + su) - φ'(z)) ds``.
        """
        plain = self.value(z + u) - self.value(z) - self.derivative(z) * u
        if not self.smooth:
            return plain
        small = u.clamp(-NEAR, NEAR)
        mean = _mean(lambda share: self.derivative(z + share * small) - self.derivative(z))
        return torch.where(u.abs() < NEAR, small * mean, plain)

    def softened(self, z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """A stand-in for ``φ(z)`` and ``φ'(z)`` whose slopes have a gradient, for searches: of a
        leaky ReLU whose step is as wide as ``temperature``, or of a smoothed one.

        A search counts what it reaches with φ itself, so that a stand-in for one of your own may be
        rough.
        """
        gamma = self.gamma
        if self.smooth:
            value = gamma * z + (1 - gamma) * (F.softplus(z, threshold=40.0) - math.log(2))
            return value, gamma + (1 - gamma) * torch.sigmoid(z)
        value = torch.where(z >= 0, z, gamma * z)
        return value, gamma + (1 - gamma) * torch.sigmoid(z / temperature)

    # -- what is known of it

    @property
    def H(self) -> float | Tensor | None:
        """The bound on ``|φ''|``, the Lipschitz constant of φ'; None for a kink, or if it is not
        known.
        """
        return None

    @property
    def homogeneous(self) -> bool:
        """Whether ``φ(βz) = βφ(z)`` for β > 0, as margins over ``‖W‖`` and Problem (1) suppose. A
        squared ReLU, of degree 2, is not homogeneous in this sense: see ``degree``.
        """
        return self.degree == 1

    @property
    def offset_below(self) -> float | None:
        """``lim φ(z) - γz`` at ``z → -∞``, for one leak; None where it is not known."""
        return None

    @property
    def has_leak(self) -> bool:
        """Whether ``γ > 0``, in every network of a batch."""
        # In float64, for a leak of 1e-50 is one.
        return bool((torch.as_tensor(self.gamma, dtype=torch.float64) > 0).all())

    @property
    def is_leaky_relu(self) -> bool:
        """Whether this is a leaky ReLU, whatever it calls itself."""
        return self.piecewise_linear and self.has_leak

    @property
    def is_relu(self) -> bool:
        """Whether this is the ReLU, whatever it calls itself."""
        gamma = torch.as_tensor(self.gamma, dtype=torch.float64)
        return self.piecewise_linear and bool((gamma == 0).all())

    # -- its slopes

    def gamma_for(self, z: Tensor) -> float | Tensor:
        """The leak as it multiplies preactivations z (..., m, n): a batch of slopes (..., 1, 1)."""
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


def _mean(f) -> Tensor:
    """``∫ f(s) ds`` over [0, 1], by Gauss's rule."""
    total = 0.0
    for node, weight in zip(NODES, WEIGHTS):
        total = total + weight / 2 * f((1 + node) / 2)
    return total


# -- those of this library --------


class _Known(Activation):
    """An activation of this library: its name, whether φ' is continuous, and whether it takes a
    leak.
    """

    known_as = ""
    continuous_slope = False
    takes_leak = False

    def __init_subclass__(cls, **rest: object) -> None:
        super().__init_subclass__(**rest)
        if cls.__module__ != __name__:
            # What is known of the one would be claimed of the other.
            raise TypeError(f"{cls.__name__}: derive it from ib.Activation, which claims nothing")

    def _check(self) -> None:
        if self.name != self.known_as:
            fail("name", f"{self.known_as} for a {type(self).__name__}", shown(self.name))
        if bool(self.smooth) != self.continuous_slope:
            fail("smooth", f"{self.continuous_slope} for {self.name}", self.smooth)
        gamma_in_range(self.gamma, zero=True)
        if not self.takes_leak and bool((numbers(self.gamma, "gamma") != 0).any()):
            fail("gamma", f"0 for {self.name}", self.gamma)

    def weighted(self, z: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        """``a φ'(z)`` and ``a φ(z)`` (..., m, n), for descent: tensors that it may write into."""
        return self.derivative(z).mul_(a), self.value(z).mul_(a)


class LeakyReLU(_Known):
    """``max(z, γz)``."""

    known_as, takes_leak = "leaky_relu", True
    degree, piecewise_linear = 1, True
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

    known_as, takes_leak = "relu", False


class SmoothedLeakyReLU(_Known):
    """``γz + (1-γ) log((1 + e^z)/2)``."""

    known_as, continuous_slope, takes_leak = "smoothed_leaky_relu", True, True
    smoothed = True

    def value(self, z: Tensor) -> Tensor:
        """``φ(z)`` elementwise; z (..., m, n)."""
        z = as_float_tensor(z, "z")
        gamma = self.gamma_for(z)
        # log((1 + e^z)/2); past the threshold softplus returns z itself, e^{-40} off. Its
        # default of 20 loses ten digits.
        return (F.softplus(z, threshold=40.0).sub_(math.log(2)) * (1 - gamma)).add_(gamma * z)

    def derivative(self, z: Tensor) -> Tensor:
        """``φ'(z)`` elementwise."""
        z = as_float_tensor(z, "z")
        gamma = self.gamma_for(z)
        return (torch.sigmoid(z) * (1 - gamma)).add_(gamma)

    def increment(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z)`` elementwise."""
        # softplus(z+u) - softplus(z) = log(1 + σ(z)(e^u - 1)); at large u the plain difference is
        # as good and cannot overflow.
        gamma = self.gamma_for(z)
        small = torch.log1p(torch.sigmoid(z) * torch.expm1(u.clamp(-1, 1)))
        plain = self.value(z + u) - self.value(z)
        return torch.where(u.abs() < 1, gamma * u + (1 - gamma) * small, plain)

    @property
    def H(self) -> float | Tensor:
        """``(1-γ)/4``: ``φ'' = (1-γ) σ(1-σ)`` with the sigmoid σ, largest at σ = 1/2."""
        return (1 - self.gamma) / 4

    @property
    def offset_below(self) -> float:
        """``-(1-γ) log 2``: far below 0 this is the leaky ReLU, shifted."""
        return -((1 - self.gamma) * math.log(2))


class SmoothedReLU(SmoothedLeakyReLU):
    """``log((1 + e^z)/2)``."""

    known_as, takes_leak = "smoothed_relu", False


class SquaredReLU(_Known):
    """``max(z, 0)²``: of degree 2, with a slope that is continuous but not bounded."""

    known_as, continuous_slope = "squared_relu", True
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
    """``z Φ(z)`` with the distribution function Φ of the standard normal; smooth, of no degree, not
    monotone: ``-0.129 ≤ φ' ≤ 1.129``.
    """

    known_as, continuous_slope = "gelu", True

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
        return torch.where(u.abs() < NEAR, small * mean, self.value(z + u) - self.value(z))

    @property
    def H(self) -> float:
        """``√(2/π)``, reached at 0."""
        # With p' = -z p: φ'' = (2 - z²) p and φ''' = -z (4 - z²) p. So |φ''| is largest at one of
        # z = 0, where it is 2 p(0) = √(2/π) = 0.798, and z = ±2, where it is 2 p(2) = 0.108.
        return math.sqrt(2 / math.pi)


def _normal(z: Tensor) -> Tensor:
    """``Φ(z)``. Unlike ``1 + erf``, which torch's own takes, it keeps its digits far below 0."""
    return torch.erfc(z * -math.sqrt(0.5)) * 0.5


KINDS = {cls.known_as: cls for cls in (LeakyReLU, ReLU, SmoothedLeakyReLU, SmoothedReLU)}
"""What ``Activation(name, gamma, smooth)`` makes by name; other activations have their own ways."""


def _kind(name: str) -> type[Activation]:
    """The class of an activation known by name."""
    if name not in KINDS:
        ways = [f" (write ib.{call})" for call, maker in MAKERS.items() if maker.__name__ == name]
        fail("name", f"one of {', '.join(KINDS)}, or {OWN}{''.join(ways)}", shown(name))
    return KINDS[name]


# -- ways to make one --------


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
    """``max(z, 0)²``. Homogeneous of degree 2: for training, and outside the theorems here."""
    return SquaredReLU("squared_relu", 0.0, smooth=True)


def gelu() -> Activation:
    """``z Φ(z)``, Φ the distribution function of the standard normal: for training, and outside the
    theorems here.
    """
    return GELU("gelu", 0.0, smooth=True)


MAKERS = {
    "leaky_relu(gamma)": leaky_relu,
    "relu()": relu,
    "smoothed_leaky_relu(gamma)": smoothed_leaky_relu,
    "squared_relu()": squared_relu,
    "gelu()": gelu,
}
"""The functions above, as they are called."""


def an_activation(value: object, argument: str = "activation") -> Activation:
    """Refuse what is no :class:`Activation`, and say what to write instead."""
    if isinstance(value, Activation):
        return value
    *most, last = MAKERS
    return fail(argument, f"{', '.join(most)} or {last}{_cure(value)}", shown(value))


def _cure(value: object) -> str:
    for call, maker in MAKERS.items():
        if value is maker:
            return f" (write ib.{call}{', with the leak' if 'gamma' in call else ''})"
    if value is torch.relu or value is F.relu or isinstance(value, torch.nn.ReLU):
        return " (write ib.relu())"
    if value is F.gelu or (isinstance(value, torch.nn.GELU) and value.approximate == "none"):
        return " (write ib.gelu())"
    if isinstance(value, torch.nn.LeakyReLU):
        return f" (write ib.leaky_relu({value.negative_slope:g}))"
    if isinstance(value, type) and issubclass(value, Activation):
        return f" (make one: {value.__name__}(name, gamma))"
    if callable(value):
        return ", or an object of a class derived from ib.Activation that defines value(z) and derivative(z)"
    return ""
