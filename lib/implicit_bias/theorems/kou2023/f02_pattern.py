"""Kou et al., F.2: on orthogonal samples the pattern at the end is read off the signs at
the start.
"""

from __future__ import annotations

from functools import cache

import torch

from ...data.made_to_order import correlated, orthogonal
from ...measures.decomposition import independent, rho
from ...measures.outputs import activation_pattern, own_class
from ...networks.activations import relu
from ...networks.two_layer import TwoLayer
from ...training.descent import gradient_descent
from ...training.trajectory import Trajectory
from ...values.wording import format_error
from ..claim import register
from ..setting import active_at_start
from ..verdict import Finding, Verdict, decide
from .orthogonal_runs import ARRIVED, reached, train
from .orthogonal_setting import EITHER, orthogonal_setting

__all__ = ["pattern_is_read_off"]


@cache
def _plain_descent() -> tuple[Trajectory]:
    """Plain descent from the start, ten samples of length 1."""
    data = orthogonal(10)
    initial = TwoLayer.init(data, 100, 100, relu(), 1e-2, output="1/m", seed=1)
    return (
        gradient_descent(
            initial,
            data,
            50.0,
            30_000,
            record=[0, 1, 2, 3, 5, 10, *range(1000, 30_001, 2900)],
        ),
    )


@cache
def _waking() -> tuple[Trajectory, Trajectory]:
    """Samples that lean towards their own class: sleeping neurons wake, and nothing can
    be read off the start.
    """
    return train(correlated(6, p=0.3, signs="agree"), 30, seed=1, until=60.0)


@register(
    "K-F.2",
    "The pattern is read off the start",
    "On orthogonal data, ReLU: own class awake stays awake, own class asleep stays "
    "asleep with ρ = 0, other class ends "
    "asleep with ρ frozen; ρ/log t → m/|S_i(0)| for r ∈ S_i(0).",
    "Lemma F.2",
    chapter="orthogonal",
    positive=_plain_descent,
    negative=_waking,
    rules=EITHER,
)
def pattern_is_read_off(run: Trajectory, flow: Trajectory | None = None) -> Verdict:
    """K-F.2 on a run, and on the ``flow`` (or descent) that goes on from it: the
    pattern predicted at the start against every later one, the ρ that must stand still,
    and the slopes of the others in log t. ``constants`` holds the step of ``run`` after
    which the pattern was final (to the records' accuracy) and the C of
    ``T = C nm/(η R_min²)``.
    """
    data = run.data
    initial = run.initial
    end = run if flow is None else flow
    found = reached(run, flow)
    known = orthogonal_setting(run.initial, run.data, run.loss)
    predicted = active_at_start(initial, data)
    nets = [
        part.net(k)
        for part in (run, *([] if flow is None else [flow]))
        for k in range(len(part))
    ]
    wrong = torch.stack([activation_pattern(net, data) != predicted for net in nets])
    own = own_class(initial, data)
    count = wrong.reshape(len(nets), -1).sum(1)
    settled = int((count > 0).nonzero().max()) + 1 if bool((count > 0).any()) else 0
    numbers = {"wrong": float(count[-1]), "settled at": float("nan")}
    # Only neurons of the other class that are still on their way: too early, not wrong.
    draining = bool(count[-1] > 0) and not bool((wrong[-1] & own).any())
    early = "Neurons of the other class are still awake." if draining else ""
    if int(count[-1]):
        finding = Finding(
            0.0,
            f"{int(count[-1])} of {wrong[-1].numel()} pairs are not as predicted.",
            "",
            numbers,
        )
        return decide("K-F.2", finding, known, unsettled=early)
    if run.step is not None and settled < len(run):
        step = numbers["settled at"] = float(run.step[settled])
        reach = (
            torch.as_tensor(run.step_size, dtype=torch.float64)
            * data.R_min.double() ** 2
        )
        numbers["C"] = float((step * reach).max()) / (data.n * initial.m_pos)
    if not independent(data):
        finding = Finding(
            0.0, "ρ is not unique: the samples are linearly dependent.", "", numbers
        )
        return decide("K-F.2", finding, known)
    moved = rho(end.net(-1), initial, data)
    before = rho(nets[settled], initial, data)
    asleep = own & ~predicted
    drift = (
        torch.where(
            own, torch.where(asleep, moved, torch.zeros_like(moved)), moved - before
        )
        .abs()
        .max()
    )
    numbers["still"] = float(drift / moved.abs().max().clamp_min(1e-300))
    arrival, short = found.arrival()
    counts = predicted.sum(-2)
    numbers |= {
        "least |S_i|/m": float(counts.min()) / initial.m_pos,
        "most |S_i|/m": float(counts.max()) / initial.m_pos,
    }
    standing = numbers["still"] <= ARRIVED
    still = f"the ρ that should stand still move by {format_error(numbers['still'])}"
    why = f"all {wrong[-1].numel()} pairs end as predicted; {still}; {arrival.why}."
    finding = Finding(arrival.slack if standing else 0.0, why, "", numbers)
    return decide("K-F.2", finding, known, unsettled=short)
