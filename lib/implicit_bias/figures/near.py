"""Figures of the chapter on near-orthogonal data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from .style import BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE, SKY, mark_places

__all__ = [
    "Place",
    "angle_histograms",
    "concentration",
    "cosine_histogram",
    "dimension_bars",
    "dimension_map",
    "slack_bars",
    "spectrum_lines",
    "thresholds",
]

THEOREMS = {
    "H-3.2": (BLUE, "-"),
    "H-4.2": (ORANGE, "-"),
    "H-K4.1": (PURPLE, "--"),
    "H-K4.3": (GREEN, "-."),
}
MARKERS = "osD^vPX"
LABEL = {"fc": "white", "ec": "none", "pad": 0.4, "alpha": 0.75}


class Place(NamedTuple):
    """A data set on the map: its size, whether its ``p`` was computed, and where its
    label goes (in points).
    """

    n: float
    d: float
    computed: bool
    shift: tuple[float, float] = (6, -3)
    side: str = "left"


def angle_histograms(axes: Sequence[Axes], angles: Mapping[str, Tensor]) -> None:
    """Histograms of angles in degrees between pairs of samples, one panel each, on one
    scale.
    """
    for ax, (title, values) in zip(axes, angles.items()):
        ax.hist(
            np.asarray(values), bins=np.linspace(0, 180, 181).tolist(), color=BLUE, lw=0
        )
        ax.axvline(90, color=GREY, lw=0.8, ls=":")
        ax.set(title=title, xticks=[0, 90, 180], xlabel="angle in degrees", yticks=[])


def concentration(
    axes: Sequence[Axes],
    d: Sequence[float],
    seen: Sequence[Tensor],
    proved: Sequence[Sequence[float]],
    titles: Sequence[str],
) -> None:
    """Deviations against d on logarithmic axes: every draw (D, draws), their median,
    and the bound that holds in all but n^-10 of draws.
    """
    for ax, draws, bound, title in zip(axes, seen, proved, titles):
        ax.plot(
            np.repeat(d, draws.shape[-1]),
            draws.flatten(),
            ".",
            color=SKY,
            ms=3,
            alpha=0.6,
            label="single draws",
            rasterized=True,
        )
        ax.plot(d, draws.median(-1).values, "o-", color=BLUE, ms=4, label="median")
        ax.plot(
            d, bound, "--", color="black", lw=1.2, label=r"proved, $\delta = n^{-10}$"
        )
        ax.set(xscale="log", yscale="log", xlabel="dimension $d$", title=title)
        ax.set_xticks([1e2, 1e4, 1e6, 1e8, 1e10, 1e12])
    axes[0].legend(markerscale=1.6)


def dimension_map(
    ax: Axes,
    n: Tensor,
    needed: Mapping[str, Sequence[float]],
    places: Mapping[str, Place],
    title: str,
) -> None:
    """The (n, d) plane: one line for each theorem's condition, above which isotropic
    data meet it, and data sets as points.
    """
    ax.fill_between(n, 1, n, color="#e9e9e9", lw=0)
    for name, values in needed.items():
        colour, dash = THEOREMS[name]
        ax.plot(n, values, ls=dash, color=colour, label=name)
    for label, (count, d, computed, shift, side) in places.items():
        ax.plot(
            count,
            d,
            "o",
            color="black",
            mfc="black" if computed else "white",
            ms=5,
            zorder=4,
        )
        ax.annotate(
            label,
            (count, d),
            xytext=shift,
            textcoords="offset points",
            fontsize=8.5,
            ha=side,
            bbox=LABEL,
        )
    ax.set(
        xscale="log",
        yscale="log",
        xlim=(2, 2e5),
        ylim=(1, 1e24),
        xlabel="samples $n$",
        title=title,
    )
    ax.set_xticks([10, 1e3, 1e5])
    ax.set_yticks([1e2, 1e6, 1e10, 1e14, 1e18, 1e22])
    ax.minorticks_off()


def thresholds(
    ax: Axes,
    n: Sequence[float],
    lines: Mapping[str, tuple[Sequence[float], str, str]],
    ylabel: str,
) -> None:
    """Several thresholds in d against n: name -> (values, colour, line style)."""
    for name, (values, colour, style) in lines.items():
        ax.plot(n, values, style, color=colour, label=name, ms=5)
    ax.set(xscale="log", yscale="log", xlabel="samples $n$", ylabel=ylabel)
    ax.set_xticks(n, [f"{value:g}" for value in n])
    ax.minorticks_off()
    ax.legend()


def spectrum_lines(
    axes: Sequence[Axes],
    d: Sequence[float],
    families: Mapping[str, tuple[Tensor, Tensor]],
    typical: tuple[Sequence[float], Sequence[float]],
) -> None:
    """``p/Tr Σ`` against d (left) and against the effective dimension (right): family
    -> (effective dimension, p/Tr Σ).
    """
    for (name, (effective, value)), colour, marker in zip(
        families.items(), COLOURS, MARKERS
    ):
        axes[0].plot(d, value, label=name, color=colour, marker=marker, ms=4.5, lw=1.3)
        axes[1].plot(
            effective, value, color=colour, marker=marker, ms=4.5, lw=1.3, ls=""
        )
    axes[1].plot(
        *typical, color=GREY, lw=1.2, zorder=1, label="prediction for large values"
    )
    axes[0].set(xlabel="dimension $d$", ylabel=r"$p\,/\,\mathrm{Tr}\,\Sigma$, median")
    axes[1].set(xlabel=r"effective dimension $d_{\mathrm{eff}}$", yticklabels=[])
    for ax in axes:
        ax.set(xscale="log", yscale="log", ylim=(1e-6, 3))
    axes[0].set_xticks([1e2, 1e4, 1e6, 1e8, 1e10, 1e12])
    axes[1].set_xticks([1, 1e4, 1e8, 1e12])
    axes[1].legend(loc="lower left")


def cosine_histogram(ax: Axes, cosines: Tensor, limit: float | None) -> None:
    """Cosines between pairs of samples; ``limit``: the largest that H-3.2 allows if
    norms are equal.
    """
    values = np.asarray(cosines).ravel()
    counts, edges = np.histogram(
        np.log10(np.abs(values).clip(1e-8)), bins=np.linspace(-8, 0, 49)
    )
    ax.stairs(counts / counts.max(), 10.0**edges, fill=True, color=BLUE, alpha=0.85)
    if limit is not None:
        ax.axvline(limit, color=ORANGE, lw=1.4)
        ax.annotate(
            "H-3.2 allows",
            (limit, 1.02),
            xycoords=("data", "axes fraction"),
            color=ORANGE,
            fontsize=9,
            ha="center",
        )
    ax.set(
        xscale="log",
        xlim=(1e-8, 1.3),
        ylim=(0, 1.05),
        yticks=[],
        xlabel=r"$|\cos|$ of the angle of two samples",
    )


def slack_bars(
    ax: Axes, slacks: Mapping[str, float], low: float = 1e-8, high: float = 1e8
) -> None:
    """The slack of every condition as a bar from 1, to the right where it holds, to the
    left where it fails.
    """
    names = list(slacks)[::-1]
    values = np.clip([slacks[name] for name in names], low, high)
    ax.barh(
        names,
        np.log10(values),
        color=[GREEN if slacks[name] >= 1 else ORANGE for name in names],
        height=0.62,
    )
    ends = np.log10([low, high])
    ax.axvline(0, color="black", lw=1)
    ax.set(xlim=ends, xlabel="slack")
    ticks = np.arange(ends[0], ends[1] + 1, 4)
    ax.set_xticks(ticks, ["1" if t == 0 else f"$10^{{{t:.0f}}}$" for t in ticks])
    ax.grid(False, axis="y")


def dimension_bars(
    ax: Axes, needed: Mapping[str, tuple[float, float]], marks: Mapping[str, float]
) -> None:
    """For every condition the dimension that typical draws need and the one with a
    guarantee, with marked dimensions.
    """
    rows = np.arange(len(needed))[::-1]
    for row, (name, (middle, sure)) in zip(rows, needed.items()):
        colour = THEOREMS[name][0]
        ax.plot(
            [middle, sure],
            [row, row],
            color=colour,
            lw=5,
            alpha=0.3,
            solid_capstyle="butt",
        )
        ax.plot(middle, row, "o", color=colour, ms=8)
        ax.plot(sure, row, "|", color=colour, ms=13, mew=2.5)
    mark_places(ax, marks, ha="center")
    ax.set(
        xscale="log",
        xlim=(1e1, 1e22),
        ylim=(-0.6, len(rows) - 0.4),
        xlabel="dimension needed",
    )
    ax.set_yticks(rows, list(needed))
    ax.set_xticks([1e2, 1e6, 1e10, 1e14, 1e18, 1e22])
    ax.minorticks_off()
