"""What a gradient flow is asked for, checked; and data on which its loss cannot tend to
0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import scipy
import torch
from torch import Tensor

from ..values.checks import fail
from ..values.scalars import number, sorted_numbers
from .problem import Problem

__all__ = ["FARTHEST", "contradiction", "crossings_allowed", "record_grid", "seconds"]


FARTHEST = 1e8
"""The largest ``until``: past it the clock itself is rounded to 1e-8 and worse, and a
run takes days.
"""


SAME = 1e-13
"""Rows whose directions are this near count as one: they differ by rounding."""


def seconds(time_limit: object) -> float | None:
    """A time limit: a positive number of seconds, or None."""
    if time_limit is None:
        return None
    limit = number(time_limit, "time_limit")
    if limit <= 0:
        fail("time_limit", "a positive number of seconds, or None", limit)
    return limit


def record_grid(record: Sequence[float] | Tensor, until: float) -> list[float]:
    """The values of the clock to record, sorted, ``until`` at their end."""
    expected = f"values of the loss clock up to {until}"
    wanted = sorted_numbers(record, "record", expected)
    if wanted[-1] > until:
        fail("record", expected, wanted[-1])
    return wanted if wanted[-1] == until else [*wanted, until]


def crossings_allowed(problem: Problem) -> float:
    """How many kink crossings a run may stop at before it goes on across them.

    Each costs solves with n × n matrices for the neurons that slide. Near-orthogonal
    samples (Gram matrix strictly dominated by its diagonal, which the theorems'
    assumptions imply) are always followed exactly.
    """
    gram = problem.span.x @ problem.span.x.mT
    size = gram.diagonal(dim1=-2, dim2=-1)
    others = gram.abs().sum(-1) - size.abs()
    if bool((others < size).all()):
        return math.inf
    return max(30.0, 4e7 / (problem.a.shape[-2] * gram.shape[-1] ** 2))


def contradiction(problem: Problem) -> tuple[float, str] | None:
    """A bound on the clock, and why, when samples contradict every network; None when
    none is seen.

    Rows of one direction, ``x_i = c_i e`` (c_i > 0; one c where the activation is
    homogeneous of no degree), have outputs ``c_i^k f(e)`` at degree k. A group of them
    with both labels costs ``min_f Σ_i ℓ(y_i c_i^k f)``, which is convex in the one
    number ``f``; a zero row costs ``ℓ(0)`` where ``φ(0) = 0``. The groups' costs add up
    to a lower bound of ``n L``.
    """
    # The caller's data sets: a batch of networks on one of them is looked at once.
    data = problem.data
    rows = data.x.double().cpu().reshape(-1, data.n, data.d)
    labels = data.y.double().cpu().expand(data.x.shape[:-1]).reshape(-1, data.n)
    found = [_contradicted(problem, x, y) for x, y in zip(rows, labels)]
    # A batch can go where its freest run goes.
    bounds = [bound for bound in found if bound is not None]
    return max(bounds) if len(bounds) == len(found) else None


def _contradicted(problem: Problem, x: Tensor, y: Tensor) -> tuple[float, str] | None:
    """:func:`contradiction` for one data set (n, d)."""
    length = x.norm(dim=-1)
    unit = x / length.clamp_min(1e-300)[:, None]
    near = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist") <= SAME
    degree = problem.activation.degree
    if degree is None:
        near &= (length[:, None] - length).abs() <= SAME * length
    origin = problem.activation.to("cpu").value(torch.zeros(1, 1, 1, dtype=x.dtype))
    silent = (length == 0) & bool((origin == 0).all())
    near &= ~silent & ~silent[:, None]
    against = near & (y[:, None] * y < 0)
    least = float(silent.sum()) * _loss(problem, 0.0)
    left = against.any(-1)
    for i in range(len(x)):
        if left[i]:
            sizes = length[near[i]] / length[i]
            if degree is not None:
                sizes = sizes**degree
            least += _least_cost(problem, y[near[i]], sizes)
            left &= ~near[i]
    if least == 0:
        return None
    return math.log(
        len(x) / least
    ), f"the loss cannot tend to 0, because {_culprits(silent, against)}"


def _loss(problem: Problem, margin: float) -> float:
    """``ℓ`` at a margin."""
    return float(problem.loss.value(torch.tensor(margin, dtype=torch.float64)))


def _least_cost(problem: Problem, y: Tensor, sizes: Tensor) -> float:
    """``min_f Σ_i ℓ(y_i c_i f)`` over one number, for labels of both signs."""

    def cost(output: float) -> float:
        return float(problem.loss.value(y * sizes * output).sum())

    return float(
        scipy.optimize.minimize_scalar(cost, bracket=(-1.0, 1.0), method="brent").fun
    )


def _culprits(silent: Tensor, against: Tensor) -> str:
    """Who contradicts, in words."""
    if bool(silent.any()):
        return f"row {int(silent.nonzero()[0])} is zero and its margin stays 0"
    i, j = against.nonzero()[0].tolist()
    return f"samples {i} and {j} have one direction and opposite labels"
