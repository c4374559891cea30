"""Frei et al., Lemma D.2: the proxy-PL inequality for leaky ReLU, at every network."""

from __future__ import annotations

from ...data.dataset import Dataset
from ...hypotheses.conditions import H_3_2
from ...losses import Loss
from ...networks.activations import leaky_relu
from ...networks.two_layer import TwoLayer
from ..claim import register
from ..setting import known_loss, leak_of, setting_of_F
from ..verdict import Verdict, decide
from . import instances
from .proxy_pl import d2_constant
from .proxy_pl_attack import _at_best_constant, _every_network

__all__ = ["proxy_pl"]


CHAPTER = "proxy_pl"


def _net_on_within() -> tuple[TwoLayer, Dataset]:
    data = instances.within()
    return TwoLayer.init(data, 4, 4, leaky_relu(instances.GAMMA), 0.01, seed=1), data


@register(
    "F-D.2",
    "The proxy-PL inequality",
    "‖∇L(W)‖_F ≥ (√2 R_min γ/(3R√n)) G(W) for every W; exponential and logistic loss.",
    "Appendix D",
    chapter=CHAPTER,
    positive=_net_on_within,
    negative=lambda: _at_best_constant(leaky_relu(instances.GAMMA)),
)
def proxy_pl(
    net: TwoLayer, data: Dataset, loss: str | Loss = "logistic", search: bool = True
) -> Verdict:
    """F-D.2 at a network, or at a batch of them, and (with ``search``) at those an
    adversary of its width finds.
    """
    constant = d2_constant(data, leak_of(net))
    finding = _every_network(net, data, loss, constant, search)
    given = (*setting_of_F(net), H_3_2(data, leak_of(net)), known_loss(loss))
    return decide("F-D.2", finding, given)
