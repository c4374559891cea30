r"""What the claims on the loss ratio share: one step of descent seen without cancellation, the two conditions on
gradients, constants, and a long run of small networks.

Write ``z_ji = ⟨w_j, x_i⟩`` and ``u_ji`` for what one step adds to it. Then the margin of sample i grows by
``y_i Σ_j a_j (φ(z_ji + u_ji) - φ(z_ji))``, which the activation's ``increment`` keeps exact however small
``u`` is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .. import losses
from .._checks import fail, leak_tensor, positive
from ..data import Dataset, orthogonal
from ..hypotheses import Hypothesis
from ..losses import Loss
from ..measures import gradient, gradient_gram, margins, networks
from ..network import Activation, TwoLayer, smoothed_leaky_relu
from ..trajectory import Trajectory
from .common import has_layer_of_F, logistic, strictly_positive, yes_or_no
from .pl_tools import second_layer

__all__ = [
    "Step",
    "applying",
    "contraction_constant",
    "dominance",
    "no_zero_sample",
    "smooth_leaky_setting",
    "slopes_fit",
    "smooth_setting",
    "with_margins",
    "with_norms",
    "one_step",
    "orthogonality",
    "persistence",
    "sharp_constant",
    "smoothness",
    "steps_of",
    "layer_of_F",
]


# -- constants and conditions ----------------------------------------------------------------------------------------


def smoothness(activation: Activation) -> float | Tensor:
    """``H`` with ``|φ''| ≤ H``; for an activation with a kink, which has none, that of its smoothed version."""
    if activation.smooth and activation.H is None:
        fail("activation", "one whose H is known (override H in your class)", activation.name)
    return activation.H if activation.smooth else (1 - activation.gamma) / 4


def contraction_constant(data: Dataset, c: float | Tensor) -> Tensor:
    """``10 R²/c + 10`` (...): the constant of F-E.8 and F-E.10, and ``C_R`` at ``c = γ²``."""
    return 10 * data.R.double() ** 2 / torch.as_tensor(c, dtype=torch.float64) + 10


def sharp_constant(data: Dataset, gamma: float | Tensor) -> Tensor:
    """``2.6 R²/γ²`` (...): bounds the loss ratio under the hypotheses of F-E.4 (proved in the chapter)."""
    return 2.6 * (data.R.double() / leak_tensor(gamma)) ** 2


def orthogonality(net: TwoLayer, data: Dataset) -> Tensor:
    """The best ``C'`` of F-E.5 at every sample (..., n): ``‖∇f_i‖_F² / (n max_{k≠i} |⟨∇f_i, ∇f_k⟩|)``; ∞ where all
    others are orthogonal to it.
    """
    return dominance(gradient_gram(net, data))


def dominance(gram: Tensor) -> Tensor:
    """Of each vector (..., n) of a Gram matrix (..., n, n), its square over n times its largest product with another;
    ∞ where it is orthogonal to all.
    """
    squares = gram.diagonal(dim1=-2, dim2=-1)
    others = gram.abs() - torch.diag_embed(squares)
    return squares / (gram.shape[-1] * others.amax(-1))


def persistence(net: TwoLayer, data: Dataset) -> Tensor:
    """The best ``c`` of F-E.6 at every sample (..., n): ``‖∇f_i‖_F² / ‖x_i‖² = Σ_j a_j² φ'_ij²``."""
    slopes = net.activation.derivative(net.preactivations(data.x))
    return ((net.a.unsqueeze(-1) * slopes) ** 2).sum(-2)


def smooth_leaky_setting(net: TwoLayer, loss: str | Loss = "logistic") -> tuple[Hypothesis, ...]:
    """What all of F's appendix E assumes: γ-leaky and smooth φ, ``a_j = ±1/√m``, logistic loss.

    A leak of 1, a linear network, counts as leaky: the proofs use ``γ > 0`` alone.
    """
    leaky = slopes_fit(net.activation)
    return (yes_or_no("activation", "γ ≤ φ' ≤ 1 with γ > 0", leaky), *smooth_setting(net, loss))


def smooth_setting(net: TwoLayer, loss: str | Loss = "logistic") -> tuple[Hypothesis, ...]:
    """The same without a leak: H-smooth and 1-Lipschitz φ, ``a_j = ±1/√m``, logistic loss."""
    smooth = net.activation.smooth and net.activation.H is not None
    return (
        yes_or_no("smoothness", "φ is H-smooth", smooth and _bends_fit(net.activation)),
        layer_of_F(net),
        logistic(losses.get(loss)),
    )


def layer_of_F(net: TwoLayer) -> Hypothesis:
    """F's second layer, ``a_j = ±1/√m``."""
    return yes_or_no("second layer", "a_j = ±1/√m", has_layer_of_F(net))


def no_zero_sample(data: Dataset) -> Hypothesis:
    """``R_min > 0``: of a zero sample the conditions on gradients say nothing."""
    return strictly_positive("samples", "no sample is zero", data.R_min.double())


