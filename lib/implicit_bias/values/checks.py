"""What comes in as arrays, looked at once: errors that name the argument, the place and
the value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeGuard

import torch
from torch import Tensor

from .arrays import as_tensor

__all__ = [
    "as_float_tensor",
    "destination",
    "fail",
    "finite",
    "fits_memory",
    "joint_shape",
    "own_tensor",
    "shown",
]


FLOATING = frozenset({torch.float32, torch.float64})
"""Kinds of numbers that the library computes with."""


def fail(argument: str, expected: str, got: object) -> NoReturn:
    """Raise the one kind of error this library raises for bad input."""
    raise ValueError(f"{argument}: expected {expected}, got {shown(got, str, 300)}")


def shown(
    value: object, write: Callable[[object], str] = repr, longest: int = 80
) -> str:
    """A value for a message, not longer than a line."""
    try:
        text = write(value)
    except Exception:
        # Python writes no integer of more than 4300 digits; other objects may write
        # nothing at all.
        return f"one {type(value).__name__} that cannot be written"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _ordinary(value: object) -> TypeGuard[Tensor]:
    """Whether this is a plain tensor, of which nothing is asked: steps of descent pass
    here.
    """
    return (
        type(value) is Tensor
        and value.dtype in FLOATING
        and value.layout is torch.strided
        and not (value.is_meta or value.is_nested or value.is_neg())
    )


def as_float_tensor(value: object, argument: str) -> Tensor:
    """A floating tensor (float64 unless the caller's own is float32); a tensor keeps
    its memory and its graph.
    """
    if _ordinary(value):
        return value
    try:
        tensor = as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        kind = type(value).__name__
        raise ValueError(
            f"{argument}: expected an array of real numbers, got {kind} ({error})"
        ) from error
    if tensor.dtype in FLOATING:
        return tensor
    if tensor.dtype == torch.bool:
        fail(
            argument,
            "real numbers (of True and False, 2 * value - 1 makes 1 and -1)",
            tensor.dtype,
        )
    if tensor.is_complex():
        fail(argument, "real numbers", tensor.dtype)
    return tensor.to(torch.float64)


def destination(*args: object, **named: object) -> None:
    """Refuse arguments that ``Tensor.to`` would not take, or that would round the
    numbers away.
    """
    given = ", ".join(
        [
            *map(shown, args),
            *(f"{name}={shown(value)}" for name, value in named.items()),
        ]
    )
    expected = (
        "a device that holds numbers, torch.float32 or torch.float64, as for Tensor.to"
    )
    kinds = (str, int, torch.device, torch.dtype, Tensor, type(None))
    if not args + tuple(named.values()) or (args and not isinstance(args[0], kinds)):
        fail("to", expected, given or "nothing")
    # What arguments there may be, torch says itself.
    move: Callable[..., Tensor] = torch.zeros((), dtype=torch.float64).to
    try:
        probe = move(*args, **named)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"to: expected {expected}, got {given} ({error})") from error
    if probe.is_meta or probe.dtype not in FLOATING:
        fail("to", expected, given)


def own_tensor(value: object, argument: str) -> Tensor:
    """:func:`as_float_tensor`, as a copy that no one else holds, without a graph of
    gradients.
    """
    tensor = as_float_tensor(value, argument).detach()
    return tensor.clone()


def finite(tensor: Tensor, argument: str) -> None:
    """Refuse NaN and infinity, and say where the first one stands."""
    bad = ~torch.isfinite(tensor)
    if bad.any():
        place = tuple(bad.nonzero()[0].tolist())
        fail(argument, "finite numbers", f"{tensor[place].item()} at index {place}")


def joint_shape(*shapes: Sequence[int]) -> torch.Size | None:
    """The shape that batches have together, None where they do not broadcast."""
    try:
        return torch.broadcast_shapes(*map(tuple, shapes))
    except RuntimeError:
        return None


def fits_memory(count: int, argument: str, got: object) -> None:
    """Refuse sizes that need more float64 numbers at once than half of this machine's
    memory holds: a copy is made sooner or later.
    """
    try:
        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 16
    except (AttributeError, ValueError, OSError):
        most = 2**33
    if count > most:
        need = f"{float(count):.1e}" if count < 10**300 else "far more"
        fail(
            argument,
            f"a size that memory holds ({float(most):.1e} numbers; this needs {need})",
            got,
        )
