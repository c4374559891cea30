r"""Frei et al., Lemmas D.1, D.2, E.14 and Theorem 3.4: gradients that cannot vanish, and the way to small loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .._checks import fail
from ..data import Dataset, correlated, gaussian
from ..dynamics import gradient_flow
from ..hypotheses import H_3_2, H_4_2, Hypothesis
from ..losses import Loss
from ..measures import margins, proxy_pl_ratio
from ..network import Activation, TwoLayer, leaky_relu, smoothed_leaky_relu
from ..trajectory import FLOW, Trajectory
from . import instances
from .common import known_loss, leak_of, setting_of_F, yes_or_no
from .frei_flow import stuck_flow, with_loss_clock
from .loss_ratio_tools import slopes_fit
from .pl_tools import ATTACK_STARTS, attack, d2_constant, e14_constant, extremal_network, paper_time, repaired_time
from .registry import register
from .verdict import Finding, Verdict, decide, worst_of

__all__ = ["alignment", "passing_time", "time_to_small_loss"]

CHAPTER = "proxy_pl"


# -- D.1: the direction ----------------------------------------------------------------------------------------------


def alignment(data: Dataset) -> Tensor:
    """``⟨μ̂, y_k x_k⟩`` (..., n), ``μ̂ = Σ_i y_i x_i``."""
    return data.y * (data.x @ data.mu_hat.unsqueeze(-1)).squeeze(-1)


@register(
    "F-D.1",
    "One direction fits every sample",
    "⟨μ̂, y_k x_k⟩ ≥ (2/3) R_min², ‖μ̂‖² ≤ 2n R_max², and so ⟨μ̂/‖μ̂‖, y_k x_k⟩ ≥ √2 R_min/(3R√n), for all k.",
    "Appendix D, equations (13) and (14)",
    chapter=CHAPTER,
    positive=lambda: (instances.within(), instances.GAMMA),
    negative=lambda: (_leaning_data(0.5), instances.GAMMA),
)
def direction(data: Dataset, gamma: float | Tensor) -> Verdict:
    """F-D.1 on data: the alignment of μ̂ with every sample, its length, and the margin that follows; the worst."""
    if not bool((data.R_min > 0).all()):
        nothing = Finding(math.nan, "a sample is zero, and so is every bound.")
        return decide("F-D.1", nothing, (H_3_2(data, gamma),))
    along, size = alignment(data), data.mu_hat.norm(dim=-1)
    aligned = along / (2 / 3 * data.R_min.unsqueeze(-1) ** 2)
    short = 2 * data.n * data.R_max**2 / size**2
    bound = math.sqrt(2) / 3 * data.R_min / (data.R * math.sqrt(data.n))
    margin = along.amin(-1) / size
    slacks = {"alignment": aligned, "length": short, "margin": margin / bound}
    name = min(slacks, key=lambda key: float(slacks[key].min()))
    slack, place = worst_of(slacks[name], "sample" if name == "alignment" else "data set")
    numbers = {key: float(value.min()) for key, value in slacks.items()}
    why = f"tightest is the {name}; the margin of μ̂ is {numbers['margin']:.3f} times its bound."
    alone = "μ̂ is the one sample itself." if data.n == 1 else ""
    return decide("F-D.1", Finding(slack, why, place, numbers, alone), (H_3_2(data, gamma),))


def _leaning_data(P: float, n: int = 10) -> Dataset:
    """Unit samples, every pair leaning towards the other class: the data with the smallest margin at this P."""
    return correlated(n, p=P / (n - 1), signs="oppose")


# -- D.2 and E.14: the inequality ------------------------------------------------------------------------------------


def _every_network(net: TwoLayer, data: Dataset, loss: str | Loss, constant: Tensor, search: bool) -> Finding:
    """The smallest ratio ``‖∇L‖/G`` at ``net`` (or a batch), and at networks of its width that an adversary finds."""
    if not bool((constant > 0).all()):
        return Finding(math.nan, "the bound is 0, below which no norm can fall.")
    ratio = proxy_pl_ratio(net, data, loss)
    slack, place = worst_of(ratio / constant, "network")
    numbers = {"constant": float(constant.max()), "given": slack}
    given = f"‖∇L‖ is at least {slack:.3f} times the bound at the network{'s' if ratio.ndim else ''} given"
    driven = ""
    if search:
        one = data.x.ndim == 2 and constant.numel() == 1
        if not one:
            fail("search", "False for more than one data set or leak", search)
        found = attack(data, net.m_pos, net.m_neg, net.activation, loss).ratio / float(constant)
        numbers["adversary"] = found
        driven = f", and {found:.3f} times where an adversary drives it ({ATTACK_STARTS} starts)"
        slack, place = (found, "the adversary's network") if found < slack else (slack, place)
    return Finding(slack, f"{given}{driven}.", place, numbers)


def _net_on_within() -> tuple[TwoLayer, Dataset]:
    data = instances.within()
    return TwoLayer.init(data, 4, 4, leaky_relu(instances.GAMMA), 0.01, seed=1), data


def _at_best_constant(activation: Activation) -> tuple[TwoLayer, Dataset]:
    """A network that meets the best constant on data leaning so strongly (P = 0.9) that this is below the paper's."""
    data = _leaning_data(0.9)
    return extremal_network(data, 4, 4, activation), data


