"""Margins section: the histogram counts every image once; extremes are shown with areas."""

import pytest

from hmnpack.page.gallery import Gallery
from hmnpack.page.margins import BINS, bins_of, margins_part
from hmnpack.schema.pruning import MARGIN_UNITS


def test_every_image_is_in_one_bin():
    bins = bins_of([-200.0, -195.5, -190.0, 0.0, 9.999, 10.0, 199.0, 200.0], 200)
    assert len(bins) == BINS
    counts = {low: number for low, _, number in bins if number}
    assert counts == {-200: 2, -190: 1, 0: 2, 10: 1, 190: 2}


def test_bins_have_fixed_edges_and_start_at_the_first_nonempty_one():
    bins = bins_of([15.0, 120.0], 200)
    assert bins[0] == (10, 20, 1)
    assert bins[-1] == (190, 200, 0)
    assert [high - low for low, high, _ in bins] == [10] * 19
    assert bins_of([-2.0, 2.0], 2)[0] == pytest.approx((-2, -1.9, 1))


@pytest.fixture
def body(full_bundle, dots, parsed):
    manifest = full_bundle.manifest
    return parsed(margins_part(manifest, manifest.margins, dots(manifest)).body)


def test_text_matches_the_margins(body, full_bundle):
    areas = [v * 100 / MARGIN_UNITS for v in full_bundle.manifest.margins.values]
    assert (min(areas), max(areas)) == (-50, 100)
    text = body.text.replace("\N{MINUS SIGN}", "-").replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "median is 1.5, the range -50.0 to 100.0; 2 of 8 images (25.0 %) have a negative area"
        in text
    )


def test_the_table_of_the_histogram_adds_up(body):
    rows = body.one("details").one("tbody").all("tr")
    assert sum(int(next(iter(row.all("td"))).text) for row in rows) == 8


def test_each_class_has_its_hardest_and_easiest(body):
    labels = [node.attributes["aria-label"] for node in body.all("div", class_="tiles")]
    assert [label.replace("\N{MINUS SIGN}", "-") for label in labels] == [
        "The hardest 2\N{NO-BREAK SPACE}images of the class ant: areas -50.0 to 0.0",
        "The easiest 2\N{NO-BREAK SPACE}images of the class ant: areas 100.0 to 90.0",
        "The hardest 2\N{NO-BREAK SPACE}images of the class bee: areas -3.0 to 1.0",
        "The easiest 2\N{NO-BREAK SPACE}images of the class bee: areas 4.0 to 2.0",
    ]
    assert [node.text for node in body.all("h4")] == ["ant", "bee"]


def test_without_images_only_the_histogram_is_shown(full_bundle, parsed):
    manifest = full_bundle.manifest
    body = parsed(margins_part(manifest, manifest.margins, Gallery()).body)
    assert len(list(body.all("svg"))) == 1
    assert not list(body.all("img"))
