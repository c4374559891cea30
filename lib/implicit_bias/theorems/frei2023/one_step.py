"""One step of descent, seen without cancellation.

Write ``z_ji = ⟨w_j, x_i⟩`` and ``u_ji`` for what one step adds to it. Then the margin
of sample i grows by ``y_i Σ_j a_j (φ(z_ji + u_ji) - φ(z_ji))``, which is kept exact
however small ``u`` is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import losses
from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...losses import Loss
from ...measures.gradients import gradient
from ...measures.outputs import margins
from ...measures.runs import networks
from ...networks.two_layer import TwoLayer
from ...training.trajectory import Trajectory, recorded_steps, step_size_of
from ...values.checks import fail
from ...values.scalars import positive

__all__ = ["Step", "applying", "one_step", "record_of", "steps_of"]


def applying(
    hypotheses: Sequence[Hypothesis], slack: Tensor
) -> tuple[tuple[Hypothesis, ...], Tensor, str]:
    """Restrict a statement about single times to those where its hypotheses hold:
    hypotheses there, slacks (∞ elsewhere), and how many there are. If there are none,
    nothing is restricted.
    """
    holds = torch.ones_like(slack, dtype=torch.bool)
    for h in hypotheses:
        holds &= h.holds.expand_as(holds)
    count = int(holds.sum())
    if count in (0, holds.numel()):
        return (
            tuple(hypotheses),
            slack,
            f"hypotheses met at {'all' if count else 'none of'} {holds.numel()} records",
        )
    kept = tuple(
        Hypothesis(
            h.name,
            h.statement,
            h.lhs.expand_as(slack)[holds],
            h.rhs.expand_as(slack)[holds],
        )
        for h in hypotheses
    )
    return (
        kept,
        slack.masked_fill(~holds, math.inf),
        f"hypotheses met at {count} of {holds.numel()} records",
    )


@dataclass(frozen=True)
class Step:
    """One step of descent from a network (or a batch): margins before ``q`` and their
    growth ``dq`` (..., n), pulls ``g`` (..., n), their mean ``G`` (...).
    """

    q: Tensor
    dq: Tensor
    g: Tensor

    @property
    def G(self) -> Tensor:
        """The average pull (...)."""
        return self.g.mean(-1)

    @property
    def log_A(self) -> Tensor:
        """``log A`` (..., n, n) before the step, ``A_ij = e^{-q_i}/e^{-q_j}``."""
        return self.q.unsqueeze(-2) - self.q.unsqueeze(-1)

    @property
    def log_growth(self) -> Tensor:
        """``log A(t+1) - log A(t)`` (..., n, n)."""
        return self.dq.unsqueeze(-2) - self.dq.unsqueeze(-1)


def one_step(
    net: TwoLayer,
    data: Dataset,
    step_size: float | Tensor,
    loss: str | Loss = "logistic",
) -> Step:
    """A step of gradient descent of size ``step_size`` (broadcast against the batch)
    from ``net``.
    """
    positive(step_size, "step_size")
    step = torch.as_tensor(step_size, dtype=torch.float64)[..., None, None]
    z = net.preactivations(data.x)
    u = -step * (gradient(net, data, loss).double() @ data.x.double().mT)
    q = margins(net, data)
    dq = data.y * (net.a.unsqueeze(-1) * net.activation.increment(z, u)).sum(-2)
    return Step(q, dq, losses.get(loss).g(q))


def steps_of(run: Trajectory) -> tuple[TwoLayer, Step]:
    """All recorded networks of a run of descent as one batch, time first, and the step
    that follows each record.

    Raises
    ------
    ValueError
        For a run with one record: no step of it is seen, and so it cannot tell how long
        its steps are.
    """
    step_size = step_size_of(run)
    if len(run) < 2:
        fail("run", "at least two records, which show its step", f"{len(run)}")
    nets = networks(run)
    return nets, one_step(nets, run.data, step_size, run.loss)


def record_of(run: Trajectory, slack: Tensor) -> str:
    flat = int(slack.argmin())
    rest = slack[0].numel()
    member = f", run {flat % rest}" if rest > 1 else ""
    return f"step {int(recorded_steps(run)[flat // rest])}{member}"