@register(
    "F-D.2",
    "The proxy-PL inequality",
    "‖∇L(W)‖_F ≥ (√2 R_min γ/(3R√n)) G(W) for every W; exponential and logistic loss.",
    "Appendix D",
    chapter=CHAPTER,
    positive=_net_on_within,
    negative=lambda: _at_best_constant(leaky_relu(instances.GAMMA)),
)
def proxy_pl(net: TwoLayer, data: Dataset, loss: str | Loss = "logistic", search: bool = True) -> Verdict:
    """F-D.2 at a network, or at a batch of them, and (with ``search``) at those an adversary of its width finds."""
    constant = d2_constant(data, leak_of(net))
    finding = _every_network(net, data, loss, constant, search)
    given = (*setting_of_F(net), H_3_2(data, leak_of(net)), known_loss(loss))
    return decide("F-D.2", finding, given)


def _high_dimensional() -> tuple[TwoLayer, Dataset]:
    data = gaussian(10, 20_000_000_000, seed=0)
    return TwoLayer.init(data, 4, 4, smoothed_leaky_relu(instances.GAMMA), 1e-6, seed=1), data


@register(
    "F-E.14",
    "The proxy-PL inequality, smooth activations",
    "‖∇L(W)‖_F ≥ (γ R_min/(2√2 R√n)) G(W) for every W, under H-4.2.",
    "Lemma E.14",
    chapter=CHAPTER,
    positive=_high_dimensional,
    negative=lambda: _at_best_constant(smoothed_leaky_relu(instances.GAMMA)),
)
def proxy_pl_smooth(net: TwoLayer, data: Dataset, loss: str | Loss = "logistic", search: bool = True) -> Verdict:
    """F-E.14 at a network (or a batch), and at those an adversary finds; any activation with ``γ ≤ φ' ≤ 1`` will do."""
    _, second_layer = setting_of_F(net)
    leaky = yes_or_no("activation", "γ ≤ φ' ≤ 1 with γ > 0", slopes_fit(net.activation))
    finding = _every_network(net, data, loss, e14_constant(data, leak_of(net)), search)
    given = (leaky, second_layer, H_4_2(data, leak_of(net)), known_loss(loss))
    return decide("F-E.14", finding, given)


# -- Theorem 3.4: the time -------------------------------------------------------------------------------------------


def passing_time(run: Trajectory, log_level: float) -> Tensor:
    """``log t`` (...) at which ``log L`` first falls below a level: -∞ at the start already, ∞ if never.

    Interpolated between records, log t linearly in log L (t itself in the first interval, where log t starts at -∞).
    A run first recorded below the level gives the time of that record.
    """
    log_loss, log_time = with_loss_clock(run).log_loss, run.log_time
    below = log_loss < log_level
    first = below.int().argmax(0, keepdim=True)
    before = (first - 1).clamp_min(0)
    high, low = log_loss.gather(0, before), log_loss.gather(0, first)
    share = ((high - log_level) / (high - low).clamp_min(1e-300)).clamp(0, 1)
    early, late = log_time.gather(0, before), log_time.gather(0, first)
    passed = torch.where(early.isinf(), late + share.log(), early + share * (late - early))
    passed = torch.where(first == 0, log_time[:1], passed)
    return torch.where(below.any(0), passed[0], math.inf)


