r"""A network taken as a KKT point of Problem (1): at which scale, and how finely its
residual lets it be judged.

A network whose KKT residual is r is no KKT point to better accuracy than r allows. Let
``W = Σ λ_i y_i ∇f_i + E`` with ``‖E‖_F ≤ r‖W‖_F`` and ``Σ λ_i (q_i - 1) ≤ r Σ λ_i``, at
smallest margin 1, under the data condition of S-1 (which that of F-3.2 implies). With
the load ``S = R_max² Σ λ_i ≥ 1``:

- rows of one sign differ by at most ``2√m r`` of the largest row, which has at least
  ``‖W‖/√m``;
- ``λ_i‖x_i‖² > 1/2``, so a margin exceeds 1 by at most ``2S r``; E alone moves an
  output at a sample by ``√S r``;
- ``K``, scaled to diagonal 1, has no eigenvalue below 2/3: a multiplier moves by at
  most ``10 S r/γ²`` of itself.

So each conclusion is judged at its own resolution: these bounds at ``r =``
:data:`KKT_TOLERANCE`. A statement that is true of KKT points is then never refuted at a
network that is only nearly one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...margin.residual import KKTResidual, kkt_residual
from ...networks.two_layer import TwoLayer
from ..setting import has_layer_of_F, leak_of, neurons, setting_of_F, yes_or_no

__all__ = ["AtPoint", "COARSEST_JUDGED", "KKT_TOLERANCE", "NEARLY_KKT"]


KKT_TOLERANCE = 1e-8
"""Up to this residual a network counts as a KKT point."""


NEARLY_KKT = 0.1
"""Between the two a trained network is on its way: verdicts are ``undecided``."""


COARSEST_JUDGED = 1e-2
"""No conclusion is judged at a coarser resolution than this."""


RESIDUAL_ROUNDING = 1e-16
"""No residual is known better than this, relatively."""


FITTED = 1e-12
"""A margin below this, relative to ``‖a‖‖W‖‖x_i‖``, is zero to rounding."""


def _power_of_two(size: Tensor) -> Tensor:
    """The power of two next to each positive size, 1 for 0, whose inverse is a number
    too: scaling by it is exact.
    """
    return torch.where(
        size > 0, 2.0 ** size.clamp_min(1e-300).log2().round(), torch.ones_like(size)
    )


def _unit_scale(net: TwoLayer, data: Dataset) -> tuple[TwoLayer, Dataset]:
    """The same question at weights and samples of size about 1, where no square can
    overflow, and with no gradients.
    """
    net = net.to(torch.float64)
    data = data.to(torch.float64)
    net = replace(net, weights=net.weights.detach(), a=net.a.detach())
    unit = _power_of_two(data.x.abs().amax((-2, -1)))
    size = _power_of_two(net.weights.abs().amax((-2, -1)))
    return net.scaled(1 / size), replace(data, x=data.x / unit[..., None, None])


def _with_unit_outputs(net: TwoLayer) -> TwoLayer:
    """The same function with ``a_j = ±1/√m`` exactly, where the second layer counts as
    that: rows take up the rest.
    """
    if not (net.activation.homogeneous and has_layer_of_F(net)):
        return net
    unit = net.a.abs().double() * math.sqrt(net.m)
    weights = net.weights.double() * unit.unsqueeze(-1)
    frozen = net.frozen_gram
    if frozen is not None:
        frozen = frozen.double() * unit.unsqueeze(-1) * unit.unsqueeze(-2)
    return TwoLayer(
        weights, net.a.double().sign() / math.sqrt(net.m), net.activation, frozen
    )


@dataclass(frozen=True)
class AtPoint:
    """A network brought to the scale of Problem (1) (smallest margin 1), its data (in
    units of about R_max), and its KKT residual.
    """

    net: TwoLayer
    data: Dataset
    residual: KKTResidual

    @classmethod
    def of(cls, net: TwoLayer, data: Dataset) -> AtPoint:
        """Rescale ``net`` and measure it."""
        net, data = _unit_scale(_with_unit_outputs(net), data)
        residual = kkt_residual(net, data)
        return cls(net.scaled(residual.scale), data, residual)

    @property
    def lam(self) -> Tensor:
        """The multipliers (..., n)."""
        return self.residual.lam

    @property
    def margins(self) -> Tensor:
        """``y_i f(x_i)`` (..., n)."""
        return self.data.y * self.net(self.data.x)

    @property
    def load(self) -> float:
        """``S = R_max² Σ λ_i``, the largest of a batch."""
        return max(1.0, float((self.data.R_max**2 * self.lam.sum(-1)).max()))

    @property
    def _per_row(self) -> float:
        return 2 * self.net.m**0.5

    @property
    def _per_margin(self) -> float:
        return 2 * self.load

    @property
    def _per_multiplier(self) -> float:
        gamma = float(torch.as_tensor(leak_of(self.net), dtype=torch.float64).min())
        return 10 * self.load / gamma**2

    @property
    def rows(self) -> float:
        """The resolution of rows, relative to the largest row."""
        return min(self._per_row * KKT_TOLERANCE, COARSEST_JUDGED)

    @property
    def outputs(self) -> float:
        """The resolution of margins and of other outputs at samples, at smallest margin
        1.
        """
        return min(self._per_margin * KKT_TOLERANCE, COARSEST_JUDGED)

    @property
    def multipliers(self) -> float:
        """The resolution of multipliers, relative to each."""
        return min(self._per_multiplier * KKT_TOLERANCE, COARSEST_JUDGED)

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """F's setting, all samples fitted, and that the network is a KKT point (or on
        its way to one).
        """
        worst = self.residual.worst
        near = Hypothesis(
            "KKT",
            "W is a KKT point of Problem (1): residual below the tolerance",
            torch.full_like(worst, NEARLY_KKT),
            worst,
        )
        return (*setting_of_F(self.net), self._fitted(), near)

    def _fitted(self) -> Hypothesis:
        """Without a positive margin at every sample, no multiple of W is feasible."""
        size = self.net.a.norm(dim=-1) * self.net.frobenius()
        size = size.unsqueeze(-1) * self.data.norms
        return yes_or_no(
            "feasible", "y_i f(x_i; W) > 0 for every i", self.margins > FITTED * size
        )

    def unsettled(self) -> str:
        """A sentence when the network is near a KKT point but not at one, else nothing."""
        worst = float(self.residual.worst.max())
        if worst > KKT_TOLERANCE or math.isnan(worst):
            return f"W is only near a KKT point (residual {worst:.1e})."
        coarse = max(self._per_row, self._per_margin, self._per_multiplier)
        worst = max(worst, RESIDUAL_ROUNDING)
        if coarse * worst > COARSEST_JUDGED:
            return (
                f"A residual of {worst:.1e} leaves these numbers open by "
                f"{coarse * worst:.1e}."
            )
        return ""


def _two_neurons(net: TwoLayer) -> str:
    """Why items 2 and 6 say nothing of two neurons."""
    return (
        "there is one neuron of each sign, and two rows are all there are."
        if net.m == 2
        else ""
    )


def _means(net: TwoLayer) -> tuple[Tensor, Tensor]:
    """v and u (..., d): the mean rows of each sign."""
    v, u = neurons(net)
    return v.mean(-2), u.mean(-2)


def _predictor(net: TwoLayer) -> Tensor:
    """``z = (m1 v - m2 u)/√m`` (..., d)."""
    v, u = _means(net)
    return (net.m_pos * v - net.m_neg * u) / net.m**0.5
