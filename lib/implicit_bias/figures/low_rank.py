"""Figures of the chapter on the rank after one step of descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from .style import BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE


def turning(
    axes: Sequence[Axes],
    along: Sequence[Tensor],
    across: Sequence[Tensor],
    a: Tensor,
    titles: list[str],
) -> None:
    """Neurons as points: their component along μ̂ and the length of the rest, both over
    the longest neuron.
    """
    for ax, x, y, title in zip(axes, along, across, titles):
        size = (x.square() + y.square()).sqrt().max()
        for positive, colour, marker in ((True, BLUE, "o"), (False, ORANGE, "s")):
            rows = (a > 0) == positive
            ax.plot(
                x[rows] / size,
                y[rows] / size,
                marker,
                ms=4.5,
                color=colour,
                alpha=0.7,
                ls="none",
            )
        ax.plot(0, 0, "k+", ms=8)
        ax.set(
            xlim=(-1.15, 1.15),
            ylim=(-0.08, 1.15),
            xticks=[-1, 0, 1],
            yticks=[0, 1],
            title=title,
        )
        ax.set_xlabel(r"along $\hat\mu$")
    axes[0].set_ylabel("the rest")


def bound_and_truth(
    ax: Axes, step: Tensor, curves: Mapping[str, Tensor], ylabel: str
) -> None:
    """A measured curve (first, solid) against bounds (dashed, dotted, ...), both axes
    logarithmic.
    """
    for (name, values), colour, dash in zip(
        curves.items(), (BLUE, ORANGE, GREEN, GREY), ("-", "--", "-.", ":")
    ):
        ax.plot(step, values, ls=dash, color=colour, label=name)
    ax.set(xscale="log", yscale="log", xlabel="step $t$", ylabel=ylabel)


def rank_steps(
    ax: Axes, step: Tensor, ranks: Mapping[str, Tensor], ylabel: str
) -> None:
    """Stable ranks against the step, on an axis that shows step 0; each value (T,) or
    (T, runs): mean and sd.
    """
    for (name, values), colour in zip(ranks.items(), COLOURS):
        seen = np.asarray(values)
        mean = seen if seen.ndim == 1 else seen.mean(-1)
        ax.plot(step, mean, color=colour, marker=".", ms=4, label=name)
        if seen.ndim > 1:
            sd = seen.std(-1, ddof=1) if seen.shape[-1] > 1 else 0 * mean
            ax.fill_between(step, mean - sd, mean + sd, color=colour, alpha=0.25, lw=0)
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(left=0)
    ax.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
    ax.set(xlabel="step $t$", ylabel=ylabel)


def collapse(
    ax: Axes,
    s: Tensor,
    ranks: Tensor,
    groups: Sequence[str],
    fine: Tensor,
    curve: Tensor,
) -> None:
    """Stable ranks (groups, points) of many runs against the size of what training
    added; the formula as a line.
    """
    for name, x, y, colour, marker in zip(groups, s, ranks, COLOURS, "osD^vPX"):
        ax.plot(
            x.flatten(),
            y.flatten(),
            marker,
            ms=4,
            color=colour,
            alpha=0.7,
            ls="none",
            label=name,
        )
    ax.plot(fine, curve, color="black", lw=1.2)
    ax.set(xscale="log", yscale="log", ylabel=r"StableRank$(W(t))$")
    ax.set_xlabel(r"$s = \|W(t)-W(0)\|_F\,/\,(\omega\sqrt{d})$")


def attained(
    ax: Axes, gamma: Tensor, bound: Tensor, seen: Mapping[str, tuple[Tensor, Tensor]]
) -> None:
    """The bound on the rank of what moved against the leak, and networks that come near
    it.
    """
    ax.plot(gamma, bound, color=ORANGE, ls="--", label=r"$(1+\gamma)^2/(4\gamma)$")
    for (name, (x, y)), colour, marker in zip(
        seen.items(), (BLUE, GREEN, PURPLE), "osD"
    ):
        ax.plot(x, y, marker, ms=5, color=colour, ls="none", label=name)
    ax.set(xscale="log", xlabel=r"leak $\gamma$", ylabel=r"StableRank$(W(t)-W(0))$")


def accuracies(
    ax: Axes, step: Tensor, train: np.ndarray, test: np.ndarray, best: float
) -> None:
    """Train and test accuracy (T, runs) against the step, and the best possible test
    accuracy.
    """
    for values, colour, name in ((train, BLUE, "train"), (test, ORANGE, "test")):
        ax.plot(step, values.mean(-1), color=colour, label=name)
        sd = values.std(-1, ddof=1)
        ax.fill_between(
            step,
            values.mean(-1) - sd,
            values.mean(-1) + sd,
            color=colour,
            alpha=0.25,
            lw=0,
        )
    ax.axhline(best, color=GREY, ls=":", lw=1.4, label="best possible")
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(left=0)
    ax.set(xlabel="step $t$", ylabel="accuracy", ylim=(0.4, 1.03))
