"""One style for all figures: Okabe and Ito's colours, which colour-blind readers tell
apart, on a white ground.

The pages turn white into their own background when the reader's page is dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
    "#6b6b6b",
)
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, "#000000")
"""Of curves side by side, in this order."""

SIX_COLOURS = COLOURS[:6]
"""The same without black."""

DIVERGING = LinearSegmentedColormap.from_list(
    "orange-white-blue", [ORANGE, "#ffffff", BLUE]
)
"""Orange for the negative class, blue for the positive one, white between."""

STYLE: dict[RcKeyType, object] = {
    "figure.figsize": (7.2, 3.3),
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.prop_cycle": plt.cycler(color=COLOURS),
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "mathtext.fontset": "dejavusans",
}


def use_style() -> None:
    """Set the book's style for every later figure, at twice the screen's resolution in
    notebooks.
    """
    plt.rcParams.update(STYLE)
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")
    except ImportError:  # not in a notebook
        pass


def panels(
    count: int, height: float = 3.1, widths: Sequence[float] | None = None
) -> tuple[Figure, np.ndarray]:
    """A row of ``count`` axes in the book's width."""
    return plt.subplots(
        1, count, figsize=(7.2, height), width_ratios=widths, squeeze=False
    )


def colour_of(y: Tensor) -> list[str]:
    """Blue for label +1, orange for -1."""
    return [BLUE if label > 0 else ORANGE for label in y.tolist()]


def guide(ax: Axes, clock: Tensor, constant: float, power: float, label: str) -> None:
    """A dashed power law ``constant · clock^power`` to hold data against."""
    ax.plot(
        clock,
        constant * np.asarray(clock) ** power,
        color="black",
        ls="--",
        lw=1.1,
        label=label,
        zorder=1,
    )


def mark_places(
    ax: Axes, places: Mapping[str, float], ha: str = "left", rotation: float = 0
) -> None:
    """Dotted lines at named places of the x axis, their names above."""
    for name, place in places.items():
        ax.axvline(place, color=GREY, lw=1, ls=":")
        ax.annotate(
            name,
            (place, 1.02),
            xycoords=("data", "axes fraction"),
            fontsize=9,
            color="#333333",
            ha=ha,
            rotation=rotation,
        )
