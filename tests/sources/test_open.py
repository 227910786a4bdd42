import re

import pytest

from hmnpack.errors import BadData, BadSettings
from hmnpack.sources import open_source


def test_unknown_name_is_rejected_with_suggestions(options):
    with pytest.raises(
        BadSettings, match="unknown dataset 'cifar'; did you mean cifar10"
    ) as caught:
        open_source("cifar", options)
    assert "there is no file or folder of that name either" in str(caught.value)


@pytest.mark.parametrize("spec", ["./missing", "/no/such/place", "train.parquet", "~/x", ""])
def test_missing_path_is_rejected(options, spec):
    with pytest.raises(BadData, match=re.escape(f"{spec!r} does not exist: give a folder")):
        open_source(spec, options)


@pytest.mark.parametrize("spec", ["a" * 300, "no/" + "a" * 300, "a\0b", b"a\0b", "\ud800"])
def test_text_that_no_file_can_have_as_its_name_is_rejected(options, spec):
    with pytest.raises((BadData, BadSettings), match=r"does not exist|no file or folder|too long"):
        open_source(spec, options)


def test_name_takes_precedence_over_a_folder(options, make_folder, monkeypatch):
    pytest.importorskip("sklearn")
    root = make_folder(train={"cat": 1}).rename(options.data_root.parent / "digits")
    monkeypatch.chdir(root.parent)
    assert len(open_source("digits", options).classes) == 10
    assert open_source("./digits", options).classes == ("cat",)


def test_folder_without_a_slash_is_opened(options, make_folder, monkeypatch):
    monkeypatch.chdir(make_folder(train={"cat": 1}).parent)
    assert open_source("pets", options).name == "pets"


def test_listener_counts_the_images_of_each_split(options, make_folder):
    root = make_folder(train={"cat": 3}, test={"cat": 2})
    calls = []
    open_source(str(root), options, lambda *event: calls.append(event))
    assert calls == [("decode", 3, 3), ("decode", 2, 2)]
