"""The section on an audit."""

import pytest

from hmnpack.schema.audit import (
    CAVEAT,
    Attack,
    Audit,
    AuditResult,
    Interval,
    Nearest,
    Pair,
    Quantiles,
)
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import DataFacts, Machine

DOT = "iVBORw0KGgo="


def quantiles(images, least):
    return Quantiles(images=images, least=least, p1=2.0, p5=3.0, median=40.25, p95=60.0)


def attack(name, value):
    interval = Interval(value=value, low=value - 0.025, high=value + 0.03)
    return Attack(name=name, images=8, members=50, non_members=60, aucs=(value,) * 3, auc=interval)


@pytest.fixture
def result():
    """Return a function that makes a result, with changes to its audit."""

    def make(**changes):
        distances = {"synthetic": quantiles(8, 0.0), "real": quantiles(60, 1.5)}
        facts = {
            "protocol": EvaluateConfig(),
            "held_out": False,
            "condensed": 1352,
            "nearest": [
                Nearest(space=space, below_p1=12.5, copies=1, **distances)
                for space in ("pixels", "features")
            ],
            "pairs": [
                Pair(image=5, label=1, real_sha256="0" * 64, real_label=0, distance=0.0),
                Pair(image=3, label=0, real_sha256="1" * 64, real_label=9, distance=1.25),
            ],
            "picture": DOT,
            "attacks": [
                attack("bundle", 0.525),
                attack("<b>random", 0.5),
                attack("condensed", 0.75),
            ],
            "over_control": Interval(value=0.025, low=-0.01, high=0.05),
            "resamples": 2000,
        }
        return AuditResult(
            name="audit",
            command="hmnpack audit <i>.hmn",
            commit="abc",
            seed=0,
            machine=Machine(processor="x", cores=1, memory_gib=1, device="cpu", versions={}),
            data=DataFacts(name="pets", fingerprint="0" * 64),
            bundle_data_sha256="0" * 64,
            audit=Audit.model_validate(facts | changes),
        )

    return make


@pytest.fixture
def section(full_bundle, opened, result):
    def make(**changes):
        return opened(full_bundle.manifest, audit=result(**changes)).one("section", id="audit")

    return make


def plain(node):
    return node.text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


def cells(table):
    return [
        [plain(cell) for cell in row.children if not isinstance(cell, str)]
        for row in table.one("tbody").all("tr")
    ]


def test_numbers_are_shown(section):
    part = section()
    pixels, features, pairs, attacks = part.all("table")
    assert (
        cells(pixels)
        == cells(features)
        == [
            ["these images", "8", "0", "2", "3", "40.2"],
            ["real, not condensed", "60", "1.5", "2", "3", "40.2"],
        ]
    )
    assert "of 255. 1 synthetic image at distance 0; 12.5 % nearer" in plain(pixels.one("caption"))
    assert cells(pairs) == [["5", "bee", "ant", "0"], ["3", "ant", "9", "1.25"]]
    assert cells(attacks) == [
        ["these images", "8", "50", "60", "0.525", "0.500 to 0.555"],
        ["<b>random", "8", "50", "60", "0.500", "0.475 to 0.530"],
        ["condensed", "8", "50", "60", "0.750", "0.725 to 0.780"],
    ]
    assert "0.025 (-0.010 to 0.050)" in plain(part)
    assert "1,352 real images" in plain(part) and "from the test split" in plain(part)
    assert "hmnpack audit <i>.hmn" in plain(part)


def test_limits_are_stated(section):
    part = section()
    assert CAVEAT in part.text
    assert "not a guarantee" in CAVEAT and "not differential privacy" in CAVEAT
    held_out = plain(section(held_out=True, mixed_in=130))
    assert "(130 of these were held out; the file does not record which)" in held_out
    assert "from held-out images" in held_out


def test_picture_has_a_text_alternative_and_may_be_missing(section):
    (image,) = section().all("img")
    assert image.attributes["src"] == f"data:image/png;base64,{DOT}"
    assert "2 nearest pairs" in image.attributes["alt"].replace("\N{NO-BREAK SPACE}", " ")
    part = section(picture=None)
    assert list(part.all("img")) == [] and len(list(part.all("table"))) == 4


def test_picture_must_be_base64(section):
    with pytest.raises(ValueError, match="picture"):
        section(picture='"><script>')


def test_tables_have_captions_and_headings(section):
    for table in section().all("table"):
        assert table.one("caption").text.strip()
        columns = len(list(table.one("thead").all("th")))
        assert all(1 + len(list(row.all("td"))) == columns for row in table.one("tbody").all("tr"))
