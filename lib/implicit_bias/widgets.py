"""Sliders that work twice: with a kernel they recompute at any value, in a static page
they walk through stored frames.

An :class:`Explorer` is one anywidget. When the notebook runs, every combination of the
sliders' grid values is drawn and stored in the widget's state; the page needs no
server, no kernel and no network after that. Where a kernel answers, the sliders move
continuously and each position is computed afresh.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anywidget
import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from .theorems.verdict import Verdict

__all__ = ["Explorer", "Frame", "Slider", "explore"]

_HERE = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Slider:
    """A parameter: its name (as ``compute`` takes it), its label, the grid of values,
    and the grid index to start at.

    Between grid values a live slider interpolates, geometrically with ``log=True``.
    ``digits`` are the significant digits shown.
    """

    name: str
    label: str
    values: Sequence[float]
    start: int = 0
    log: bool = False
    digits: int = 3

    def __post_init__(self) -> None:
        if not self.values or not 0 <= self.start < len(self.values):
            raise ValueError(
                f"start: expected an index into the {len(self.values)} values of "
                f"{self.name!r}, got {self.start}"
            )
        if self.log and min(self.values) <= 0:
            raise ValueError(
                "values: expected numbers > 0 on a logarithmic slider, got "
                f"{min(self.values)}"
            )

    def text(self, value: float) -> str:
        """How a value is written under the slider."""
        if value != 0 and not 1e-3 <= abs(value) < 1e5:
            mantissa, exponent = f"{value:.{self.digits - 1}e}".split("e")
            mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
            power = "".join(
                "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".index(c)] for c in str(int(exponent))
            )
            return f"10{power}" if mantissa == "1" else f"{mantissa} · 10{power}"
        return f"{value:.{self.digits}g}"


@dataclass(frozen=True)
class Frame:
    """What ``compute`` returns: a figure, its description for those who do not see it,
    verdicts, a sentence or two.
    """

    figure: Figure
    alt: str
    verdicts: Sequence[Verdict] = ()
    text: str = ""


def _picture(figure: Figure, dpi: int = 110) -> str:
    """A figure as a WebP data URI; the figure is closed."""
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="webp", dpi=dpi, pil_kwargs={"quality": 80, "method": 4}
    )
    plt.close(figure)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _as_message(frame: Frame) -> dict[str, object]:
    verdicts = [
        {"claim": v.claim, "verdict": v.verdict, "why": v.why} for v in frame.verdicts
    ]
    return {
        "src": _picture(frame.figure),
        "alt": frame.alt,
        "verdicts": verdicts,
        "text": frame.text,
    }


class Explorer(anywidget.AnyWidget):
    """Sliders, a picture and its verdicts. Made by :func:`explore`."""

    _esm = _HERE / "explorer.js"
    _css = _HERE / "explorer.css"

    title = traitlets.Unicode().tag(sync=True)
    sliders: traitlets.List[dict[str, object]] = traitlets.List().tag(sync=True)
    frames = traitlets.Dict().tag(sync=True)

    def __init__(
        self, compute: Callable[..., Frame], sliders: Sequence[Slider], title: str
    ) -> None:
        self._compute = compute
        grid = itertools.product(*(range(len(slider.values)) for slider in sliders))
        frames = {
            ",".join(map(str, place)): _as_message(
                compute(**{s.name: s.values[k] for s, k in zip(sliders, place)})
            )
            for place in grid
        }
        described = [
            {
                "name": s.name,
                "label": s.label,
                "values": [float(v) for v in s.values],
                "texts": [s.text(v) for v in s.values],
                "start": s.start,
                "log": s.log,
            }
            for s in sliders
        ]
        self._sliders = {slider.name: slider for slider in sliders}
        super().__init__(title=title, sliders=described, frames=frames)
        self.on_msg(self._answer)

    def _answer(self, _widget: Explorer, content: dict, _buffers: list) -> None:
        """Say hello to a page that asks for a kernel, or draw the frame it wants."""
        if content.get("kind") == "hello":
            self.send({"kind": "hello"})
        elif content.get("kind") == "frame":
            values = {name: float(content["values"][name]) for name in self._sliders}
            texts = {
                name: slider.text(values[name])
                for name, slider in self._sliders.items()
            }
            self.send(
                {
                    "kind": "frame",
                    "ticket": content.get("ticket"),
                    "frame": _as_message(self._compute(**values)),
                    "texts": texts,
                }
            )

    def fallback(self) -> str:
        """HTML for readers without JavaScript: the frame the sliders start at."""
        frame = self.frames[",".join(str(s["start"]) for s in self.sliders)]
        verdicts = "".join(
            f"<p><b>{html.escape(v['claim'])} {html.escape(v['verdict'])}</b>: "
            f"{html.escape(v['why'])}</p>"
            for v in frame["verdicts"]
        )
        src = html.escape(frame["src"])
        alt = html.escape(frame["alt"])
        picture = f'<img class="ib-figure" src="{src}" alt="{alt}">'
        return f"<noscript>{picture}{verdicts}</noscript>"


def explore(
    compute: Callable[..., Frame], sliders: Sequence[Slider], title: str
) -> None:
    """Show an :class:`Explorer` and, for readers without JavaScript, its first frame.

    Parameters
    ----------
    compute : callable
        Takes the sliders' values by name, returns a :class:`Frame`. Called once for
        every combination of grid values.
    sliders : one or two Slider
    title : str
        What the sliders let one explore; read out by screen readers.
    """
    from IPython.display import HTML, display

    count = math.prod(len(slider.values) for slider in sliders)
    if not sliders or count > 400:
        raise ValueError(
            "sliders: expected 1 to 400 combinations of grid values, got "
            f"{count if sliders else 0}"
        )
    explorer = Explorer(compute, sliders, title)
    display(explorer)
    display(HTML(explorer.fallback()))
