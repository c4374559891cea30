r"""Two papers on one network: F's matrix W and K's two halves of it, in each other's
units.

K trains ``W_{+1}`` and ``W_{-1}`` (m rows each, second layer ``±1/m``), F one matrix
``W`` (second layer ``±1/√M``, ``M`` rows in all). Nothing here is a claim of its own:
these are the measurements by which the claims of both papers are held against one run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..data.dataset import Dataset
from ..networks.activation import Activation
from ..networks.activations import relu
from ..networks.two_layer import TwoLayer
from ..training.trajectory import Trajectory, recorded_clock
from ..values.checks import fail
from ..values.scalars import positive_int
from .setting import has_layer_of_K

__all__ = [
    "angles",
    "batch_of",
    "class_means",
    "clock_grid",
    "in_units_of_F",
    "log_steps",
    "relu_limits",
    "starts",
    "two_row_stable_rank",
]


def in_units_of_F(net: TwoLayer) -> TwoLayer:
    """K's network in F's scaling: weights times ``c = √(2/m)``, second layer
    ``±1/√(2m)``; the same function.

    Flow takes the same path in both; F's time runs ``c²`` times as fast as K's.

    Raises
    ------
    ValueError
        If the second layer is not ``±1/m`` with m neurons of each sign.
    """
    m = net.m // 2
    if not has_layer_of_K(net):
        fail("net", "K's network, m neurons of each sign and a = ±1/m", repr(net))
    c = math.sqrt(2 / m)
    return replace(net.scaled(c), a=net.a / c)


def two_row_stable_rank(v: Tensor, u: Tensor, m_pos: int, m_neg: int) -> Tensor:
    """Stable rank (...) of a matrix of ``m_pos`` rows ``v`` (..., d) and ``m_neg`` rows
    ``u`` (..., d): that of F-3.2's KKT points, from the 2 × 2 Gram matrix of
    ``√m_pos v`` and ``√m_neg u``.

    ``2/(1 + √(1 - 4 det/tr²))``, between 1 (parallel rows) and 2 (orthogonal ones with
    equal shares of the norm).
    """
    m_pos = positive_int(m_pos, "m_pos")
    m_neg = positive_int(m_neg, "m_neg")
    vv = m_pos * v.square().sum(-1)
    uu = m_neg * u.square().sum(-1)
    vu = math.sqrt(m_pos * m_neg) * (v * u).sum(-1)
    # 1 - 4 det/tr² without cancellation.
    return 2 / (1 + torch.hypot(vv - uu, 2 * vu) / (vv + uu))


def relu_limits(k: int) -> tuple[float, float]:
    """``2k/(k+1)`` for each class and ``4k/(k+1)`` for the whole: ReLU, p = 0, equal
    norms, k samples a class, m → ∞ (K-F.3.k).
    """
    k = positive_int(k, "k")
    return 2 * k / (k + 1), 4 * k / (k + 1)


def _sign_masks(net: TwoLayer) -> tuple[Tensor, Tensor]:
    """Masks (m,) of the positive and of the negative rows, the same in a whole batch."""
    positive = net.positive.reshape(-1, net.m)
    if bool((positive != positive[0]).any()):
        fail("net", "the same signs of a in every batch entry", "different ones")
    if not 0 < int(positive[0].sum()) < net.m:
        fail(
            "net",
            "neurons of both signs",
            f"{int(positive[0].sum())} positive ones of {net.m}",
        )
    return positive[0], ~positive[0]


def class_means(net: TwoLayer) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of each sign as their mean and the rest: ``W_j = 1 β_jᵀ + E_j`` with
    ``1ᵀE_j = 0``.

    Returns
    -------
    lengths : (..., 2)
        ``‖β_+‖`` and ``‖β_-‖``, the part outside the data's coordinates included.
    rest : (..., 2)
        ``‖E_j‖_F²``.
    bound : (..., 2)
        ``1 + ‖E_j‖_F²/(m_j ‖β_j‖²)``, never below the stable rank of ``W_j``.
    """
    gram = net.weight_gram()
    sizes = []
    rests = []
    bounds = []
    for rows in _sign_masks(net):
        own = gram[..., rows, :][..., rows]
        size = own.mean((-2, -1))
        count = int(rows.sum())
        # Centre before summing: the trace minus count·size loses everything once the
        # rows agree.
        centred = (
            own
            - own.mean(-1, keepdim=True)
            - own.mean(-2, keepdim=True)
            + size[..., None, None]
        )
        rest = centred.diagonal(dim1=-2, dim2=-1).sum(-1).clamp_min(0)
        sizes.append(size.clamp_min(0).sqrt())
        rests.append(rest)
        bounds.append(1 + rest / (count * size))
    return (
        torch.stack(sizes, dim=-1),
        torch.stack(rests, dim=-1),
        torch.stack(bounds, dim=-1),
    )


