"""Figures of the chapter on KKT structure, and of the preface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from .style import BLUE, DIVERGING, GREY, ORANGE, SKY, colour_of, mark_places


def gram_heat(
    axes: Sequence[Axes], grams: Sequence[Tensor], titles: Sequence[str]
) -> None:
    """Heat maps of Gram matrices (n, n), each divided by its largest entry, on one
    colour scale.
    """
    for ax, gram, title in zip(axes, grams, titles):
        image = ax.imshow(gram / gram.max(), cmap=DIVERGING, vmin=-1, vmax=1)
        ax.set(
            title=title, xticks=[], yticks=[], xlabel="sample $k$", ylabel="sample $i$"
        )
        ax.grid(False)
    ax.figure.colorbar(
        image,
        ax=list(axes),
        shrink=0.85,
        label=r"$\langle x_i,x_k\rangle / R_{\max}^2$",
    )


def sides_of_neurons(ax: Axes, along_v: Tensor, along_u: Tensor, y: Tensor) -> None:
    """Samples by the sides of v and u they lie on: (y⟨v,x⟩, -y⟨u,x⟩), both positive
    where Theorem 3.2 puts them.
    """
    reach = 1.15 * float(max(along_v.abs().max(), along_u.abs().max()))
    low = min(-0.12 * reach, 1.15 * float(min(along_v.min(), along_u.min())))
    ax.axhspan(low, 0, color="#e9e9e9", lw=0)
    ax.axvspan(low, 0, color="#e9e9e9", lw=0)
    ax.axhline(0, color=GREY, lw=0.8)
    ax.axvline(0, color=GREY, lw=0.8)
    markers = {1.0: "o", -1.0: "s"}
    for label, name in ((1.0, "$y=+1$"), (-1.0, "$y=-1$")):
        chosen = y == label
        ax.scatter(
            along_v[chosen],
            along_u[chosen],
            c=BLUE if label > 0 else ORANGE,
            marker=markers[label],
            s=42,
            label=name,
            zorder=3,
        )
    ax.set(
        xlim=(low, reach),
        ylim=(low, reach),
        xlabel=r"$y_i\langle v,x_i\rangle$",
        ylabel=r"$-y_i\langle u,x_i\rangle$",
    )
    ax.set_title("sides of $v$ and $u$ (grey: wrong)")
    ax.legend(loc="best", handletextpad=0.2)


def multiplier_interval(
    ax: Axes, share: Tensor, low: float, high: float, y: Tensor
) -> None:
    """Multipliers ``λ_i`` in units of their bounds' scale, with the open interval that
    item 3 gives them.
    """
    index = np.arange(len(share))
    ax.axhspan(low, high, color=SKY, alpha=0.22, lw=0)
    for bound in (low, high):
        ax.axhline(bound, color=GREY, lw=1, ls="--")
    ax.scatter(index, share, c=colour_of(y), s=42, zorder=3)
    ax.set(
        yscale="log",
        xlabel="sample $i$",
        xticks=index if len(index) <= 12 else [],
        title=r"$\lambda_i R_{\max}^2$ in its interval",
    )
    # The interval and every multiplier stay in view, whatever the sliders do.
    smallest = min(
        low, float(share[share > 0].min()) if bool((share > 0).any()) else low
    )
    ax.set_ylim(smallest / 1.6, max(high, float(share.max())) * 1.6)


def boundary_slice(
    ax: Axes,
    horizontal: Tensor,
    vertical: Tensor,
    f: Tensor,
    points: Tensor,
    y: Tensor,
    title: str,
) -> None:
    """A network's output on a plane of inputs, its zero line, and samples lying in that
    plane (k, 2).
    """
    largest = float(f.abs().max())
    ax.imshow(
        f / largest,
        origin="lower",
        extent=(
            float(horizontal[0]),
            float(horizontal[-1]),
            float(vertical[0]),
            float(vertical[-1]),
        ),
        cmap=DIVERGING,
        vmin=-1,
        vmax=1,
        alpha=0.75,
    )
    ax.contour(horizontal, vertical, f, levels=[0.0], colors="black", linewidths=1.6)
    for label, marker in ((1, "o"), (-1, "s")):
        across, up = points[y == label].T
        ax.scatter(
            across,
            up,
            c=BLUE if label > 0 else ORANGE,
            marker=marker,
            s=60,
            edgecolors="white",
            zorder=3,
        )
    ax.set(title=title, xticks=[], yticks=[], aspect="equal")
    ax.grid(False)


def break_curves(
    ax: Axes, P: Tensor, curves: dict[str, Tensor], marks: dict[str, float]
) -> None:
    """How far parts of items 1 to 3 are from failing as correlation P grows (1 at P =
    0, 0 where they fail), with marked values of P.
    """
    for (name, values), style in zip(curves.items(), ("-", "--", "-.", ":")):
        ax.plot(P, values, ls=style, label=name)
    ax.axhline(0, color="black", lw=0.9)
    mark_places(ax, marks, rotation=40)
    ax.set(
        xlabel=r"$P = p(n-1)/R_{\min}^2$",
        ylabel="distance from failing",
        ylim=(-0.35, 1.05),
    )
    ax.legend()


def neuron_arrows(
    axes: Sequence[Axes], snapshots: Sequence[Tensor], a: Tensor, titles: Sequence[str]
) -> None:
    """Rows of W (m, 2) in a plane, as arrows from the origin, each snapshot on its own
    scale; blue where a > 0.
    """
    for ax, rows, title in zip(axes, snapshots, titles):
        rows = rows / rows.norm(dim=-1).max()
        ax.quiver(
            *([np.zeros(len(rows))] * 2),
            *rows.T,
            color=colour_of(a),
            angles="xy",
            scale_units="xy",
            scale=1,
            width=0.012,
            alpha=0.75,
        )
        ax.set(
            xlim=(-1.15, 1.15),
            ylim=(-1.15, 1.15),
            aspect="equal",
            xticks=[],
            yticks=[],
            title=title,
        )
        ax.grid(False)
        ax.spines[:].set_visible(False)
