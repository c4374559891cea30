"""Checks of what callers pass in. Each raises ``ValueError`` naming the argument, the place and the value."""

from __future__ import annotations

import math
import operator

import numpy as np
import torch
from torch import Tensor

from ._arrays import as_tensor

__all__ = [
    "LARGEST_INTEGER",
    "as_float_tensor",
    "fail",
    "finite",
    "gamma_in_range",
    "number",
    "numbers",
    "own_tensor",
    "positive",
    "positive_int",
    "probability",
    "scalar_or_tensor",
    "seed_number",
    "sorted_numbers",
]

LARGEST_INTEGER = 2**63 - 1
"""The largest integer that torch can hold."""


def fail(argument: str, expected: str, got: object) -> None:
    """Raise the one kind of error this library raises for bad input."""
    raise ValueError(f"{argument}: expected {expected}, got {got}")


def _shown(value: object) -> str:
    """A value for a message, not longer than a line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def as_float_tensor(value: object, argument: str) -> Tensor:
    """A floating tensor (float64 unless the caller's own is float32); a tensor keeps its memory and
    its graph.
    """
    try:
        tensor = as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        kind = type(value).__name__
        raise ValueError(f"{argument}: expected an array of real numbers, got {kind} ({error})") from error
    if tensor.dtype in (torch.float32, torch.float64):
        return tensor
    if tensor.dtype == torch.bool:
        fail(argument, "real numbers (of True and False, 2 * value - 1 makes 1 and -1)", tensor.dtype)
    if tensor.is_complex():
        fail(argument, "real numbers", tensor.dtype)
    return tensor.to(torch.float64)


def own_tensor(value: object, argument: str) -> Tensor:
    """:func:`as_float_tensor`, as a copy that no one else holds, without a graph of gradients."""
    tensor = as_float_tensor(value, argument).detach()
    return tensor.clone()


def finite(tensor: Tensor, argument: str) -> None:
    """Refuse NaN and infinity, and say where the first one stands."""
    bad = ~torch.isfinite(tensor)
    if bad.any():
        place = tuple(bad.nonzero()[0].tolist())
        fail(argument, "finite numbers", f"{tensor[place].item()} at index {place}")


def numbers(value: object, argument: str) -> Tensor:
    """A number, or a tensor of them, in float64."""
    if type(value) is float or type(value) is int:
        try:
            return torch.tensor(float(value), dtype=torch.float64)
        except OverflowError:
            fail(argument, "a number that float64 can hold", _shown(value))
    if value is None or isinstance(value, (bool, np.bool_, str, bytes)):
        fail(argument, "a number or a tensor of numbers", _shown(value))
    return as_float_tensor(value, argument).detach().to(torch.float64)


def number(value: object, argument: str, expected: str = "a finite number") -> float:
    """One finite number, as a float; ``expected`` says what else it must be."""
    tensor = numbers(value, argument)
    if tensor.ndim:
        fail(argument, "one number", f"an array of shape {tuple(tensor.shape)}")
    if not bool(torch.isfinite(tensor)):
        fail(argument, expected, tensor.item())
    return tensor.item()


def sorted_numbers(values: object, argument: str, expected: str) -> list[float]:
    """Finite numbers, at least one, each once and in order."""
    try:
        wanted = sorted({float(value) for value in values})
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{argument}: expected {expected}, got {_shown(values)}") from error
    if not wanted or not all(map(math.isfinite, wanted)):
        fail(argument, expected, _shown(values))
    return wanted


def scalar_or_tensor(value: object, argument: str) -> float | Tensor:
    """Numbers as this library keeps them: a float, or a tensor of its own (lists and arrays become
    float64).
    """
    if isinstance(value, Tensor):
        return own_tensor(value, argument)
    tensor = numbers(value, argument)
    return tensor.clone() if tensor.ndim else tensor.item()


def positive(value: object, argument: str, *, zero: bool = False) -> None:
    """Refuse anything but numbers above 0 (at least 0 with ``zero``); tensors are checked entry by entry."""
    tensor = numbers(value, argument)
    ok = torch.isfinite(tensor) & ((tensor >= 0) if zero else (tensor > 0))
    if not bool(ok.all()):
        bad = tensor.flatten()[~ok.flatten()][0].item()
        fail(argument, "a finite number >= 0" if zero else "a finite number > 0", bad)


def positive_int(value: object, argument: str, *, least: int = 1, most: int = LARGEST_INTEGER) -> int:
    """An integer from ``least`` to ``most``; accepts ``1e10`` as people write it, and integers held
    in arrays.
    """
    expected = f"an integer >= {least}"
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        fail(argument, expected, _shown(value))
    if not math.isfinite(value) or int(value) != value or value < least:
        fail(argument, expected, _shown(value))
    if int(value) > most:
        largest = f"{most:,}" if most <= LARGEST_INTEGER else f"{float(most):.0e}"
        fail(argument, f"{expected} and at most {largest}", _shown(value))
    return int(value)


def seed_number(seed: object, argument: str = "seed") -> int | None:
    """A seed: None, or a whole number from 0 to 2³² - 1 (others would repeat the draws of one of
    these).
    """
    if seed is None:
        return None
    boolean = isinstance(seed, (bool, np.bool_)) or getattr(seed, "dtype", None) == torch.bool
    try:
        whole = None if boolean else operator.index(seed)
    except TypeError:
        whole = None
    if whole is None or not 0 <= whole < 2**32:
        fail(argument, "a whole number from 0 to 2**32 - 1, or None", _shown(seed))
    return whole


def probability(value: object, argument: str) -> None:
    """Refuse numbers outside [0, 1)."""
    if not 0 <= number(value, argument) < 1:
        fail(argument, "a number in [0, 1)", _shown(value))


def gamma_in_range(gamma: object, *, zero: bool = False) -> None:
    """The leak must lie in (0, 1]; 0 is ReLU, which formulas that divide by gamma refuse."""
    tensor = numbers(gamma, "gamma")
    low = (tensor >= 0) if zero else (tensor > 0)
    ok = torch.isfinite(tensor) & low & (tensor <= 1)
    if not bool(ok.all()):
        bad = tensor.flatten()[~ok.flatten()][0].item()
        extra = "" if zero or bad != 0 else " (gamma = 0 is ReLU, and this formula divides by gamma)"
        fail("gamma", ("a leak in [0, 1]" if zero else "a leak in (0, 1]") + extra, bad)