def angles(net: TwoLayer, v: Tensor, u: Tensor) -> Tensor:
    """Angles (..., 2), in radians and up to sign, between the top right singular
    vectors of ``W_{+1}`` and ``W_{-1}`` in the full space and ``v`` and ``u`` (..., d),
    F-3.2's two neurons.
    """
    found = []
    gram = net.weight_gram()
    for rows, target in zip(_sign_masks(net), (v, u)):
        values, vectors = torch.linalg.eigh(gram[..., rows, :][..., rows])
        left = vectors[..., -1]
        size = values[..., -1:].clamp_min(1e-300).sqrt()
        # W = U S Rᵀ, so r = Wᵀ l / σ; what lies outside the coordinates has the squared
        # length lᵀ F l / σ².
        right = (left.unsqueeze(-2) @ net.weights[..., rows, :]).squeeze(-2) / size
        unit = target.to(right) / target.norm(dim=-1, keepdim=True).to(right)
        along = (right * unit).sum(-1)
        across = (right - along.unsqueeze(-1) * unit).square().sum(-1)
        if net.frozen_gram is not None:
            frozen = net.frozen_gram[..., rows, :][..., rows]
            outside = (left.unsqueeze(-2) @ frozen @ left.unsqueeze(-1)).squeeze(
                (-2, -1)
            )
            across = across + outside / size.squeeze(-1) ** 2
        found.append(torch.atan2(across.sqrt(), along.abs()))
    return torch.stack(found, dim=-1)


def log_steps(
    run: Trajectory, before: int = 0, step_size: float | Tensor = 1.0
) -> Tensor:
    """``log`` of the number of descent steps (T, ...) at each record: of descent
    itself, or of a flow that goes on after ``before`` steps of size ``step_size``,
    where a time ``τ`` counts as ``τ/step_size`` steps. -inf at step 0.
    """
    start = torch.tensor(float(before), dtype=torch.float64).log()
    if run.step is not None:
        return (run.step.double() + before).log()
    _, log_time = recorded_clock(run)
    return torch.logaddexp(
        log_time - torch.as_tensor(step_size, dtype=torch.float64).log(), start
    )


def clock_grid(start: float, until: float, count: int) -> list[float]:
    """``count`` values of the loss clock, log-spaced from ``start`` to exactly
    ``until``.
    """
    if not 0 < start < until or count < 2:
        fail(
            "start, until, count",
            "0 < start < until and count >= 2",
            f"{start}, {until}, {count}",
        )
    grid = torch.logspace(
        math.log10(start), math.log10(until), count, dtype=torch.float64
    ).tolist()
    return [*grid[:-1], until]


def batch_of(sets: Sequence[Dataset]) -> Dataset:
    """Data sets of one shape as a batch (b, 1): slopes go on the second batch dimension."""
    shapes = {(tuple(data.x.shape), data.ambient_dim) for data in sets}
    if len(shapes) != 1:
        fail("sets", "data sets of one shape and dimension", sorted(shapes))
    x, y = (
        torch.stack([getattr(data, name) for data in sets]).unsqueeze(1)
        for name in "xy"
    )
    return Dataset(x, y, ambient_dim=sets[0].ambient_dim)


def starts(
    sets: Sequence[Dataset],
    m: int,
    activation: Activation,
    scale: float,
    seeds: Sequence[int],
) -> tuple[TwoLayer, Dataset]:
    """K's Gaussian starts, m neurons of each sign, one seed for each data set, and the
    batch of data: (sets, slopes) when the activation's leak is a tensor (slopes,), else
    (sets, 1).
    """
    if len(seeds) != len(sets):
        fail("seeds", f"{len(sets)} seeds, one for each data set", len(seeds))
    # The weights drawn know of no activation; its slopes get a batch dimension of their
    # own.
    net = TwoLayer.init(sets[0], m, m, relu(), scale, output="1/m", seed=list(seeds))
    slopes = torch.as_tensor(activation.gamma).numel()
    weights = net.weights.unsqueeze(1).expand(-1, slopes, -1, -1)
    frozen = None if net.frozen_gram is None else net.frozen_gram.unsqueeze(1)
    net = replace(net, weights=weights, activation=activation, frozen_gram=frozen)
    return net, batch_of(sets)