def _slopes(activation: Activation) -> tuple[Tensor, Tensor]:
    """Where an activation is looked at (k,), from -1000 to 1000 and closer together near 0, and its slopes
    (..., 1, k) there.
    """
    half = torch.cat([torch.zeros(1), torch.logspace(-3, 3, 200)]).double()
    z = torch.cat([-half.flip(0), half[1:]])
    shape = torch.as_tensor(activation.gamma).shape
    return z, activation.derivative(z.expand(*shape, 1, -1))


def slopes_fit(activation: Activation) -> bool:
    """Whether ``0 < γ ≤ φ' ≤ 1`` where the slopes are looked at."""
    gamma, (_, slopes) = torch.as_tensor(activation.gamma, dtype=torch.float64), _slopes(activation)
    low = gamma[..., None, None] if gamma.ndim else gamma
    return bool((gamma > 0).all() and (slopes >= low - 1e-12).all() and (slopes <= 1 + 1e-12).all())


def _bends_fit(activation: Activation) -> bool:
    """Whether ``|φ'| ≤ 1``, and slopes change by no more than H from place to place."""
    z, slopes = _slopes(activation)
    H = torch.as_tensor(activation.H, dtype=torch.float64)
    H = H[..., None, None] if H.ndim else H
    bend = slopes.diff(dim=-1).abs() <= H * z.diff() * (1 + 1e-9) + 1e-12
    return bool(bend.all() and (slopes.abs() <= 1 + 1e-12).all())


def applying(hypotheses: Sequence[Hypothesis], slack: Tensor) -> tuple[tuple[Hypothesis, ...], Tensor, str]:
    """Restrict a statement about single times to those where its hypotheses hold: hypotheses there, slacks (∞
    elsewhere), and how many there are. If there are none, nothing is restricted.
    """
    holds = torch.ones_like(slack, dtype=torch.bool)
    for h in hypotheses:
        holds &= h.holds.expand_as(holds)
    count = int(holds.sum())
    if count in (0, holds.numel()):
        return tuple(hypotheses), slack, f"hypotheses met at {'all' if count else 'none of'} {holds.numel()} records"
    kept = tuple(
        Hypothesis(h.name, h.statement, h.lhs.expand_as(slack)[holds], h.rhs.expand_as(slack)[holds])
        for h in hypotheses
    )
    return kept, slack.masked_fill(~holds, math.inf), f"hypotheses met at {count} of {holds.numel()} records"


# -- one step --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step of descent from a network (or a batch): margins before ``q`` and their growth ``dq`` (..., n), pulls
    ``g`` (..., n), their mean ``G`` (...).
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


def one_step(net: TwoLayer, data: Dataset, step_size: float | Tensor, loss: str | Loss = "logistic") -> Step:
    """A step of gradient descent of size ``step_size`` (broadcast against the batch) from ``net``."""
    positive(step_size, "step_size")
    step = torch.as_tensor(step_size, dtype=torch.float64)[..., None, None]
    z = net.preactivations(data.x)
    u = -step * (gradient(net, data, loss).double() @ data.x.double().mT)
    q = margins(net, data)
    dq = data.y * (net.a.unsqueeze(-1) * net.activation.increment(z, u)).sum(-2)
    return Step(q, dq, losses.get(loss).g(q))


def steps_of(run: Trajectory) -> tuple[TwoLayer, Step]:
    """All recorded networks of a run of descent as one batch, time first, and the step that follows each record.

    Raises
    ------
    ValueError
        For a run with one record: no step of it is seen, and so it cannot tell how long its steps are.
    """
    if run.step_size is None:
        fail("run", "a run of gradient_descent", "one without a step size")
    if len(run) < 2:
        fail("run", "at least two records, which show its step", f"{len(run)}")
    nets = networks(run)
    return nets, one_step(nets, run.data, run.step_size, run.loss)


# -- data and networks made to order ----------------------------------------------------------------------------------


def with_norms(data: Dataset, norms: Tensor) -> Dataset:
    """The same directions at other lengths (..., n): a batch of data sets where ``norms`` is one."""
    positive(norms, "norms")
    x = data.x / data.norms.unsqueeze(-1) * torch.as_tensor(norms, dtype=torch.float64).unsqueeze(-1)
    return replace(data, x=x, y=data.y.expand(x.shape[:-1]))


def with_margins(q: list[float], gamma: float) -> tuple[TwoLayer, Dataset]:
    """Two neurons, one of each sign, and orthonormal samples with margins ``q``, smoothed leaky ReLU.

    ``v = -u``: then ``f(x) = (φ(s) - φ(-s))/√2 = (1+γ)s/√2`` with ``s = ⟨v, x⟩``, whatever the smoothing does.
    """
    data = orthogonal(len(q))
    s = data.y * torch.tensor(q, dtype=torch.float64) * math.sqrt(2) / (1 + gamma)
    return TwoLayer(torch.stack([s, -s]) @ data.x, second_layer(1, 1), smoothed_leaky_relu(gamma)), data
