"""What a check is given, looked at before it is checked: runs, networks, data, numbers and
flags.
"""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, wraps

import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..networks.two_layer import TwoLayer
from ..training.trajectory import DESCENT, FLOW, Trajectory
from ..values.checks import fail, joint_shape
from ..values.scalars import a_flag, failure_probability, number, positive
from .genuine import genuine
from .verdict import FAILS, HOLDS, UNDECIDED, Verdict

__all__ = ["guarded"]


def guarded(check: Callable, rules: Mapping[str, tuple[str, ...]]) -> Callable:
    """A check that first looks at what it is given: runs by :func:`genuine`, networks
    and data by their type and fit.

    ``rules`` says for each argument that takes a run which rules it takes; without an
    entry, an argument called ``flow`` takes gradient flow, and any other gradient
    descent.
    """
    signature = inspect.signature(check)

    @wraps(check)
    def wrapper(*args: object, **named: object) -> object:
        bound = signature.bind(*args, **named)
        given = bound.arguments
        for name, kind in _kinds(check).items():
            if given.get(name) is not None or (name in given and kind[1]):
                _admit(name, given[name], kind[0], rules.get(name))
        for name, value in given.items():
            if value is not None or signature.parameters[name].default is not None:
                given[name] = _admitted_number(check, name, value)
        nets = [value for value in given.values() if isinstance(value, TwoLayer)]
        data = given.get("data")
        if isinstance(data, Dataset):
            for net in nets:
                _fits(net, data)
        _one_batch(given)
        for name, value in given.items():
            given[name] = _at_home(value)
        return _as_far_as_known(check(*bound.args, **bound.kwargs), given.values())

    return wrapper


def _at_home(value: object) -> object:
    """What a check looks at, on the processor: small numbers of many kinds, which a GPU
    would only slow down.
    """
    if isinstance(value, Trajectory):
        return value if value.data.x.device.type == "cpu" else value.to("cpu")
    if isinstance(value, (TwoLayer, Dataset, Tensor)):
        return value.to("cpu")
    return value


def _as_far_as_known(verdict: Verdict, given: Iterable[object]) -> Verdict:
    """A flow that went across kinks is known to its resolution, and decides nothing
    that the hypotheses leave open.
    """
    rough = [
        value.resolution
        for value in given
        if isinstance(value, Trajectory) and value.resolution is not None
    ]
    if not rough or verdict.verdict not in (HOLDS, FAILS):
        return verdict
    known = "unknown" if math.isnan(max(rough)) else f"{max(rough):.1e}"
    why = (
        f"The flow went across kinks in steps; its resolution is {known}. {verdict.why}"
    )
    return replace(verdict, verdict=UNDECIDED, why=why)


@cache
def _kinds(check: Callable) -> dict[str, tuple[type, bool]]:
    """Which arguments are runs, networks or data, and whether each must be given."""
    kinds: dict[str, tuple[type, bool]] = {}
    for name, hint in _hints(check).items():
        options = typing.get_args(hint) or (hint,)
        for kind in (Trajectory, TwoLayer, Dataset):
            if kind in options and name != "return":
                kinds[name] = (kind, type(None) not in options)
    return kinds


SIZES = ("C", "c", "constant", "rho", "scale", "step_size")
"""Arguments of checks that are numbers above 0 where they are given."""


FLAGS = ("everywhere", "gaussian", "search")


def _admitted_number(check: Callable, name: str, value: object) -> object:
    """A number or a flag among the arguments of a check, refused where it is none."""
    if name in FLAGS:
        return a_flag(value, name)
    if name == "delta":
        return failure_probability(value)
    if name in SIZES or name == "H":
        found = positive(value, name, zero=name == "H")
        several = Tensor in typing.get_args(_hints(check)[name])
        return (
            torch.as_tensor(found, dtype=torch.float64)
            if several
            else number(found, name)
        )
    return value


@cache
def _hints(check: Callable) -> dict[str, object]:
    return typing.get_type_hints(check)


def _one_batch(given: dict[str, object]) -> None:
    """Refuse networks, data, runs and numbers whose batch shapes do not go together."""
    shapes = {}
    for name, value in given.items():
        if isinstance(value, Trajectory):
            shapes[name] = value.log_loss.shape[1:]
        elif isinstance(value, TwoLayer):
            shapes[name] = value.weights.shape[:-2]
        elif isinstance(value, Dataset):
            shapes[name] = value.x.shape[:-2]
    if not shapes:
        return
    sizes = {name: given.get(name) for name in SIZES}
    numbers = {
        name: size.shape for name, size in sizes.items() if isinstance(size, Tensor)
    }
    batch = torch.Size()
    for name, shape in (shapes | numbers).items():
        joint = joint_shape(batch, shape)
        if joint is None or (name in numbers and joint != batch):
            fail(
                name,
                f"one, or one for each draw or run of the batch {tuple(batch)}",
                f"shape {tuple(shape)}",
            )
        batch = joint


CURES = {
    TwoLayer: "a TwoLayer (make one with TwoLayer(weights, second_layer, activation))",
    Dataset: "a Dataset (make one with Dataset(x, y))",
    Trajectory: "a Trajectory, as gradient_descent and gradient_flow return it",
}


def _admit(name: str, value: object, kind: type, rules: tuple[str, ...] | None) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {CURES[kind]}, got {type(value).__name__}")
    if isinstance(value, Trajectory):
        genuine(value, rules or ((FLOW,) if name == "flow" else (DESCENT,)), name)


def _fits(net: TwoLayer, data: Dataset) -> None:
    if net.d != data.d:
        fail("net", f"weights with {data.d} columns, like the data", net.d)
