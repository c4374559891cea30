"""Figures of the chapter on the direction of gradient flow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, colour_of

STYLES = ("-", "--", "-.", ":")


def balance(
    axes: Sequence[Axes],
    s: Tensor,
    lead: Tensor,
    share: Tensor,
    limit: Tensor,
    y: Tensor,
) -> None:
    """Left, lead of every margin over the clock (T, n); right, shares of the gradient
    (T, n) and their limits (n,).
    """
    for values, colour in zip(lead.T, colour_of(y)):
        axes[0].plot(s, values, color=colour, lw=1.3)
    for values, colour in zip(share.T, colour_of(y)):
        axes[1].plot(s, values, color=colour, lw=1.3)
    for value in limit.tolist():
        axes[1].plot(
            [float(s[-1]), float(s[-1]) * 1.25],
            [value, value],
            color="black",
            lw=1.4,
            clip_on=False,
        )
    axes[0].set(title="lead of each margin", ylabel=r"$y_i f(x_i) - s$")
    axes[1].set(title="share of each sample", ylabel=r"$\pi_i$")
    for ax in axes:
        ax.set(xscale="log", xlabel=r"$s = \log(1/L)$")


def kinks(
    axes: Sequence[Axes],
    crossing: tuple[Tensor, Tensor],
    sliding: tuple[Tensor, Tensor],
    euler: Sequence,
) -> None:
    """Two preactivations against the clock: one that crosses 0, one that stays there;
    ``euler`` holds labelled runs.
    """
    axes[0].plot(*crossing, color=BLUE)
    axes[0].set(title="crossing", ylabel=r"$\langle w_j, x_i\rangle$")
    for (name, clock, z), colour in zip(euler, (ORANGE, SKY)):
        axes[1].plot(clock, z, color=colour, lw=1.0, label=name)
    axes[1].plot(*sliding, color=BLUE, label="loss clock", lw=2.0)
    axes[1].set(title="sliding")
    axes[1].legend()
    for ax in axes:
        ax.axhline(0, color="black", lw=0.8)
        ax.set(xlabel=r"$s = \log(1/L)$")


def rising_margin(
    axes: Sequence[Axes], s: Tensor, smooth: Tensor, plain: Tensor, threshold: float
) -> None:
    """Smoothed and plain normalised margins of some runs (T, b); left around the
    threshold, right to the end.
    """
    for k, colour in zip(range(smooth.shape[-1]), (BLUE, ORANGE, GREEN, PURPLE)):
        for ax in axes:
            ax.plot(s, smooth[:, k], color=colour)
            ax.plot(s, plain[:, k], color=colour, lw=1.0, ls=":")
    for ax in axes:
        ax.axvspan(float(s[0]), threshold, color="#e9e9e9", lw=0)
        ax.set(xlabel=r"$s = \log(1/L)$")
    axes[0].set(
        xlim=(float(s[0]), 2.5 * threshold),
        ylabel="normalised margin",
        title="around the threshold",
    )
    late = s <= 2.5 * threshold
    axes[0].set_ylim(
        *(
            bound + pad
            for bound, pad in zip(_range(smooth[late], plain[late]), (-0.05, 0.05))
        )
    )
    axes[1].set(xscale="log", xlim=(threshold / 2, float(s[-1])), title="to the end")
    axes[1].set_ylim(0, 1.08 * float(plain[-1].max()))


def _range(*values: Tensor) -> tuple[float, float]:
    known = [v.nan_to_num(0.0) for v in values]
    return max(-1.0, min(float(v.min()) for v in known)), max(
        float(v.max()) for v in known
    )


def falling(
    ax: Axes, s: Tensor, curves: dict[str, Tensor], floor: float = 1e-9
) -> None:
    """Positive quantities against the clock, both logarithmic; what lies below the
    floor is cut off.
    """
    for (name, values), style in zip(curves.items(), STYLES):
        shown = values > floor
        ax.plot(s[shown], values[shown], ls=style, label=name)
    ax.set(xscale="log", yscale="log", xlabel=r"$s = \log(1/L)$")


def collapse_to_limit(
    axes: Sequence[Axes],
    s: Tensor,
    distance: Tensor,
    memory: Tensor,
    names: Sequence[str],
    law: tuple,
) -> None:
    """Distances (T, b) against the clock, and against the clock in units of each run's
    memory (b,), with their law.
    """
    colours = [BLUE, GREEN, PURPLE, GREY]
    for k, name in enumerate(names):
        colour = colours[k % len(colours)]
        axes[0].plot(s, distance[:, k], color=colour, label=name)
        axes[1].plot(s / memory[k], distance[:, k], color=colour)
    axes[1].plot(*law, color=ORANGE, ls="--", lw=1.4, label="law")
    axes[0].set(
        ylabel="distance in direction to $W^*$",
        xlabel=r"$s = \log(1/L)$",
        title="each on the clock",
    )
    axes[1].set(xlabel=r"$s\,\|W^*\| / \|W(0)\|$", title="each on its own clock")
    for ax in axes:
        ax.set(xscale="log", yscale="log")
        ax.legend(fontsize=8.5)


def basins(
    axes: Sequence[Axes], margins: Tensor, residual: Tensor, tolerance: float
) -> None:
    """Left, normalised margins reached from many starts (b,), in order; right, KKT
    residual of each.
    """
    order = margins.argsort()
    index = np.arange(len(order))
    axes[0].plot(index, margins[order], "o", ms=4, color=BLUE)
    axes[0].set(
        xlabel="start, sorted",
        ylabel="normalised margin of the limit",
        title="where the starts end",
    )
    axes[1].plot(index, residual[order], "o", ms=4, color=BLUE)
    axes[1].axhline(tolerance, color=GREY, ls="--", lw=1, label="tolerance")
    axes[1].set(
        yscale="log",
        xlabel="start, same order",
        ylabel="KKT residual",
        title="each is a KKT point",
    )
    axes[1].set_ylim(float(residual.min()) / 5, tolerance * 8)
    axes[1].legend()


def two_residuals(
    axes: Sequence[Axes],
    s: Tensor,
    distance: Tensor,
    residual: Tensor,
    neurons: Tensor,
    a: Tensor,
    exact: Tensor,
) -> None:
    """Left, distance to W* and KKT residual against the clock; right, directions of the
    neurons (m, 2) in a plane, with those of v and u (2, 2).
    """
    falling(axes[0], s, {"distance to $W^*$": distance, "KKT residual": residual}, 0.0)
    axes[0].set(ylim=(2e-6, 4), xlim=(1, float(s[-1])))
    axes[0].legend(loc="lower left")
    ax = axes[1]
    turn = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(turn), np.sin(turn), color="#cccccc", lw=0.9)
    for (right, up), name in zip(exact.tolist(), "vu"):
        ax.plot([0, right], [0, up], color="black", lw=1.2)
        ax.annotate(f"${name}$", (1.16 * right, 1.16 * up), ha="center", va="center")
    across, up = neurons.T
    ax.scatter(across, up, c=colour_of(a), s=60, alpha=0.75, zorder=3)
    ax.set(
        xlim=(-1.3, 1.3),
        ylim=(-1.3, 1.3),
        aspect="equal",
        xticks=[],
        yticks=[],
        title="neurons' directions",
    )
    ax.grid(False)
    ax.spines[:].set_visible(False)
