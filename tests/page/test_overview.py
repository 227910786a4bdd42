"""The gallery of a folder: order, pictures, scores, links, damaged files, hostile names."""

import os
from base64 import b64decode
from io import BytesIO
from itertools import pairwise

import pytest
from PIL import Image

import hmnpack
from hmnpack.bundle.pictures import pictures
from hmnpack.errors import BadSettings, OutputExists
from hmnpack.page.frame import policy
from hmnpack.page.overview import OVERVIEW, overview_of
from hmnpack.page.shelf import Shelf, Shelved, shelf_of
from hmnpack.schema.manifest import SourceFacts

HOSTILE = "</title><script src='https://example.org/x.js'></script>\x1b[2J"


def source(name):
    facts = {"fingerprint": "0" * 64, "train_images": 10, "held_out": 1, "skipped": {}}
    return SourceFacts(name=name, **facts)


@pytest.fixture
def folder(full_bundle, bundle_of, images, hmn, tmp_path):
    """Files of two datasets, one in a subfolder, one with a report, one damaged, one hidden."""
    made = tmp_path / "shelf"
    (made / "in").mkdir(parents=True)
    full_bundle.save(made / "full.hmn")
    bundle_of(images(instances=6), source=source("zoo")).save(made / "b.hmn")
    bundle_of(images(instances=4), source=source("zoo")).save(made / "in" / "a.hmn")
    bundle_of(hmn(), source=source("Zoo")).save(made / ".hidden.hmn")
    (made / "broken.hmn").write_bytes((made / "full.hmn").read_bytes()[:-1])
    (made / "full.html").write_text("a report")
    (made / "notes.txt").write_text("not a file of hmnpack")
    return made


@pytest.fixture
def page(folder, parsed, tmp_path):
    out = hmnpack.report(folder, tmp_path / "gallery.html")
    return parsed(out.read_text(encoding="utf-8"))


def column(table, number):
    rows = table.one("tbody").all("tr")
    return [[cell for cell in row.children if not isinstance(cell, str)][number] for row in rows]


def test_files_are_in_order_with_their_numbers(page, folder):
    table = page.one("section", id="files").one("table")
    assert [cell.one("bdi").text for cell in column(table, 0)] == ["full.hmn", "in/a.hmn", "b.hmn"]
    first, second, third = (
        hmnpack.inspect(folder / name) for name in ("full.hmn", "in/a.hmn", "b.hmn")
    )
    for place, wanted in (
        (1, ["made up", "zoo", "zoo"]),
        (2, ["2", "2", "2"]),
        (3, ["8", "8", "12"]),
        (5, [str(first.budget.ipc), str(second.budget.ipc), str(third.budget.ipc)]),
        (6, [f"{each.ledger.floats:,}" for each in (first, second, third)]),
        (7, [f"{each.ledger.bytes:,}" for each in (first, second, third)]),
    ):
        assert [cell.text for cell in column(table, place)] == wanted
    scores = [cell.text for cell in column(table, 8)]
    assert scores[0].startswith("51.0") and "convnet, test split" in scores[0]
    assert scores[1:] == ["\N{EN DASH}"] * 2


def test_damaged_file_is_listed_with_its_line(page):
    part = page.one("section", id="damaged")
    (row,) = part.one("tbody").all("tr")
    assert row.one("th").text == "broken.hmn"
    assert "but its header states" in row.one("td").text and "broken" not in row.one("td").text
    assert "3 files of 2 datasets, and 1 file that cannot be read" in page.one(
        "header"
    ).text.replace("\N{NO-BREAK SPACE}", " ")


def test_picture_shows_the_first_image_of_each_class(page, folder):
    images = list(page.one("section", id="images").all("img"))
    assert len(images) == 3
    assert images[0].attributes["alt"].replace("\N{NO-BREAK SPACE}", " ") == (
        "full.hmn: the first image of each of 2 classes"
    )
    data = b64decode(images[0].attributes["src"].removeprefix("data:image/png;base64,"))
    strip = Image.open(BytesIO(data))
    bundle = hmnpack.Bundle.from_bytes((folder / "full.hmn").read_bytes())
    import torch

    left, right = pictures(bundle, torch.tensor([0, 4]))
    assert strip.size == (16, 8)
    assert strip.crop((0, 0, 8, 8)).tobytes() == left.tobytes()
    assert strip.crop((8, 0, 16, 8)).tobytes() == right.tobytes()


def test_large_images_of_many_classes_are_reduced(bundle_of, images, image_shape, tmp_path):
    spec = images(classes=12, instances=1, image=image_shape(1, 130, 70))
    bundle_of(spec).save(tmp_path / "a.hmn")
    strip = shelf_of(tmp_path, tmp_path / "p.html").files[0].strip
    assert (strip.classes, strip.width, strip.height) == (10, 10 * 24, 44)


def test_scores_state_protocol_networks_split_and_controls(page):
    part = page.one("section", id="scores")
    rows = [
        [
            cell.text.replace("\N{NO-BREAK SPACE}", " ")
            for cell in row.children
            if not isinstance(cell, str)
        ]
        for row in part.one("table").one("tbody").all("tr")
    ]
    assert rows == [
        [
            *("full.hmn8 images", "convnet", "short, seed 0", "made up, test split"),
            *("51.0 \N{PLUS-MINUS SIGN} 1.0 %", "3"),
        ],
        [
            *("random real, same floats2 images", "", "", ""),
            *("20.0 \N{PLUS-MINUS SIGN} 3.0 %", "3"),
        ],
    ]
    assert "Without a recorded score: in/a.hmn, b.hmn." in part.text


