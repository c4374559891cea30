"""Figures of the chapter on the loss-ratio bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from torch import Tensor

from .style import BLUE, GREEN, GREY, ORANGE, PURPLE, SIX_COLOURS, SKY

__all__ = [
    "curves",
    "hunts",
    "level",
    "overshoot",
    "ratio_levels",
    "step_change",
    "step_share",
    "two_margins",
    "wedge",
]


def two_margins(
    ax: Axes,
    q: Tensor,
    velocity: Tensor,
    starts: Sequence[tuple[float, float]],
    gap: float,
) -> None:
    """The plane of two margins: the field (k, k, 2) on a grid q (k,), streamlines from
    ``starts``, and where they end, ``q_2 - q_1 = gap``.
    """
    grid = q.numpy()
    field = velocity.numpy()
    ax.streamplot(
        grid,
        grid,
        field[..., 0],
        field[..., 1],
        color=GREY,
        linewidth=0.8,
        arrowsize=0.9,
        density=0.9,
    )
    for start in starts:
        ax.streamplot(
            grid,
            grid,
            field[..., 0],
            field[..., 1],
            color=BLUE,
            linewidth=2,
            arrowsize=1.3,
            start_points=[start],
            integration_direction="forward",
            broken_streamlines=False,
        )
        ax.plot(*start, "o", color=BLUE, ms=5)
    ax.plot(grid, grid + gap, "--", color=ORANGE, lw=1.6)
    ax.set(
        xlim=(grid[0], grid[-1]),
        ylim=(grid[0], grid[-1]),
        aspect="equal",
        xlabel="margin $q_1$",
    )
    ax.grid(False)


def hunts(
    ax: Axes, steps: Tensor, history: Tensor, known: Mapping[str, float], title: str
) -> None:
    """An adversary's best share of a bound so far (T, starts), against its steps; the
    bound is at 1.
    """
    ax.plot(steps, history, color=BLUE, lw=0.8, alpha=0.7)
    ax.plot([], [], color=BLUE, lw=0.8, label="adversary, each start")
    ax.axhline(1, color=ORANGE, ls="--", lw=1.6, label="the lemma's bound")
    for (name, value), colour in zip(known.items(), (GREEN, PURPLE)):
        ax.axhline(value, color=colour, lw=1.6, label=name)
    ax.set(xlabel="step of the search", ylim=(0, 1.08), title=title)


def step_change(
    ax: Axes, groups: Mapping[str, tuple[Tensor, Tensor]], turn: float
) -> None:
    """By name, ratios ``g_i/g_j`` and the change of ``log A_ij`` in units of E.8's
    right side; ``turn`` is R²/c.
    """
    _dots(ax, groups)
    ax.axhline(0, color="black", lw=0.8)
    ax.axvline(turn, color=ORANGE, ls="--", lw=1.6, label=r"$g_i/g_j = R^2/\gamma^2$")
    ax.set(title=r"change of $\log A_{ij}$ in one step")
    ax.set_yscale("symlog", linthresh=1, linscale=1.2)
    ax.set_yticks(
        [-1000, -100, -10, -1, 0, 1], ["$-10^3$", "$-10^2$", "$-10$", "$-1$", "0", "1"]
    )
    ax.minorticks_off()


def step_share(ax: Axes, groups: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """By name, ratios ``g_i/g_j`` and the share of E.8's bound that the step uses."""
    _dots(ax, groups)
    ax.axhline(1, color=ORANGE, ls="--", lw=1.6, label="Lemma E.8")
    ax.set(ylim=(-1.05, 1.15), title="share of the bound used")


def _dots(ax: Axes, groups: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    for (name, (ratio, value)), colour, size in zip(
        groups.items(), (GREY, BLUE), (2.5, 5)
    ):
        ax.plot(ratio, value, ".", ms=size, color=colour, alpha=0.6, label=name)
    ax.set(xscale="log", xlabel=r"ratio of pulls $g_i/g_j$")


def wedge(
    ax: Axes,
    log_a: Tensor,
    corners: Mapping[str, tuple[Tensor, Tensor]],
    bounds: Mapping[str, Tensor],
) -> None:
    """Where ``log(g_1/g_2)`` can lie at each ``log A``: filled regions by name, and
    bounds as lines.
    """
    for (name, (low, high)), colour in zip(corners.items(), (SKY, BLUE)):
        ax.fill_between(log_a, low, high, color=colour, alpha=0.4, lw=0, label=name)
    for (name, line), colour, style in zip(
        bounds.items(), (ORANGE, PURPLE), ("--", ":")
    ):
        ax.plot(log_a, line, color=colour, ls=style, lw=1.8, label=name)
    ax.axline((0, 0), slope=1, color="black", lw=0.8)
    ax.set(
        xlabel=r"$\log A$, exponentials",
        ylabel=r"$\log\,(g_1/g_2)$, pulls",
        xlim=(log_a[0], log_a[-1]),
    )


def overshoot(
    ax: Axes, alpha: Tensor, ratio: Tensor, rho: float, marks: Mapping[str, float]
) -> None:
    """The exponential loss ratio after one step against the step size; ρ; limits of the
    step by name.
    """
    ax.plot(alpha, ratio, color=BLUE, label="ratio after one step")
    ax.axhline(rho, color=ORANGE, ls="--", lw=1.6, label=r"$\rho$, what E.10 promises")
    for (name, place), colour in zip(marks.items(), (GREEN, PURPLE, GREY)):
        ax.axvline(place, color=colour, lw=1.6, ls=":", label=name)
    ax.set(
        xscale="log",
        yscale="log",
        xlabel=r"step size $\alpha$",
        ylabel="exponential loss ratio",
    )


def curves(
    ax: Axes, x: Tensor, values: Tensor, names: Sequence[str], styles: str = "-"
) -> None:
    """Ratios (T, runs) against steps or a clock."""
    for k, name in enumerate(names):
        ax.plot(
            x, values[:, k], styles, color=SIX_COLOURS[k % len(SIX_COLOURS)], label=name
        )
    ax.set_ylabel(r"$\max_{i,j}\ g_i/g_j$")


def level(
    ax: Axes, value: float, name: str, colour: int = 1, style: str = "--"
) -> None:
    """A labelled horizontal line."""
    ax.axhline(value, color=SIX_COLOURS[colour], ls=style, lw=1.6, label=name)


def ratio_levels(ax: Axes, levels: Mapping[str, float]) -> None:
    """C_R (dashed), the sharp constant (solid) and the limit (dotted)."""
    for (name, value), colour, style in zip(
        levels.items(), (ORANGE, GREEN, PURPLE), ("--", "-", ":")
    ):
        ax.axhline(value, color=colour, ls=style, lw=1.6, label=name)
