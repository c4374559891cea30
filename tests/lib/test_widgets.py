"""The explorer's two lives, from Python's side: frames stored for a page, frames
computed for a kernel.
"""

import pytest

plt = pytest.importorskip("matplotlib.pyplot")
pytest.importorskip("anywidget")

from implicit_bias.widgets import Explorer, Frame, Slider, explore  # noqa: E402


def compute(gamma, p):
    figure = plt.figure(figsize=(1, 1))
    return Frame(figure, f"gamma {gamma:g}, p {p:g}", text="a sentence")


@pytest.fixture
def explorer():
    sliders = [
        Slider("gamma", "leak γ", [0.1, 0.5], start=1),
        Slider("p", "p", [0.01, 0.1, 1.0], log=True),
    ]
    return Explorer(compute, sliders, "title")


def test_a_frame_for_every_combination(explorer):
    assert sorted(explorer.frames) == ["0,0", "0,1", "0,2", "1,0", "1,1", "1,2"]
    assert explorer.frames["1,2"]["alt"] == "gamma 0.5, p 1"
    assert explorer.frames["0,0"]["src"].startswith("data:image/webp;base64,")


def test_a_kernel_answers_hello_and_draws_any_value(explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send", sent.append)
    explorer._answer(explorer, {"kind": "hello"}, [])
    explorer._answer(
        explorer,
        {"kind": "frame", "ticket": 7, "values": {"gamma": 0.3, "p": 0.05}},
        [],
    )
    assert sent[0] == {"kind": "hello"}
    assert sent[1]["ticket"] == 7 and sent[1]["frame"]["alt"] == "gamma 0.3, p 0.05"
    assert sent[1]["texts"] == {"gamma": "0.3", "p": "0.05"}


def test_no_figure_is_left_open(explorer):
    assert not plt.get_fignums()


def test_fallback_is_the_frame_the_sliders_start_at(explorer):
    assert 'alt="gamma 0.5, p 0.01"' in explorer.fallback()


@pytest.mark.parametrize(
    "value, text",
    [(0.5, "0.5"), (1e10, "10¹⁰"), (2.5e-7, "2.5 · 10⁻⁷"), (0, "0"), (300, "300")],
)
def test_values_are_written_as_people_write_them(value, text):
    assert Slider("x", "x", [1.0]).text(value) == text


def test_bad_sliders_are_refused():
    with pytest.raises(ValueError, match="start"):
        Slider("x", "x", [1.0, 2.0], start=2)
    with pytest.raises(ValueError, match="logarithmic"):
        Slider("x", "x", [0.0, 1.0], log=True)
    with pytest.raises(ValueError, match="combinations"):
        explore(
            compute,
            [
                Slider("gamma", "a", list(range(1, 30))),
                Slider("p", "b", list(range(1, 30))),
            ],
            "title",
        )
