"""Figures of the chapter on the proxy-PL inequality and the way to small loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, mark_places


def reachable_pulls(
    ax: Axes,
    corners: Tensor,
    gamma: float,
    nearest: Tensor,
    pulls: Tensor | None = None,
) -> None:
    """The plane of two signed samples (2, 2): where a neuron's pull can lie, the
    nearest one, pulls seen (k, 2).
    """
    first, second = corners.tolist()
    inner = [[gamma * c for c in point] for point in (second, first)]
    ax.fill(*zip(first, second, *inner), color=SKY, alpha=0.35, lw=0)
    ax.plot(*zip(first, second), color=BLUE, lw=1.4)
    if pulls is not None:
        ax.plot(*pulls.T, ".", ms=3, color=GREY, alpha=0.7, zorder=2)
    arrow = {"arrowstyle": "-|>", "color": BLUE, "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    for name, point in (("$y_1x_1$", first), ("$y_2x_2$", second)):
        ax.annotate("", point, (0, 0), arrowprops=arrow)
        ax.annotate(name, point, (0, 6), textcoords="offset points", ha="center")
    gap = [0, float(nearest[0])], [0, float(nearest[1])]
    ax.plot(*gap, color=ORANGE, lw=2.6, zorder=3, label=r"$\gamma\,\times$ margin")
    ax.plot(0, 0, "ko", ms=4)
    ax.set(xlim=(-1.2, 1.2), ylim=(-0.08, 1.12), aspect="equal", xticks=[], yticks=[])
    ax.set_title("where one neuron's pull can lie")
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.legend(loc="upper center", handlelength=1.2)


def levels(ax: Axes, named: Mapping[str, float], vertical: bool = False) -> None:
    """Constants of the inequality as labelled lines: dashed for a paper's, solid for
    the best.
    """
    for (name, value), colour, style in zip(
        named.items(), (ORANGE, GREEN, PURPLE), ("--", "-", ":")
    ):
        (ax.axvline if vertical else ax.axhline)(
            value, color=colour, ls=style, lw=1.6, label=name
        )


def ratio_curves(
    ax: Axes, clock: Tensor, ratios: Tensor, names: list[str], colours: list[str]
) -> None:
    """The ratio ‖∇L‖/G along runs: clocks and ratios (T, runs)."""
    for k, (name, colour) in enumerate(zip(names, colours)):
        ax.plot(clock[:, k], ratios[:, k], color=colour, label=name)
    ax.set(xlabel=r"loss clock $s=\log(1/L)$", ylabel=r"$\|\nabla L\|_F\,/\,G$")


def search_curves(
    ax: Axes, steps: Tensor, history: Tensor, seen: tuple[float, float] | None = None
) -> None:
    """An adversary's best ratio so far (T, starts) against its steps, and a band of
    ratios seen at random networks.
    """
    if seen is not None:
        ax.axhspan(*seen, color=GREY, alpha=0.16, lw=0, label="random networks")
    ax.plot(steps, history, color=BLUE, lw=0.8, alpha=0.7)
    ax.plot([], [], color=BLUE, lw=0.8, label="adversary, each start")
    ax.set(xlabel="step of the search", ylim=(0, None))


def time_curves(ax: Axes, x: Tensor, curves: Mapping[str, Tensor], xlabel: str) -> None:
    """Times against n or γ on logarithmic axes: bounds first (dashed), then what was
    measured (marked).
    """
    styles = (
        ("--", "", ORANGE),
        ("--", "", GREEN),
        ("-", "o", BLUE),
        ("-", "s", PURPLE),
    )
    for (name, values), (line, marker, colour) in zip(curves.items(), styles):
        ax.plot(x, values, ls=line, marker=marker, ms=4.5, color=colour, label=name)
    ax.set(
        xscale="log", yscale="log", xlabel=xlabel, ylabel=r"time until $L<\log(2)/n$"
    )


def constants_against_correlation(
    ax: Axes, P: Tensor, curves: Mapping[str, Tensor], marks: Mapping[str, float]
) -> None:
    """Constants, in units of γ R_min/√n, against the correlation P; marked values of P."""
    for (name, values), (line, marker, colour) in zip(
        curves.items(), (("-", "", GREEN), ("", "o", BLUE), ("--", "", ORANGE))
    ):
        ax.plot(P, values, ls=line, marker=marker, ms=5, color=colour, label=name)
    mark_places(ax, marks, ha="center")
    ax.set(
        xlabel=r"$P = p(n-1)/R_{\min}^2$",
        ylabel=r"constant $\cdot\,\sqrt{n}\,/\,(\gamma R_{\min})$",
        ylim=(0, 1.08),
    )
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.legend()
