"""Frei et al., Lemma E.14: the proxy-PL inequality for any activation with
``γ ≤ φ' ≤ 1``.
"""

from __future__ import annotations

from ...data.dataset import Dataset
from ...data.gaussians import gaussian
from ...hypotheses.conditions import H_4_2
from ...losses import Loss
from ...networks.activations import smoothed_leaky_relu
from ...networks.two_layer import TwoLayer
from ..claim import register
from ..setting import known_loss, leak_of, setting_of_F, yes_or_no
from ..verdict import Verdict, decide
from . import instances
from .proxy_pl import e14_constant
from .proxy_pl_attack import _at_best_constant, _every_network
from .smooth_setting import slopes_fit

__all__ = ["proxy_pl_smooth"]


CHAPTER = "proxy_pl"


def _high_dimensional() -> tuple[TwoLayer, Dataset]:
    data = gaussian(10, 20_000_000_000, seed=0)
    return TwoLayer.init(
        data, 4, 4, smoothed_leaky_relu(instances.GAMMA), 1e-6, seed=1
    ), data


@register(
    "F-E.14",
    "The proxy-PL inequality, smooth activations",
    "‖∇L(W)‖_F ≥ (γ R_min/(2√2 R√n)) G(W) for every W, under H-4.2.",
    "Lemma E.14",
    chapter=CHAPTER,
    positive=_high_dimensional,
    negative=lambda: _at_best_constant(smoothed_leaky_relu(instances.GAMMA)),
)
def proxy_pl_smooth(
    net: TwoLayer, data: Dataset, loss: str | Loss = "logistic", search: bool = True
) -> Verdict:
    """F-E.14 at a network (or a batch), and at those an adversary finds; any activation
    with ``γ ≤ φ' ≤ 1`` will do.
    """
    _, second_layer = setting_of_F(net)
    leaky = yes_or_no("activation", "γ ≤ φ' ≤ 1 with γ > 0", slopes_fit(net.activation))
    finding = _every_network(net, data, loss, e14_constant(data, leak_of(net)), search)
    given = (leaky, second_layer, H_4_2(data, leak_of(net)), known_loss(loss))
    return decide("F-E.14", finding, given)
