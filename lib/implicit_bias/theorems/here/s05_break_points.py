"""Found here: S-5, how strongly samples may be correlated before Theorem 3.2 breaks."""

from __future__ import annotations

import math

import torch

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...values.scalars import number_between, positive_int
from ...values.wording import format_error
from ..claim import register
from ..verdict import Finding, Verdict, decide, equality
from .s05_formulas import break_points, candidate_signs, first_order_break, worst_data

__all__ = ["first_break"]


def _measured_break(gamma: float, kappa: float, n: int) -> float:
    """The p at which the worst data set loses a sign, by bisection on the solved KKT
    system.
    """
    low = 0.0
    high = (1 - 1e-9) / (n - 1)
    for _ in range(60):
        p = (low + high) / 2
        low, high = (
            (p, high)
            if float(candidate_signs(worst_data(n, p), gamma, kappa)) > 0
            else (low, p)
        )
    return (low + high) / 2


def _random_data(n: int, p: float, trials: int, stream: torch.Generator) -> Dataset:
    """``trials`` data sets at once, off-diagonal entries in {-p, 0, p} or uniform,
    random classes, norms 1 to 10.
    """
    signs = torch.randint(-1, 2, (trials, n, n), generator=stream).double()
    free = torch.rand(trials, n, n, generator=stream, dtype=torch.float64) * 2 - 1
    upper = torch.where(
        torch.rand(trials, 1, 1, generator=stream) < 0.5, signs, free
    ).triu(1)
    norms = 1 + 9 * torch.rand(trials, n, generator=stream, dtype=torch.float64) ** 4
    gram = p * (upper + upper.mT) + torch.diag_embed(norms.square())
    y = torch.where(torch.rand(trials, n, generator=stream) < 0.5, 1.0, -1.0)
    return Dataset(torch.linalg.cholesky(gram), y)


@register(
    "S-5",
    "Where Theorem 3.2 first breaks",
    "The signs of item 3 first break at the root of Nγ(1+κ)p² + "
    "[N(1-γ²)+(N-1)γ(κ+γ²)]p = γ(κ+γ²), "
    "N = n-1, R_min = 1, whatever R, as long as no multiplier vanishes before that.",
    "found here; proof in the chapter",
    positive=lambda: (0.5, 1.0, 10),
    negative=lambda: (0.5, 1.0, 10, first_order_break(0.5, 1.0) / 9),
    status="proved here",
)
def first_break(
    gamma: float,
    kappa: float,
    n: int,
    predicted: float | None = None,
    trials: int = 2000,
) -> Verdict:
    """S-5: the break point of the worst data set, by bisection, against ``predicted`` p
    (default: the formula); random data below it.

    Holds when the two agree to 10⁻⁹ and none of ``trials`` random data sets at 0.999 of
    the prediction has lost a sign. A ``predicted`` p that does not solve the equation
    is not what S-5 predicts.
    """
    points = break_points(gamma, kappa, n)
    trials = positive_int(trials, "trials")
    if predicted is not None:
        number_between(
            predicted, "predicted", 0, 1 / (n - 1), "0 < predicted < 1/(n-1)", ends="()"
        )
    predicted = points.sign / (n - 1) if predicted is None else float(predicted)
    if not 1e-9 < predicted < (1 - 1e-9) / (n - 1):
        raise ValueError(
            "gamma, kappa: expected a break point that floats can tell, got p = "
            f"{predicted:g}"
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
        (
            candidate_signs(
                _random_data(n, 0.999 * min(predicted, measured), trials, stream),
                gamma,
                kappa,
            )
            <= 0
        ).sum()
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
            Finding(
                0.0,
                f"{lost} of {trials} random data sets lost a sign earlier.",
                "",
                constants,
            ),
            hypotheses,
        )
    past = constants["past the hypothesis"]
    seen = (
        f"predicted p = {predicted:.6f}, measured {measured:.6f} (difference "
        f"{format_error(error)})"
    )
    kept = f"At 0.999 of it none of {trials} random data sets has lost a sign."
    finding = equality(
        error,
        f"{seen}; {past:.1f} times past H-3.2. {kept}",
        worst="",
        tolerance=1e-9,
        **constants,
    )
    return decide("S-5", finding, hypotheses)


def _solves(p: float, gamma: float, kappa: float, n: int) -> Hypothesis:
    """That ``p`` is a root of S-5's equation, to a relative 10⁻⁹ of its right side."""
    N = n - 1
    lean = gamma * (kappa + gamma**2)
    left = N * gamma * (1 + kappa) * p**2 + (N * (1 - gamma**2) + (N - 1) * lean) * p
    off = torch.tensor(abs(left / lean - 1), dtype=torch.float64)
    return Hypothesis(
        "root", "p solves the equation of S-5", torch.full_like(off, 1e-9), off
    )
