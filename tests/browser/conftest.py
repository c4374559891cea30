"""A built book, served on this machine, and a browser to read it with."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HTML = ROOT / "_build/html"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]


def toc_pages():
    """Every page of the contents, without suffix."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [
        toc["root"],
        *(c["file"] for part in toc["parts"] for c in part["chapters"]),
    ]


def pytest_generate_tests(metafunc):
    """Tests go page by page, each page's on one worker, so that all of them share its
    visits.
    """
    if "name" in metafunc.fixturenames:
        pages = [
            pytest.param(page, marks=pytest.mark.xdist_group(page))
            for page in toc_pages()
        ]
        metafunc.parametrize("name", pages, scope="session")


def missing(what):
    """Skip, and say why; on a CI machine, fail."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)


@pytest.fixture(scope="session")
def vendored():
    """True when the pages carry their own scripts; without npm they point to a CDN."""
    stamp = ROOT / "_vendor/.stamp"
    return stamp.exists() and stamp.read_text().startswith("npm")


@pytest.fixture(scope="session")
def site():
    """The address of the served book."""
    if not (HTML / "index.html").exists():
        missing("no book in _build/html: run `make book` first")
    handler = functools.partial(QuietHandler, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def browser():
    """Chromium, or Chrome, as this machine has it."""
    found = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, BROWSERS)), None
    )
    if not found:
        missing(
            "no Chromium on this machine: pages were not looked at (set CHROMIUM to "
            "its path)"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def context(browser):
    """A window of a given width and theme, with scripts or not; kept, as its cache
    saves most of the time.
    """

    @functools.cache
    def window(width, mode, scripts):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=scripts
        )
        context.add_init_script(
            f"for (const key of ['mode', 'theme']) localStorage.setItem(key, '{mode}')"
        )
        return context

    return window


@pytest.fixture(scope="session")
def visit(context, site):
    """Open a page and wait until its scripts are done; it keeps what it asked for and
    what went wrong.

    A second visit gets the page as the first left it, until a page of another name is
    asked for.
    """
    pages = {}

    def open_page(name, width=1280, mode="light", scripts=True):
        if pages and name != next(iter(pages))[0]:
            close()
        key = (name, width, mode, scripts)
        if key not in pages:
            pages[key] = load(*key)
        return pages[key]

    def close():
        for page in pages.values():
            page.close()
        pages.clear()

    def load(name, width, mode, scripts):
        page = context(width, mode, scripts).new_page()
        page.requests = []
        page.errors = []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on(
            "response",
            lambda r: r.status >= 400 and page.errors.append(f"{r.status} {r.url}"),
        )
        page.goto(f"{site}/{name}.html", wait_until="load")
        if scripts:
            settle(page)
        return page

    yield open_page
    close()


def settle(page):
    """Wait for the formulas and the widgets."""
    page.evaluate(
        "async () => { if (window.MathJax?.startup) await window.MathJax.startup.promise }"
    )
    views = 'script[type="application/vnd.jupyter.widget-view+json"]'
    # html-manager puts each widget before its script, in a box of its own
    page.wait_for_function(
        f"""() => [...document.querySelectorAll('{views}')].every(
            view => view.parentElement.querySelector('.jupyter-widgets, .ib-explorer'))""",
        timeout=15_000,
    )
