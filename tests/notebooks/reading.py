"""What a reader reads of a cell's outputs: texts, numbers, verdicts, and that each
picture is there.

Two processors round the last bit differently, so the pixels of a picture, and more so
its encoding, differ between honest runs. Here each picture becomes one line that says
its kind, its size and how much is drawn in it. Everything else stays letter by letter,
also in the stored states of widgets.
"""

import base64
import binascii
import io
import json
import re
from dataclasses import dataclass

from PIL import Image

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,[A-Za-z0-9+/=\s]*")
MODEL = re.compile(r"IPY_MODEL_(\w+)")
# A curve that moves by rounding keeps its length: the share of drawn pixels differed by
# 0.9 % at most between two processors. Axes without their curves have less by far more
# than this.
INK = 0.05


@dataclass(frozen=True)
class Picture:
    """A decoded picture: its format, its size in pixels, and its ink, the share of
    pixels off the background.
    """

    kind: str
    width: int
    height: int
    ink: float

    def __str__(self) -> str:
        return (
            f"[{self.kind} picture, {self.width} × {self.height}]"
            if self.ink
            else "[blank picture]"
        )

    def drawn_as(self, stored: "Picture") -> bool:
        """Whether about as much is drawn in it as in the stored one."""
        return abs(self.ink - stored.ink) <= INK * stored.ink


def decode(encoded):
    """The picture of a base64 text, or a line that says why there is none."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=False))) as image:
            kind = image.format
            pixels = image.convert("L")
    except (OSError, SyntaxError, ValueError, binascii.Error) as error:
        return f"[no picture: {type(error).__name__}]"
    # Sixteen shades of grey: what a lossy format does to an even background stays in
    # one of them, or in two.
    counts = pixels.point(lambda level: (level + 8) // 16).histogram()
    background = max(counts)
    return Picture(kind, *pixels.size, 1 - background / sum(counts))


class Reader:
    """Reads one side, the stored outputs or the fresh ones, and keeps the pictures that
    it meets, in order.

    `models` maps the ids of widgets to their states. Where `stored` pictures are given,
    a picture that is drawn otherwise than the stored one in its place says so.
    """

    def __init__(self, models, stored=None):
        self.models = models
        self.stored = stored
        self.pictures = []

    def outputs(self, outputs):
        """The outputs of a cell, as nbval compares them, with pictures and widgets in
        words.
        """
        return [self.output(output) for output in outputs]

    def output(self, output):
        """One output; streams and errors stay as they are."""
        if "data" not in output:
            return output
        read = dict(output)
        read["data"] = dict(
            self.part(kind, value) for kind, value in sorted(output["data"].items())
        )
        return type(output)(read)

    def part(self, kind, value):
        """One form of an output, under a name that nbval does not skip."""
        if kind == VIEW:
            return "widget", self.widget(value["model_id"])
        if kind.startswith("image/") and kind != "image/svg+xml":
            return "picture", self.picture(value)
        return kind, self.text(value) if isinstance(value, str) else value

    def picture(self, encoded):
        """A picture as a line."""
        found = decode(encoded)
        place = len(self.pictures)
        self.pictures.append(found)
        before = (
            self.stored[place] if self.stored and place < len(self.stored) else found
        )
        both = isinstance(found, Picture) and isinstance(before, Picture)
        if both and not found.drawn_as(before):
            return (
                f"{found} with ink on {found.ink:.2%} of it, not {before.ink:.2%} "
                "as stored"
            )
        return str(found)

    def text(self, text):
        """A text with each picture in it as a line."""
        return DATA_URI.sub(lambda uri: self.picture(uri[0].partition(",")[2]), text)

    def widget(self, model_id):
        """All that a widget shows or says, one line for each leaf of its state."""
        return "\n".join(self.leaves(model_id, ())) or "[no widget]"

    def leaves(self, model_id, path):
        """Lines `place: value` of a widget and of those inside it."""
        if model_id not in self.models:
            yield f"{place(path)}: [no state stored]"
        for name, value in sorted(self.models.get(model_id, {}).items()):
            # Underscored names are the machinery's own: versions, scripts.
            if not name.startswith("_") and name != "layout":
                yield from self.value(value, (*path, name))

    def value(self, value, path):
        """Lines of one value of a state."""
        if isinstance(value, dict):
            for name in sorted(value):
                yield from self.value(value[name], (*path, name))
        elif isinstance(value, list):
            yield f"{place(path)}: {len(value)} entries"
            for number, entry in enumerate(value):
                yield from self.value(entry, (*path, number))
        elif isinstance(value, str) and (inner := MODEL.fullmatch(value)):
            yield from self.leaves(inner[1], path)
        else:
            yield f"{place(path)}: {self.leaf(value)}"

    def leaf(self, value):
        """A text or a number, the latter without the digits that no reader sees."""
        if isinstance(value, float):
            return f"{value:.10g}"
        return self.text(value) if isinstance(value, str) else json.dumps(value)


def place(path):
    """Where in a state: `frames/0,1/verdicts/0/why`."""
    return "/".join(map(str, path))


def stored_models(notebook):
    """The states of a notebook's widgets, by id."""
    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    return {model_id: model["state"] for model_id, model in models.items()}


def heard(models, message):
    """Enter in `models` what a message of the kernel says of a widget's state."""
    content = message["content"]
    data = (
        content.get("data", {})
        if message["msg_type"] in ("comm_open", "comm_msg")
        else {}
    )
    if "state" in data and data.get("method", "update") == "update":
        models.setdefault(content["comm_id"], {}).update(data["state"])


def sides(stored, fresh, stored_states, fresh_states):
    """Both sides of a comparison, as a reader reads them."""
    old = Reader(stored_states)
    read = old.outputs(stored)
    new = Reader(fresh_states, old.pictures)
    return read, new.outputs(fresh)
