r"""Found here: S-4, the best constant of the proxy-PL inequality."""

from __future__ import annotations

import math

from ...data.dataset import Dataset
from ...data.made_to_order import orthogonal
from ...hypotheses.hypothesis import Hypothesis
from ...losses import Loss
from ...margin.predictor import max_margin
from ...measures.gradients import proxy_pl_ratio
from ...networks.activation import Activation
from ...networks.activations import leaky_relu
from ...values.checks import fail
from ...values.scalars import number, positive, positive_int
from ...values.wording import format_error
from ..claim import register
from ..frei2023 import instances
from ..frei2023.proxy_pl import best_constant, d2_constant, extremal_network, support
from ..frei2023.proxy_pl_attack import ATTACK_STARTS, attack
from ..frei2023.smooth_setting import slopes_fit
from ..setting import known_loss, yes_or_no
from ..verdict import Finding, Verdict, decide

__all__ = ["best_proxy_pl"]


CONSTRUCTION_TOLERANCE = 1e-6
"""The construction must come this close to the constant, relatively."""


def _one_sign() -> tuple[Dataset, float, int, int]:
    """No negative neurons: negative samples cannot pull harder than positive ones,
    though here they should.
    """
    return orthogonal(4, norms=[3, 3, 1, 1]), instances.GAMMA, 4, 0


@register(
    "S-4",
    "The best proxy-PL constant",
    "inf_W ‖∇L‖_F/G = γ max_{‖w‖=1} min_i y_i⟨w,x_i⟩ on separable data, with neurons "
    "of both signs; for leaky ReLU a "
    "minimum under H-3.2, for its smoothed version with γ < 1 never attained.",
    "found here; proof in the chapter",
    chapter="proxy_pl",
    positive=lambda: (instances.within(), instances.GAMMA),
    negative=_one_sign,
    status="proved here",
)
def best_proxy_pl(
    data: Dataset,
    activation: Activation | float,
    m_pos: int = 4,
    m_neg: int = 4,
    loss: str | Loss = "logistic",
    constant: float | None = None,
) -> Verdict:
    """S-4 on data, for an activation (or the leak of a leaky ReLU) and a width: nothing
    below the constant, and something at it.

    Below it an adversary searches; at it stands the network built in the chapter.
    ``constant`` replaces γ times the margin, to see a wrong one fail.
    """
    activation = (
        activation if isinstance(activation, Activation) else leaky_relu(activation)
    )
    number(activation.gamma, "activation", "one leak")
    if activation.has_leak and not slopes_fit(activation):
        fail("activation", "one with γ ≤ φ' ≤ 1", activation.name)
    m_pos, m_neg = (
        positive_int(m, name, least=0)
        for m, name in ((m_pos, "m_pos"), (m_neg, "m_neg"))
    )
    if data.x.ndim > 2:
        fail("data", "one data set", f"a batch of shape {tuple(data.x.shape[:-2])}")
    if constant is not None:
        positive(constant, "constant")
    best = max_margin(data)
    target = (
        float(best_constant(data, activation.gamma))
        if constant is None
        else float(constant)
    )
    hypotheses = (
        yes_or_no("separable", "the data can be separated", best.separable),
        _both_signs(m_pos, m_neg),
        known_loss(loss),
    )
    if not bool(best.separable):
        return decide("S-4", Finding(0.0, "there is no margin."), hypotheses)
    if not target**2 > 1e-300:
        return decide(
            "S-4",
            Finding(math.nan, "the square of the constant is too small for floats."),
            hypotheses,
        )
    found = attack(data, m_pos, m_neg, activation, loss).ratio
    numbers = {
        "constant": target,
        "adversary": found / target,
        "D.2": float(d2_constant(data, activation.gamma)) / target,
    }
    built = math.inf
    known = support(data) is not None and activation.offset_below is not None
    if m_pos and m_neg and known:
        built = float(
            proxy_pl_ratio(
                extremal_network(data, m_pos, m_neg, activation, loss), data, loss
            )
        )
        numbers["construction"] = built / target
    lowest = min(found, built) / target
    if lowest < 1 - 1e-9:
        return decide(
            "S-4",
            Finding(
                0.0, f"a network reaches {lowest:.4f} times the constant.", "", numbers
            ),
            hypotheses,
        )
    error = abs(lowest - 1)
    unsettled = "" if math.isfinite(built) else _missing(activation)
    built_too = (
        "the construction comes within "
        f"{format_error(abs(built / target - 1))} of the constant, "
    )
    gap = format_error(found / target - 1)
    why = (
        f"{built_too if math.isfinite(built) else ''}the adversary comes within "
        f"{gap} from {ATTACK_STARTS} starts."
    )
    slack = CONSTRUCTION_TOLERANCE / max(error, 1e-12)
    return decide(
        "S-4", Finding(slack, why, "", numbers), hypotheses, unsettled=unsettled
    )


def _missing(activation: Activation) -> str:
    """Why there is no construction."""
    if activation.offset_below is None:
        return "The construction needs an activation known to be linear far below 0:"
    return "The construction needs unique multipliers:"


def _both_signs(m_pos: int, m_neg: int) -> Hypothesis:
    return yes_or_no("second layer", "neurons of both signs", m_pos > 0 and m_neg > 0)
