r"""The two losses, and everything about them that must survive margins of ±10⁴.

``ℓ(q)`` is ``log(1 + e^{-q})`` (logistic) or ``e^{-q}`` (exponential), and ``g(q) = -ℓ'(q)``. A naive ``log(1 +
e^{-q})`` is exactly 0 from q = 37 on in float64; the logarithms below stay exact to rounding at any margin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ._checks import fail

__all__ = ["EXPONENTIAL", "LOGISTIC", "Loss", "get"]


@dataclass(frozen=True)
class Loss:
    """A loss of the margin ``q = y f(x)``: ``value`` ℓ, ``log_value`` log ℓ, ``g`` -ℓ′ and
    ``log_g``, elementwise.

    One of your own is pickled if its four functions are: define them at the top of a module.
    """

    name: str
    value: Callable[[Tensor], Tensor]
    log_value: Callable[[Tensor], Tensor]
    g: Callable[[Tensor], Tensor]
    log_g: Callable[[Tensor], Tensor]

    def log_mean(self, q: Tensor) -> Tensor:
        """``log L`` (...) of margins (..., n), by log-sum-exp."""
        n = torch.as_tensor(float(q.shape[-1]), dtype=q.dtype, device=q.device)
        return torch.logsumexp(self.log_value(q), dim=-1) - torch.log(n)

    def __reduce__(self) -> tuple:
        # The two below travel by name, and arrive as themselves.
        if _BY_NAME.get(self.name) is self:
            return get, (self.name,)
        return Loss, (self.name, self.value, self.log_value, self.g, self.log_g)


def _logistic_value(q: Tensor) -> Tensor:
    # F.softplus switches to the identity at 20 and loses ten digits there; logsigmoid does not.
    return -F.logsigmoid(q)


def _logistic_log_value(q: Tensor) -> Tensor:
    # log log(1 + e^{-q}) = -q - e^{-q}/2 + O(e^{-2q}): past q = 40 it is -q to rounding.
    return torch.where(q > 40.0, -q, torch.log(-F.logsigmoid(q.clamp_max(40.0))))


def _logistic_g(q: Tensor) -> Tensor:
    return torch.sigmoid(-q)


def _logistic_log_g(q: Tensor) -> Tensor:
    return F.logsigmoid(-q)


def _exponential(q: Tensor) -> Tensor:
    return torch.exp(-q)


def _minus(q: Tensor) -> Tensor:
    return -q


LOGISTIC = Loss("logistic", _logistic_value, _logistic_log_value, _logistic_g, _logistic_log_g)
EXPONENTIAL = Loss("exponential", _exponential, _minus, _exponential, _minus)

_BY_NAME = {loss.name: loss for loss in (LOGISTIC, EXPONENTIAL)}


def get(loss: str | Loss) -> Loss:
    """The loss of that name, ``"logistic"`` or ``"exponential"`` (a :class:`Loss` passes through)."""
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str) or loss not in _BY_NAME:
        fail("loss", " or ".join(map(repr, _BY_NAME)), repr(loss))
    return _BY_NAME[loss]
