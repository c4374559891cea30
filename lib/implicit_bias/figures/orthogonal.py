"""Figures of the chapter on orthogonal data: patterns before and after, spectra, stable
ranks against their limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from torch import Tensor

from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW

CLASSES = {"$W_{+1}$": (BLUE, "-"), "$W_{-1}$": (ORANGE, "-"), "$W$": (GREEN, "-")}
"""Colours of the three stable ranks, here and in the widgets."""

STATES = ListedColormap(["#ffffff", "#b9b9b9", ORANGE, BLUE])


def patterns(
    axes: Sequence[Axes], pictures: Mapping[str, Tensor], own: Tensor, y: Tensor
) -> None:
    """Which neuron is awake on which sample (M, n), one panel each: blue and orange own
    class, grey the other class.
    """
    m, n = own.shape
    for ax, (title, awake) in zip(axes, pictures.items()):
        code = np.where(awake, np.where(own, np.where(np.asarray(y) > 0, 3, 2), 1), 0)
        ax.imshow(
            code, cmap=STATES, vmin=0, vmax=3, aspect="auto", interpolation="nearest"
        )
        ax.set(title=title, xlabel="sample $i$", xticks=[], yticks=[])
        # Thin lines between the cells, and a thick one between the two signs of neurons.
        for at in range(1, n):
            ax.axvline(at - 0.5, color="white", lw=0.8)
        for at in range(1, m):
            ax.axhline(
                at - 0.5,
                color="black" if at == m // 2 else "white",
                lw=1.4 if at == m // 2 else 0.8,
            )
        ax.grid(False)
        ax.spines[:].set_visible(True)
    axes[0].set_ylabel("neuron: $-1$ below, $+1$ above")


def draining(ax: Axes, steps: Tensor, own: Tensor, other: Tensor) -> None:
    """Preactivations of one sample over the first steps (T, neurons): own class and
    other class.
    """
    ax.plot(steps, own, color=BLUE, lw=0.8, alpha=0.7)
    ax.plot(steps, other, color=GREY, lw=0.8, alpha=0.7)
    ax.plot([], [], color=BLUE, label="own class")
    ax.plot([], [], color=GREY, label="other class")
    ax.axhline(0, color="black", lw=1)
    ax.set(xlabel="step", ylabel=r"$\langle w_{j,r}, x_i\rangle$")
    ax.legend(loc="upper left")


def two_readings(ax: Axes, log_time: Tensor, quotient: Tensor, slope: Tensor) -> None:
    """ρ/log t and the slope of ρ in log t, each over its limit, for several samples (T,
    n).
    """
    ax.plot(log_time, quotient, color=ORANGE, lw=1, alpha=0.7)
    ax.plot(log_time, slope, color=BLUE, lw=1, alpha=0.7)
    ax.plot([], [], color=ORANGE, label=r"$\rho\,/\log t$")
    ax.plot([], [], color=BLUE, label=r"$d\rho\,/\,d\log t$")
    ax.axhline(1, color="black", lw=0.9, ls="--")
    ax.set(
        xscale="log",
        xlabel=r"$\log t$",
        ylabel="over its limit $m/|S_i|$",
        ylim=(-0.05, 1.15),
    )
    ax.legend(loc="lower right")


def spectrum(ax: Axes, drawn: Tensor, limit: Tensor, edge: float | None = None) -> None:
    """Eigenvalues (draws, k) in falling order, their limits (k,), and the edge of what
    noise adds.
    """
    place = np.arange(1, drawn.shape[-1] + 1)
    for values in drawn:
        ax.plot(place, values, "o", ms=3.2, color=BLUE, alpha=0.25, mew=0)
    ax.plot([], [], "o", ms=4, color=BLUE, label="random signs")
    ax.plot(place, limit, "_", ms=14, mew=2, color=ORANGE, label="limit")
    if edge is not None:
        ax.axhline(edge, color=GREY, lw=1, ls=":", label=r"$(1+\sqrt{k/m})^2$")
    ax.set(xlabel="eigenvalue", ylim=(0, None))
    ax.legend()


def rank_runs(
    ax: Axes, log_time: Tensor, seen: Tensor, said: Tensor, names: bool = True
) -> None:
    """Stable ranks over log t (T, runs, 3) and the values predicted at the start (runs,
    3), dashed.
    """
    for k, (name, (colour, _)) in enumerate(CLASSES.items()):
        for run in range(seen.shape[1]):
            ax.plot(log_time, seen[:, run, k], color=colour, lw=1.3, alpha=0.85)
            ax.plot(
                log_time,
                np.full(len(log_time), float(said[run, k])),
                color="black",
                lw=0.8,
                ls="--",
                alpha=0.6,
            )
        ax.plot([], [], color=colour, label=name)
    ax.plot([], [], color="black", lw=0.8, ls="--", label="predicted")
    ax.set(xlabel=r"$\log t$", ylabel="stable rank")
    if names:
        ax.legend(ncols=2, fontsize=9)


def ranks_by_size(
    ax: Axes,
    sizes: Sequence[int],
    drawn: Mapping[str, Tensor],
    limit: Tensor,
    band: Tensor,
) -> None:
    """Stable ranks (sizes, seeds) by class size k, with the limit and two standard
    deviations to either side.
    """
    ax.fill_between(
        sizes, limit - 2 * band, limit + 2 * band, color=SKY, alpha=0.3, lw=0
    )
    ax.plot(sizes, limit, color="black", lw=1.4, label="limit")
    for (name, values), colour, marker, shift in zip(
        drawn.items(), (BLUE, ORANGE), "ox", (0.97, 1.03)
    ):
        for k, row in zip(sizes, values):
            ax.plot(
                np.full(len(row), k * shift),
                row,
                marker,
                ms=4,
                color=colour,
                alpha=0.7,
                mew=1,
            )
        ax.plot([], [], marker, color=colour, label=name)
    ax.set(xscale="log", xlabel="class size $k$", ylabel="stable rank")
    ax.set_xticks(sizes, list(map(str, sizes)))
    ax.minorticks_off()
    ax.legend()


def spreads(
    ax: Axes,
    widths: Sequence[int],
    seen: Mapping[str, Tensor],
    law: Mapping[str, Tensor],
) -> None:
    """Measured spreads (marks) and their laws (dashed) against the width m, both axes
    logarithmic.
    """
    for (name, values), curve, colour, marker in zip(
        seen.items(), law.values(), (BLUE, GREEN, PURPLE, YELLOW), "osd^"
    ):
        ax.plot(widths, values, marker, ms=5, color=colour, label=name)
        ax.plot(widths, curve, color=colour, lw=1.1, ls="--")
    ax.plot([], [], color="black", lw=1.1, ls="--", label="law")
    ax.set(xscale="log", yscale="log", xlabel="width $m$")
    ax.set_xticks(widths, list(map(str, widths)))
    ax.minorticks_off()
    low, high = ax.get_ylim()
    marks = [
        mark
        for mark in (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
        if low <= mark <= high
    ]
    ax.set_yticks(marks, list(map(str, marks)))
    ax.legend(fontsize=9)


def ranks_by_ratio(
    ax: Axes, ratio: Tensor, curves: Mapping[str, Tensor], seen: Mapping[str, tuple]
) -> None:
    """Limits of a class's stable rank against the ratio of norms, and what training
    reached (ratio, values).
    """
    for (name, values), colour in zip(curves.items(), (BLUE, PURPLE, GREEN)):
        ax.plot(ratio, values, color=colour, label=name)
    for (at, values), colour in zip(seen.values(), (BLUE, PURPLE, GREEN)):
        ax.plot(at, values, "o", ms=4.5, color=colour, mec="white", mew=0.5)
    ax.axhline(
        2, color="black", lw=1, ls="--", label="Lemma F.3 without its hypothesis"
    )
    ax.set(
        xscale="log",
        xticks=[1, 2, 5, 10, 20],
        xticklabels=[1, 2, 5, 10, 20],
        xlabel="longest over shortest sample",
        ylabel="stable rank of $W_j$",
        ylim=(0.95, 2.08),
    )
    ax.legend(fontsize=9)


def class_spectra(ax: Axes, values: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Eigenvalues of ``D AᵀA D/m`` for each class (marks) and their limits as m → ∞
    (bars).
    """
    for (name, (seen, limit)), colour, shift in zip(
        values.items(), (BLUE, ORANGE), (-0.16, 0.16)
    ):
        place = np.arange(1, len(seen) + 1) + shift
        ax.plot(place, limit, "_", ms=9, mew=2, color="black")
        ax.plot(place, seen, "o", ms=4, color=colour, label=name)
    ax.plot([], [], "_", ms=9, mew=2, color="black", label="limit")
    ax.set(xlabel="eigenvalue", ylim=(0, None))
    ax.legend(fontsize=9)


def awake_share(ax: Axes, steps: Tensor, share: Tensor) -> None:
    """Share of pairs of a sample and a neuron of its class that are awake (T,), over
    the steps.
    """
    ax.plot(steps, share, color=PURPLE)
    ax.axhline(0.5, color=GREY, lw=1, ls=":")
    ax.set(
        xscale="log",
        xlabel="step",
        ylim=(0, 1.05),
        title="own class awake, share of pairs",
    )
