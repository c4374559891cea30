"""Figures of the chapter on when a linear boundary hurts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from torch import Tensor

from .style import BLUE, DIVERGING, GREEN, GREY, ORANGE, PURPLE, SKY, YELLOW

CURVES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (YELLOW, "v"))


def means_plane(ax: Axes, reach: float, f: Tensor, title: str) -> None:
    """A network's output on the plane of the two means, in units of their norm, with
    the four centres.
    """
    size = float(f.abs().max())
    ax.imshow(
        f / size,
        origin="lower",
        extent=(-reach, reach, -reach, reach),
        cmap=DIVERGING,
        norm=TwoSlopeNorm(0, -1, 1),
        alpha=0.75,
    )
    place = np.linspace(-reach, reach, f.shape[0])
    ax.contour(place, place, f, levels=[0.0], colors="black", linewidths=1.6)
    for (across, up), colour, marker in (
        (((1, -1), (0, 0)), BLUE, "o"),
        (((0, 0), (1, -1)), ORANGE, "s"),
    ):
        ax.scatter(
            across, up, c=colour, marker=marker, s=70, edgecolors="white", zorder=3
        )
    ax.set(
        title=title,
        xticks=[],
        yticks=[],
        aspect="equal",
        xlabel=r"along $\mu_1$",
        ylabel=r"along $\mu_2$",
    )
    ax.grid(False)


def pair_cone(
    ax: Axes, odd: Tensor, even: Tensor, gamma: float, title: str = ""
) -> None:
    """Odd part against label times even part of fresh points: upper cone, a pair ±x is
    right; lower, wrong.
    """
    size = float(np.quantile(np.abs(np.concatenate([odd, even])), 0.98)) * 1.25
    line = np.array([0.0, size])
    for side in (-1, 1):
        ax.fill_between(side * line, line, size, color=GREEN, alpha=0.16, lw=0)
        ax.fill_between(side * line, -line, -size, color=ORANGE, alpha=0.16, lw=0)
        for slope in (1, -1):
            ax.plot(
                side * line,
                slope * (1 - gamma) / (1 + gamma) * line,
                color=GREY,
                lw=0.9,
                ls="--",
            )
    ax.scatter(odd, even, s=7, color=BLUE, alpha=0.6, lw=0)
    for height, words in ((0.86, "both right"), (-0.94, "both wrong")):
        ax.text(0, height * size, words, ha="center", fontsize=9)
    ax.set(xlim=(-size, size), ylim=(-size, size), xticks=[], yticks=[], title=title)
    ax.set(xlabel="odd part of $f(x)$", ylabel="$y$ · even part")
    ax.grid(False)


def accuracy_curves(
    axes: Sequence[Axes],
    d: Sequence[float],
    panels: dict[str, dict[str, Tensor]],
    levels: Sequence[float],
) -> None:
    """Test accuracy (seeds, d) against d: means, and bands of one standard deviation;
    one panel a setting.
    """
    for ax, (title, curves), level in zip(axes, panels.items(), levels):
        ax.axhline(level, color=GREY, lw=1, ls="--")
        for (name, values), (colour, marker) in zip(curves.items(), CURVES):
            mean = values.mean(0)
            spread = values.std(0)
            ax.fill_between(
                d, mean - spread, mean + spread, color=colour, alpha=0.2, lw=0
            )
            ax.plot(d, mean, marker + "-", ms=4.5, color=colour, lw=1.4, label=name)
        ax.set(xscale="log", xlabel="$d$", title=title)
    axes[0].legend()


def ladder(
    ax: Axes, slack: Sequence[Tensor], excess: Sequence[Tensor], names: Sequence[str]
) -> None:
    """Accuracy above one half against the slack of H-3.2, leak by leak."""
    for x, y, name, (colour, marker) in zip(slack, excess, names, CURVES):
        ax.plot(x, y, marker + "-", ms=4.5, lw=1, color=colour, label=name)
    ax.axvspan(1, 100, color=SKY, alpha=0.25, lw=0)
    ax.axvline(1, color=GREY, lw=1, ls=":")
    ax.set(
        xscale="log",
        xlabel="slack of H-3.2",
        ylabel="accuracy $-$ 50 %",
        xlim=(1e-6, 100),
    )
    ax.text(
        10, 0.9, "holds", transform=ax.get_xaxis_transform(), ha="center", fontsize=9
    )
    ax.legend(loc="upper center")
