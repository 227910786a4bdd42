"""The page in a real browser: requests, layout, keyboard navigation, contrast and print."""

import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

import hmnpack

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install -e '.[browser]'"
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium: apt-get install chromium"),
]

HOSTILE = ('"><img src=https:x onerror=alert(1)>', "<script>document.title=1<:script>")
WIDTHS = (360, 768, 1280)

CONTRAST = """
() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => {
    const [r, g, b] = parse(c).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const ratio = c => {
    const [x, y] = [light(c), light(paper)].sort((a, b) => b - a);
    return (x + 0.05) / (y + 0.05);
  };
  const worst = {text: 99, shape: 99};
  for (const e of document.querySelectorAll("body *")) {
    const style = getComputedStyle(e);
    const says = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const drawn = e.namespaceURI.endsWith("svg");
    if (says) worst.text = Math.min(worst.text, ratio(drawn ? style.fill : style.color));
    if (e.matches(".column, .dot, .mark, .bar rect:not(.tier-not-used)"))
      worst.shape = Math.min(worst.shape, ratio(style.fill));
    if (e.matches(".lines path, .ring, .reach"))
      worst.shape = Math.min(worst.shape, ratio(style.stroke));
  }
  return worst;
}
"""

FOCUSED = """
async () => {
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);  // it scrolls
  const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
  return {
    name: e.tagName, text: e.textContent, outline: parseFloat(style.outlineWidth),
    style: style.outlineStyle, seen: box.top >= 0 && box.bottom <= innerHeight + 1 && box.left >= 0,
  };
}
"""


@dataclass
class Seen:
    """Messages and requests of a page while it was open."""

    page: object
    said: list
    asked: list


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM)
        yield found
        found.close()


@pytest.fixture
def report(full_bundle, lines, tmp_path) -> Path:
    """A page with every section, and with class names that attempt injection."""
    manifest = full_bundle.manifest.model_copy(update={"classes": HOSTILE})
    log = tmp_path / "run.jsonl"
    log.write_bytes(b"".join(lines))
    bundle = hmnpack.Bundle(manifest, full_bundle.tensors)
    return hmnpack.report(bundle, tmp_path / "report.html", log=log)


@pytest.fixture
def see(browser, report):
    """Return a function that opens the page in a new window with a width and colour scheme."""
    contexts = []

    def look(width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page, said, asked = context.new_page(), [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(report.as_uri())
        return Seen(page, said, asked)

    yield look
    for context in contexts:
        context.close()


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")


def test_page_opens_without_messages_or_requests(see, report):
    seen = see()
    assert seen.said == []
    asked = [url for url in seen.asked if not url.startswith("data:")]
    assert asked == [report.as_uri()]
    assert seen.page.title().startswith("made up")
    assert [name.inner_text() for name in seen.page.locator(".classes bdi").all()] == list(HOSTILE)


def test_policy_blocks_injected_content(see):
    page = see().page
    broken = page.evaluate(
        """() => new Promise(done => {
          const broken = [];
          document.addEventListener("securitypolicyviolation", e => {
            broken.push(e.effectiveDirective);
            if (broken.length === 3) done(broken.sort());
          });
          const add = (name, facts) => document.body.append(
            Object.assign(document.createElement(name), facts));
          add("img", {src: "https://example.invalid/x.png"});
          add("script", {textContent: "window.ran = 1"});
          add("style", {textContent: "body { color: red }"});
        })"""
    )
    assert broken == ["img-src", "script-src-elem", "style-src-elem"]
    assert page.evaluate("window.ran") is None


def test_every_image_is_decoded(see):
    page = see().page
    sizes = page.evaluate(
        """async () => {
          const images = [...document.images];
          await Promise.all(images.map(image => image.decode()));
          return images.map(image => [image.naturalWidth, image.width >= 32]);
        }"""
    )
    assert sizes == [[8, True]] * 16


@pytest.mark.parametrize("width", WIDTHS)
def test_no_element_is_wider_than_the_window(see, width):
    page = see(width).page
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = page.evaluate(
            """limit => [...document.querySelectorAll("main *, header *")]
              .filter(e => !e.closest("svg") && e.getBoundingClientRect().right > limit)
              .map(e => e.outerHTML.slice(0, 80))""",
            width,
        )
        assert wide == []
        unfold(page)


@pytest.mark.parametrize("width", [360, 1280])
def test_labels_of_a_chart_do_not_overlap(see, width):
    boxes = (
        see(width)
        .page.locator("svg.chart")
        .evaluate_all(
            """charts => charts.map(chart => [...chart.querySelectorAll("text")].map(text => {
              const box = text.getBoundingClientRect();
              return [box.left, box.top, box.right, box.bottom];
            }))"""
        )
    )
    assert len(boxes) == 6
    for words in boxes:
        for index, (left, top, right, bottom) in enumerate(words):
            assert left >= 0
            assert right <= width
            for other in words[index + 1 :]:
                apart = right <= other[0] or other[2] <= left
                # A line box is some pixels higher than its glyphs.
                assert apart or bottom <= other[1] + 4 or other[3] <= top + 4


def test_reading_order(see):
    page = see().page
    levels = [
        int(name[1])
        for name in page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(e => e.tagName)")
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("region").count() == 8
    names = [e.get_attribute("aria-label") for e in page.get_by_role("img").all()]
    assert len(names) == 1 + 6 + 6
    assert all(names)


def test_keyboard_focus_reaches_all_controls(see):
    page = see().page
    page.keyboard.press("Tab")
    first = page.evaluate(FOCUSED)
    assert first["text"] == "Skip to the content"
    names = []
    while True:
        focus = page.evaluate(FOCUSED)
        assert focus["seen"], focus
        assert focus["outline"] >= 2, focus
        assert focus["style"] != "none", focus
        names.append(focus["name"])
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        assert len(names) < 100
    details = page.locator("details").count()
    assert names == ["A"] * 9 + ["SUMMARY"] * details


def test_keyboard_skips_to_content_and_expands_details(see):
    page = see().page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_sufficient(see, scheme):
    page = see(scheme=scheme).page
    unfold(page)
    worst = page.evaluate(CONTRAST)
    assert worst["text"] >= 4.5
    assert worst["shape"] >= 3
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(paper[4:].split(",")[0]) < 128) == (scheme == "dark")


def test_print_is_white_and_expands_details(see):
    page = see(scheme="dark").page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.get_by_role("navigation").count() == 0
    assert page.evaluate(CONTRAST)["text"] >= 4.5
    shown = page.locator("details:not(.numbers) table").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height > 20)"
    )
    assert len(shown) > 5
    assert all(shown)
