"""What it means that two results are equal: the same kind, and the same numbers to the
last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import ClassVar

from torch import Tensor

__all__ = ["Comparable", "same"]


def same(one: object, other: object) -> bool:
    """Whether two values hold the same: NaN equals NaN, and the device does not matter;
    the dtype does.
    """
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return (
            isinstance(one, Tensor)
            and isinstance(other, Tensor)
            and _same_tensors(one, other)
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one
        )
    return bool(one == other) or (one != one and other != other)


def _same_tensors(one: Tensor, other: Tensor) -> bool:
    if one is other:
        return True
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    one = one.detach().cpu()
    other = other.detach().cpu()
    return bool(((one == other) | ((one != one) & (other != other))).all())


class Comparable:
    """A base for dataclasses that hold tensors: ``==`` says whether two have the same
    fields, bit for bit.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[object]]]

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            same(getattr(self, f.name), getattr(other, f.name))
            for f in fields(self)
            if f.compare
        )

    def __hash__(self) -> int:
        # Equal ones have equal shapes; reading every number would make a large data set
        # a slow key.
        shapes = tuple(
            tuple(value.shape) for value in self._values() if isinstance(value, Tensor)
        )
        return hash((type(self).__name__, shapes))

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, f.name) for f in fields(self) if f.compare)
