"""What is seen of a run along the way: loss, margins, norms, one record at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..data.span import spectral_norm
from ..values.checks import fail
from .problem import Problem
from .trajectory import Outcome, Trajectory

__all__ = ["Recorder"]


@dataclass
class Recorder:
    """Collects what a :class:`Trajectory` shows, one record at a time."""

    problem: Problem
    log_loss: list[Tensor] = field(default_factory=list)
    margins: list[Tensor] = field(default_factory=list)
    frobenius: list[Tensor] = field(default_factory=list)
    spectral: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def smaller_gram(self, state: Tensor) -> Tensor:
        """``W Wᵀ`` (..., m, m), or ``Wᵀ W`` (..., d, d) where that is smaller and shows
        all of W: both norms are in either.
        """
        span = self.problem.span
        if (
            self.problem.net.frozen_gram is None
            and span.x.shape[-1] < span.weights.shape[-2]
        ):
            weights = span.weights + span.displacement(state)
            return weights.mT @ weights
        return span.weight_gram_at(state)

    def add(self, state: Tensor, time: float) -> bool:
        """Record a state and its time; False, with nothing recorded, when it is not finite.

        Raises
        ------
        ValueError
            If that is so of the first.
        """
        problem = self.problem
        q = problem.margins(problem.span.preactivations(state))
        weight_gram = self.smaller_gram(state)
        if not bool(torch.isfinite(q).all() & torch.isfinite(weight_gram).all()):
            if not self.times:
                fail(
                    "net",
                    "finite outputs on the data",
                    "an overflow at the first record",
                )
            return False
        self.margins.append(problem.shaped(q, core=1))
        self.log_loss.append(problem.shaped(problem.loss.log_mean(q)))
        self.frobenius.append(
            problem.shaped(
                weight_gram.diagonal(dim1=-2, dim2=-1).sum(-1).clamp_min(0).sqrt()
            )
        )
        self.spectral.append(problem.shaped(spectral_norm(weight_gram)))
        self.states.append(state.to(problem.data.x.device, copy=True))
        self.times.append(time)
        return True

    def trajectory(
        self,
        rule: str,
        outcome: Outcome,
        *,
        step: Tensor | None = None,
        s: Tensor | None = None,
        log_time: Tensor | None = None,
        step_size: float | Tensor | None = None,
        resolution: float | None = None,
        end: Tensor | None = None,
    ) -> Trajectory:
        """The finished :class:`Trajectory`; ``end`` is the state where the run ended, if
        that is no record.
        """
        problem = self.problem
        home = problem.data.x.device
        return Trajectory(
            data=problem.data,
            initial=problem.net,
            loss=problem.loss,
            log_loss=torch.stack(self.log_loss),
            margins=torch.stack(self.margins),
            frobenius=torch.stack(self.frobenius),
            spectral=torch.stack(self.spectral),
            outcome=outcome,
            step=step,
            s=s,
            log_time=log_time,
            step_size=step_size,
            rule=rule,
            resolution=resolution,
            _states=tuple(self.states),
            _end=None if end is None else end.to(home, copy=True),
            _lift=problem.lift(),
        )
