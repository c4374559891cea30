r"""How far any two-layer network is from a KKT point of Problem (1), all four
conditions.

.. math::
    w_j = a_j \sum_i λ_i y_i φ'_{ij} x_i, \quad λ_i \ge 0, \quad
    λ_i (y_i f(x_i) - 1) = 0, \quad y_i f(x_i) \ge 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..data.span import binary_scale
from ..networks.compatible import fitting
from ..networks.two_layer import TwoLayer
from ..saving import Savable
from ..values.checks import fail
from ..values.comparing import Comparable
from ..values.scalars import number_between
from ..values.wording import format_error
from .columns import Columns
from .least_distance import nonnegative_least_squares

__all__ = ["KKTResidual", "kkt_residual"]


@dataclass(frozen=True, eq=False)
class KKTResidual(Comparable, Savable):
    """How far ``W``, rescaled so that its smallest margin is 1, is from a KKT point of
    Problem (1); all four are 0 at one.

    Attributes
    ----------
    stationarity : (...)
        ``‖W - Σ_i λ_i y_i ∇f_i‖_F / ‖W‖_F`` at the best ``λ ≥ 0`` and best subgradients.
    feasibility : (...)
        0 when every sample is classified right; 1 when some margin is 0 or negative, since
        no factor then makes the smallest one 1.
    slackness : (...)
        ``Σ_i λ_i (y_i f(x_i) - 1) / Σ_i λ_i`` after rescaling.
    dual : (...)
        How negative λ would be if it were free: ``max(0, -min λ) / max |λ|`` of plain least
        squares.
    lam : (..., n)
        The multipliers found, for the rescaled network.
    scale : (...)
        The factor that makes the smallest margin 1 (1 where some margin is not positive).
    """

    stationarity: Tensor
    feasibility: Tensor
    slackness: Tensor
    dual: Tensor
    lam: Tensor
    scale: Tensor

    @property
    def worst(self) -> Tensor:
        """The largest of the four (...)."""
        return torch.stack(
            [self.stationarity, self.feasibility, self.slackness, self.dual]
        ).amax(0)

    def __repr__(self) -> str:
        names = ("stationarity", "feasibility", "slackness", "dual")
        return (
            "KKTResidual("
            + ", ".join(
                f"{name} {format_error(float(getattr(self, name).max()))}"
                for name in names
            )
            + ")"
        )


def kkt_residual(net: TwoLayer, data: Dataset, *, kink: float = 1e-9) -> KKTResidual:
    """All four KKT conditions of Problem (1) at any two-layer network with a
    homogeneous activation, leaky ReLU or ReLU.

    The conditions concern a direction: the network is first rescaled so that its
    smallest margin is
    1. Where a preactivation is within ``kink`` (relative to ``‖w_j‖‖x_i‖``) of 0, the best
    subgradient in ``[γ, 1]`` is used, as the Clarke subdifferential allows. Problem (1)
    trains the first layer alone, and so do these conditions: of a network with both
    layers trained they say how near its first layer is to a KKT point with its second
    layer fixed.

    Raises
    ------
    ValueError
        If net and data do not fit, or the activation is no (leaky) ReLU: the
        subgradients are known for these alone, and of most others Problem (1) is no
        limit.
    """
    data = fitting(net, data)
    kink = number_between(kink, "kink", 0, 1, "a number in [0, 1)", ends="[)")
    if not net.activation.piecewise_linear:
        fail(
            "net", "a homogeneous activation (leaky ReLU or ReLU)", net.activation.name
        )
    batch = torch.broadcast_shapes(net.weights.shape[:-2], data.x.shape[:-2])
    gamma = torch.as_tensor(net.activation.gamma, dtype=torch.float64).expand(batch)
    parts = {
        "weights": net.weights.expand(*batch, *net.weights.shape[-2:]),
        "a": net.a.expand(*batch, net.m),
        "x": data.x.expand(*batch, *data.x.shape[-2:]),
        "y": data.y.expand(*batch, data.n),
        "outside": torch.zeros(batch)
        if net.frozen_gram is None
        else _trace(net.frozen_gram).expand(batch),
    }
    # One solve after the other, of small matrices, so wherever the network lives: on
    # the processor.
    parts = {
        name: part.detach().to("cpu", torch.float64) for name, part in parts.items()
    }
    ones = [
        _one_residual(
            {name: part[index] for name, part in parts.items()},
            float(gamma[index]),
            kink,
        )
        for index in np.ndindex(*batch)
    ]
    return KKTResidual(
        *(_gathered(values, batch, net.weights.device) for values in zip(*ones))
    )


def _trace(gram: Tensor) -> Tensor:
    return gram.diagonal(dim1=-2, dim2=-1).sum(-1)


def _gathered(
    values: tuple[Tensor, ...], batch: torch.Size, device: torch.device
) -> Tensor:
    stacked = torch.stack(values)
    return stacked.reshape((*batch, *stacked.shape[1:])).to(device)


def _one_residual(
    parts: dict[str, Tensor], gamma: float, kink: float
) -> tuple[Tensor, ...]:
    """The fields of :class:`KKTResidual` for one network on one data set.

    The conditions do not change when W, a and the samples are each scaled, so all are
    brought to size one: squares of extreme numbers would leave the range of floats.
    """
    size = {
        name: float(binary_scale(parts[name].abs().max()))
        for name in ("weights", "a", "x")
    }
    weights, a, x = (parts[name] / size[name] for name in ("weights", "a", "x"))
    y = parts["y"]
    outside = parts["outside"] / size["weights"] / size["weights"]
    z = weights @ x.mT
    q = y * (a @ torch.where(z > 0, z, gamma * z))
    smallest = q.min()
    right = bool(smallest > 0)
    feasibility = torch.zeros(()).double() if right else torch.ones(()).double()
    excess = (q / smallest - 1).clamp_min(0) if right else torch.zeros_like(q)
    lam, left, dual = _fit_multipliers(weights, a, x, y, gamma, kink, excess)
    norm = (weights.square().sum() + outside).sqrt()
    stationarity = (left.square() + outside).sqrt() / norm.clamp_min(1e-300)
    slackness = (lam * excess).sum() / lam.sum().clamp_min(1e-300)
    # λ of W itself, then of W brought to margin 1.
    unit = size["a"] * size["x"]
    lam = lam / smallest / unit / unit if right else lam * (size["weights"] / unit)
    scale = 1 / smallest / size["weights"] / unit if right else torch.ones(()).double()
    return stationarity, feasibility, slackness, dual, lam, scale


def _fit_multipliers(
    weights: Tensor,
    a: Tensor,
    x: Tensor,
    y: Tensor,
    gamma: float,
    kink: float,
    excess: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Best ``λ ≥ 0`` and subgradients for ``W ≈ Σ_i λ_i y_i ∇f_i``: λ (n,), the
    distance left, and the dual infeasibility.

    At a kink the term of sample i ranges over a cone, generated by its vertices (each
    slope γ or 1). Vertices enter one at a time, whenever one would lower the distance:
    column generation on non-negative least squares. Where the best λ is not unique
    (dependent samples), the one that leans least on samples with an ``excess`` margin
    is taken.
    """
    z = weights @ x.mT
    at_kink = (z.abs() <= kink * weights.norm(dim=-1, keepdim=True) * x.norm(dim=-1)).T
    columns = Columns(weights, a, x, y)
    lengths = (x.norm(dim=-1) * a.norm()).clamp_min(1e-300)
    owner = list(range(len(y)))
    first = torch.where(z > 0, torch.ones_like(z), gamma).T
    slopes = first
    rounds = 1 + 4 * int(at_kink.sum())
    while True:
        factor, target = columns.reduced(owner, slopes)
        share = _nonnegative(factor, target)
        left = weights - columns.combined(owner, slopes, share)
        vertex, better = _better_vertices(columns, left, first, at_kink, gamma, lengths)
        if not better or rounds == 0:
            break
        rounds -= 1
        owner = owner + better
        slopes = torch.cat([slopes, vertex[better]])
    if bool(excess.any()) and torch.linalg.matrix_rank(factor) < factor.shape[1]:
        lean = 1e-5 * torch.linalg.matrix_norm(factor, 2) * excess[owner] / excess.max()
        fit = torch.cat([factor @ share, torch.zeros(1).to(target)])
        share = _nonnegative(torch.vstack([factor, lean]), fit)
    # Of the solutions without signs, the nearest to this one: where they cost nothing
    # it is this one.
    off = (target - factor @ share).unsqueeze(-1)
    free = share + torch.linalg.lstsq(factor, off, driver="gelsd").solution.squeeze(-1)
    lam, free = (
        torch.zeros_like(y).index_add(0, torch.tensor(owner), part.to(y))
        for part in (share, free)
    )
    dual = (-free.min()).clamp_min(0) / free.abs().max().clamp_min(1e-300)
    return lam, left.norm(), dual


def _nonnegative(factor: Tensor, target: Tensor) -> Tensor:
    return torch.from_numpy(nonnegative_least_squares(factor.numpy(), target.numpy()))


def _better_vertices(
    columns: Columns,
    left: Tensor,
    slopes: Tensor,
    at_kink: Tensor,
    gamma: float,
    lengths: Tensor,
) -> tuple[Tensor, list[int]]:
    """For each sample the slopes with the largest product with what is left, and the
    samples where that is a gain.
    """
    if not bool(at_kink.any()):
        return slopes, []
    pull = (columns.y.unsqueeze(-1) * (columns.x @ left.mT)) * columns.a
    vertex = torch.where(
        at_kink, torch.where(pull > 0, torch.ones_like(pull), gamma), slopes
    )
    gain = (vertex * pull).sum(-1)
    enough = 1e-12 * columns.weights.norm() * lengths
    return vertex, ((gain > enough) & at_kink.any(-1)).nonzero().flatten().tolist()
