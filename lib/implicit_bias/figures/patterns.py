"""Figures of the chapter on activation patterns of leaky ReLU networks and their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from torch import Tensor

from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SIX_COLOURS, SKY

MARKS = ("o", "s", "^", "D")


def pattern(
    ax: Axes, active: Tensor, wrong: Tensor, split: tuple[int, int], title: str = "", kink: Tensor | None = None
) -> None:
    """Neurons by samples: blue where active, white where not, a cross where the sign is wrong; lines part the classes.

    ``active`` and ``wrong`` (m, n), positive neurons and positive samples first; ``split`` says how many of each. Pairs
    at their ``kink`` are grey.
    """
    active = active.double()
    if kink is not None:
        wrong, active = wrong & ~kink, active.masked_fill(kink, 0.5)
    ax.imshow(
        active, cmap=ListedColormap(["#ffffff", "#c4c4c4", SKY]), vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    rows, columns = wrong.nonzero().T.tolist() if bool(wrong.any()) else ([], [])
    ax.plot(columns, rows, ls="", marker="x", ms=3.2, mew=1.1, color=ORANGE)
    ax.axhline(split[0] - 0.5, color="black", lw=0.9)
    ax.axvline(split[1] - 0.5, color="black", lw=0.9)
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(False)
    ax.spines[:].set_visible(True)


def paths(ax: Axes, steps: Tensor, side: Tensor, end: int) -> None:
    """Preactivations times the sign they should have (T, k), orange while wrong; a line at the freezing step."""
    values = np.asarray(side)
    ax.plot(steps, values, color=SKY, lw=0.6, alpha=0.6)
    ax.plot(steps, np.where(values < 0, values, np.nan), color=ORANGE, lw=0.7, alpha=0.8)
    ax.axhline(0, color="black", lw=0.8)
    ax.axvline(end, color="black", lw=1.1, ls="--")
    ax.annotate(f"T = {end}", (end, 1.02), xycoords=("data", "axes fraction"), ha="center", fontsize=9)
    ax.set(xlabel="step", ylabel=r"$jy_i\langle w_{j,r}, x_i\rangle$")


def sweep(ax: Axes, factors: Sequence[float], times: Mapping[str, Tensor]) -> None:
    """Freezing times in units of nm/(ηR²) against the factor by which one parameter was changed, all seeds (k, s)."""
    for (name, values), colour, mark in zip(times.items(), SIX_COLOURS, MARKS):
        ax.plot(factors, values.mean(-1), color=colour, marker=mark, ms=4.5, lw=1.4, label=name)
        ax.plot(factors, values, color=colour, marker=mark, ms=2.2, lw=0, alpha=0.4)
    ax.set(xscale="log", xlabel="parameter / its base value", ylim=(0, None), title="the unit is right")
    ax.set_ylabel(r"$T\,\cdot\,\eta R_{\max}^2/(nm)$")
    ax.set_xticks(list(factors), [f"{f:g}" for f in factors])
    ax.minorticks_off()
    ax.legend(ncols=2, loc="lower center")


def late_freezing(ax: Axes, scale: Tensor, times: Tensor, bound: Tensor, limit: float) -> None:
    """Logarithms of freezing times (k, s) and of their bound against the scale of the start; grey past the
    hypothesis.
    """
    for k in range(times.shape[-1]):
        ax.plot(scale, times[:, k], "o", ms=4, color=BLUE, label="measured" if k == 0 else None)
        ax.plot(scale, bound[:, k], color=ORANGE, lw=1.1, label="bound" if k == 0 else None)
    ax.axvspan(limit, float(scale[-1]) * 1.3, color="#ececec", lw=0)
    ax.set(xscale="log", yscale="symlog", xlabel=r"initial scale $\sigma_0R_{\max}$", title="but not at any scale")
    ax.set_ylabel(r"$\log\,[\,T\cdot\eta R_{\max}^2/(nm)\,]$")
    ax.set_xlim(float(scale[0]) * 0.8, float(scale[-1]) * 1.3)
    ax.set_yticks([-1, 0, 1, 10, 100], ["-1", "0", "1", "10", "100"])
    ax.legend(loc="upper left")


def coefficients(axes: Sequence[Axes], steps: Tensor, own: Tensor, other: Tensor, end: int) -> None:
    """|ρ| of one sample over time for the neurons of its class (left) and of the other (right), since T below."""
    for ax, values, colour, name in zip(axes, (own, other), (BLUE, ORANGE), ("own class", "other class")):
        ax.plot(steps, values, color=colour, lw=0.9, alpha=0.6)
        ax.axvline(end, color="black", ls="--", lw=1)
        ax.set(xlabel="step", title=f"neurons of the {name}")
    axes[0].set_ylabel(r"$|\rho_{j,r,i}|$")


def overlay(axes: Sequence[Axes], steps: Tensor, margins: Tensor, exact: Tensor, errors: Mapping[str, tuple]) -> None:
    """Left, margins (T, k) as dots on their exact curves; right, the errors of runs by name (steps, error)."""
    for k, colour in zip(range(margins.shape[-1]), SIX_COLOURS):
        axes[0].plot(steps, exact[:, k], color=colour, lw=1.4)
        axes[0].plot(steps[::4], margins[::4, k], "o", ms=3.5, color=colour)
    axes[0].set(xscale="log", xlabel="step", ylabel="margin $q_i$", title=r"dots: descent; lines: $\log\,\omega(z)$")
    for (name, (clock, error)), colour in zip(errors.items(), (BLUE, GREEN, PURPLE)):
        axes[1].plot(clock, error, color=colour, label=name)
    axes[1].set(
        xscale="log", yscale="log", xlabel=r"time $\eta t$", title="largest error of a margin", ylim=(1e-6, 0.3)
    )
    axes[1].legend()


def loss_products(ax: Axes, steps: Tensor, products: Mapping[str, Tensor], promises: Mapping[str, float]) -> None:
    """``ηtL/‖W*‖²`` (T,) by name against t, and dotted what a power ``t^-e`` would make of it."""
    for (name, values), colour in zip(products.items(), SIX_COLOURS):
        ax.plot(steps, values, color=colour, label=name)
        if name in promises:
            from_here = steps > 30
            t = np.asarray(steps[from_here].double())
            ax.plot(t, (t / t[0]) ** (1 - promises[name]), color=colour, ls=":", lw=1.2)
    ax.axhline(1, color="black", lw=0.9)
    ax.set(xscale="log", yscale="log", xlabel="step $t$", title=r"$\eta tL\,/\,\|W^*\|^2$")
    ax.legend(fontsize=9)


def divergences(ax: Axes, steps: Tensor, curves: Mapping[str, Tensor]) -> None:
    """Kullback-Leibler divergences (T,) by name, down to rounding."""
    for (name, values), colour in zip(curves.items(), SIX_COLOURS):
        shown = values > 1e-14
        ax.plot(steps[shown], values[shown], color=colour, label=name)
    ax.set(xscale="log", yscale="log", xlabel="step $t$", title=r"$D(\pi^*\,\|\,\pi(t))$")


def gaps(ax: Axes, clock: Tensor, curves: Mapping[str, Tensor], laws: Sequence[float], switch: float) -> None:
    """StableRank - 1 against log t for some runs, each with its law ``c/log² t`` dashed, and a 1/log t to compare.

    ``clock`` and the curves are (T,) each; the dotted line marks where descent hands over to the flow.
    """
    for (name, (t, values)), law, colour in zip(curves.items(), laws, SIX_COLOURS):
        ax.plot(t, values, color=colour, label=name)
        late = t > 3
        ax.plot(t[late], law / t[late] ** 2, color=colour, ls="--", lw=1)
    t = np.asarray(clock)
    ax.plot(t, 3 * (t / t[0]) ** -1.0, color=GREY, ls=":", lw=1.6, label=r"slope of $1/\log t$")
    ax.plot([], [], color="black", ls="--", lw=1, label=r"$c_\infty/\log^2t$")
    ax.axvline(switch, color="black", lw=0.8)
    ax.annotate("descent | flow", (switch, 1.02), xycoords=("data", "axes fraction"), ha="center", fontsize=9)
    ax.set(xscale="log", yscale="log", xlabel=r"$\log t$", ylabel=r"StableRank$(W_j) - 1$")
    ax.legend(loc="lower left", fontsize=9)


def margin_gaps(ax: Axes, curves: Mapping[str, tuple[Tensor, Tensor, float]]) -> None:
    """max/min of the margins minus 1 against log t, by name (log t, gap, law); the law dashed."""
    for (name, (t, gap, law)), colour in zip(curves.items(), SIX_COLOURS):
        ax.plot(t, gap, color=colour, label=name)
        ax.plot(t, law / t, color=colour, ls="--", lw=1)
    ax.set(xscale="log", yscale="log", xlabel=r"$\log t$", ylabel="max/min of the margins, minus 1")
    ax.legend()


def whole_net(axes: Sequence[Axes], curve: tuple[Tensor, Tensor, Tensor], seen: tuple[Tensor, Tensor, Tensor]) -> None:
    """Limits against the leak: stable rank of W (left) and ‖z‖/‖z*‖ (right), lines, with runs as dots."""
    for ax, law, values, name in zip(axes, curve[1:], seen[1:], (r"StableRank$(W)$", r"$\|z\|\,/\,\|z^*\|$")):
        ax.plot(curve[0], law, color=BLUE)
        ax.plot(seen[0], values, "o", ms=5, color=ORANGE)
        ax.set(xlabel=r"leak $\gamma$", title=name)


def wrong_share(ax: Axes, clock: Tensor, shares: Tensor, limit: float | None = None) -> None:
    """The share of wrong signs (T,) against a clock; a dashed line marks a time."""
    ax.plot(clock, shares, color=ORANGE)
    if limit is not None:
        ax.axvline(limit, color="black", ls="--", lw=1)
    ax.set(ylabel="share of wrong signs", ylim=(-0.02, 0.62))


def end_state(ax: Axes, clock: Tensor, product: Tensor | None, gap: Tensor) -> None:
    """``ηtL/‖W*‖²`` (T,), where there is a W*, and the larger ``StableRank(W_j) - 1`` (T,) against log t."""
    if product is not None:
        ax.plot(clock, product, color=BLUE, label=r"$\eta tL/\|W^*\|^2$")
    ax.plot(clock, gap, color=ORANGE, label=r"StableRank$(W_j)-1$")
    ax.axhline(1, color="black", lw=0.8)
    ax.set(xscale="log", yscale="log", xlabel=r"$\log t$", ylim=(1e-6, 20))
    ax.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    ax.legend(loc="lower left", fontsize=9)


def ranks_over_time(ax: Axes, steps: Sequence[int], curves: Mapping[str, Tensor], units: Mapping[str, float]) -> None:
    """Stable ranks (T,) by name against the step, logarithmic; vertical lines at named steps."""
    for (name, values), colour in zip(curves.items(), SIX_COLOURS):
        ax.plot(steps, values, color=colour, label=name)
    for name, place in units.items():
        ax.axvline(place, color=GREY, ls=":", lw=1.1)
        ax.annotate(name, (place, 1.02), xycoords=("data", "axes fraction"), ha="center", fontsize=9)
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel=r"StableRank$(W_{+1})$")
    ax.legend(fontsize=9)