def test_held_out_scores_say_so(bundle_of, images, full_facts, parsed):
    score = dict(full_facts["scores"][0], held_out=True, config={"train": {"epochs": 7}})
    manifest = bundle_of(images(), scores=(score,)).manifest
    page = parsed(overview_of(Shelf("x", (Shelved("a.hmn", manifest, 1000),))))
    assert "convnet, held-out images" in page.one("section", id="files").text
    assert "made up, held-out images" in page.one("section", id="scores").text
    assert "train.epochs" in page.one("section", id="scores").text


def test_links_lead_to_the_reports_beside_the_files(page, folder, parsed, tmp_path):
    links = {node.attributes["href"] for node in page.one("main").all("a")}
    assert links == {"shelf/full.html"}
    inside = hmnpack.report(folder, folder / "in" / "gallery.html").read_text(encoding="utf-8")
    assert {node.attributes["href"] for node in parsed(inside).one("main").all("a")} == {
        "../full.html"
    }


def test_page_does_not_link_to_itself(folder, parsed):
    out = hmnpack.report(folder, folder / "full.html", force=True)
    assert list(parsed(out.read_text(encoding="utf-8")).one("main").all("a")) == []


def test_landmarks_tables_and_alternatives(page):
    for name in ("header", "nav", "main", "footer", "h1", "title"):
        assert len(list(page.all(name))) == 1
    levels = [int(n.name[1]) for n in page.all() if n.name in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    ids = [node.attributes["id"] for node in page.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for link in page.one("nav").all("a"):
        assert link.attributes["href"].removeprefix("#") in ids
    for table in page.all("table"):
        assert table.one("caption").text.strip()
        columns = len(list(table.one("thead").all("th")))
        for row in table.one("tbody").all("tr"):
            assert row.one("th").attributes["scope"] == "row"
            assert 1 + len(list(row.all("td"))) == columns
    assert all(node.attributes["alt"] for node in page.all("img"))
    for node in page.all("div", class_="wide"):
        assert node.attributes["role"] == "region" and node.attributes["aria-label"]
        assert node.attributes["tabindex"] == "0"


def test_hostile_names_are_inert(bundle_of, images, parsed, tmp_path):
    folder = tmp_path / "<b>javascript:x"
    folder.mkdir()
    name = "<img src=x onerror=alert(1)>\x1b[2J.hmn"
    made = bundle_of(images(), source=source(HOSTILE), classes=("<script>", '"><img src=x>'))
    made.save(folder / name)
    (folder / name).with_suffix(".html").write_text("report")
    (folder / "\x1b<i>.hmn").write_bytes(b"not one")
    os.mkfifo(folder / ".pipe.hmn")
    page = parsed(hmnpack.report(folder, tmp_path / "p.html").read_text(encoding="utf-8"))
    assert not {node.name for node in page.all()} & {"script", "i", "b", "iframe"}
    for node in page.all():
        assert not [key for key in node.attributes if key.startswith("on")]
    assert "\x1b" not in page.text
    (link,) = page.one("section", id="files").all("a")
    assert link.attributes["href"].startswith("%3Cb%3Ejavascript%3Ax/")
    (row,) = page.one("section", id="damaged").one("tbody").all("tr")
    assert "\\x1b<i>.hmn" in row.one("th").text and "hmn" not in row.one("td").text.split()[0]


def test_page_has_no_external_resources(page):
    assert page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes[
        "content"
    ] == policy(OVERVIEW)
    for node in page.all():
        for key in ("src", "href", "action"):
            address = node.attributes.get(key) or ""
            assert ":" not in address or address.startswith("data:")


def test_page_is_deterministic(folder, tmp_path):
    first = hmnpack.report(folder, tmp_path / "a.html").read_bytes()
    assert hmnpack.report(str(folder), tmp_path / "b.html").read_bytes() == first


def test_file_of_an_unknown_container_has_a_row_without_a_picture(bundle_of, images, parsed):
    manifest = bundle_of(images()).manifest
    page = parsed(overview_of(Shelf("x", (Shelved("a.hmn", manifest, 1000),))))
    assert list(page.one("section", id="images").all("img")) == []
    assert "No picture" in page.one("section", id="images").text


def test_folder_of_damaged_files_alone_has_a_page(parsed, tmp_path):
    (tmp_path / "a.hmn").write_bytes(b"")
    page = parsed(hmnpack.report(tmp_path, tmp_path / "p.html").read_text(encoding="utf-8"))
    assert [section.attributes["id"] for section in page.all("section")] == ["damaged"]


def test_invalid_calls_are_refused(folder, tmp_path):
    out = tmp_path / "p.html"
    for given in ({"log": folder / "notes.txt"}, {"result": folder / "notes.txt"}):
        with pytest.raises(
            BadSettings, match="is a folder: a log, a result or an audit belongs to one file"
        ):
            hmnpack.report(folder, out, **given)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadSettings, match=r"has no \.hmn file"):
        hmnpack.report(empty, out)
    with pytest.raises(BadSettings, match=r"name it out\.hmn\.html"):
        hmnpack.report(folder, tmp_path / "out.hmn")
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(OutputExists):
        hmnpack.report(folder, out)
    assert out.read_text() == "mine"
