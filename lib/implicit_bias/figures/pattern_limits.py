"""Figures of the chapter on patterns: what the frozen pattern does to loss, ranks and
margins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from .style import BLUE, GREY, ORANGE, SIX_COLOURS

__all__ = []


def loss_products(
    ax: Axes,
    steps: Tensor,
    products: Mapping[str, Tensor],
    promises: Mapping[str, float],
) -> None:
    """``ηtL/‖W*‖²`` (T,) by name against t, and dotted what a power ``t^-e`` would make
    of it.
    """
    for (name, values), colour in zip(products.items(), SIX_COLOURS):
        ax.plot(steps, values, color=colour, label=name)
        if name in promises:
            from_here = steps > 30
            t = np.asarray(steps[from_here].double())
            ax.plot(t, (t / t[0]) ** (1 - promises[name]), color=colour, ls=":", lw=1.2)
    ax.axhline(1, color="black", lw=0.9)
    ax.set(
        xscale="log", yscale="log", xlabel="step $t$", title=r"$\eta tL\,/\,\|W^*\|^2$"
    )
    ax.legend(fontsize=9)


def divergences(ax: Axes, steps: Tensor, curves: Mapping[str, Tensor]) -> None:
    """Kullback-Leibler divergences (T,) by name, down to rounding."""
    for (name, values), colour in zip(curves.items(), SIX_COLOURS):
        shown = values > 1e-14
        ax.plot(steps[shown], values[shown], color=colour, label=name)
    ax.set(
        xscale="log", yscale="log", xlabel="step $t$", title=r"$D(\pi^*\,\|\,\pi(t))$"
    )


def gaps(
    ax: Axes,
    clock: Tensor,
    curves: Mapping[str, Tensor],
    laws: Sequence[float],
    switch: float,
) -> None:
    """StableRank - 1 against log t for some runs, each with its law ``c/log² t``
    dashed, and a 1/log t to compare.

    ``clock`` and the curves are (T,) each; the dotted line marks where descent hands
    over to the flow.
    """
    for (name, (t, values)), law, colour in zip(curves.items(), laws, SIX_COLOURS):
        ax.plot(t, values, color=colour, label=name)
        late = t > 3
        ax.plot(t[late], law / t[late] ** 2, color=colour, ls="--", lw=1)
    t = np.asarray(clock)
    ax.plot(
        t,
        3 * (t / t[0]) ** -1.0,
        color=GREY,
        ls=":",
        lw=1.6,
        label=r"slope of $1/\log t$",
    )
    ax.plot([], [], color="black", ls="--", lw=1, label=r"$c_\infty/\log^2t$")
    ax.axvline(switch, color="black", lw=0.8)
    ax.annotate(
        "descent | flow",
        (switch, 1.02),
        xycoords=("data", "axes fraction"),
        ha="center",
        fontsize=9,
    )
    ax.set(
        xscale="log", yscale="log", xlabel=r"$\log t$", ylabel=r"StableRank$(W_j) - 1$"
    )
    ax.legend(loc="lower left", fontsize=9)


def margin_gaps(ax: Axes, curves: Mapping[str, tuple[Tensor, Tensor, float]]) -> None:
    """max/min of the margins minus 1 against log t, by name (log t, gap, law); the law
    dashed.
    """
    for (name, (t, gap, law)), colour in zip(curves.items(), SIX_COLOURS):
        ax.plot(t, gap, color=colour, label=name)
        ax.plot(t, law / t, color=colour, ls="--", lw=1)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"$\log t$",
        ylabel="max/min of the margins, minus 1",
    )
    ax.legend()


def whole_net(
    axes: Sequence[Axes],
    curve: tuple[Tensor, Tensor, Tensor],
    seen: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Limits against the leak: stable rank of W (left) and ‖z‖/‖z*‖ (right), lines,
    with runs as dots.
    """
    for ax, law, values, name in zip(
        axes, curve[1:], seen[1:], (r"StableRank$(W)$", r"$\|z\|\,/\,\|z^*\|$")
    ):
        ax.plot(curve[0], law, color=BLUE)
        ax.plot(seen[0], values, "o", ms=5, color=ORANGE)
        ax.set(xlabel=r"leak $\gamma$", title=name)


def end_state(ax: Axes, clock: Tensor, product: Tensor | None, gap: Tensor) -> None:
    """``ηtL/‖W*‖²`` (T,), where there is a W*, and the larger ``StableRank(W_j) - 1``
    (T,) against log t.
    """
    if product is not None:
        ax.plot(clock, product, color=BLUE, label=r"$\eta tL/\|W^*\|^2$")
    ax.plot(clock, gap, color=ORANGE, label=r"StableRank$(W_j)-1$")
    ax.axhline(1, color="black", lw=0.8)
    ax.set(xscale="log", yscale="log", xlabel=r"$\log t$", ylim=(1e-6, 20))
    ax.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    ax.legend(loc="lower left", fontsize=9)


def ranks_over_time(
    ax: Axes,
    steps: Sequence[int],
    curves: Mapping[str, Tensor],
    units: Mapping[str, float],
) -> None:
    """Stable ranks (T,) by name against the step, logarithmic; vertical lines at named
    steps.
    """
    for (name, values), colour in zip(curves.items(), SIX_COLOURS):
        ax.plot(steps, values, color=colour, label=name)
    for name, place in units.items():
        ax.axvline(place, color=GREY, ls=":", lw=1.1)
        ax.annotate(
            name,
            (place, 1.02),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=9,
        )
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel=r"StableRank$(W_{+1})$")
    ax.legend(fontsize=9)
