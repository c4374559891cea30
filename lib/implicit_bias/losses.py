r"""The two losses, and everything about them that must survive margins of ±10⁴.

``ℓ(q)`` is ``log(1 + e^{-q})`` (logistic) or ``e^{-q}`` (exponential), and
``g(q) = -ℓ'(q)``. A naive ``log(1 + e^{-q})`` is exactly 0 from q = 37 on in float64;
the logarithms below stay exact to rounding at any margin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .values.checks import as_float_tensor, fail, shown

__all__ = ["EXPONENTIAL", "LOGISTIC", "Loss", "get"]


@dataclass(frozen=True)
class Loss:
    """A loss of the margin ``q = y f(x)``: ``value`` ℓ, ``log_value`` log ℓ, ``g`` -ℓ′
    and ``log_g``, elementwise.

    One of your own is pickled if its four functions are: define them at the top of a
    module.
    """

    name: str
    value: Callable[[Tensor], Tensor]
    log_value: Callable[[Tensor], Tensor]
    g: Callable[[Tensor], Tensor]
    log_g: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            fail("name", "the name of the loss", shown(self.name))
        for name in ("value", "log_value", "g", "log_g"):
            if not callable(getattr(self, name)):
                fail(
                    name,
                    "a function of a tensor of margins",
                    shown(getattr(self, name)),
                )

    def log_mean(self, q: Tensor) -> Tensor:
        """``log L`` (...) of margins (..., n), by log-sum-exp."""
        q = as_float_tensor(q, "q")
        if q.ndim == 0 or q.shape[-1] == 0:
            fail("q", "margins of shape (..., n), n >= 1", tuple(q.shape))
        n = torch.as_tensor(float(q.shape[-1]), dtype=q.dtype, device=q.device)
        return torch.logsumexp(self.log_value(q), dim=-1) - torch.log(n)

    def __reduce__(self) -> tuple:
        # The two below travel by name, and arrive as themselves.
        if _BY_NAME.get(self.name) is self:
            return get, (self.name,)
        return Loss, (self.name, self.value, self.log_value, self.g, self.log_g)


def _logistic_value(q: Tensor) -> Tensor:
    q = as_float_tensor(q, "q")
    # F.softplus switches to the identity at 20 and loses ten digits there; logsigmoid
    # does not.
    return -F.logsigmoid(q)


def _logistic_log_value(q: Tensor) -> Tensor:
    q = as_float_tensor(q, "q")
    # log log(1 + e^{-q}) = -q - e^{-q}/2 + O(e^{-2q}): past q = 40 it is -q to rounding.
    return torch.where(q > 40.0, -q, torch.log(-F.logsigmoid(q.clamp_max(40.0))))


def _logistic_g(q: Tensor) -> Tensor:
    return torch.sigmoid(-as_float_tensor(q, "q"))


def _logistic_log_g(q: Tensor) -> Tensor:
    return F.logsigmoid(-as_float_tensor(q, "q"))


def _exponential(q: Tensor) -> Tensor:
    return torch.exp(-as_float_tensor(q, "q"))


def _minus(q: Tensor) -> Tensor:
    return -as_float_tensor(q, "q")


LOGISTIC = Loss(
    "logistic", _logistic_value, _logistic_log_value, _logistic_g, _logistic_log_g
)


EXPONENTIAL = Loss("exponential", _exponential, _minus, _exponential, _minus)


_BY_NAME = {loss.name: loss for loss in (LOGISTIC, EXPONENTIAL)}


def get(loss: str | Loss) -> Loss:
    """The loss of that name, ``"logistic"`` or ``"exponential"`` (a :class:`Loss`
    passes through).
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str) or loss not in _BY_NAME:
        fail("loss", " or ".join(map(repr, _BY_NAME)), shown(loss))
    return _BY_NAME[loss]
