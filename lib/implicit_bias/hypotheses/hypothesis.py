"""A hypothesis: an inequality with its slack."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.dataset import Dataset, a_dataset
from ..saving import Savable
from ..values.checks import fail, joint_shape
from ..values.comparing import Comparable
from ..values.scalars import gamma_in_range, positive
from ..values.wording import format_slack

__all__ = ["Hypothesis", "inequality"]


@dataclass(frozen=True, eq=False)
class Hypothesis(Comparable, Savable):
    """An inequality ``lhs ≥ rhs`` with its ``slack = lhs/rhs`` (...); ``parts`` when
    several must hold, the slack then the smallest.
    """

    name: str
    statement: str
    lhs: Tensor
    rhs: Tensor
    parts: tuple[Hypothesis, ...] = ()

    @property
    def slack(self) -> Tensor:
        """``lhs / rhs`` (...): 0 when lhs is 0, ∞ when only rhs is."""
        own = torch.where(self.lhs > 0, self.lhs / self.rhs, torch.zeros_like(self.lhs))
        for part in self.parts:
            own = torch.minimum(own, part.slack)
        return own

    @property
    def holds(self) -> Tensor:
        """Whether the slack is at least 1 (...)."""
        return self.slack >= 1

    def __repr__(self) -> str:
        return (
            f"{self.name}: {self.statement}, slack "
            f"{format_slack(float(self.slack.min()))}"
        )


def inequality(
    name: str,
    statement: str,
    lhs: object,
    rhs: object,
    parts: tuple[Hypothesis, ...] = (),
) -> Hypothesis:
    """``lhs ≥ rhs``, of numbers or tensors that broadcast, as a hypothesis in float64."""
    left, right = torch.broadcast_tensors(
        torch.as_tensor(lhs, dtype=torch.float64),
        torch.as_tensor(rhs, dtype=torch.float64),
    )
    return Hypothesis(name, statement, left, right, parts)


def _read(data: Dataset, value: object, argument: str, *, zero: bool = False) -> Tensor:
    """Numbers above 0 (or at least 0), in float64 beside the data, one for each data
    set or one for all.
    """
    a_dataset(data)
    return _beside(data, positive(value, argument, zero=zero), argument)


def _leak_beside(data: Dataset, gamma: float | Tensor) -> Tensor:
    a_dataset(data)
    return _beside(data, gamma_in_range(gamma), "gamma")


def _beside(data: Dataset, value: float | Tensor, argument: str) -> Tensor:
    tensor = torch.as_tensor(value, dtype=torch.float64, device=data.x.device)
    batch = data.x.shape[:-2]
    if joint_shape(tensor.shape, batch) is None:
        fail(
            argument,
            f"a shape that broadcasts with {tuple(batch)}, that of the data",
            tuple(tensor.shape),
        )
    return tensor
