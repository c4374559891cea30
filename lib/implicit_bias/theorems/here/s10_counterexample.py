r"""Found here: S-10, Proposition E.10 of Frei et al. is false as printed."""

from __future__ import annotations

import torch

from ...data.dataset import Dataset
from ...hypotheses.hypothesis import Hypothesis
from ...networks.two_layer import TwoLayer
from ..claim import register
from ..frei2023.e10_invariant import invariant_parts
from ..frei2023.smooth_instances import counterexample
from ..frei2023.smooth_setting import smoothness
from ..verdict import Finding, Verdict, decide

__all__ = ["printed_invariant_fails"]


@register(
    "S-10",
    "Proposition E.10 is false as printed",
    "With H where F-E.10 needs max(1,H), its hypotheses hold on an instance (n = 2, γ "
    "= 0.9995, α = 39.9) where one "
    "step takes the exponential loss ratio from 9.98 past ρ = 5/c + 5 = 10.0025, to "
    "about 350.",
    "found here; counterexample in the chapter",
    chapter="loss_ratio",
    positive=counterexample,
    negative=lambda: counterexample(0.004),
    status="proved here",
)
def printed_invariant_fails(
    net: TwoLayer,
    data: Dataset,
    step_size: float,
    rho: float | None = None,
    c: float | None = None,
) -> Verdict:
    """S-10: whether an instance refutes F-E.10 as printed. Its hypotheses, with H for
    max(1,H), must hold, and the exponential loss ratio after one step exceed ρ; the
    slack is that ratio over ρ.

    A step that F-E.10 allows as corrected refutes nothing, so it must be a larger one.
    An instance that stays below ρ decides nothing: others may not.
    """
    alpha = torch.as_tensor(step_size, dtype=torch.float64)
    H = smoothness(net.activation)
    hypotheses, after, log_rho = invariant_parts(
        net, data, alpha, rho, c, "logistic", H
    )
    corrected = invariant_parts(net, data, alpha, rho, c, "logistic", max(1.0, H))[0][
        -1
    ]
    past = Hypothesis(
        "past the correction",
        "α > 1/(5 max(1,H) R_max² n (10R²/c+10))",
        corrected.rhs,
        corrected.lhs,
    )
    ratio = float(after.max().exp())
    bound = float(log_rho.max().exp())
    why = f"one step takes the exponential loss ratio to {ratio:.5g}; ρ is {bound:.6g}."
    finding = Finding(
        float((after - log_rho).exp()), why, "", {"ratio": ratio, "ρ": bound}
    )
    silent = "" if finding.true else "This instance is no counterexample:"
    return decide("S-10", finding, (*hypotheses, past), unsettled=silent)
