"""Figures of the chapter on ReLU: which neurons switch, ranks and losses along runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from torch import Tensor

from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW

KIND_STYLES = {
    "agree": (GREEN, "o"),
    "oppose": (ORANGE, "s"),
    "equal": (BLUE, "^"),
    "random": (PURPLE, "D"),
}
KIND_STYLES["gaussian"] = (GREY, "v")

STORIES = (
    "asleep throughout",
    "awake throughout",
    "switched, then settled",
    "still switching",
)
STORY_COLOURS = ("#e9e9e9", SKY, YELLOW, "#000000")


def preactivation_paths(
    ax: Axes, step: Tensor, z: Tensor, own: Sequence[bool], title: str
) -> None:
    """Preactivations (T, n) of one neuron in units of h: own-class samples solid, the
    others dashed.
    """
    names = {True: "own class", False: "other class"}
    for k, mine in enumerate(own):
        ax.plot(
            step,
            z[:, k],
            label=names.pop(bool(mine), None),
            color=BLUE if mine else ORANGE,
            ls="-" if mine else "--",
            lw=1.5,
        )
    ax.axhline(0, color="black", lw=0.9)
    ax.set(xlabel="step $t$", title=title)


def ratio_curve(
    ax: Axes, step: Tensor, curves: Mapping[str, Tensor], bound: float, name: str
) -> None:
    """Ratios of accumulated pulls along runs, and the bound."""
    for kind, curve in curves.items():
        ax.plot(step, curve, color=KIND_STYLES[kind][0], label=kind)
    ax.axhline(bound, color="black", ls="--", lw=1.2, label=name)
    ax.set(xscale="log", xlabel="step $t$", ylim=(0.9, bound * 1.08))


def loss_curves(
    ax: Axes, step: Tensor, loss: Tensor, bounds: Mapping[str, Tensor]
) -> None:
    """The loss along a run and bounds on it (NaN where a bound says nothing)."""
    ax.plot(step, loss, color=BLUE, lw=2.4, label="loss")
    for (name, curve), (colour, dash) in zip(
        bounds.items(), ((ORANGE, "--"), (GREEN, "-."), (PURPLE, ":"))
    ):
        ax.plot(step, curve, dash, color=colour, label=name)
    ax.set(xscale="log", yscale="log", xlabel="step $t$", ylabel="$L(t)$")
    ax.legend()


def switch_rates(
    ax: Axes, middles: Sequence[float], rates: Mapping[str, Sequence[float]]
) -> None:
    """Switches a step and pair against time, kind by kind; zeros are left out."""
    for kind, values in rates.items():
        colour, marker = KIND_STYLES[kind]
        seen = np.where(np.asarray(values) > 0, values, np.nan)
        ax.plot(middles, seen, marker + "-", ms=5, color=colour, lw=1.4, label=kind)
    ax.set(xscale="log", yscale="log", xlabel="step $t$")


def rank_curves(
    ax: Axes,
    step: Sequence[float],
    curves: Mapping[str, Tensor],
    levels: Mapping[str, float],
) -> None:
    """Stable ranks (T, runs) along runs, kind by kind, and levels to hold them against."""
    for kind, values in curves.items():
        dash = (
            "--" if kind == "equal" else "-"
        )  # equal hides agree where both fall to 1
        ax.plot(step, values, dash, color=KIND_STYLES[kind][0], lw=1.1, alpha=0.85)
        ax.plot([], [], dash, color=KIND_STYLES[kind][0], label=kind)
    for (name, level), dash in zip(levels.items(), ("--", ":")):
        ax.axhline(level, color="black", ls=dash, lw=1, label=name)
    ax.set(xscale="log", xlabel="step $t$")


def falls(ax: Axes, step: Tensor, curves: Mapping[str, Tensor], level: float) -> None:
    """Stable ranks along runs that differ in p, and the value at p = 0."""
    for (name, values), colour in zip(
        curves.items(), ("#000000", BLUE, GREEN, YELLOW, ORANGE)
    ):
        ax.plot(step, values, color=colour, label=name)
    ax.axhline(level, color=GREY, ls="--", lw=1)
    ax.set(xscale="log", xlabel="step $t$", ylim=(0.95, 2.1))


def two_ranks(ax: Axes, step: Tensor, ranks: Tensor, level: float) -> None:
    """Stable ranks (T, 2) of both classes along one run, and a level."""
    for k, (colour, name) in enumerate(((BLUE, "$W_{+1}$"), (ORANGE, "$W_{-1}$"))):
        ax.plot(step, ranks[:, k], color=colour, label=name)
    ax.axhline(level, color=GREY, ls="--", lw=1, label="$2k/(k+1)$")
    ax.set(xscale="log", xlabel="step $t$", title="stable rank", ylim=(0.95, 3))
    ax.legend(loc="upper right")


def push_ratio(ax: Axes, step: Tensor, ratio: Tensor) -> None:
    """Pushes up over pushes down of the worst pair, and the line below which it is
    asleep.
    """
    ax.plot(step, ratio.clamp(max=1e4), color=BLUE)
    ax.axhspan(0.1, 1, color=ORANGE, alpha=0.15, lw=0)
    ax.text(0.03, 0.04, "asleep", transform=ax.transAxes, color=ORANGE)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="step $t$",
        title="pushes up / pushes down",
        ylim=(0.1, 2e4),
    )


def rank_points(
    ax: Axes, k: Sequence[int], points: Mapping[str, Tensor], curve: Tensor
) -> None:
    """Limit ranks (k, seeds) against the class size, width by width, each over its
    seeds; the curve for m → ∞.
    """
    ax.plot(k, curve, color="black", lw=1.3, label=r"$m\to\infty$")
    shifts = np.linspace(-0.14, 0.14, len(points))
    for (name, values), colour, shift in zip(
        points.items(), (ORANGE, BLUE, GREEN), shifts
    ):
        place = np.asarray(k) * np.exp(shift / 2)
        low = values.amin(-1)
        high = values.amax(-1)
        ax.vlines(place, low, high, color=colour, lw=1.6)
        ax.plot(place, values.mean(-1), "o", ms=5, color=colour, label=name)
    ax.set(xscale="log", xlabel="samples of the class, $k$")
    ax.set_xticks(list(k), [str(v) for v in k])
    ax.minorticks_off()


def story_map(
    ax: Axes, codes: Tensor, labels: Sequence[float], legend: bool = True
) -> None:
    """What became of each pair (m, n): columns are samples, rows neurons; codes index
    :data:`STORIES`.
    """
    m, n = codes.shape
    ax.imshow(
        codes,
        cmap=ListedColormap(STORY_COLOURS),
        vmin=0,
        vmax=3,
        aspect="auto",
        interpolation="nearest",
    )
    ax.axhline(m / 2 - 0.5, color=ORANGE, lw=1.4)
    ax.axvline(sum(y > 0 for y in labels) - 0.5, color=ORANGE, lw=1.4)
    ax.set(
        xlabel="sample",
        xticks=range(n),
        xticklabels=["+" if y > 0 else "−" for y in labels],
    )
    ax.set_yticks(
        [m / 4, 3 * m / 4],
        ["positive\nneurons", "negative\nneurons"],
        rotation=90,
        va="center",
    )
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    if legend:
        handles = [
            Patch(facecolor=c, edgecolor="#999999", lw=0.5, label=s)
            for c, s in zip(STORY_COLOURS, STORIES)
        ]
        ax.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.16),
            ncols=2,
            fontsize=8.5,
        )
