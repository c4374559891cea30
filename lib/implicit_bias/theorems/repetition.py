"""Does a run come out again? Its first steps, its last stretch, and what is odd between."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..measures.gradients import gradient
from ..networks.two_layer import TwoLayer
from ..training.descent import gradient_descent
from ..training.flow import gradient_flow
from ..training.flow_rough import COARSEST
from ..training.trajectory import (
    FLOW,
    Trajectory,
    recorded_clock,
    recorded_steps,
    step_size_of,
)
from ..values.checks import fail
from .records import _relative

__all__ = []


REPEATED = 500
"""Steps of descent that are repeated from the start: all recorded states among them
must come out again.
"""


ARITHMETIC = 3e8
"""A repetition costs about this many products at most, except that the first interval
is always repeated.
"""


MOVED = 1e-6
AT_REST = 1e-12
"""Allowed difference of a repeated state: relative to what has moved, and to the start."""


SAME_FLOW = 1e-4
"""The same for a flow, whose steps are chosen anew: relative to what has moved."""


ROUGHLY = 3.0
"""The same for a flow that went across kinks, in units of its resolution and relative
to the network.
"""


SAME_TIME = 1e-3
ROUGH_TIME = 0.1
"""Allowed difference of log t for a repeated stretch of a flow, and of one across kinks."""


WIDEST = 20
"""A stretch between two late records is repeated up to this many times the steps
repeated from the start.
"""


ODD = 4.0
"""A stretch is odd whose way is off by more than this factor from steps along the
gradients at its ends.
"""


def _first_and_last(run: Trajectory, name: str) -> None:
    if run.rule == FLOW:
        _flow_again(run, name)
    else:
        _descent_again(run, name)


def _agree(
    run: Trajectory, name: str, index: int, again: TwoLayer, allowed: Tensor
) -> None:
    """Refuse a record whose network is farther than ``allowed`` (...) from the one that
    comes out again.
    """
    off = _length(run.net(index).weights - again.weights)
    if not bool((off <= allowed).all()):
        step = "" if run.rule == FLOW else f"step size {run.step_size}, "
        how = f"{step}{run.loss.name} loss"
        fail(
            name,
            f"records that {run.rule} gives ({how})",
            f"another network at record {index}",
        )


def _length(weights: Tensor) -> Tensor:
    return weights.flatten(-2).norm(dim=-1)


def _rounding(before: TwoLayer, again: TwoLayer, moved: float) -> Tensor:
    """What a repetition from ``before`` may miss (...): a share of the way, and of the
    start.
    """
    double = before.weights.dtype == torch.float64
    way = _length(again.weights - before.weights)
    return (moved if double else 1e-2) * way + (AT_REST if double else 1e-5) * _length(
        before.weights
    )


def _descent_again(run: Trajectory, name: str) -> None:
    steps = recorded_steps(run, name).tolist()
    step_size = step_size_of(run, name)
    batch = max(1, run.log_loss[0].numel())
    budget = max(
        1, min(REPEATED, int(ARITHMETIC / (batch * run.initial.m * run.data.n)))
    )
    early = [step for step in steps if step <= budget]
    early = (
        early if any(early) or len(steps) == len(early) else [*early, steps[len(early)]]
    )
    if early and early[-1] > 0:
        again = gradient_descent(
            run.initial, run.data, step_size, early[-1], run.loss, early
        )
        for index in range(min(len(early), len(again))):
            _agree(
                run,
                name,
                index,
                again.net(index),
                _rounding(run.initial, again.net(index), MOVED),
            )
    later = range(max(len(early), 1), len(steps))
    most = WIDEST * budget
    chosen = {later[len(later) // 2], later[-1]} if len(later) else set()
    odd = _odd_stretches(run, later)
    for index in sorted(chosen | odd):
        width = steps[index] - steps[index - 1]
        if width <= most:
            before = run.net(index - 1)
            again = gradient_descent(
                before, run.data, step_size, width, run.loss, [width]
            )
            allowed = _rounding(before, again.final, MOVED) + _pulled(run, index, width)
            _agree(run, name, index, again.final, allowed)
        elif index in odd:
            _not_there_yet(run, name, index, most)


def _pulled(run: Trajectory, index: int, width: int) -> Tensor:
    """What rounding makes of so many steps (...) in which samples pull against each
    other, and the network rests.
    """
    pulls = run.loss.g(run.margins[index - 1 : index + 1]).mean(-1).amax(0)
    size = (
        torch.as_tensor(step_size_of(run), dtype=pulls.dtype)
        * run.data.R_max
        * run.initial.a.norm(dim=-1)
    )
    share = AT_REST if pulls.dtype == torch.float64 else 1e-5
    return share * width * size * pulls


def _odd_stretches(run: Trajectory, later: Sequence[int]) -> set[int]:
    """The records whose way from the one before is far from what so many steps along
    the gradients at both make. Oscillations and plateaus are odd too: what is odd is
    repeated.
    """
    if not later:
        return set()
    odd = set()
    before = run.net(later[0] - 1)
    pull = _length(gradient(before, run.data, run.loss))
    for index in later:
        after = run.net(index)
        next_pull = _length(gradient(after, run.data, run.loss))
        if _is_odd(run, index, before, after, (pull, next_pull)):
            odd.add(index)
        before = after
        pull = next_pull
    return odd


def _is_odd(
    run: Trajectory,
    index: int,
    before: TwoLayer,
    after: TwoLayer,
    pulls: tuple[Tensor, Tensor],
) -> bool:
    """Whether the way between two networks is shorter or longer than the steps of any
    of ``pulls``, by more than ``ODD``.
    """
    size = torch.as_tensor(step_size_of(run), dtype=pulls[0].dtype)
    recorded = recorded_steps(run)
    steps = float(recorded[index] - recorded[index - 1]) * size
    way = _length(after.weights - before.weights)
    least = steps * torch.minimum(*pulls) / ODD
    most = steps * torch.maximum(*pulls) * ODD
    blur = 1e3 * torch.finfo(way.dtype).eps * _length(before.weights)
    return bool(((way + blur < least) | (way > most + blur)).any())


def _not_there_yet(run: Trajectory, name: str, index: int, steps: int) -> None:
    """Refuse a record of an odd stretch, too long to repeat, whose loss is passed after
    a small part of its steps.
    """
    again = gradient_descent(
        run.net(index - 1), run.data, step_size_of(run), steps, run.loss, [steps]
    )
    if bool((again.log_loss[-1] < run.log_loss[index] - _relative(run)).any()):
        how = f"step size {run.step_size}, {run.loss.name} loss"
        fail(
            name,
            f"records that {run.rule} gives ({how})",
            f"fewer steps than it says before record {index}",
        )


def _flow_again(run: Trajectory, name: str) -> None:
    last = len(run) - 1
    # Where a run that stalled ended is no goal that can be asked for.
    if run.outcome.ok or last > 1:
        _stretch_again(run, name, run.initial, range(min(2, len(run))))
    if run.outcome.ok and last > 1:
        _stretch_again(run, name, run.net(last - 1), [last])


def _stretch_again(
    run: Trajectory, name: str, before: TwoLayer, places: Sequence[int]
) -> None:
    """Repeat a flow from ``before`` and compare the records at ``places`` that lie
    ahead of it.
    """
    begun = float(-run.loss.log_mean(run.data.y * before(run.data.x)).max())
    clock, _ = recorded_clock(run, name)
    goals = {
        float(clock[index]): index for index in places if float(clock[index]) > begun
    }
    if not goals:
        return
    again = gradient_flow(before, run.data, max(goals), run.loss, list(goals))
    for place, index in enumerate(list(goals.values())[: len(again)]):
        _agree(run, name, index, again.net(place), _allowed(run, before, again))
        _times_agree(run, name, index, again, place)


def _times_agree(
    run: Trajectory, name: str, index: int, again: Trajectory, place: int
) -> None:
    """Refuse times of a flow other than those that come out again from the start, or
    from the record before.
    """
    _, found_again = recorded_clock(again, name)
    _, recorded = recorded_clock(run, name)
    found = found_again[place]
    passed = recorded[index]
    if index > 1:
        passed = passed + torch.log(-torch.expm1(recorded[index - 1] - passed))
    rough = run.resolution is not None or again.resolution is not None
    off = (passed - found).abs() > (ROUGH_TIME if rough else SAME_TIME)
    if again.outcome.ok and bool((off & found.isfinite()).any()):
        fail(
            name,
            "log_time that its flow takes",
            f"another at record {index}: the run is not what it says",
        )


def _allowed(run: Trajectory, before: TwoLayer, again: Trajectory) -> Tensor:
    """What a repeated stretch of a flow may miss; across kinks it is relative to the
    network, as a resolution is.
    """
    if run.resolution is None and again.resolution is None:
        return _rounding(before, again.final, SAME_FLOW)
    known = [
        value
        for value in (run.resolution, again.resolution, COARSEST)
        if value is not None
    ]
    resolution = max(value for value in known if not math.isnan(value))
    return ROUGHLY * resolution * _length(again.final.weights)
