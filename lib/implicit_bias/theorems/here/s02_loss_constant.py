"""Found here: S-2, ``η t L(t) → ‖W*‖_F²`` once the pattern is frozen.

With the pattern fixed the outputs are linear in the weights, and training is logistic
regression on the n features ``y_i ∇f(x_i)``; ``K`` is their Gram matrix.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ...data.dataset import Dataset
from ...data.made_to_order import correlated
from ...margin.least_distance import least_distance
from ...measures.gradients import gradient_gram
from ...measures.outputs import activation_pattern
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent, log_spaced
from ...training.flow import gradient_flow
from ...training.trajectory import DESCENT, FLOW, Trajectory
from ...values.wording import format_error
from ..claim import register
from ..frei2023 import instances
from ..kou2023.instances import opposed
from ..kou2023.lemma_5_6 import CHAPTER
from ..kou2023.long_runs import at_kink, long_run
from ..limits import FLOW_ERROR, NO_LIMIT_REFUTED
from ..setting import logistic, yes_or_no
from ..verdict import Finding, Verdict, decide

__all__ = ["feature_gram", "loss_constant", "pattern_multipliers"]


def feature_gram(net: TwoLayer, data: Dataset) -> Tensor:
    """``K`` (..., n, n): inner products of the features ``y_i ∇f(x_i)`` in the
    network's own pattern and units.

    In the ordered pattern of F's network it is
    :func:`~implicit_bias.margin.kkt.kkt_matrix`; of K's, ``2/m`` times that.
    """
    return gradient_gram(net, data) * data.y.unsqueeze(-1) * data.y.unsqueeze(-2)


def pattern_multipliers(net: TwoLayer, data: Dataset) -> Tensor | None:
    """Multipliers λ ≥ 0 (n,) of the max-margin problem in the network's pattern;
    ``Kλ = 1`` where all are positive, and ``‖W*‖² = Σ λ_i``. None where no weights fit
    the data in this pattern.
    """
    lam = least_distance(feature_gram(net, data).double().numpy())
    return None if lam is None else torch.from_numpy(lam)


LOSS_TOLERANCE = 1e-3
"""``η t L`` must come this close to its limit, relatively; other runs are undecided."""


@cache
def leaning_far() -> tuple[Trajectory, Trajectory]:
    """Six samples that lean by P = (n-1)p = 0.45 towards the other class, far beyond
    H-K4.1, and stay in order.
    """
    data = correlated(6, p=0.09, signs="oppose", norms=[1, 1.1, 1, 1.2, 1, 1])
    net = TwoLayer.init(
        data, 4, 4, leaky_relu(instances.GAMMA), 0.05, output="1/m", seed=1
    )
    descent = gradient_descent(net, data, 2.0, 5000, record=log_spaced(5000, 60))
    return descent, gradient_flow(descent.final, data, 400.0)


@register(
    "S-2",
    "The loss constant",
    "η t L(t) → ‖W*‖_F² once the pattern is fixed and if L → 0, for every p: the rate "
    "is 1/t. ‖W*‖_F² = 1ᵀK⁻¹1 where "
    "every sample is a support vector.",
    "found here; proof in the chapter",
    chapter=CHAPTER,
    positive=leaning_far,
    negative=opposed,
    status="proved here",
    rules={"run": (DESCENT, FLOW)},
)
def loss_constant(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """S-2 on a run of descent (and the flow that goes on from it), or of flow alone
    (time t in place of ``η t``): how far ``η t L`` is from ``‖W*‖²`` of the pattern
    that the run ends in, whatever that is, over the last decade of t.

    Hypotheses: the pattern is the same over the last half of log t, and some weights
    fit the data in it.
    """
    joined = long_run(run, flow)
    data = joined.data
    net = joined.at(-1)
    patterns = activation_pattern(joined.nets, data)
    half = joined.log_step >= float(joined.log_step[-1]) / 2
    # A preactivation that slides along its kink has no sign to speak of.
    sliding = int(at_kink(net, data).sum())
    fixed = bool((patterns[half] == patterns[-1]).all()) and not sliding
    lam = pattern_multipliers(net, data)
    hypotheses = (
        yes_or_no("homogeneous", "f(x; βW) = βf(x; W)", net.activation.homogeneous),
        logistic(joined.loss),
        yes_or_no(
            "fixed pattern",
            "no sign changes over the last half of log t, and no preactivation at its kink",
            fixed,
        ),
        yes_or_no(
            "separable", "some weights fit all samples in this pattern", lam is not None
        ),
    )
    if sliding:
        why = (
            f"The run ends in no pattern that has a ‖W*‖²: {sliding} "
            "preactivation(s) sit at their kink."
        )
        return decide("S-2", Finding(math.nan, why), hypotheses)
    log_product = joined.log_step + joined.log_loss + math.log(joined.step_size or 1.0)
    if lam is None:
        return decide(
            "S-2",
            Finding(0.0, f"η t L = {float(log_product[-1].exp()):.3g} and rises."),
            hypotheses,
        )
    off = (log_product - math.log(float(lam.sum()))).abs()
    late = joined.log_step >= float(joined.log_step[-1]) - math.log(10)
    # A product that only passes its limit is not there: the record before must be
    # close, too.
    error = float(torch.cat([off[late], off[-2:]]).max())
    numbers = {"limit": float(lam.sum()), "error": error}
    close = format_error(error) if error > FLOW_ERROR else f"less than {FLOW_ERROR:.0e}"
    end = float(joined.log_step[-1])
    why = f"η t L is within {close} of ‖W*‖² = {float(lam.sum()):.5g} at log t = {end:.4g}."
    finding = Finding(LOSS_TOLERANCE / max(error, FLOW_ERROR), why, "", numbers)
    short = "The run is too short:" if len(off) < 3 else ""
    return decide(
        "S-2",
        finding,
        hypotheses,
        unsettled=short or ("" if finding.true else NO_LIMIT_REFUTED),
    )
