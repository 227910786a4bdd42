"""Files that a failed download or clone left in place of images, Parquet files and bundles."""

import os
import re

import pytest

import hmnpack
from hmnpack.errors import BadBundle, BadData, BadImage
from hmnpack.sources import SourceOptions

LEFT = {
    "is a Git LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
        "run git lfs pull",
    ),
    "is a web page": (b"<!DOCTYPE html><html>404</html>", "download the file itself"),
}
BLANK = {"is empty": (b"", "again"), "is filled with zeros": (bytes(900), "again")}


@pytest.fixture
def options(tmp_path):
    return SourceOptions(cache_dir=tmp_path / "cache")


def folder_with(tmp_path, name):
    for label in ("cat", "dog"):
        (tmp_path / "train" / label).mkdir(parents=True)
    return tmp_path / "train" / "cat" / name


@pytest.mark.parametrize("found", [*LEFT, *BLANK])
def test_image_that_is_something_else_is_named_with_what_to_do(tmp_path, options, found):
    content, mend = (LEFT | BLANK)[found]
    folder_with(tmp_path, "a.jpg").write_bytes(content)
    (tmp_path / "train" / "dog" / "b.jpg").write_bytes(content)
    with pytest.raises(BadImage, match=f"{re.escape(found)}.*{mend}.* or skip all"):
        hmnpack.open_source(tmp_path, options)


@pytest.mark.parametrize("found", [*LEFT, *BLANK])
def test_parquet_that_is_something_else_is_named_with_what_to_do(tmp_path, options, found):
    pytest.importorskip("pyarrow")
    content, mend = (LEFT | BLANK)[found]
    (tmp_path / "train.parquet").write_bytes(content)
    with pytest.raises(BadData, match=f"train.parquet.*{re.escape(found)}.*{mend}"):
        hmnpack.open_source(tmp_path, options)


@pytest.mark.parametrize("found", LEFT)
def test_bundle_that_is_something_else_is_named_with_what_to_do(tmp_path, found):
    content, mend = LEFT[found]
    path = tmp_path / "a.hmn"
    path.write_bytes(content)
    with pytest.raises(BadBundle, match=f"a.hmn: {re.escape(found)}: {mend}"):
        hmnpack.inspect(path)


@pytest.mark.parametrize("linked", [False, True])
def test_named_pipe_among_images_does_not_wait_for_a_writer(tmp_path, options, linked):
    pipe = tmp_path / "pipe" if linked else folder_with(tmp_path, "a.png")
    os.mkfifo(pipe)
    if linked:
        folder_with(tmp_path, "a.png").symlink_to(pipe)
    (tmp_path / "train" / "dog" / "b.png").write_bytes(b"")
    with pytest.raises(BadImage, match=r"cat.a\.png \(it is a pipe, a device or a folder\)"):
        hmnpack.open_source(tmp_path, options)
