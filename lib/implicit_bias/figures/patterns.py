"""Figures of the chapter on activation patterns of leaky ReLU networks and their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from torch import Tensor

from .style import BLUE, GREEN, ORANGE, PURPLE, SIX_COLOURS, SKY

__all__ = []


MARKS = ("o", "s", "^", "D")


def pattern(
    ax: Axes,
    active: Tensor,
    wrong: Tensor,
    split: tuple[int, int],
    title: str = "",
    kink: Tensor | None = None,
) -> None:
    """Neurons by samples: blue where active, white where not, a cross where the sign is
    wrong; lines part the classes.

    ``active`` and ``wrong`` (m, n), positive neurons and positive samples first;
    ``split`` says how many of each. Pairs at their ``kink`` are grey.
    """
    active = active.double()
    if kink is not None:
        wrong = wrong & ~kink
        active = active.masked_fill(kink, 0.5)
    ax.imshow(
        active,
        cmap=ListedColormap(["#ffffff", "#c4c4c4", SKY]),
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
    )
    rows, columns = wrong.nonzero().T.tolist() if bool(wrong.any()) else ([], [])
    ax.plot(columns, rows, ls="", marker="x", ms=3.2, mew=1.1, color=ORANGE)
    ax.axhline(split[0] - 0.5, color="black", lw=0.9)
    ax.axvline(split[1] - 0.5, color="black", lw=0.9)
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(False)
    ax.spines[:].set_visible(True)


def paths(ax: Axes, steps: Tensor, side: Tensor, end: int) -> None:
    """Preactivations times the sign they should have (T, k), orange while wrong; a line
    at the freezing step.
    """
    values = np.asarray(side)
    ax.plot(steps, values, color=SKY, lw=0.6, alpha=0.6)
    ax.plot(
        steps, np.where(values < 0, values, np.nan), color=ORANGE, lw=0.7, alpha=0.8
    )
    ax.axhline(0, color="black", lw=0.8)
    ax.axvline(end, color="black", lw=1.1, ls="--")
    ax.annotate(
        f"T = {end}",
        (end, 1.02),
        xycoords=("data", "axes fraction"),
        ha="center",
        fontsize=9,
    )
    ax.set(xlabel="step", ylabel=r"$jy_i\langle w_{j,r}, x_i\rangle$")


def sweep(ax: Axes, factors: Sequence[float], times: Mapping[str, Tensor]) -> None:
    """Freezing times in units of nm/(ηR²) against the factor by which one parameter was
    changed, all seeds (k, s).
    """
    for (name, values), colour, mark in zip(times.items(), SIX_COLOURS, MARKS):
        ax.plot(
            factors,
            values.mean(-1),
            color=colour,
            marker=mark,
            ms=4.5,
            lw=1.4,
            label=name,
        )
        ax.plot(factors, values, color=colour, marker=mark, ms=2.2, lw=0, alpha=0.4)
    ax.set(
        xscale="log",
        xlabel="parameter / its base value",
        ylim=(0, None),
        title="the unit is right",
    )
    ax.set_ylabel(r"$T\,\cdot\,\eta R_{\max}^2/(nm)$")
    ax.set_xticks(list(factors), [f"{f:g}" for f in factors])
    ax.minorticks_off()
    ax.legend(ncols=2, loc="lower center")


def late_freezing(
    ax: Axes, scale: Tensor, times: Tensor, bound: Tensor, limit: float
) -> None:
    """Logarithms of freezing times (k, s) and of their bound against the scale of the
    start; grey past the hypothesis.
    """
    for k in range(times.shape[-1]):
        ax.plot(
            scale,
            times[:, k],
            "o",
            ms=4,
            color=BLUE,
            label="measured" if k == 0 else None,
        )
        ax.plot(
            scale, bound[:, k], color=ORANGE, lw=1.1, label="bound" if k == 0 else None
        )
    ax.axvspan(limit, float(scale[-1]) * 1.3, color="#ececec", lw=0)
    ax.set(
        xscale="log",
        yscale="symlog",
        xlabel=r"initial scale $\sigma_0R_{\max}$",
        title="but not at any scale",
    )
    ax.set_ylabel(r"$\log\,[\,T\cdot\eta R_{\max}^2/(nm)\,]$")
    ax.set_xlim(float(scale[0]) * 0.8, float(scale[-1]) * 1.3)
    ax.set_yticks([-1, 0, 1, 10, 100], ["-1", "0", "1", "10", "100"])
    ax.legend(loc="upper left")


def coefficients(
    axes: Sequence[Axes], steps: Tensor, own: Tensor, other: Tensor, end: int
) -> None:
    """|ρ| of one sample over time for the neurons of its class (left) and of the other
    (right), since T below.
    """
    for ax, values, colour, name in zip(
        axes, (own, other), (BLUE, ORANGE), ("own class", "other class")
    ):
        ax.plot(steps, values, color=colour, lw=0.9, alpha=0.6)
        ax.axvline(end, color="black", ls="--", lw=1)
        ax.set(xlabel="step", title=f"neurons of the {name}")
    axes[0].set_ylabel(r"$|\rho_{j,r,i}|$")


def overlay(
    axes: Sequence[Axes],
    steps: Tensor,
    margins: Tensor,
    exact: Tensor,
    errors: Mapping[str, tuple],
) -> None:
    """Left, margins (T, k) as dots on their exact curves; right, the errors of runs by
    name (steps, error).
    """
    for k, colour in zip(range(margins.shape[-1]), SIX_COLOURS):
        axes[0].plot(steps, exact[:, k], color=colour, lw=1.4)
        axes[0].plot(steps[::4], margins[::4, k], "o", ms=3.5, color=colour)
    axes[0].set(
        xscale="log",
        xlabel="step",
        ylabel="margin $q_i$",
        title=r"dots: descent; lines: $\log\,\omega(z)$",
    )
    for (name, (clock, error)), colour in zip(errors.items(), (BLUE, GREEN, PURPLE)):
        axes[1].plot(clock, error, color=colour, label=name)
    axes[1].set(
        xscale="log",
        yscale="log",
        xlabel=r"time $\eta t$",
        title="largest error of a margin",
        ylim=(1e-6, 0.3),
    )
    axes[1].legend()


def wrong_share(
    ax: Axes, clock: Tensor, shares: Tensor, limit: float | None = None
) -> None:
    """The share of wrong signs (T,) against a clock; a dashed line marks a time."""
    ax.plot(clock, shares, color=ORANGE)
    if limit is not None:
        ax.axvline(limit, color="black", ls="--", lw=1)
    ax.set(ylabel="share of wrong signs", ylim=(-0.02, 0.62))
