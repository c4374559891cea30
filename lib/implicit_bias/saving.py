"""Results as plain dictionaries of tensors, numbers and words, and files of them.

Such a file loads with ``torch.load(path, weights_only=True)`` anywhere. With this
library imported, so does one made by ``torch.save(result, path)``: its classes are
entered among those that torch may rebuild.
"""

from __future__ import annotations

import os
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import ClassVar, NoReturn, Self

import torch
from torch import Tensor

from . import losses
from .values.checks import fail, shown

__all__ = ["Savable"]


KIND = "kind"


_SAVABLE: dict[str, type] = {}


torch.serialization.add_safe_globals([losses.get, torch.Size])


class Savable:
    """A base for the dataclasses of this library that can be written to a file and read
    again.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    def __init_subclass__(cls, **rest: object) -> None:
        super().__init_subclass__(**rest)
        # Not what users derive: torch.load rebuilds only what is known to do no harm.
        if cls.__module__.split(".")[0] == __name__.split(".")[0]:
            _SAVABLE[cls.__name__] = cls
            torch.serialization.add_safe_globals([cls])

    def state_dict(self) -> dict[str, object]:
        """Everything in it as a dictionary of tensors, numbers, words, and dictionaries
        of these.

        Raises
        ------
        ValueError
            If it holds an activation or a loss of your own, which are code: pickle does
            these.
        """
        return _encode_fields(self)

    @classmethod
    def from_state_dict(cls, state: dict[str, object]) -> Self:
        """What :meth:`state_dict` was taken of, checked like any other input."""
        value = _decode(state)
        if not isinstance(value, cls):
            fail(
                "state",
                f"the state of a {cls.__name__}",
                f"that of a {type(value).__name__}",
            )
        return value

    def save(self, path: str | os.PathLike) -> None:
        """Write :meth:`state_dict` to a file: whole, or not at all."""
        part = Path(f"{os.fspath(path)}.{os.getpid()}.part")
        try:
            torch.save(self.state_dict(), part)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike, device: str | torch.device = "cpu") -> Self:
        """Read what :meth:`save` wrote, onto a device; no code in the file is run."""
        return cls.from_state_dict(
            torch.load(path, map_location=device, weights_only=True)
        )


def _encode_fields(value: Savable) -> dict[str, object]:
    kind = type(value).__name__
    if _SAVABLE.get(kind) is not type(value):
        _refuse(value)
    return {KIND: kind} | {
        f.name: _encode(getattr(value, f.name)) for f in fields(value)
    }


def _refuse(value: object) -> NoReturn:
    fail("state", "objects of this library (pickle saves your own)", shown(value))


def _encode(value: object) -> object:
    if isinstance(value, losses.Loss):
        if value not in (losses.LOGISTIC, losses.EXPONENTIAL):
            fail(
                "loss",
                "one of this library's (pickle saves one of your own)",
                value.name,
            )
        return {KIND: "Loss", "name": value.name}
    if isinstance(value, Savable):
        return _encode_fields(value)
    if is_dataclass(value):
        _refuse(value)
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: _encode(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(map(_encode, value))
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return fail("state", "tensors, numbers and words", shown(value))


def _decode(value: object) -> object:
    if isinstance(value, (tuple, list)):
        return tuple(map(_decode, value))
    if not isinstance(value, dict):
        return value
    entries = {key: _decode(entry) for key, entry in value.items() if key != KIND}
    if KIND not in value:
        return entries
    kind = value[KIND]
    if kind == "Loss":
        name = entries.get("name")
        if not isinstance(name, str):
            fail("loss", "the name of one", shown(name))
        return losses.get(name)
    if kind not in _SAVABLE:
        fail("state", f"a kind among {', '.join(_SAVABLE)}", shown(kind))
    unknown = entries.keys() - {f.name for f in fields(_SAVABLE[kind])}
    if unknown:
        fail(
            "state",
            f"the fields of a {kind}",
            f"{sorted(unknown)} too (is it of a newer version?)",
        )
    return _SAVABLE[kind](**entries)
