"""What comes in as numbers, flags and choices, one or several, looked at once."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import SupportsFloat, SupportsIndex

import numpy as np
import torch
from torch import Tensor

from .arrays import as_tensor
from .checks import as_float_tensor, fail, own_tensor, shown

__all__ = [
    "LARGEST_INTEGER",
    "a_choice",
    "a_flag",
    "failure_probability",
    "gamma_in_range",
    "leak_tensor",
    "number",
    "number_between",
    "numbers",
    "positive",
    "positive_int",
    "probability",
    "scalar_or_tensor",
    "seed_number",
    "sorted_numbers",
    "whole_number",
]


LARGEST_INTEGER = 2**63 - 1
"""The largest integer that torch can hold."""


def numbers(value: object, argument: str) -> Tensor:
    """A number, or a tensor of them, in float64."""
    if type(value) is float or type(value) is int:
        try:
            return torch.tensor(float(value), dtype=torch.float64)
        except OverflowError:
            fail(argument, "a number that float64 can hold", shown(value))
    if value is None or isinstance(value, (bool, np.bool_, str, bytes)):
        fail(argument, "a number or a tensor of numbers", shown(value))
    tensor = as_float_tensor(value, argument).detach().to(torch.float64)
    if tensor.numel() == 0:
        fail(
            argument,
            "at least one number",
            f"an empty array of shape {tuple(tensor.shape)}",
        )
    return tensor


def number(value: object, argument: str, expected: str = "a finite number") -> float:
    """One finite number, as a float; ``expected`` says what else it must be."""
    tensor = numbers(value, argument)
    if tensor.ndim:
        fail(argument, "one number", f"an array of shape {tuple(tensor.shape)}")
    if not bool(torch.isfinite(tensor)):
        fail(argument, expected, tensor.item())
    return tensor.item()


def number_between(
    value: object,
    argument: str,
    low: float,
    high: float,
    expected: str,
    *,
    ends: str = "[]",
) -> float:
    """One number from ``low`` to ``high``; ``ends`` says which of the two it may be."""
    found = number(value, argument, expected)
    above = found >= low if ends[0] == "[" else found > low
    below = found <= high if ends[1] == "]" else found < high
    if not (above and below):
        fail(argument, expected, found)
    return found


def a_flag(value: object, argument: str) -> bool:
    """True or False, and nothing that Python or numpy would merely take for one of them."""
    if not isinstance(value, (bool, np.bool_)):
        fail(argument, "True or False", shown(value))
    return bool(value)


def a_choice(value: object, argument: str, choices: Sequence[str]) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in choices:
        fail(argument, f"one of {', '.join(map(repr, choices))}", shown(value))
    return value


def sorted_numbers(
    values: Iterable[SupportsFloat] | np.ndarray | Tensor, argument: str, expected: str
) -> list[float]:
    """Finite numbers, at least one, each once and in order."""
    try:
        if isinstance(values, (np.ndarray, Tensor)):
            values = as_float_tensor(values, argument).detach().tolist()
        wanted = sorted({float(value) for value in values})
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(
            f"{argument}: expected {expected}, got {shown(values)}"
        ) from error
    if not wanted or not all(map(math.isfinite, wanted)):
        fail(argument, expected, shown(values))
    return wanted


def leak_tensor(gamma: object) -> Tensor:
    """The leak, in (0, 1], in float64."""
    return torch.as_tensor(gamma_in_range(gamma), dtype=torch.float64)


def scalar_or_tensor(value: object, argument: str) -> float | Tensor:
    """Numbers as this library keeps them: a float, or a tensor of its own (lists and
    arrays become float64).
    """
    if isinstance(value, Tensor):
        numbers(value, argument)
        return own_tensor(value, argument)
    tensor = numbers(value, argument)
    return tensor.clone() if tensor.ndim else tensor.item()


def positive(value: object, argument: str, *, zero: bool = False) -> float | Tensor:
    """Numbers above 0 (at least 0 with ``zero``), as :func:`scalar_or_tensor` gives
    them; tensors are checked entry by entry.
    """
    tensor = numbers(value, argument)
    ok = torch.isfinite(tensor) & ((tensor >= 0) if zero else (tensor > 0))
    if not bool(ok.all()):
        bad = tensor.flatten()[~ok.flatten()][0].item()
        fail(argument, "a finite number >= 0" if zero else "a finite number > 0", bad)
    return scalar_or_tensor(value, argument)


def positive_int(
    value: object, argument: str, *, least: int = 1, most: int = LARGEST_INTEGER
) -> int:
    """An integer from ``least`` to ``most``; accepts ``1e10`` as people write it, and
    integers held in arrays.
    """
    expected = f"an integer >= {least}"
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
        value = _item(value, argument)
    if isinstance(value, (bool, np.bool_)) or not isinstance(
        value, (int, float, np.integer, np.floating)
    ):
        fail(argument, expected, shown(value))
    whole = isinstance(value, int) or (math.isfinite(value) and int(value) == value)
    if not whole or value < least:
        fail(argument, expected, shown(value))
    if int(value) > most:
        largest = f"{most:,}" if most <= LARGEST_INTEGER else f"{float(most):.0e}"
        fail(argument, f"{expected} and at most {largest}", shown(value))
    return int(value)


def _item(value: Tensor | np.ndarray, argument: str) -> object:
    """The one number or boolean of an array without dimensions."""
    try:
        return as_tensor(value).item()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{argument}: expected one number, got {shown(value)} ({error})"
        ) from error


def whole_number(value: object) -> int | None:
    """An integer, or None for what is none; True is none."""
    boolean = isinstance(value, (bool, np.bool_))
    if boolean or getattr(value, "dtype", None) == torch.bool:
        return None
    if not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def seed_number(seed: object, argument: str = "seed") -> int | None:
    """A seed: None, or a whole number from 0 to 2³² - 1 (others would repeat the draws
    of one of these).
    """
    if seed is None:
        return None
    whole = whole_number(seed)
    if whole is None or not 0 <= whole < 2**32:
        fail(argument, "a whole number from 0 to 2**32 - 1, or None", shown(seed))
    return whole


def probability(value: object, argument: str) -> float:
    """A number in [0, 1)."""
    return number_between(value, argument, 0, 1, "a number in [0, 1)", ends="[)")


def failure_probability(delta: object) -> float:
    """δ, the probability that a statement about random draws leaves to bad luck: in (0,
    1).
    """
    return number_between(delta, "delta", 0, 1, "a probability in (0, 1)", ends="()")


def gamma_in_range(gamma: object, *, zero: bool = False) -> float | Tensor:
    """The leak, in (0, 1], as :func:`scalar_or_tensor` gives it; 0 is ReLU, which
    formulas that divide by gamma refuse.
    """
    tensor = numbers(gamma, "gamma")
    low = (tensor >= 0) if zero else (tensor > 0)
    ok = torch.isfinite(tensor) & low & (tensor <= 1)
    if not bool(ok.all()):
        bad = tensor.flatten()[~ok.flatten()][0].item()
        extra = (
            ""
            if zero or bad != 0
            else " (gamma = 0 is ReLU, and this formula divides by gamma)"
        )
        fail("gamma", ("a leak in [0, 1]" if zero else "a leak in (0, 1]") + extra, bad)
    return scalar_or_tensor(gamma, "gamma")
