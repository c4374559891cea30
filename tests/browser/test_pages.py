"""What a reader of the built pages meets: scripts, formulas, pictures, sliders, two
themes, two widths.
"""

import pytest

pytestmark = pytest.mark.browser

# The theme declares this constant twice on a page; nothing uses it.
HARMLESS = "THEBE_JS_URL"

# Formulas that were not typeset: TeX left in the text outside code.
RAW_TEX = r"""() => {
  const found = [], article = document.querySelector('article');
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest('pre, code, script, style, noscript, textarea, mjx-container')) continue;
    if (/\\\(|\\\[|\\begin\{|\$/.test(node.data)) found.push(node.data.trim().slice(0, 80));
  }
  return found;
}"""

# Text whose contrast with what lies behind it is under 4.5 (3 for large text).
FAINT = r"""() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = css => {   // a canvas knows every way CSS has to name a colour
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    const d = canvas.getImageData(0, 0, 1, 1).data;
    return [d[0], d[1], d[2], d[3] / 255];
  };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => [.2126, .7152, .0722].reduce((sum, weight, i) => sum + weight * linear(c[i] / 255), 0);
  const behind = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const seen = new Map();
  const parts = 'article *, .bd-sidebar-primary *, .bd-sidebar-secondary *, footer *';
  for (const element of document.querySelectorAll(parts)) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (element.closest('script, style, noscript, .headerlink, mjx-assistive-mml')) continue;
    const style = getComputedStyle(element), under = behind(element), size = parseFloat(style.fontSize);
    let colour = rgba(style.color);
    for (let e = element; e; e = e.parentElement) colour[3] *= parseFloat(getComputedStyle(e).opacity);
    const [a, b] = [light(over(colour, under)), light(under)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05), large = size >= 24 || (size >= 18.6 && style.fontWeight >= 700);
    const words = element.textContent.trim().slice(0, 40);
    if (ratio < (large ? 3 : 4.5)) seen.set(`${element.tagName}.${element.className}: "${words}"`, ratio);
  }
  return [...seen].map(([what, ratio]) => `${ratio.toFixed(2)} ${what}`);
}"""


def test_page_loads_without_error_and_asks_no_other_site(visit, site, name, vendored):
    page = visit(name)
    page.wait_for_load_state("networkidle")
    assert [e for e in page.errors if HARMLESS not in e] == []
    if not vendored:
        pytest.skip(
            "the pages use a CDN, as npm was missing: outside requests were not counted"
        )
    assert [
        r for r in page.requests if not r.startswith((site, "data:", "blob:"))
    ] == []


def test_formulas_are_typeset(visit, name, vendored):
    if not vendored:
        pytest.skip(
            "the pages use a CDN, as npm was missing: formulas were not looked at"
        )
    page = visit(name)
    assert page.evaluate(RAW_TEX) == []
    assert (
        page.locator("mjx-container").count() >= page.locator("article .math").count()
    )
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0


def test_pictures_have_alternative_text(visit, name):
    """In the page and, for readers without scripts, in its fallbacks."""
    for page in (visit(name), visit(name, scripts=False)):
        assert (
            page.evaluate(
                "[...document.images].filter(i => !i.alt.trim()).map(i => i.id || i.src)"
            )
            == []
        )
        broken = (
            "[...document.images].filter(i => !i.naturalWidth && i.loading !== "
            "'lazy').map(i => i.src)"
        )
        assert page.evaluate(broken) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_page_does_not_scroll_sideways(visit, name, width):
    page = visit(name, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # what hides its overflow would cut text off instead
    cut = page.evaluate(
        """[...document.querySelectorAll('article p, article li, article img, article .ib-explorer *')]
        .filter(e => e.checkVisibility() && !e.closest('mjx-container, table, pre'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 100))"""
    )
    assert cut == []


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_is_readable(visit, name, mode):
    page = visit(name, mode=mode)
    assert page.locator("html").get_attribute("data-theme") == mode
    assert page.evaluate(FAINT) == []


def test_the_theme_switch_reaches_the_dark_and_figures_follow(visit, name):
    page = visit(name, width=1000)
    for _ in range(3):
        if page.locator("html").get_attribute("data-theme") == "dark":
            break
        page.locator(".theme-switch-button:visible").first.click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    for figure in page.locator("article .cell_output img").all():
        style = figure.evaluate(
            "e => [getComputedStyle(e).filter, getComputedStyle(e).backgroundColor]"
        )
        assert "invert" in style[0] and style[1] == "rgba(0, 0, 0, 0)"
