"""Checks of what callers pass in. Each raises ``ValueError`` naming the argument, the place and the value."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["as_float_tensor", "fail", "finite", "gamma_in_range", "numbers", "positive", "positive_int", "probability"]


def fail(argument: str, expected: str, got: object) -> None:
    """Raise the one kind of error this library raises for bad input."""
    raise ValueError(f"{argument}: expected {expected}, got {got}")


def as_float_tensor(value: object, argument: str) -> Tensor:
    """A floating tensor (float64 unless the caller's own is float32), sharing memory where it can."""
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{argument}: expected an array of numbers, got {type(value).__name__} ({error})") from error
    if tensor.is_complex() or tensor.dtype == torch.bool:
        fail(argument, "real numbers", tensor.dtype)
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.to(torch.float64)


def finite(tensor: Tensor, argument: str) -> None:
    """Refuse NaN and infinity, and say where the first one stands."""
    bad = ~torch.isfinite(tensor)
    if bad.any():
        place = tuple(bad.nonzero()[0].tolist())
        fail(argument, "finite numbers", f"{tensor[place].item()} at index {place}")


def numbers(value: object, argument: str) -> Tensor:
    """A number, or a tensor of them, in float64."""
    try:
        return torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{argument}: expected a number or a tensor of numbers, got {value!r}") from error


def positive(value: object, argument: str, *, zero: bool = False) -> None:
    """Refuse anything but numbers above 0 (at least 0 with ``zero``); tensors are checked entry by entry."""
    tensor = numbers(value, argument)
    ok = torch.isfinite(tensor) & ((tensor >= 0) if zero else (tensor > 0))
    if not bool(ok.all()):
        bad = tensor.flatten()[~ok.flatten()][0].item()
        fail(argument, "a finite number >= 0" if zero else "a finite number > 0", bad)


def positive_int(value: object, argument: str, *, least: int = 1) -> int:
    """An integer of at least ``least``; accepts ``1e10`` as people write it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        fail(argument, f"an integer >= {least}", repr(value))
    if not math.isfinite(value) or int(value) != value or value < least:
        fail(argument, f"an integer >= {least}", value)
    return int(value)


def probability(value: float, argument: str) -> None:
    """Refuse numbers outside [0, 1)."""
    if not 0 <= float(numbers(value, argument)) < 1:
        fail(argument, "a number in [0, 1)", value)


def gamma_in_range(gamma: object, *, zero: bool = False) -> None:
    """The leak must lie in (0, 1]; 0 is ReLU, which formulas that divide by gamma refuse."""
    tensor = numbers(gamma, "gamma")
    low = (tensor >= 0) if zero else (tensor > 0)
    ok = torch.isfinite(tensor) & low & (tensor <= 1)
    if not bool(ok.all()):
        bad = tensor.flatten()[~ok.flatten()][0].item()
        extra = "" if zero or bad != 0 else " (gamma = 0 is ReLU, and this formula divides by gamma)"
        fail("gamma", ("a leak in [0, 1]" if zero else "a leak in (0, 1]") + extra, bad)
