"""Found here: the formulas of S-5, and the data in which each part of items 1 to 3 breaks
first.

Units: ``R_min = 1``, ``P = p(n-1)/R_min²``, and every neuron's share ``μ`` of its sign
in the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.made_to_order import from_gram
from ...hypotheses.hypothesis import Hypothesis
from ...margin.kkt import class_slopes, kkt_matrix
from ...measures.outputs import signed_gram
from ...values.checks import fail
from ...values.scalars import number_between, positive_int

__all__ = [
    "BreakPoints",
    "H_S5",
    "break_points",
    "candidate_signs",
    "every_kkt_point",
    "first_order_break",
    "worst_data",
]


@dataclass(frozen=True)
class BreakPoints:
    """Values of ``P = p(n-1)/R_min²`` at which a part of items 1 to 3 first fails in
    its worst data set; NaN if never for P < 1.

    ``sign``: a sample changes sides of v or u. ``zero``: a multiplier vanishes.
    ``high``, ``low``: λ leaves its interval (``low`` for equal norms). ``first`` is the
    smallest, ``item`` its name.
    """

    sign: float
    zero: float
    high: float
    low: float

    @property
    def first(self) -> float:
        """Where the first part fails."""
        return getattr(self, self.item)

    @property
    def item(self) -> str:
        """Which part fails first."""
        named = {name: getattr(self, name) for name in ("sign", "zero", "high", "low")}
        broken = [name for name in named if not math.isnan(named[name])]
        return min(broken, key=named.__getitem__)


def _smallest_root(c2: float, c1: float, c0: float, below: float) -> float:
    """Smallest root of ``c2 p² + c1 p + c0`` in (0, below); NaN if there is none."""
    roots = [-c0 / c1] if abs(c2) < 1e-15 else []
    if abs(c2) >= 1e-15 and c1 * c1 >= 4 * c2 * c0:
        half = -(c1 + math.copysign(math.sqrt(c1 * c1 - 4 * c2 * c0), c1)) / 2
        roots = [half / c2] + ([c0 / half] if half else [])
    return min(
        (root for root in roots if 0 < root < below * (1 - 1e-9)), default=math.nan
    )


def break_points(gamma: float, kappa: float, n: int) -> BreakPoints:
    """Where each part of items 1 to 3 first breaks, over all data with ``n`` samples
    and all ratios of norms (S-5).

    ``sign`` is the root of ``Nγ(1+κ)p² + [N(1-γ²) + (N-1)γ(κ+γ²)]p = γ(κ+γ²)``,
    ``N = n-1``. ``sign``, ``zero`` and ``high`` are proved sharp, ``sign`` while the
    multipliers are positive, ``high`` (from ``λ_k ≤ 1/(A_min(1-P))``,
    ``A_min = (κ+γ²)/(1+κ)``) while the signs are right; ``low`` is the smaller of two
    families' and was only measured to be the least.
    """
    number_between(gamma, "gamma", 0, 1, "0 < gamma < 1", ends="()")
    number_between(kappa, "kappa", 0, 1, "0 < kappa <= 1", ends="(]")
    positive_int(n, "n", least=2)
    N = n - 1
    below = 1 / (n - 1)
    scarce = (kappa + gamma**2) / (1 + kappa)
    abundant = (1 + kappa * gamma**2) / (1 + kappa)
    lean = gamma * (kappa + gamma**2)
    sign = N * _smallest_root(
        N * gamma * (1 + kappa), N * (1 - gamma**2) + (N - 1) * lean, -lean, below
    )
    share = max(1.0, gamma / scarce)
    zero = N / (N - 1 + share * N) if N - 1 + share * N > N else math.nan
    high = 1 - 2 * gamma**2 / (3 * scarce)
    slope = scarce * (2 - abundant)
    others = _smallest_root(
        gamma**2 * N, -((N - 1) * slope + 2 * gamma * N), slope, below
    )
    same = _smallest_root(
        abundant * N, -((N - 1) * (2 - abundant) + 2 * N), 2 - abundant, below
    )
    return BreakPoints(
        sign,
        zero,
        high if high > 0 else math.nan,
        N * min((r for r in (others, same) if r == r), default=math.nan),
    )


def every_kkt_point(gamma: float, kappa: float) -> float:
    """``γ(κ+γ²)/(1+κγ(1+γ-γ²))``: below this P (and below ``zero``) every KKT point is
    that of F-3.2, λ > 0 and signs strict. Proved.
    """
    return gamma * (kappa + gamma**2) / (1 + kappa * gamma * (1 + gamma - gamma**2))


def first_order_break(gamma: float, kappa: float) -> float:
    """``γ(γ²+κ)/(1+γ²κ)``: the break point of the signs when the multipliers are taken
    at p = 0. An estimate.
    """
    return gamma * (gamma**2 + kappa) / (1 + gamma**2 * kappa)


def H_S5(data: Dataset, gamma: float, kappa: float) -> Hypothesis:
    """S-5's condition for every KKT point: ``R_min² · min(P_all, P_zero) ≥ p(n-1)``."""
    bound = every_kkt_point(gamma, kappa)
    if data.n > 1:
        zero = break_points(gamma, kappa, data.n).zero
        bound = min(bound, zero) if zero == zero else bound
    lhs = bound * data.R_min.double() ** 2
    return Hypothesis(
        "H-S5",
        "R_min² min(P_all, P_zero) ≥ p(n-1)",
        lhs,
        data.p.double() * (data.n - 1),
    )


def worst_data(n: int, p: float, kind: str = "sign") -> Dataset:
    """The data set in which a part of items 1 to 3 breaks first; norms 1, off-diagonal
    products ``±p``, majority of positive neurons.

    ``"sign"``: sample 0 alone in the positive class, every pair at ``-p y_i y_k``.
    ``"high"``: the same with all samples negative. ``"low"`` and ``"low, one class"``:
    sample 0 leans towards its label, the others away from theirs; the first when
    ``γ > (κ+γ²)/(1+κ)``.
    """
    kinds = ("sign", "high", "low", "low, one class")
    if kind not in kinds:
        fail("kind", f"one of {kinds}", repr(kind))
    agreement = torch.full((n, n), -float(p), dtype=torch.float64)
    if kind.startswith("low"):
        agreement[0, 1:] = agreement[1:, 0] = p
    agreement.fill_diagonal_(1.0)
    y = (
        torch.ones(n, dtype=torch.float64)
        if kind == "low, one class"
        else -torch.ones(n, dtype=torch.float64)
    )
    if kind in ("sign", "low"):
        y[0] = 1
    return from_gram(agreement * torch.outer(y, y), y=y)


def candidate_signs(data: Dataset, gamma: float, kappa: float) -> Tensor:
    """The smallest of ``y_i⟨v,x_i⟩`` and ``-y_i⟨u,x_i⟩`` (..., times √m) at the
    solution of ``Kλ = 1``: positive while item 3's signs hold.

    ``kappa`` is the ratio of negative to positive neurons.
    """
    K = kkt_matrix(data, 1.0, kappa, gamma)
    lam = torch.linalg.solve(K, torch.ones_like(K[..., :1])).squeeze(-1)
    agreement = signed_gram(data)
    along_v, along_u = (
        (agreement @ (s * lam).unsqueeze(-1)).squeeze(-1)
        for s in class_slopes(data, gamma)
    )
    return torch.minimum(along_v, along_u).amin(-1)
