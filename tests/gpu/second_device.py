"""A second device on the processor: tensors that refuse to meet those of the first, as
a GPU's do.

An :class:`Elsewhere` holds an ordinary tensor and says that it lives on :data:`DEVICE`.
Functions run on what it holds. Between the two devices they fail, except with single
numbers, copies and indices, where a GPU lets them pass; and so does ``numpy()``, for
there is no memory to share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("xla", 0)
"""A kind of device that torch can name, and that needs no driver to be named."""

CROSSING = {
    torch.Tensor.copy_,
    torch.Tensor.to,
    torch.as_tensor,
    torch.tensor,
    torch.asarray,
}
"""Functions made for two devices."""

INDEXING = {torch.Tensor.__getitem__, torch.Tensor.__setitem__}
"""Functions whose second argument, the indices, may lie on the processor."""

HOMEWARD = {torch.Tensor.cpu}
"""Methods whose result is on the processor."""

OWN = {torch.Tensor.device.__get__, torch.Tensor.is_cpu.__get__}
"""Properties of the tensor itself, not of what it holds."""

NO_MEMORY = {torch.Tensor.numpy, torch.Tensor.__array__, torch.Tensor.data_ptr}


class Elsewhere(torch.Tensor):
    """A tensor on :data:`DEVICE`; ``held`` has its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), dtype=held.dtype, device=DEVICE
        )
        made.held = held
        return made

    def __repr__(self) -> str:
        return f"Elsewhere({self.held})"

    def __deepcopy__(self, memo: dict) -> Elsewhere:
        return Elsewhere(self.held.clone())

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(
            f"{func} reached the second device past Python: what it holds was not used"
        )


class _Everywhere(TorchFunctionMode):
    """Sees the calls that name the device without having a tensor there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


@contextlib.contextmanager
def second_device() -> Iterator[torch.device]:
    """Within it, :data:`DEVICE` can be used like a GPU."""
    with _Everywhere():
        yield DEVICE


def run(func: Callable, args: tuple, kwargs: dict) -> object:
    """The function on what its tensors hold; its results are where they belong."""
    there = [
        leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Elsewhere)
    ]
    if not there and not _named(func, args, kwargs):
        return func(*args, **kwargs)
    with torch._C.DisableTorchFunctionSubclass():
        if func in OWN:
            return func(*args, **kwargs)
        if there:
            _check(func, args, kwargs)
        goes_there = _goes_there(func, args, kwargs)
        result = func(*_at_home(args), **_at_home(kwargs))
        known = {id(tensor.held): tensor for tensor in there}

        def placed(tensor: torch.Tensor) -> torch.Tensor:
            # What is changed in place stays itself.
            if goes_there and id(tensor) in known:
                return known[id(tensor)]
            return Elsewhere(tensor) if goes_there else tensor

        return tree_map_only(torch.Tensor, placed, result)


def _is_device(value: object) -> bool:
    return isinstance(value, torch.device) or (
        isinstance(value, str) and value.split(":")[0] in ("cpu", DEVICE.type)
    )


def _named(func: Callable, args: tuple, kwargs: dict) -> list[object]:
    """The devices that a call names."""
    given = [*args, *kwargs.values()]
    return [value for value in given if _is_device(value)]


def _check(func: Callable, args: tuple, kwargs: dict) -> None:
    """Refuse what a GPU refuses."""
    if func in NO_MEMORY:
        raise TypeError(
            f"can't convert {DEVICE} device type tensor to numpy; copy it to the "
            "processor first"
        )
    if func in CROSSING:
        return
    compared = (args[0], *args[2:]) if func in INDEXING else (args, kwargs)
    tensors = [leaf for leaf in tree_leaves(compared) if isinstance(leaf, torch.Tensor)]
    here = [
        tensor
        for tensor in tensors
        if not isinstance(tensor, Elsewhere) and tensor.ndim
    ]
    if here and any(isinstance(tensor, Elsewhere) for tensor in tensors):
        name = getattr(func, "__name__", func)
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found {DEVICE} and "
            f"cpu in {name}"
        )


def _goes_there(func: Callable, args: tuple, kwargs: dict) -> bool:
    """Whether the result lives on the second device."""
    if func in HOMEWARD:
        return False
    if func is torch.Tensor.copy_:
        return isinstance(args[0], Elsewhere)
    named = _named(func, args, kwargs)
    if named:
        return torch.device(named[-1]).type == DEVICE.type
    if func is torch.Tensor.to and len(args) > 1 and isinstance(args[1], torch.Tensor):
        return isinstance(args[1], Elsewhere)
    return any(isinstance(leaf, Elsewhere) for leaf in tree_leaves((args, kwargs)))


def _at_home(value: object) -> object:
    """The same call on the processor."""

    def home(leaf: object) -> object:
        if isinstance(leaf, Elsewhere):
            return leaf.held
        return torch.device("cpu") if _is_device(leaf) else leaf

    return tree_map_only((Elsewhere, torch.device, str), home, value)
