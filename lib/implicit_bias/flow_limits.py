"""What a gradient flow is asked for, checked; and data on which its loss cannot tend to 0."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ._checks import fail, numbers
from .problem import Problem

__all__ = ["FARTHEST", "contradiction", "crossings_allowed", "one_number", "record_grid", "seconds"]

FARTHEST = 1e8
"""The largest ``until``: past it the clock itself is rounded to 1e-8 and worse, and a run takes days."""

SAME = 1e-6
"""Rows whose directions are this near count as one: to tell them apart takes weights a million times as long."""


def one_number(value: object, argument: str, expected: str) -> float:
    """A single finite number."""
    number = numbers(value, argument)
    if isinstance(value, bool) or number.ndim != 0 or not bool(torch.isfinite(number)):
        fail(argument, expected, repr(value))
    return float(number)


def seconds(time_limit: object) -> float | None:
    """A time limit: a positive number of seconds, or None."""
    if time_limit is None:
        return None
    expected = "a positive number of seconds, or None"
    limit = one_number(time_limit, "time_limit", expected)
    if limit <= 0:
        fail("time_limit", expected, repr(time_limit))
    return limit


def record_grid(record: Sequence[float] | Tensor, until: float) -> list[float]:
    """The values of the clock to record, sorted, ``until`` at their end."""
    expected = f"values of the loss clock up to {until}"
    try:
        wanted = sorted({float(s) for s in record})
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"record: expected {expected}, got {record!r}") from error
    if not wanted or not all(math.isfinite(s) for s in wanted) or wanted[-1] > until:
        fail("record", expected, record)
    return wanted if wanted[-1] == until else [*wanted, until]


def crossings_allowed(problem: Problem) -> float:
    """How many kink crossings a run may stop at before it goes on across them.

    Each costs solves with n × n matrices for the neurons that slide. Near-orthogonal samples (Gram matrix strictly
    dominated by its diagonal, which the theorems' assumptions imply) are always followed exactly.
    """
    gram = problem.span.x @ problem.span.x.mT
    size = gram.diagonal(dim1=-2, dim2=-1)
    others = gram.abs().sum(-1) - size.abs()
    if bool((others < size).all()):
        return math.inf
    return max(100.0, 4e7 / (problem.a.shape[-2] * gram.shape[-1] ** 2))


def contradiction(problem: Problem) -> tuple[float, str] | None:
    """A bound on the clock, and why, when two samples (or one) contradict every network; None when none is seen.

    Rows ``x_i = c x_j`` (c > 0; c = 1 where the activation is not homogeneous) have outputs of one sign, and labels
    that differ make one margin at most 0. So ``L ≥ ℓ(0)/n``. A zero row has margin 0 where ``φ(0) = 0``.
    """
    x, y = problem.span.x, problem.y.squeeze(-2)
    x, y = (x, y) if x.ndim == 3 else (x[None], y.reshape(1, -1))
    at_zero = float(problem.loss.value(torch.zeros((), dtype=torch.float64)))
    ceiling = math.log(x.shape[-2] / at_zero)
    length = x.norm(dim=-1, keepdim=True)
    origin = problem.activation.value(torch.zeros(1, 1, 1, dtype=x.dtype, device=x.device))
    if bool((length == 0).any()) and bool((origin == 0).all()):
        _, i, _ = (length == 0).nonzero()[0].tolist()
        return ceiling, f"the loss cannot tend to 0, because row {i} is zero and its margin stays 0"
    unit = x / length.clamp_min(1e-300)
    near = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist") <= SAME
    if not problem.activation.homogeneous:
        near &= (length - length.mT).abs() <= SAME * length
    against = near & (y.unsqueeze(-1) * y.unsqueeze(-2) < 0)
    if not bool(against.any()):
        return None
    run, i, j = against.nonzero()[0].tolist()
    exact = bool((unit[run, i] == unit[run, j]).all())
    rows = f"samples {i} and {j} have " + ("one direction" if exact else f"one direction to {SAME:g}")
    return ceiling, f"the loss cannot tend to 0, because {rows} and opposite labels"
