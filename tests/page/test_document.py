"""The complete page: structure, hostile names, no external resources, deterministic bytes."""

import hashlib
import re
from base64 import b64encode
from itertools import pairwise

import pytest

from hmnpack.page import Evidence, page_of
from hmnpack.page.document import policy, style
from hmnpack.page.gallery import Gallery
from hmnpack.schema.manifest import SourceFacts

HOSTILE = (
    "<script>alert(1)<:script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<:style><:title>--><!--",
    "&lt;b&gt; &amp;",
    "javascript:alert(1)",
    "{{7*7}} ${7*7} <svg onload=alert(1)>",
    "https:example.org",
)
"""Class names; slashes are not allowed in them."""

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


@pytest.fixture
def hostile(bundle_of, images, full_facts):
    """A manifest in which every name is an injection attempt."""
    spec = images(classes=len(HOSTILE), instances=1)
    source = SourceFacts(
        name='</title><script src="https://example.org/x.js"></script>\x00\x1b[2J',
        fingerprint="0" * 64,
        train_images=10,
        held_out=1,
        skipped={"unreadable": 1},
    )
    score = dict(full_facts["scores"][0], data="</h3><script>", device='"><script>')
    score["baselines"] = [dict(score["baselines"][0], name="<script>control</script>")]
    facts = {
        "source": source,
        "scores": (score,),
        "recipe": "<script>recipe",
        "config": {"<b>": {"\x1b[2J": "</table>"}},
    }
    return bundle_of(spec, classes=HOSTILE, **facts).manifest


@pytest.fixture
def everything(full_bundle, opened, run_log):
    return opened(full_bundle.manifest, log=run_log)


def test_unequal_classes_show_their_counts(bundle_of, images, image_shape, opened):
    spec = images(classes=3, instances=(2, 70, 1), image=image_shape(3, 8, 8))
    bundle = bundle_of(spec, margins={"epochs": 1, "seeds": 1, "values": tuple(range(73))})
    page = opened(bundle.manifest)
    text = page.one("main").text.replace("\N{NO-BREAK SPACE}", " ")
    assert "The first 48 of the 1 to 70 images of each class" in text
    assert "48 of 70 images" in text and "bee" in text
    assert "73 of 3" in text and "1 to 70 per class" in text
    shown = [
        [len(list(figure.all("img"))) for figure in part.all("figure")]
        for name in ("classes", "ends")
        for part in page.all("div", class_=name)
    ]
    assert shown == [[2, 48, 1], [1, 1], [8, 8], [1, 1]]


def test_every_section_is_linked_from_the_contents(everything):
    titles = [section.one("h2").text for section in everything.all("section")]
    assert titles == [
        *("Budget", "Scores", "Images by class", "Hard and easy images", "Pruning"),
        *("Curves of the run", "Provenance", "Settings"),
    ]
    links = {a.text: a.attributes["href"] for a in everything.one("nav").all("a")}
    sections = {s.one("h2").text: "#" + s.attributes["id"] for s in everything.all("section")}
    assert links == sections


def test_missing_sections_are_listed(images_bundle, opened):
    page = opened(images_bundle.manifest)
    titles = [section.one("h2").text for section in page.all("section")]
    assert titles == [
        *("Budget", "Scores", "Images by class", "Provenance", "Settings", "Not on this page")
    ]
    missing = page.one("section", id="missing")
    assert len(list(missing.all("li"))) == 3
    assert "not made by a recipe" in page.one("section", id="settings").text


@pytest.mark.parametrize("bare", [True, False])
def test_landmarks_and_headings_are_in_order(bare, images_bundle, opened, everything):
    page = opened(images_bundle.manifest) if bare else everything
    for name in ("header", "nav", "main", "footer", "h1", "title"):
        assert len(list(page.all(name))) == 1
    levels = [HEADINGS.index(node.name) for node in page.all() if node.name in HEADINGS]
    assert levels[0] == 0
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for section in page.all("section"):
        label = section.attributes["aria-labelledby"]
        assert section.one("h2").attributes["id"] == label
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("nav").attributes["aria-label"]