def _flow_past_the_level() -> tuple[Trajectory]:
    data = instances.within()
    start = TwoLayer.init(data, instances.M_POS, instances.M_NEG, leaky_relu(instances.GAMMA), 1e-5, seed=1)
    s = math.log(data.n / math.log(2))
    return (gradient_flow(start, data, s + 0.1, record=[s - 0.05, s, s + 0.05]),)


@register(
    "F-3.4",
    "Small loss in finite time",
    "There is t_0 ≤ 85 L(W(0)) R² n³/(γ² R_min²) with L(W(t)) < log(2)/n for all t ≥ t_0.",
    "Theorem 3.4",
    chapter=CHAPTER,
    positive=_flow_past_the_level,
    negative=stuck_flow,
    rules={"run": (FLOW,)},
)
def time_to_small_loss(run: Trajectory) -> Verdict:
    """F-3.4 on a run of gradient flow (or a batch): the time at which L passes log(2)/n against the bound, and that it
    is not above it at a later record.

    Records right at ``s = log(n/log 2)`` make the time exact; between records it is interpolated. ``constants`` has the
    measured ``t0``, the ``bound`` and the ``repaired`` bound of the chapter, all of the tightest run.
    """
    data, net = with_loss_clock(run).data, run.initial
    level = math.log(math.log(2) / data.n)
    log_time = passing_time(run, level)
    gamma, start = leak_of(net), run.loss.log_mean(margins(net, data)).exp()
    bound = paper_time(data, gamma, start).expand_as(log_time)
    repaired = repaired_time(data, gamma, start, run.loss).expand_as(log_time)
    slack, place = worst_of((bound.log() - log_time).exp(), "run")
    k = int((bound.log() - log_time).argmin())
    t0, limit, better = (float(v.flatten()[k]) for v in (log_time.exp(), bound, repaired))
    numbers = {"t0": t0, "bound": limit, "repaired": better}
    hypotheses = (*setting_of_F(net), H_3_2(data, gamma), known_loss(run.loss))
    if math.isinf(t0):
        ended = float(run.log_time[-1].flatten()[k])
        return _never(numbers, place, hypotheses, ended < math.log(limit), run.outcome.ok)
    rises = bool(((run.log_loss >= level) & (run.log_time > log_time)).any())
    if rises:
        return decide("F-3.4", Finding(0.0, "L rose above log(2)/n again.", place, numbers), hypotheses)
    before, after = (part.flatten()[k] for part in _bracket(run, level))
    if before < math.log(limit) < after:
        far = (
            f"L passes log(2)/n between t = {before.exp():.3e} and {after.exp():.3e}, where the bound {limit:.3e} lies."
        )
        finding = Finding(math.nan, far, place, numbers)
        return decide("F-3.4", finding, hypotheses, unsettled="The records are too far apart:")
    later = int((run.log_time > log_time).reshape(len(run), -1)[:, k].sum())
    why = (
        f"L passes log(2)/n at t = {t0:.3e}, the bound is {limit:.3e}: {_decades(slack)}; {later} later records agree."
    )
    return decide("F-3.4", Finding(slack, why, place, numbers), hypotheses)


def _bracket(run: Trajectory, log_level: float) -> tuple[Tensor, Tensor]:
    """``log t`` (...) of the last record before L falls below a level (-∞ without one), and of the first one after."""
    below = run.log_loss < log_level
    first = below.int().argmax(0, keepdim=True)
    before = run.log_time.gather(0, (first - 1).clamp_min(0))
    before = torch.where(first > 0, before, torch.full_like(before, -math.inf))
    return before[0], run.log_time.gather(0, first)[0]


def _never(
    numbers: dict[str, float], place: str, hypotheses: tuple[Hypothesis, ...], early: bool, went_on: bool
) -> Verdict:
    """The verdict on a run that never passed the level: false past the bound, or where it came to rest before it."""
    if early and went_on:
        finding = Finding(math.nan, "L has not fallen below log(2)/n yet.", place, numbers)
        return decide("F-3.4", finding, hypotheses, unsettled="The run ends before the bound:")
    finding = Finding(0.0, "L never fell below log(2)/n.", place, numbers)
    return decide("F-3.4", finding, hypotheses, unsettled="The run stalls before the bound:" if early else "")


def _decades(slack: float) -> str:
    return "loose by " + (f"{math.log10(slack):.1f} decades" if 0 < slack < math.inf else "any factor")
