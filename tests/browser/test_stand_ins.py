"""Stand-ins load what the CDN has, and run it only where it is what it was."""

import importlib.util
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "_vendor"
# \cancel is none of the commands that MathJax loads at its start.
PAGE = """<!DOCTYPE html><title>Stand-ins</title>
<script src="widgets/require.js"></script><script src="widgets/local.js"></script>
<script src="widgets/embed-amd.js"></script>
<script>window.MathJax = {options: {processHtmlClass: "math"}}</script>
<script defer src="mathjax/tex-mml-chtml.js"></script>
<p class="math">\\(\\cancel{x}\\)</p>"""
SITE = "http://stand-ins.test/"
SCRIPTS = [
    "widgets/require.js",
    "widgets/embed-amd.js",
    "mathjax/tex-mml-chtml.js",
    "mathjax/input/tex/extensions/cancel.js",
]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """A folder with the stand-ins, and the start of every address that they ask."""
    spec = importlib.util.spec_from_file_location(
        "vendor", ROOT / "book/tools/vendor.py"
    )
    vendor = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vendor)
    folder = tmp_path_factory.mktemp("stand-ins") / "_vendor"
    vendor.from_cdn(folder)
    return folder, vendor.CDN


def at_cdn(path):
    """The file under `_vendor/` that the CDN has at an address."""
    inside = re.sub(r"^(@[^/]+/)?[^@/]+@[^/]+/", "", path)
    folder = "mathjax" if inside.startswith("es5/") else "widgets"
    return f"{folder}/{inside.removeprefix('es5/').removeprefix('dist/')}"


@pytest.fixture
def load(browser, stand_ins, vendored):
    """Open the page, with a CDN that holds npm's files but for one that has another end."""
    if not vendored:
        pytest.skip("no assets from npm here to play the CDN with")
    folder, cdn = stand_ins
    context = browser.new_context()

    def open_page(changed=None):
        def answer(route):
            url = route.request.url
            if url == SITE:
                route.fulfill(body=PAGE, content_type="text/html")
            elif url.startswith(SITE):
                route.fulfill(path=folder / url.removeprefix(SITE))
            else:
                asked.append(at_cdn(url.removeprefix(cdn)))
                body = (VENDOR / asked[-1]).read_bytes()
                body += b"\nwindow.changed = true;" if asked[-1] == changed else b""
                route.fulfill(body=body, headers={"Access-Control-Allow-Origin": "*"})

        asked = []
        said = []
        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.goto(SITE, wait_until="load")
        page.wait_for_timeout(1000)
        return page, asked, said

    yield open_page
    context.close()


def test_all_run_where_nothing_is_changed(load):
    page, asked, said = load()
    assert set(SCRIPTS) <= set(asked)
    assert not [text for text in said if "integrity" in text]
    assert page.evaluate("typeof require") == "function"
    assert page.evaluate("require.defined('@jupyter-widgets/base')")
    assert page.locator("mjx-container mjx-menclose").count() == 1


@pytest.mark.parametrize("changed", SCRIPTS)
def test_a_changed_one_does_not_run(load, changed):
    page, asked, said = load(changed)
    assert changed in asked
    assert [text for text in said if "integrity" in text]
    assert page.evaluate("window.changed") is None
