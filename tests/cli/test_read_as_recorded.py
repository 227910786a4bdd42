"""`evaluate`, `verify` and `prune` tell which options they take from the file."""

import pytest

from hmnpack.cli.options import _SOURCE, read_as_recorded
from hmnpack.errors import BadSettings
from hmnpack.schema.manifest import SourceFacts, TestSplit
from hmnpack.sources import SourceOptions


@pytest.fixture
def manifest(bundle_of, hmn):
    """Return a function that makes the manifest of a bundle whose images were read in a way."""

    def made(**facts):
        known = {"skipped": {}, "train_images": 90} | facts
        source = SourceFacts(name="pets", fingerprint="0" * 64, held_out=0, **known)
        return bundle_of(hmn(classes=3), source=source).manifest

    return made


@pytest.mark.parametrize(
    ("facts", "given", "told", "size", "skips"),
    [
        ({}, {}, "", None, False),
        ({"size": 8}, {}, "--size 8,", 8, False),
        ({"size": 8}, {"size": 9}, "", 9, False),
        ({"size": 8}, {"size": 8}, "", 8, False),
        ({"skipped": {"unreadable": 2}}, {}, "--skip-bad,", None, True),
        ({"skipped": {"unreadable": 2}}, {"skip_bad": True}, "", None, True),
        ({"size": 8, "skipped": {"unreadable": 2}}, {}, "--size 8 --skip-bad,", 8, True),
    ],
)
def test_options_of_the_file_are_told(manifest, capsys, facts, given, told, size, skips):
    given = dict.fromkeys(_SOURCE) | {"skip_bad": False} | given
    found = read_as_recorded("a.hmn", manifest(**facts), given, "hf:me/pets")
    assert found == SourceOptions(size=size, skip_bad=skips, test_split=0)
    shown = capsys.readouterr()
    expected = f"a.hmn: the data are read with {told} as recorded\n" if told else ""
    assert (shown.out, shown.err) == ("", expected)


def test_classes_of_the_file_are_told_and_overridden(manifest, capsys):
    recorded = manifest(classes=("cat", "a dog", "cow"))
    nothing = dict.fromkeys(_SOURCE) | {"skip_bad": False}
    for given, classes in ((None, ("cat", "a dog", "cow")), (("cow",), ("cow",))):
        found = read_as_recorded("a.hmn", recorded, nothing | {"classes": given}, "digits")
        assert found.classes == classes
    told = "a.hmn: the data are read with --classes cat,a dog,cow, as recorded\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("given", "told", "used"),
    [(None, "--test-split 0.2", TestSplit(part=0.2, seed=5)), (0.0, "", 0)],
)
def test_drawn_test_split_of_the_file_is_told_and_overridden(manifest, capsys, given, told, used):
    facts = {"test_split": TestSplit(part=0.2, seed=5)}
    options = dict.fromkeys(_SOURCE) | {"skip_bad": False, "test_split": given}
    found = read_as_recorded("a.hmn", manifest(**facts), options, "photos")
    assert found == SourceOptions(test_split=used)
    expected = f"a.hmn: the data are read with {told}, as recorded\n" if told else ""
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    "recorded", [None, TestSplit(part=0.2, seed=5), TestSplit(part=0.5, seed=1)]
)
def test_other_test_split_would_be_of_condensed_images(manifest, recorded):
    options = dict.fromkeys(_SOURCE) | {"skip_bad": False, "test_split": 0.5}
    with pytest.raises(BadSettings, match="another test split would have images that it was made"):
        read_as_recorded("a.hmn", manifest(test_split=recorded), options, "photos")


def test_any_test_split_is_drawn_for_a_file_that_does_not_say_its_data(manifest):
    options = dict.fromkeys(_SOURCE) | {"skip_bad": False, "test_split": 0.5}
    stored = manifest(train_images=9)  # as many as it stores: perhaps those
    found = read_as_recorded("a.hmn", stored, options, "photos")
    assert found.test_split == TestSplit(part=0.5, seed=0)


def test_same_test_split_may_be_named(manifest):
    recorded = TestSplit(part=0.2, seed=0)
    options = dict.fromkeys(_SOURCE) | {"skip_bad": False, "test_split": 0.2}
    found = read_as_recorded("a.hmn", manifest(test_split=recorded), options, "photos")
    assert found.test_split == recorded


def test_columns_of_the_file_are_told_and_overridden(manifest, capsys):
    facts = {"image_column": "photo", "label_column": "breed"}
    nothing = dict.fromkeys(_SOURCE) | {"skip_bad": False}
    for data, given, columns in (
        ("hf:me/pets", {}, ("photo", "breed")),
        ("hf:me/pets", {"label_column": "size"}, ("photo", "size")),
        ("digits", {}, (None, None)),  # has no columns
        ("no-such-dataset", {}, (None, None)),
    ):
        found = read_as_recorded("a.hmn", manifest(**facts), nothing | given, data)
        assert (found.image_column, found.label_column) == columns
    assert capsys.readouterr().err.splitlines() == [
        "a.hmn: the data are read with --image-column photo --label-column breed, as recorded",
        "a.hmn: the data are read with --image-column photo, as recorded",
    ]
