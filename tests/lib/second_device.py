"""A second device on the processor: tensors that refuse to meet those of the first, as a GPU's do.

A :class:`Elsewhere` holds an ordinary tensor and says that it lives on :data:`DEVICE`. Operations run on what it
holds. Between the two devices they fail, except with single numbers, copies and indices, where a GPU lets them pass;
and so do ``numpy()`` and ``from_numpy``, for there is no memory to share.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("xla", 0)
"""A kind of device that torch can name, and that needs no driver to be named."""

aten = torch.ops.aten
CROSSES = {aten.copy_.default, aten._to_copy.default}
"""Operations made for two devices."""

INDEXES = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
"""Operations whose indices may lie on the processor."""


class Elsewhere(torch.Tensor):
    """A tensor on :data:`DEVICE`; ``held`` has its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
            requires_grad=held.requires_grad,
        )
        made.held = held
        return made

    def __repr__(self) -> str:
        return f"Elsewhere({self.held})"

    def __reduce_ex__(self, protocol: int) -> tuple:
        return Elsewhere, (self.held,)

    def numpy(self, *args: object, **kwargs: object) -> None:
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy; copy it to the processor first")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


def run(func, args: tuple, kwargs: dict) -> object:
    """The operation on what its tensors hold; its results are where they belong."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    asked = kwargs.get("device")
    if there and func not in CROSSES:
        compared = tensors if func not in INDEXES else [args[0], *args[2:3]]
        strangers = [t for t in compared if isinstance(t, torch.Tensor) and not isinstance(t, Elsewhere) and t.ndim]
        if strangers:
            raise RuntimeError(f"Expected all tensors to be on the same device, but found {DEVICE} and cpu in {func}")
    goes_there = bool(there) if asked is None else torch.device(asked).type == DEVICE.type
    if func is aten.copy_.default:
        goes_there = isinstance(args[0], Elsewhere)
    if asked is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    plain_args, plain = tree_map_only(Elsewhere, lambda t: t.held, (args, kwargs))
    result = func(*plain_args, **plain)
    known = {id(tensor.held): tensor for tensor in there}

    def placed(tensor: torch.Tensor) -> torch.Tensor:
        return known.get(id(tensor)) or (Elsewhere(tensor) if goes_there else tensor)

    return tree_map_only(torch.Tensor, lambda t: known[id(t)] if id(t) in known else placed(t), result)


class _Factories(TorchDispatchMode):
    """Makes tensors on the second device where a call names it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


@contextlib.contextmanager
def second_device() -> Iterator[torch.device]:
    """Within it, :data:`DEVICE` can be used like a GPU."""
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with _Factories():
            yield DEVICE
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
