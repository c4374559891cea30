"""The base of all activations, and of one of your own: what is asked of a function ``φ``,
and what may be known of it.

The kink convention, stated once: where the derivative jumps, ``φ'(0) = 1``. K (Kou,
Chen, Gu) fixes it so, F (Frei et al.) allows any value in ``[γ, 1]`` (Clarke
subdifferential), and torch's own leaky ReLU would say γ.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..saving import Savable
from ..values.checks import fail, finite, shown
from ..values.comparing import Comparable
from ..values.scalars import a_flag, numbers, scalar_or_tensor

__all__ = ["Activation", "an_activation"]


OWN = "a class derived from Activation that defines value(z) and derivative(z)"


NODES, WEIGHTS = (part.tolist() for part in np.polynomial.legendre.leggauss(6))
"""Gauss's rule on [-1, 1]."""


NEAR = 0.1
"""Changes of z below this are integrated by Gauss's rule; above, differences lose one
digit.
"""


KINDS: dict[str, type[Activation]] = {}
"""What ``Activation(name, gamma, smooth)`` makes by name; other activations have their own
ways."""


MAKERS: dict[str, Callable[..., Activation]] = {}
"""How each activation of this library is written, and what makes it."""


@dataclass(frozen=True, eq=False)
class Activation(Comparable, Savable):
    """An activation ``φ`` with its leak ``gamma`` and smoothness ``H``.

    A leak above 0 promises ``γ ≤ φ' ≤ 1``; a leak of 0 promises nothing. ``gamma`` may
    be a tensor whose shape is the batch shape of the weights it is used with: slopes
    run as one tensor.

    For one of your own, derive a class that defines ``value(z)`` and ``derivative(z)``,
    both elementwise on a tensor, and give it a name, ``gamma`` and, if φ' is
    continuous, ``smooth=True``; override ``H`` where you know it. Descent and flow then
    take it as it is. What rests on a (leaky) ReLU (KKT points, most theorems) refuses
    it: whatever is not defined anew below claims nothing about φ.

    ``Activation("leaky_relu", 0.1)`` is another way to write ``leaky_relu(0.1)``.

    Raises
    ------
    ValueError
        If the name is none of this library's, or has another ``smooth``; if gamma is
        outside [0, 1].
    """

    name: str
    gamma: float | Tensor
    smooth: bool = False

    degree: ClassVar[int | None] = None
    """The k with ``φ(βz) = β^k φ(z)`` for all β > 0; None where there is none, or none
    known.
    """

    piecewise_linear = False
    """Whether ``φ(z) = max(z, γz)``: linear on both sides of one kink at 0, slopes γ
    and 1.
    """

    smoothed = False
    """Whether ``φ(z) = γz + (1-γ) log((1 + e^z)/2)``."""

    def __new__(cls, name: object = None, *rest: object, **more: object) -> Activation:
        if cls is Activation and isinstance(name, str):
            return object.__new__(KINDS.get(name, cls))
        return object.__new__(cls)

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
        """``a φ'(z)`` and ``a φ(z)`` (..., m, n), for descent: tensors that it may
        write into.
        """
        # A function of your own may hand back what it was given, or write into it.
        return a * self.derivative(z.clone()), a * self.value(z.clone())

    def increment(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z)`` elementwise; z, u (..., m, n). This library's are exact
        to full relative precision for small ``u``.
        """
        return self.value(z + u) - self.value(z)

    def remainder(self, z: Tensor, u: Tensor) -> Tensor:
        """``φ(z + u) - φ(z) - φ'(z) u`` elementwise; z, u (..., m, n). Where φ is
        smooth, without the cancellation at small ``u``: there it is
        ``u ∫ (φ'(z + su) - φ'(z)) ds``.
        """
        plain = self.value(z + u) - self.value(z) - self.derivative(z) * u
        if not self.smooth:
            return plain
        small = u.clamp(-NEAR, NEAR)
        mean = _mean(
            lambda share: self.derivative(z + share * small) - self.derivative(z)
        )
        return torch.where(u.abs() < NEAR, small * mean, plain)

    def softened(self, z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """A stand-in for ``φ(z)`` and ``φ'(z)`` whose slopes have a gradient, for
        searches: of a leaky ReLU whose step is as wide as ``temperature``, or of a
        smoothed one.

        A search counts what it reaches with φ itself, so that a stand-in for one of
        your own may be rough.
        """
        gamma = self.gamma
        if self.smooth:
            value = gamma * z + (1 - gamma) * (
                F.softplus(z, threshold=40.0) - math.log(2)
            )
            return value, gamma + (1 - gamma) * torch.sigmoid(z)
        value = torch.where(z >= 0, z, gamma * z)
        return value, gamma + (1 - gamma) * torch.sigmoid(z / temperature)

    # -- what is known of it

    @property
    def H(self) -> float | Tensor | None:
        """The bound on ``|φ''|``, the Lipschitz constant of φ'; None for a kink, or if
        it is not known.
        """
        return None

    @property
    def homogeneous(self) -> bool:
        """Whether ``φ(βz) = βφ(z)`` for β > 0, as margins over ``‖W‖`` and Problem (1)
        suppose. A squared ReLU, of degree 2, is not homogeneous in this sense: see
        ``degree``.
        """
        return self.degree == 1

    @property
    def offset_below(self) -> float | Tensor | None:
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
        """The leak as it multiplies preactivations z (..., m, n): a batch of slopes
        (..., 1, 1).
        """
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


def _mean(f: Callable[[float], Tensor]) -> Tensor:
    """``∫ f(s) ds`` over [0, 1], by Gauss's rule."""
    parts = (weight / 2 * f((1 + node) / 2) for node, weight in zip(NODES, WEIGHTS))
    total = next(parts)
    for part in parts:
        total = total + part
    return total


def _kind(name: str) -> type[Activation]:
    """The class of an activation known by name."""
    if name not in KINDS:
        ways = [
            f" (write ib.{call})"
            for call, maker in MAKERS.items()
            if maker.__name__ == name
        ]
        fail("name", f"one of {', '.join(KINDS)}, or {OWN}{''.join(ways)}", shown(name))
    return KINDS[name]


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
    if value is F.gelu or (
        isinstance(value, torch.nn.GELU) and value.approximate == "none"
    ):
        return " (write ib.gelu())"
    if isinstance(value, torch.nn.LeakyReLU):
        return f" (write ib.leaky_relu({value.negative_slope:g}))"
    if isinstance(value, type) and issubclass(value, Activation):
        return f" (make one: {value.__name__}(name, gamma))"
    if callable(value):
        return (
            ", or an object of a class derived from ib.Activation that defines "
            "value(z) and derivative(z)"
        )
    return ""
