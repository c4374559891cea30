"""The comparison of notebooks sees what a reader sees, and nothing less."""

import base64
import copy
import io

import numpy as np
import reading
from nbformat.v4 import new_output
from PIL import Image


def encoded(pixels, kind="PNG"):
    """A picture as base64 text."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def plot(shift=0, curve=True):
    """Axes with a curve, the latter moved by some pixels."""
    pixels = np.full((60, 80), 255)
    pixels[5, :] = 0
    if curve:
        pixels[20 + shift : 24 + shift, 10:70] = 90
    return pixels


def shown(pixels):
    """The outputs of a cell that shows one picture."""
    data = {"image/png": encoded(pixels), "text/plain": "<Figure>"}
    return [new_output("display_data", data=data)]


def same(stored, fresh, old_states=None, new_states=None):
    """Whether both sides read alike."""
    old, new = reading.sides(stored, fresh, old_states or {}, new_states or {})
    return old == new


WIDGET = [new_output("display_data", data={reading.VIEW: {"model_id": "a"}})]


def states():
    """A widget with a picture, a verdict and a nested widget with a number in its text."""
    frame = {
        "src": "data:image/png;base64," + encoded(plot()),
        "verdicts": [{"claim": "F-3.1", "verdict": "holds", "why": "rank 2 ≤ 4.25"}],
    }
    return {
        "a": {"frames": [frame], "inner": "IPY_MODEL_b"},
        "b": {"value": "margin 0.125", "x": 1.5},
    }


def widget_same(change):
    """Whether a widget still reads alike after `change` was made to its states."""
    fresh = copy.deepcopy(states())
    change(fresh)
    return same(WIDGET, WIDGET, states(), fresh)


def test_pixel_noise_passes():
    assert same(shown(plot()), shown(plot(shift=1)))


def test_missing_picture_fails():
    text = [new_output("display_data", data={"text/plain": "<Figure>"})]
    assert not same(shown(plot()), text)
    assert not same(shown(plot()), [])


def test_blank_picture_fails():
    assert not same(shown(plot()), shown(np.full((60, 80), 255)))


def test_broken_picture_fails():
    broken = shown(plot())
    broken[0].data["image/png"] = broken[0].data["image/png"][:40]
    assert not same(shown(plot()), broken)


def test_missing_curve_fails():
    assert not same(shown(plot()), shown(plot(curve=False)))


def test_other_size_fails():
    assert not same(shown(plot()), shown(plot()[:, :79]))


def test_ink_is_compared_within_its_bound():
    stored = reading.Picture("PNG", 10, 10, 0.5)
    for share, alike in ((0.049, True), (0.051, False)):
        for sign in (-1, 1):
            ink = 0.5 * (1 + sign * share)
            assert reading.Picture("PNG", 10, 10, ink).drawn_as(stored) == alike


def test_same_widget_passes():
    assert widget_same(lambda fresh: None)


def test_changed_verdict_fails():
    assert not widget_same(
        lambda new: new["a"]["frames"][0]["verdicts"][0].update(verdict="fails")
    )


def test_changed_number_in_a_text_fails():
    assert not widget_same(lambda new: new["b"].update(value="margin 0.126"))
    assert not widget_same(
        lambda new: new["a"]["frames"][0]["verdicts"][0].update(why="rank 2 ≤ 4.26")
    )


def test_numbers_are_compared_to_ten_digits():
    assert widget_same(lambda new: new["b"].update(x=1.5 + 1e-13))
    assert not widget_same(lambda new: new["b"].update(x=1.5 + 1e-8))


def test_blank_picture_in_a_widget_fails():
    blank = "data:image/png;base64," + encoded(np.full((60, 80), 255))
    assert not widget_same(lambda new: new["a"]["frames"][0].update(src=blank))


def test_widget_without_state_fails():
    assert not widget_same(lambda new: new.pop("b"))


def test_what_the_kernel_says_is_kept():
    models = {}
    first = {"comm_id": "a", "data": {"state": {"x": 1}}}
    then = {"comm_id": "a", "data": {"method": "update", "state": {"x": 2}}}
    reading.heard(models, {"msg_type": "comm_open", "content": first})
    reading.heard(models, {"msg_type": "comm_msg", "content": then})
    assert models == {"a": {"x": 2}}
