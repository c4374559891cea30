"""From what users hold, lists, numpy arrays, tensors of any device, to a tensor;
nothing is lost on the way in silence.

Each refusal is a ``TypeError`` whose words :mod:`implicit_bias.values.checks` completes
with the argument's name.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["as_tensor"]


def as_tensor(value: object) -> Tensor:
    """A dense tensor of real numbers or booleans; a tensor passes through, everything
    else is copied.
    """
    if isinstance(value, Tensor):
        return _dense(value)
    array = np.asarray(_unmasked(value))
    if array.dtype.kind == "O":
        # Fractions, decimals, columns of a table: numbers that numpy has no type for.
        array = _from_objects(array)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"an array of {array.dtype}, not of numbers")
    if array.dtype in (np.longdouble, np.clongdouble) or array.dtype.kind == "u":
        # torch has no long doubles, and computes with unsigned numbers in part only.
        array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    # The copy settles read-only memory, negative strides and foreign byte order at once.
    return torch.from_numpy(
        np.array(array, dtype=array.dtype.newbyteorder("="), copy=True, order="K")
    )


def _dense(tensor: Tensor) -> Tensor:
    if tensor.is_meta:
        raise TypeError("a tensor on the meta device, which holds no numbers")
    if tensor.layout != torch.strided or tensor.is_nested:
        raise TypeError(
            "a sparse or nested tensor; .to_dense() or padding makes it dense"
        )
    if tensor.is_quantized:
        raise TypeError("a quantized tensor; .dequantize() gives its numbers")
    if hasattr(tensor, "get_mask"):
        raise TypeError(
            "a masked tensor; say what its masked entries are, with .to_tensor(value)"
        )
    return tensor.resolve_neg().resolve_conj()


def _from_objects(array: np.ndarray) -> np.ndarray:
    if any(entry is None or isinstance(entry, (str, bytes)) for entry in array.flat):
        raise TypeError("objects that are no numbers among its entries")
    return array.astype(np.float64)


def _unmasked(value: object) -> object:
    """Lists without tensors or masked arrays in them; a masked array only if nothing is
    masked.
    """
    if isinstance(value, np.ma.MaskedArray):
        if bool(np.ma.getmaskarray(value).any()):
            place = tuple(int(i) for i in np.argwhere(np.ma.getmaskarray(value))[0])
            raise TypeError(
                f"masked at index {place}; leave such entries out, or fill them"
            )
        return value.data
    if isinstance(value, Tensor):
        dense = _dense(value.detach()).cpu()
        return (
            dense.to(torch.float64).numpy()
            if dense.dtype == torch.bfloat16
            else dense.numpy()
        )
    if isinstance(value, (list, tuple)):
        return [_unmasked(entry) if _may_hide(entry) else entry for entry in value]
    return value


def _may_hide(entry: object) -> bool:
    return isinstance(entry, (list, tuple, Tensor, np.ma.MaskedArray))
