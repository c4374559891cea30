"""Figures of the chapter on networks, losses and stable rank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY

PAIR = ((BLUE, "-"), (ORANGE, "--"))
FAMILY_STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"))


def activation_pair(
    axes: Sequence[Axes],
    z: Tensor,
    values: dict[str, Tensor],
    slopes: dict[str, Tensor],
) -> None:
    """Activations side by side: their values in the left panel, their slopes in the
    right one.
    """
    for ax, curves, title in zip(axes, (values, slopes), (r"$\phi(z)$", r"$\phi'(z)$")):
        for (name, curve), (colour, dash) in zip(curves.items(), PAIR):
            ax.plot(z, curve, dash, color=colour, label=name)
        ax.set(xlabel="$z$", title=title, xlim=(float(z[0]), float(z[-1])))
    axes[0].legend()


def spectrum_bars(
    axes: Sequence[Axes], spectra: dict[str, Tensor], notes: Sequence[str]
) -> None:
    """Squared singular values over the largest one; the area of the bars is the stable
    rank.
    """
    for ax, (name, squares), note in zip(axes, spectra.items(), notes):
        ax.bar(
            np.arange(1, len(squares) + 1),
            squares,
            width=0.85,
            color=SKY,
            edgecolor=BLUE,
            lw=0.6,
        )
        ax.set(title=f"{name}\n{note}", xlabel="$k$", ylim=(0, 1.08), xticks=[1, 4, 8])
        ax.grid(False, axis="x")
    axes[0].set_ylabel(r"$\sigma_k^2/\sigma_1^2$")


def rank_and_stable_rank(
    ax: Axes, eps: Tensor, stable: Tensor, rank: Tensor, low: Tensor, high: Tensor
) -> None:
    """Rank and stable rank along a perturbation, with the band that continuity allows
    the latter.
    """
    ax.fill_between(
        eps, low, high, color=SKY, alpha=0.35, lw=0, label="what the theorem allows"
    )
    ax.plot(eps, stable, color=BLUE, label="stable rank")
    ax.plot(eps, rank, "s", ms=4, color=ORANGE, label="rank")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"$\varepsilon = \|E\|_F / \|A\|_2$",
        ylim=(0.8, 60),
    )
    ax.set_yticks([1, 2, 5, 10, 40], ["1", "2", "5", "10", "40"])
    ax.minorticks_off()
    ax.legend(loc="center left")


def bulk(
    axes: Sequence[Axes],
    spectra: dict[str, Tensor],
    densities: Sequence[tuple[Tensor, Tensor]],
) -> None:
    """Histograms of singular values over √d, and the curve they should follow."""
    for ax, (name, values), (place, density) in zip(axes, spectra.items(), densities):
        ax.hist(values, bins=32, density=True, color=SKY, edgecolor="white", lw=0.3)
        ax.plot(place, density, color=ORANGE, lw=2)
        ax.set(title=name, xlabel=r"$\sigma/(\omega\sqrt{d})$", yticks=[])
        ax.spines["left"].set_visible(False)


def initial_value(
    axes: Sequence[Axes],
    d: Tensor,
    measured: dict[int, Tensor],
    curves: dict[int, Tensor],
) -> None:
    """Stable rank of Gaussian matrices against d, m by m, with the formula; right, how
    far the formula is off.
    """
    for (m, points), (colour, marker) in zip(measured.items(), FAMILY_STYLES):
        axes[0].plot(d, curves[m], color=colour, lw=1.4)
        axes[0].plot(
            d, points, marker, ms=4.5, color=colour, ls="none", label=f"$m={m}$"
        )
        axes[1].plot(
            d, points / curves[m] - 1, marker, ms=4.5, color=colour, ls="-", lw=1
        )
    axes[0].set(
        xscale="log",
        yscale="log",
        xlabel="$d$",
        title="stable rank (curves, the formula)",
    )
    axes[1].set(
        xscale="log", yscale="log", xlabel="$d$", title="measured / formula $- 1$"
    )
    axes[0].legend(loc="lower right")


def log_losses(
    axes: Sequence[Axes], q: Tensor, naive: Tensor, safe: Tensor, gap: Tensor
) -> None:
    """Logarithm of the loss, naive and safe, and the relative error of the naive one
    where it has a value.
    """
    axes[0].plot(q, -safe, color=BLUE, lw=3.5, alpha=0.5, label="in the log domain")
    axes[0].plot(q, -naive, color=ORANGE, ls="--", label="naive")
    axes[0].set(xlabel="margin $q$", title=r"$-\log\ell(q)$")
    axes[0].legend()
    axes[1].plot(q, gap, color=ORANGE, lw=1)
    axes[1].set(
        yscale="log",
        xlabel="margin $q$",
        title="relative error of the naive loss",
        ylim=(1e-17, 3),
    )
    for ax in axes:
        ax.axvline(36.74, color=GREY, lw=1, ls=":")


def kink_runs(
    axes: Sequence[Axes],
    step: Tensor,
    apart: dict[str, Tensor],
    to_limit: dict[str, Tensor],
) -> None:
    """Distance in direction of two conventions' runs from a third's, and of each run
    from the limit.
    """
    for (name, curve), (colour, marker) in zip(apart.items(), FAMILY_STYLES[1:]):
        axes[0].plot(
            step, curve, marker + "-", ms=3.5, color=colour, lw=1.2, label=name
        )
    for (name, curve), (colour, _), dash in zip(
        to_limit.items(), FAMILY_STYLES, ("-", "--", ":")
    ):
        axes[1].plot(step, curve, dash, color=colour, label=name)
    axes[0].set_title("from the run with $\\phi'(0)=1$")
    axes[1].set_title("from the KKT point")
    for ax in axes:
        ax.set(xscale="log", yscale="log", xlabel="step $t$")
        ax.legend()
    axes[0].set(ylabel="distance in direction", ylim=(1e-3, 0.15))
    axes[1].set_ylim(5e-3, 0.4)


def spike_sweep(
    ax: Axes,
    s: Tensor,
    measured: dict[int, Tensor],
    fine: Tensor,
    curves: dict[int, Tensor],
    marks: dict[int, float],
) -> None:
    """Stable rank against the length of a spike in units of a row's; points measured,
    curves the formula, m by m.
    """
    for (m, points), (colour, marker) in zip(measured.items(), FAMILY_STYLES):
        ax.plot(fine, curves[m], color=colour, lw=1.2)
        ax.plot(s, points, marker, ms=5, color=colour, ls="none", label=f"$m={m}$")
        ax.axvline(marks[m], color=colour, lw=1, ls=":")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"length of the first step, $s = \theta/\sqrt{d}$",
        ylabel="stable rank",
    )
    ax.legend(loc="lower left")


def spiked_spectrum(
    axes: Sequence[Axes],
    values: Tensor,
    edges: tuple[float, float],
    outlier: float,
    curve: tuple[Tensor, Tensor],
    here: tuple[float, float],
    marks: tuple[float, float],
) -> None:
    """Singular values of noise and spike with the edge of the bulk; right, the stable
    rank along the spike.
    """
    left, right = axes
    left.axvspan(*edges, color=SKY, alpha=0.3, lw=0)
    left.vlines(values, 0, 1, color=BLUE, lw=0.9)
    left.vlines(float(values[-1]), 0, 1, color=ORANGE, lw=2.4)
    left.plot([outlier], [1.06], "v", color="black", ms=7, clip_on=False)
    left.set(title="singular values / $\\sqrt{d}$", ylim=(0, 1.1), yticks=[])
    left.grid(False)
    left.spines["left"].set_visible(False)
    right.plot(*curve, color="black", lw=1.2)
    right.plot(*here, "o", ms=9, color=ORANGE)
    right.axvline(marks[0], color=GREY, lw=1, ls=":")
    right.axvline(marks[1], color=GREY, lw=1, ls="--")
    right.set(
        xscale="symlog",
        yscale="log",
        xlabel=r"$\theta/(md)^{1/4}$",
        title="stable rank",
        ylim=(0.8, 90),
    )
    right.set_yticks([1, 2, 5, 10, 20, 64], ["1", "2", "5", "10", "20", "64"])
    right.set_xticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
    right.minorticks_off()
