r"""Gradient descent, stochastic gradient descent and gradient flow on the first layer,
in the span of the data.

All three run on the Gram matrices of :class:`implicit_bias.data.span.Span`: a step
costs the same at any dimension, and the trajectory is the one the full-space iteration
gives, to rounding. Batches (seeds, scales, step sizes, slopes, data sets) run as one
tensor.

:func:`descend` takes any run of descent from record to record; what takes its steps is a
:class:`implicit_bias.training.stepper.Mover`, and which steps they are says a
:class:`implicit_bias.training.rules.Rule`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..data.dataset import Dataset, a_dataset
from ..losses import Loss
from ..networks.two_layer import TwoLayer
from ..values.checks import fail
from ..values.scalars import positive, positive_int, sorted_numbers
from .flow_watch import bar
from .problem import Problem
from .recorder import Recorder
from .rules import PLAIN, Rule, a_rule
from .stepper import Epochs, Mover
from .trajectory import Outcome, Trajectory, minibatch_rule

__all__ = ["gradient_descent", "log_spaced", "sgd"]


DIVERGED = 3.0
"""A run counts as diverged when it ends with a loss e³ times the one it began with."""


def log_spaced(last: int, count: int = 200) -> list[int]:
    """About ``count`` different whole steps from 0 to ``last``, log-spaced as far as
    whole steps allow, both ends included.
    """
    last = positive_int(last, "last", least=0)
    count = positive_int(count, "count", least=2)
    if last < count:
        return list(range(last + 1))
    # Rounding makes the early ones coincide: draw more until enough are different.
    drawn = count
    steps: set[int] = set()
    while len(steps) < count - 2:
        steps = set(
            torch.logspace(0, math.log10(last), drawn, dtype=torch.float64)
            .round()
            .long()
            .tolist()
        )
        drawn += count // 4
    return sorted(steps | {0, last})


def record_steps(record: Sequence[int] | Tensor | None, steps: int) -> list[int]:
    """The steps to record, in order; log-spaced where ``record`` is None."""
    if record is None:
        return log_spaced(steps)
    expected = f"steps between 0 and {steps}"
    wanted = sorted_numbers(record, "record", expected)
    if any(step != int(step) for step in wanted):
        fail(
            "record", "whole steps", next(step for step in wanted if step != int(step))
        )
    whole = [int(step) for step in wanted]
    if whole[0] < 0 or whole[-1] > steps:
        fail("record", expected, whole[:1] + whole[-1:])
    return whole


def descend(
    mover: Mover, step_size: float | Tensor, steps: int, record: list[int], rule: str
) -> Trajectory:
    """Walk ``mover`` from step 0 to ``steps`` and record it at each step of ``record``,
    which is in order.

    A run that overflows ends ``"non-finite"``, one whose loss has risen by e³
    ``"diverged"``.

    Raises
    ------
    ValueError
        If the first record is not finite.
    """
    recorder = Recorder(mover.problem)
    reached = 0
    outcome = None
    end = None
    with torch.no_grad(), bar(steps) as progress:
        for target in record:
            mover.advance(target - reached, progress.update)
            if not recorder.add(mover.state, target):
                outcome = _overflow(reached, target)
                break
            reached = target
        else:
            mover.advance(steps - reached, progress.update)
            end = mover.state if reached < steps else None
            if end is not None and not bool(torch.isfinite(end).all()):
                outcome = _overflow(reached, steps)
                end = None
    return recorder.trajectory(
        step=torch.tensor(recorder.times),
        step_size=step_size,
        rule=rule,
        outcome=outcome or _ending(recorder, steps),
        end=end,
    )


def _overflow(reached: int, target: int) -> Outcome:
    return Outcome.overflowed(
        f"between steps {reached} and {target}", f"step {reached}"
    )


def _ending(recorder: Recorder, steps: int) -> Outcome:
    risen = recorder.log_loss[-1] - recorder.log_loss[0]
    worst = float(risen.max())
    if worst > DIVERGED:
        count = int((risen > DIVERGED).sum())
        which = (
            "the loss"
            if risen.ndim == 0
            else f"in {count} of {risen.numel()} runs the loss"
        )
        return Outcome(
            "diverged",
            f"{which} ended e^{worst:.1f} times above its start after {steps} steps; "
            "try a smaller step size",
        )
    return Outcome("finished", f"ran {steps} steps")


def gradient_descent(
    net: TwoLayer,
    data: Dataset,
    step_size: float | Tensor,
    steps: int,
    loss: str | Loss = "logistic",
    record: Sequence[int] | None = None,
    *,
    device: str = "auto",
    rule: Rule = PLAIN,
) -> Trajectory:
    """``W(t+1) = W(t) - step_size · ∇L(W(t))``, full batch, the setting of F-4.2 (α)
    and K-4.1, K-4.3 (η).

    Parameters
    ----------
    net : TwoLayer
        The start ``W(0)``, in the coordinates of ``data``.
    data : Dataset
    step_size : float or (...) tensor
        α, the same for all or one for each run of a batch.
    steps : int
        Number of updates.
    loss : "logistic" or "exponential"
    record : steps to keep, optional
        Default: about 200, log-spaced, always 0 and the last.
    device : str
        ``"auto"`` runs large problems on a GPU when there is one; results come back to
        the data's device.
    rule : Rule
        Another optimiser to go down with, such as ``ib.Momentum(0.9)``: see
        :mod:`implicit_bias.training.rules`.

    Returns
    -------
    Trajectory
        A run that overflows ends early, with ``outcome.status == "non-finite"`` and
        everything recorded until then.

    Raises
    ------
    ValueError
        If net and data do not fit, ``step_size <= 0`` or ``steps < 0``, or the rule
        needs full coordinates and there are none.
    """
    return _descent(
        net, data, step_size, steps, loss, record, device, rule, minibatches=None
    )


def sgd(
    net: TwoLayer,
    data: Dataset,
    step_size: float | Tensor,
    steps: int,
    batch_size: int,
    seed: int | None = 0,
    loss: str | Loss = "logistic",
    record: Sequence[int] | None = None,
    *,
    device: str = "auto",
    rule: Rule = PLAIN,
) -> Trajectory:
    """Stochastic gradient descent: each step uses ``batch_size`` samples drawn without
    replacement, epoch by epoch.

    The other arguments and the result are those of :func:`gradient_descent`. Every run
    of a batch sees the same order of samples.
    """
    a_dataset(data)
    batch_size = positive_int(batch_size, "batch_size")
    if batch_size > data.n:
        fail("batch_size", f"at most n = {data.n}", batch_size)
    minibatches = Epochs(data.n, batch_size, seed)
    return _descent(
        net, data, step_size, steps, loss, record, device, rule, minibatches
    )


def _descent(
    net: TwoLayer,
    data: Dataset,
    step_size: float | Tensor,
    steps: int,
    loss: str | Loss,
    record: Sequence[int] | None,
    device: str,
    rule: Rule,
    minibatches: Epochs | None,
) -> Trajectory:
    step_size = positive(step_size, "step_size")
    steps = positive_int(steps, "steps", least=0)
    wanted = record_steps(record, steps)
    rule = a_rule(rule)
    problem = Problem.of(
        net, data, loss, device, step_size, coordinates=not rule.linear
    )
    mover = rule.mover(problem, step_size, minibatches)
    name = rule.name
    if minibatches is not None:
        name = minibatch_rule(minibatches.batch_size, data.n, name)
    return descend(mover, step_size, steps, wanted, name)
