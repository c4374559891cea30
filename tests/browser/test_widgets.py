"""Every slider on every page works with no kernel, by keyboard; without scripts a
picture stands in.
"""

import pytest

pytestmark = pytest.mark.browser

VERDICTS = {"ib-holds", "ib-fails", "ib-vacuous", "ib-undecided"}


@pytest.fixture
def explorers(visit, name, vendored):
    """The widgets of a page."""
    if not vendored:
        pytest.skip("the pages use a CDN, as npm was missing: widgets were not tried")
    found = visit(name).locator(".ib-explorer").all()
    if not found:
        pytest.skip("no widget on this page")
    return found


def test_every_slider_changes_its_picture_by_keyboard(explorers):
    for explorer in explorers:
        image = explorer.locator("img.ib-figure")
        for slider in explorer.locator("input[type=range]").all():
            assert slider.evaluate("e => e.labels.length > 0 || !!e.ariaLabel"), (
                "a slider wants a label"
            )
            slider.focus()
            slider.press("Home")
            first = image.get_attribute("src")
            slider.press("ArrowRight")
            assert image.get_attribute("src") != first
            slider.press("End")
            last = image.get_attribute("src")
            slider.press("ArrowLeft")
            assert image.get_attribute("src") != last


def test_verdict_and_alternative_text_follow_every_slider(explorers):
    """At each stop there is a picture that loads, words for it, and one verdict in
    words.
    """
    for explorer in explorers:
        image = explorer.locator("img.ib-figure")
        verdict = explorer.locator(".ib-verdict")
        for slider in explorer.locator("input[type=range]").all():
            slider.focus()
            slider.press("Home")
            for _ in range(
                slider.evaluate("e => Math.round((e.max - e.min) / (e.step || 1))") + 1
            ):
                image.evaluate("async e => { await e.decode() }")
                assert image.get_attribute("alt").strip()
                if verdict.count():
                    assert (
                        len(
                            VERDICTS & set(verdict.first.get_attribute("class").split())
                        )
                        == 1
                    )
                    assert verdict.first.inner_text().strip()
                slider.press("ArrowRight")


def test_pages_have_the_widgets_that_their_sources_make(visit, name, vendored, site):
    """A widget that does not come alive must not pass for a page without one."""
    if not vendored:
        pytest.skip("the pages use a CDN, as npm was missing: widgets were not tried")
    page = visit(name)
    source = page.request.get(f"{site}/{name}.html").text()
    made = source.count('<script type="application/vnd.jupyter.widget-view+json">')
    assert (
        page.locator(".ib-explorer, .jupyter-widgets.widget-container").count() >= made
    )


def test_without_scripts_a_picture_stands_in(visit, name):
    views = (
        visit(name)
        .locator('script[type="application/vnd.jupyter.widget-view+json"]')
        .count()
    )
    page = visit(name, scripts=False)
    assert page.locator("noscript img").count() >= views
