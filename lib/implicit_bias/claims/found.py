r"""Found here: what is sharper than the papers say.

S-1: the factor R² in H-3.2 is superfluous. S-5: how strongly samples may really be correlated before Theorem 3.2
breaks.

Units for S-5: ``R_min = 1``, ``P = p(n-1)/R_min²``, and every neuron's share ``μ`` of its sign in the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._checks import fail, number_between, positive_int
from .._format import format_error
from ..data import Dataset, correlated, from_gram
from ..hypotheses import H_S1, Hypothesis
from ..margin import class_slopes, kkt_matrix, kkt_point
from ..measures import signed_gram
from ..network import TwoLayer
from . import instances
from .at_point import AtPoint
from .common import leak_of
from .frei_kkt import found_at
from .kkt_items import ITEMS, equality, to_resolution
from .registry import register
from .verdict import Finding, Verdict, decide, worst_of

__all__ = [
    "BreakPoints",
    "H_S5",
    "break_points",
    "candidate_signs",
    "every_kkt_point",
    "first_order_break",
    "worst_data",
]


# -- S-1 --------
# ------------


def _norms_to_300() -> tuple[TwoLayer, Dataset]:
    """Norms from 1 to 300: H-3.2 fails by a factor of 10⁵, S-1's condition holds."""
    n, gamma = 8, instances.GAMMA
    data = correlated(
        n, p=0.9 * gamma**3 / (3 * n), signs="random", norms=torch.logspace(0, math.log10(300), n).tolist(), seed=3
    )
    return kkt_point(data, instances.M_POS, instances.M_NEG, gamma).net, data


@register(
    "S-1",
    "R² is superfluous",
    "R_min² ≥ 3γ⁻³ n p is enough for all seven items of Theorem 3.2; moreover λ_i‖x_i‖² > 1 - γ²/2.",
    "found here; proof in the chapter",
    positive=_norms_to_300,
    negative=instances.kkt_bent,
    status="proved here",
)
def without_the_ratio(net: TwoLayer, data: Dataset) -> Verdict:
    """S-1 at a network: all items of F-3.2, and the lower bound on λ that needs no R, under ``R_min² ≥ 3γ⁻³ n p``."""
    point = AtPoint.of(net, data)
    finding = found_at(point, _all_items)
    return decide("S-1", finding, (*point.hypotheses(), H_S1(point.data, leak_of(net))), unsettled=point.unsettled())


def _all_items(point: AtPoint) -> Finding:
    """The tightest of the seven items and of the bound on λ; open where one of them is and none is false."""
    findings = {f"item {k}": item(point) for k, item in enumerate(ITEMS, 1)}
    findings["λ_i‖x_i‖²"] = _own_weight(point)
    slacks = {key: finding.slack for key, finding in findings.items()}
    # A slack that is no number is tightest, unless something is false.
    name = min(slacks, key=lambda key: 1.0 - 1e-12 if math.isnan(slacks[key]) else slacks[key])
    return Finding(slacks[name], f"tightest is {name}: {findings[name].why}", findings[name].worst, slacks)


def _own_weight(point: AtPoint) -> Finding:
    """``λ_i‖x_i‖² > 1 - γ²/2`` for every sample."""
    gamma = torch.as_tensor(leak_of(point.net), dtype=torch.float64)[..., None]
    slack, place = worst_of(point.lam * point.data.norms.square() / (1 - gamma**2 / 2), "sample")
    why = f"λ_i‖x_i‖² is at least {slack:.3f} times 1 - γ²/2."
    return Finding(to_resolution(slack, point.multipliers), why, place)


# -- S-5 --------
# ------------


