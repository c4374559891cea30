"""Frei et al., (13) and (14) in the proof of Lemma D.2: one direction, ``μ̂ = Σ_i y_i
x_i``, fits every sample.
"""

from __future__ import annotations

import math

from torch import Tensor

from ...data.dataset import Dataset
from ...data.made_to_order import correlated
from ...hypotheses.conditions import H_3_2
from ..claim import register
from ..verdict import Finding, Verdict, decide, worst_of
from . import instances

__all__ = ["alignment", "direction"]


CHAPTER = "proxy_pl"


def alignment(data: Dataset) -> Tensor:
    """``⟨μ̂, y_k x_k⟩`` (..., n), ``μ̂ = Σ_i y_i x_i``."""
    return data.y * (data.x @ data.mu_hat.unsqueeze(-1)).squeeze(-1)


@register(
    "F-D.1",
    "One direction fits every sample",
    "⟨μ̂, y_k x_k⟩ ≥ (2/3) R_min², ‖μ̂‖² ≤ 2n R_max², and so ⟨μ̂/‖μ̂‖, y_k x_k⟩ ≥ √2 "
    "R_min/(3R√n), for all k.",
    "Appendix D, equations (13) and (14)",
    chapter=CHAPTER,
    positive=lambda: (instances.within(), instances.GAMMA),
    negative=lambda: (_leaning_data(0.5), instances.GAMMA),
)
def direction(data: Dataset, gamma: float | Tensor) -> Verdict:
    """F-D.1 on data: the alignment of μ̂ with every sample, its length, and the margin
    that follows; the worst.
    """
    if not bool((data.R_min > 0).all()):
        nothing = Finding(math.nan, "a sample is zero, and so is every bound.")
        return decide("F-D.1", nothing, (H_3_2(data, gamma),))
    along = alignment(data)
    size = data.mu_hat.norm(dim=-1)
    aligned = along / (2 / 3 * data.R_min.unsqueeze(-1) ** 2)
    short = 2 * data.n * data.R_max**2 / size**2
    bound = math.sqrt(2) / 3 * data.R_min / (data.R * math.sqrt(data.n))
    margin = along.amin(-1) / size
    slacks = {"alignment": aligned, "length": short, "margin": margin / bound}
    name = min(slacks, key=lambda key: float(slacks[key].min()))
    slack, place = worst_of(
        slacks[name], "sample" if name == "alignment" else "data set"
    )
    numbers = {key: float(value.min()) for key, value in slacks.items()}
    why = (
        f"tightest is the {name}; the margin of μ̂ is {numbers['margin']:.3f} times "
        "its bound."
    )
    alone = "μ̂ is the one sample itself." if data.n == 1 else ""
    return decide(
        "F-D.1", Finding(slack, why, place, numbers, alone), (H_3_2(data, gamma),)
    )


def _leaning_data(P: float, n: int = 10) -> Dataset:
    """Unit samples, every pair leaning towards the other class: the data with the
    smallest margin at this P.
    """
    return correlated(n, p=P / (n - 1), signs="oppose")
