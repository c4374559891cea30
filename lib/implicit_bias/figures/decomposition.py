"""Figures of the chapter on the data-correlated decomposition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from .style import BLUE, DIVERGING, GREEN, GREY, ORANGE, PURPLE, SKY

CURVE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, GREY)


def coefficient_maps(
    fig: Figure,
    axes: Sequence[Axes],
    maps: Sequence[Tensor],
    titles: Sequence[str],
    split: tuple[int, int],
) -> None:
    """Coefficients ρ (neurons, samples) at a few times, each on its own scale: blue
    above 0, orange below.

    ``split`` says after which neuron and which sample the second sign begins.
    """
    for ax, values, title in zip(axes, maps, titles):
        size = float(values.abs().max()) or 1.0
        image = ax.imshow(
            values,
            cmap=DIVERGING,
            vmin=-size,
            vmax=size,
            aspect="auto",
            interpolation="nearest",
        )
        ax.axhline(split[0] - 0.5, color="black", lw=0.9)
        ax.axvline(split[1] - 0.5, color="black", lw=0.9)
        ax.set(title=title, xticks=[], yticks=[], xlabel="samples")
        ax.grid(False)
        bar = fig.colorbar(
            image, ax=ax, location="bottom", shrink=0.9, ticks=[-size, 0, size]
        )
        digits = max(0, 1 - int(np.floor(np.log10(size))))
        bar.ax.set_xticklabels(
            [f"{v:.{digits}f}".replace("-", "−") for v in (-size, 0, size)]
        )
    positive = split[0]
    negative = len(maps[0]) - split[0]
    axes[0].set_yticks(
        [(positive - 1) / 2, positive + (negative - 1) / 2],
        ["j = +1", "j = −1"],
        rotation=90,
        va="center",
    )
    axes[0].tick_params(length=0)


def reach(
    ax: Axes,
    t: Tensor,
    low: Tensor,
    high: Tensor,
    bounds: tuple[Tensor, Tensor],
    printed: Tensor | None = None,
) -> None:
    """What the sequences of the log lemma can reach, the lemma's bounds, and the upper
    bound as printed.
    """
    ax.fill_between(t, low, high, color=SKY, alpha=0.5, lw=0, label="reachable")
    for bound, name in zip(bounds, ("bounds", None)):
        ax.plot(t, bound, color=BLUE, lw=1.6, label=name)
    if printed is not None:
        ax.plot(t, printed, color=ORANGE, ls="--", label="upper bound as printed")
    ax.set(xscale="log", xlabel="$t$")


def curves_over_steps(
    ax: Axes,
    step: Tensor,
    named: Mapping[str, Tensor],
    levels: Mapping[str, float] | None = None,
    colours: Sequence[str] = CURVE_COLOURS,
) -> None:
    """Quantities against log-spaced steps, with labelled levels as dashed lines."""
    for (name, values), colour in zip(named.items(), colours):
        ax.plot(step, values, color=colour, label=name)
    for (name, level), style in zip((levels or {}).items(), ("--", ":", "-.")):
        ax.axhline(level, color="black", ls=style, lw=1.2, label=name)
    ax.set(xscale="log", xlabel="step $t$")


def growth_bands(
    ax: Axes,
    step: Tensor,
    means: Tensor,
    below: Tensor,
    above: Tensor,
    name: str,
    colour: str,
) -> None:
    """Mean coefficients (T, n) of all samples between two bounds (T,)."""
    ax.fill_between(step, below, above, color=colour, alpha=0.15, lw=0)
    ax.plot(step, means[:, 0], color=colour, lw=1.2, label=name)
    ax.plot(step, means[:, 1:], color=colour, lw=0.8, alpha=0.7)


def power_laws(
    ax: Axes,
    x: Tensor,
    y: Tensor,
    name: str,
    laws: Mapping[str, Tensor],
    colours: Sequence[str] = (BLUE, ORANGE, GREY),
) -> None:
    """Dots on log-log axes, and laws to hold them against: the first solid, the others
    dashed.
    """
    for k, ((label, law), colour) in enumerate(zip(laws.items(), colours)):
        ax.plot(x, law, color=colour, ls="-" if k == 0 else "--", lw=1.4, label=label)
    ax.plot(x, y, "o", ms=5.5, color="black", label=name, zorder=3)
    ax.set(xscale="log", yscale="log")
    ax.minorticks_off()


def diagonal_dots(
    ax: Axes, x: Tensor, y: Tensor, colour: str = BLUE, name: str | None = None
) -> None:
    """Measured against predicted, with the diagonal."""
    ax.plot(x, y, "o", ms=4.5, color=colour, alpha=0.8, label=name)
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    pad = 0.05 * (ends[1] - ends[0])
    ends = [ends[0] - pad, ends[1] + pad]
    ax.plot(ends, ends, color="black", lw=1.0, ls="--", zorder=1)


def chances(
    ax: Axes,
    x: Tensor,
    named: Mapping[str, Tensor],
    seen: tuple[Tensor, Tensor] | None = None,
) -> None:
    """Failure probabilities against a size, on a logarithmic axis, and frequencies seen
    as dots.
    """
    for (name, values), colour, style in zip(
        named.items(), (ORANGE, BLUE, GREEN), ("--", "-", "-")
    ):
        ax.plot(x, values, color=colour, ls=style, label=name)
    if seen is not None:
        ax.plot(*seen, "o", ms=5, color="black", label="seen", zorder=3)
    ax.set(yscale="log")