@dataclass(frozen=True)
class BreakPoints:
    """Values of ``P = p(n-1)/R_min²`` at which a part of items 1 to 3 first fails in its worst data set; NaN if never
    for P < 1.

    ``sign``: a sample changes sides of v or u. ``zero``: a multiplier vanishes. ``high``, ``low``: λ leaves its
    interval (``low`` for equal norms). ``first`` is the smallest, ``item`` its name.
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
        return min((name for name in named if not math.isnan(named[name])), key=named.get)


def _smallest_root(c2: float, c1: float, c0: float, below: float) -> float:
    """Smallest root of ``c2 p² + c1 p + c0`` in (0, below); NaN if there is none."""
    roots = [-c0 / c1] if abs(c2) < 1e-15 else []
    if abs(c2) >= 1e-15 and c1 * c1 >= 4 * c2 * c0:
        half = -(c1 + math.copysign(math.sqrt(c1 * c1 - 4 * c2 * c0), c1)) / 2
        roots = [half / c2] + ([c0 / half] if half else [])
    return min((root for root in roots if 0 < root < below * (1 - 1e-9)), default=math.nan)


def break_points(gamma: float, kappa: float, n: int) -> BreakPoints:
    """Where each part of items 1 to 3 first breaks, over all data with ``n`` samples and all ratios of norms (S-5).

    ``sign`` is the root of ``Nγ(1+κ)p² + [N(1-γ²) + (N-1)γ(κ+γ²)]p = γ(κ+γ²)``, ``N = n-1``. ``sign``, ``zero`` and
    ``high`` are proved sharp, ``sign`` while the multipliers are positive, ``high`` (from ``λ_k ≤ 1/(A_min(1-P))``,
    ``A_min = (κ+γ²)/(1+κ)``) while the signs are right; ``low`` is the smaller of two families' and was only measured
    to be the least.
    """
    number_between(gamma, "gamma", 0, 1, "0 < gamma < 1", ends="()")
    number_between(kappa, "kappa", 0, 1, "0 < kappa <= 1", ends="(]")
    positive_int(n, "n", least=2)
    N, below = n - 1, 1 / (n - 1)
    scarce, abundant = (kappa + gamma**2) / (1 + kappa), (1 + kappa * gamma**2) / (1 + kappa)
    lean = gamma * (kappa + gamma**2)
    sign = N * _smallest_root(N * gamma * (1 + kappa), N * (1 - gamma**2) + (N - 1) * lean, -lean, below)
    share = max(1.0, gamma / scarce)
    zero = N / (N - 1 + share * N) if N - 1 + share * N > N else math.nan
    high = 1 - 2 * gamma**2 / (3 * scarce)
    slope = scarce * (2 - abundant)
    others = _smallest_root(gamma**2 * N, -((N - 1) * slope + 2 * gamma * N), slope, below)
    same = _smallest_root(abundant * N, -((N - 1) * (2 - abundant) + 2 * N), 2 - abundant, below)
    return BreakPoints(
        sign, zero, high if high > 0 else math.nan, N * min((r for r in (others, same) if r == r), default=math.nan)
    )


def every_kkt_point(gamma: float, kappa: float) -> float:
    """``γ(κ+γ²)/(1+κγ(1+γ-γ²))``: below this P (and below ``zero``) every KKT point is that of F-3.2, λ > 0 and signs
    strict. Proved.
    """
    return gamma * (kappa + gamma**2) / (1 + kappa * gamma * (1 + gamma - gamma**2))


def first_order_break(gamma: float, kappa: float) -> float:
    """``γ(γ²+κ)/(1+γ²κ)``: the break point of the signs when the multipliers are taken at p = 0. An estimate."""
    return gamma * (gamma**2 + kappa) / (1 + gamma**2 * kappa)


def H_S5(data: Dataset, gamma: float, kappa: float) -> Hypothesis:
    """S-5's condition for every KKT point: ``R_min² · min(P_all, P_zero) ≥ p(n-1)``."""
    bound = every_kkt_point(gamma, kappa)
    if data.n > 1:
        zero = break_points(gamma, kappa, data.n).zero
        bound = min(bound, zero) if zero == zero else bound
    lhs = bound * data.R_min.double() ** 2
    return Hypothesis("H-S5", "R_min² min(P_all, P_zero) ≥ p(n-1)", lhs, data.p.double() * (data.n - 1))


def worst_data(n: int, p: float, kind: str = "sign") -> Dataset:
    """The data set in which a part of items 1 to 3 breaks first; norms 1, off-diagonal products ``±p``, majority of
    positive neurons.

    ``"sign"``: sample 0 alone in the positive class, every pair at ``-p y_i y_k``. ``"high"``: the same with all
    samples negative. ``"low"`` and ``"low, one class"``: sample 0 leans towards its label, the others away from
    theirs; the first when ``γ > (κ+γ²)/(1+κ)``.
    """
    kinds = ("sign", "high", "low", "low, one class")
    if kind not in kinds:
        fail("kind", f"one of {kinds}", repr(kind))
    agreement = torch.full((n, n), -float(p), dtype=torch.float64)
    if kind.startswith("low"):
        agreement[0, 1:] = agreement[1:, 0] = p
    agreement.fill_diagonal_(1.0)
    y = torch.ones(n, dtype=torch.float64) if kind == "low, one class" else -torch.ones(n, dtype=torch.float64)
    if kind in ("sign", "low"):
        y[0] = 1
    return from_gram(agreement * torch.outer(y, y), y=y)


def candidate_signs(data: Dataset, gamma: float, kappa: float) -> Tensor:
    """The smallest of ``y_i⟨v,x_i⟩`` and ``-y_i⟨u,x_i⟩`` (..., times √m) at the solution of ``Kλ = 1``: positive
    while item 3's signs hold.

    ``kappa`` is the ratio of negative to positive neurons.
    """
    K = kkt_matrix(data, 1.0, kappa, gamma)
    lam = torch.linalg.solve(K, torch.ones_like(K[..., :1])).squeeze(-1)
    agreement = signed_gram(data)
    along_v, along_u = ((agreement @ (s * lam).unsqueeze(-1)).squeeze(-1) for s in class_slopes(data, gamma))
    return torch.minimum(along_v, along_u).amin(-1)