def test_ids_are_unique_and_links_are_valid(everything):
    ids = [node.attributes["id"] for node in everything.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for link in everything.all("a"):
        assert link.attributes["href"].removeprefix("#") in ids


def test_every_table_has_a_caption_and_headings(everything):
    tables = list(everything.all("table"))
    assert len(tables) > 8
    for table in tables:
        assert table.one("caption").text.strip()
        assert {th.attributes["scope"] for th in table.one("thead").all("th")} == {"col"}
        for row in table.one("tbody").all("tr"):
            assert row.one("th").attributes["scope"] == "row"
            columns = len(list(table.one("thead").all("th")))
            assert 1 + len(list(row.all("td"))) == columns


def test_every_image_has_a_text_alternative(everything):
    for node in everything.all("svg"):
        inner = node.attributes["class"] == "lines"
        hidden = node.attributes.get("aria-hidden") == "true"
        assert inner or hidden or node.attributes["aria-label"]
    for node in everything.all("img"):
        assert node.attributes["alt"] in ("", None)
    tiles = list(everything.all("div", class_="tiles"))
    assert all(node.attributes["role"] == "img" for node in tiles)
    assert len({node.attributes["aria-label"] for node in tiles}) == len(tiles) == 6
    images = sum(len(list(node.all("img"))) for node in tiles)
    assert images == len(list(everything.all("img")))


def test_names_are_inert(hostile, opened):
    page = opened(hostile)
    allowed = {"html", "head", "body", "meta", "link", "title", "style", "section", "div", "img"}
    names = {node.name for node in page.all()}
    assert not names & {"script", "iframe", "object", "embed", "form", "base", "template"}
    assert allowed <= names
    for node in page.all():
        assert not [key for key in node.attributes if key.startswith("on")]
        assert "style" not in node.attributes
        assert "srcset" not in node.attributes
    captions = [c.one("bdi").text for c in page.one("section", id="images").all("figcaption")]
    assert captions == list(HOSTILE)
    assert "\\x00\\x1b[2J" in page.one("h1").text
    assert "<script>control</script>" in page.text
    assert sum(node.name == "title" for node in page.all()) == 1


def test_page_has_no_external_resources(hostile, full_bundle, dots, run_log):
    for manifest in (hostile, full_bundle.manifest):
        text = page_of(Evidence(manifest, dots(manifest), log=run_log))
        addresses = re.findall(r'(?:src|href|action|content)="([^"]*)"', text)
        assert all(
            address.startswith(("#", "data:image/png;base64,", "data:,"))
            for address in addresses
            if ":" in address and address != policy().replace("'", "&#x27;")
        )
        assert not re.search(r"url\(|@import|expression\(", style())
        assert "http" not in style()


def test_policy_allows_only_inline_images_and_the_style(everything):
    wanted = everything.one("meta", **{"http-equiv": "Content-Security-Policy"})
    said = wanted.attributes["content"]
    text = everything.one("style").text
    digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert said == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    head = everything.one("head")
    metas = [n.attributes for n in head.all("meta")]
    before = [n.name for n in head.children[: head.children.index(wanted)]]
    assert before == ["meta"]
    assert metas[0] == {"charset": "utf-8"}


def test_style_does_not_contain_a_closing_tag():
    assert "</" not in style()
    assert style().isascii()


def test_page_is_deterministic(full_bundle, dots, run_log):
    manifest = full_bundle.manifest
    evidence = Evidence(manifest, dots(manifest), log=run_log)
    assert page_of(evidence) == page_of(evidence)
    assert page_of(evidence).isascii() is False
    page_of(evidence).encode()


def test_bundle_without_png_images_has_a_page(bundle_of, images, image_shape, parsed):
    manifest = bundle_of(images(image=image_shape(2, 4, 4))).manifest
    page = parsed(page_of(Evidence(manifest, Gallery())))
    assert "images" not in [section.attributes["id"] for section in page.all("section")]


def test_key_facts_match_the_manifest(full_bundle, everything):
    keys = everything.one("dl", class_="keys")
    found = {div.one("dt").text: div.one("dd").text for div in keys.all("div")}
    assert found["images per class"] == "4"
    assert found["test accuracy"].startswith("51.0")
    assert full_bundle.manifest.source.name in everything.one("title").text
