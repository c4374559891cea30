"""Figures of the chapter that holds the two papers against one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW, colour_of, guide

SLOPES = (ORANGE, YELLOW, GREEN, SKY, BLUE, PURPLE, "#000000")
"""One colour a slope, ReLU first."""


def bundles(ax: Axes, rows: Tensor, a: Tensor, targets: Tensor, title: str) -> None:
    """Rows of W (m, 2) in the plane of v and u, in units of the longest, with the rays
    of v and u (2, 2).
    """
    reach = 1.25
    for (right, up), name in zip(
        (targets / targets.norm(dim=-1, keepdim=True)).tolist(), "vu"
    ):
        ax.plot([0, reach * right], [0, reach * up], color="black", lw=1.0, zorder=1)
        ax.annotate(f"${name}$", (1.4 * right, 1.4 * up), ha="center", va="center")
    horizontal, vertical = (rows / rows.norm(dim=-1).max()).T
    ax.scatter(
        horizontal,
        vertical,
        c=colour_of(a),
        s=22,
        alpha=0.65,
        lw=0,
        zorder=3,
    )
    ax.plot(0, 0, "k+", ms=7, zorder=4)
    ax.set(
        xlim=(-1.5, 1.5),
        ylim=(-1.15, 1.15),
        aspect="equal",
        xticks=[],
        yticks=[],
        title=title,
    )
    ax.grid(False)
    ax.spines[:].set_visible(False)


def shares(ax: Axes, time: Tensor, share: Tensor, a: Tensor) -> None:
    """Share of each row (T, m) that lies outside the plane of v and u, against log t."""
    for values, colour in zip(share.T, colour_of(a)):
        ax.plot(time, values, color=colour, lw=0.8, alpha=0.6)
    ax.set(xlabel=r"$\log t$ ($t$: steps)", title="share outside the plane")
    ax.set(ylim=(0, 1.05), xscale="log", xlim=(1, None))


def ranks_along(
    ax: Axes,
    time: Tensor,
    curves: Mapping[str, Tensor],
    limits: Mapping[str, float],
    handover: float | None = None,
) -> None:
    """Stable ranks (T,) of W, W_+ and W_- against log t, limits dotted; the flow takes
    over at ``handover``.
    """
    for (name, values), colour, style in zip(
        curves.items(), ("black", BLUE, ORANGE), ("-", "-", "--")
    ):
        ax.plot(time, values, color=colour, ls=style, label=name)
    for (name, value), colour in zip(limits.items(), (PURPLE, GREEN, GREY, YELLOW)):
        ax.axhline(value, color=colour, ls=":", lw=1.6, label=name)
    if handover is not None:
        ax.axvspan(handover, float(time[-1]), color="#eeeeee", lw=0, zorder=0)
    ax.set(xlabel=r"$\log t$ ($t$: steps)", ylabel="stable rank")


def laws(
    ax: Axes,
    time: Tensor,
    curves: Mapping[str, Tensor],
    guides: Mapping[str, tuple[float, float]],
) -> None:
    """Falling quantities (T,) against log t, both logarithmic, with the predicted power
    laws (constant, power).
    """
    for (name, values), colour in zip(curves.items(), (BLUE, ORANGE, SKY, YELLOW)):
        ax.plot(time, values, color=colour, label=name)
    for name, (constant, power) in guides.items():
        guide(ax, time, constant, power, name)
    ax.set(xscale="log", yscale="log", xlabel=r"$\log t$ ($t$: steps)")


def bands(
    ax: Axes, steps: Tensor, values: Tensor, names: Sequence[str], width: float = 3.0
) -> None:
    """Mean over runs of (T, runs, slopes), with bands of ``width`` standard deviations."""
    middle = values.mean(1)
    spread = width * values.std(1)
    for k, name in enumerate(names):
        low = middle[:, k] - spread[:, k]
        high = middle[:, k] + spread[:, k]
        ax.fill_between(steps, low, high, color=SLOPES[k], alpha=0.18, lw=0)
        ax.plot(steps, middle[:, k], color=SLOPES[k], label=name)
    ax.set(xlabel="epoch", xlim=(0, float(steps[-1])))


def long_runs(
    ax: Axes,
    time: Sequence[Tensor],
    values: Sequence[Tensor],
    names: Sequence[str],
    limits: Sequence[float],
) -> None:
    """For each slope its curves (T, curves) against log t (T, curves), and its limit as
    a mark at the right edge.
    """
    for k, name in enumerate(names):
        for line, (clock, curve) in enumerate(zip(time[k].T, values[k].T)):
            ax.plot(
                clock, curve, color=SLOPES[k], lw=1.2, label=name if line == 0 else None
            )
    left = 1.0
    right = max(float(clock.max()) for clock in time)
    for k, value in enumerate(limits):
        ax.plot(
            [right * 1.05, right * 1.45],
            [value, value],
            color=SLOPES[k],
            lw=3,
            solid_capstyle="butt",
        )
    ax.axvline(np.log(50), color=GREY, lw=1, ls=":")
    ax.set(xscale="log", xlim=(left, right * 1.5), yscale="log")
    ax.set_xticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    ax.set_yticks(
        [1, 1.25, 1.67, 2, 3.33, 5, 8], ["1", "1.25", "1.67", "2", "3.33", "5", "8"]
    )
    ax.minorticks_off()
    ax.set_ylim(0.95, 8)