def _measured_break(gamma: float, kappa: float, n: int) -> float:
    """The p at which the worst data set loses a sign, by bisection on the solved KKT system."""
    low, high = 0.0, (1 - 1e-9) / (n - 1)
    for _ in range(60):
        p = (low + high) / 2
        low, high = (p, high) if float(candidate_signs(worst_data(n, p), gamma, kappa)) > 0 else (low, p)
    return (low + high) / 2


def _random_data(n: int, p: float, trials: int, stream: torch.Generator) -> Dataset:
    """``trials`` data sets at once, off-diagonal entries in {-p, 0, p} or uniform, random classes, norms 1 to 10."""
    signs = torch.randint(-1, 2, (trials, n, n), generator=stream).double()
    free = torch.rand(trials, n, n, generator=stream, dtype=torch.float64) * 2 - 1
    upper = torch.where(torch.rand(trials, 1, 1, generator=stream) < 0.5, signs, free).triu(1)
    norms = 1 + 9 * torch.rand(trials, n, generator=stream, dtype=torch.float64) ** 4
    gram = p * (upper + upper.mT) + torch.diag_embed(norms.square())
    y = torch.where(torch.rand(trials, n, generator=stream) < 0.5, 1.0, -1.0)
    return Dataset(torch.linalg.cholesky(gram), y)


@register(
    "S-5",
    "Where Theorem 3.2 first breaks",
    "The signs of item 3 first break at the root of Nγ(1+κ)p² + [N(1-γ²)+(N-1)γ(κ+γ²)]p = γ(κ+γ²), "
    "N = n-1, R_min = 1, whatever R, as long as no multiplier vanishes before that.",
    "found here; proof in the chapter",
    positive=lambda: (0.5, 1.0, 10),
    negative=lambda: (0.5, 1.0, 10, first_order_break(0.5, 1.0) / 9),
    status="proved here",
)
def first_break(gamma: float, kappa: float, n: int, predicted: float | None = None, trials: int = 2000) -> Verdict:
    """S-5: the break point of the worst data set, by bisection, against ``predicted`` p (default: the formula);
    random data below it.

    Holds when the two agree to 10⁻⁹ and none of ``trials`` random data sets at 0.999 of the prediction has lost a sign.
    A ``predicted`` p that does not solve the equation is not what S-5 predicts.
    """
    points, trials = break_points(gamma, kappa, n), positive_int(trials, "trials")
    if predicted is not None:
        number_between(predicted, "predicted", 0, 1 / (n - 1), "0 < predicted < 1/(n-1)", ends="()")
    predicted = points.sign / (n - 1) if predicted is None else float(predicted)
    if not 1e-9 < predicted < (1 - 1e-9) / (n - 1):
        raise ValueError(
            f"gamma, kappa: expected a break point that floats can tell, got p = {predicted:g}"
        )
    measured = _measured_break(gamma, kappa, n)
    positive_multipliers = Hypothesis(
        "λ > 0",
        "the multipliers stay positive up to there",
        torch.tensor(points.zero if points.zero == points.zero else math.inf),
        torch.tensor(predicted * (n - 1)),
    )
    hypotheses = (positive_multipliers, _solves(predicted, gamma, kappa, n))
    stream = torch.Generator().manual_seed(0)
    lost = int(
        (candidate_signs(_random_data(n, 0.999 * min(predicted, measured), trials, stream), gamma, kappa) <= 0).sum()
    )
    error = abs(measured / predicted - 1)
    constants = {
        "measured": measured,
        "predicted": predicted,
        "past the hypothesis": measured * n / (gamma**3 / 3),
        "lost": float(lost),
    }
    if lost:
        return decide(
            "S-5",
            Finding(0.0, f"{lost} of {trials} random data sets lost a sign earlier.", "", constants),
            hypotheses,
        )
    past = constants["past the hypothesis"]
    seen = f"predicted p = {predicted:.6f}, measured {measured:.6f} (difference {format_error(error)})"
    kept = f"At 0.999 of it none of {trials} random data sets has lost a sign."
    finding = equality(error, f"{seen}; {past:.1f} times past H-3.2. {kept}", tolerance=1e-9, **constants)
    return decide("S-5", finding, hypotheses)


def _solves(p: float, gamma: float, kappa: float, n: int) -> Hypothesis:
    """That ``p`` is a root of S-5's equation, to a relative 10⁻⁹ of its right side."""
    N, lean = n - 1, gamma * (kappa + gamma**2)
    left = N * gamma * (1 + kappa) * p**2 + (N * (1 - gamma**2) + (N - 1) * lean) * p
    off = torch.tensor(abs(left / lean - 1), dtype=torch.float64)
    return Hypothesis("root", "p solves the equation of S-5", torch.full_like(off, 1e-9), off)
