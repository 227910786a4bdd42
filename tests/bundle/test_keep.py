"""A finished bundle that cannot be written is kept under another name."""

import re

import pytest

from hmnpack.bundle import read
from hmnpack.bundle.keep import save_or_keep
from hmnpack.errors import BadSettings, OutputExists


@pytest.fixture
def bundle(bundle_of, hmn):
    return bundle_of(hmn(classes=2))


def kept_by(message):
    return re.search(r"kept in (\S+\.hmn): move it", str(message)).group(1)


def test_bundle_is_saved_where_it_can_be(bundle, tmp_path):
    save_or_keep(bundle, tmp_path / "x.hmn", force=False)
    assert [path.name for path in tmp_path.iterdir()] == ["x.hmn"]


def test_taken_name_is_left_alone_and_the_bundle_kept(bundle, tmp_path):
    (tmp_path / "x.hmn").write_text("mine")
    with pytest.raises(OutputExists, match=r"x\.hmn exists; the finished result") as raised:
        save_or_keep(bundle, tmp_path / "x.hmn", force=False)
    assert (tmp_path / "x.hmn").read_text() == "mine"
    assert "--force" not in str(raised.value)
    assert read(kept_by(raised.value)).manifest == bundle.manifest


def test_missing_folder_keeps_the_bundle_among_temporary_files(bundle, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with pytest.raises(BadSettings, match="does not exist") as raised:
        save_or_keep(bundle, tmp_path / "gone" / "x.hmn", force=True)
    assert kept_by(raised.value).startswith(str(tmp_path / "temporary"))
    assert read(kept_by(raised.value)).manifest == bundle.manifest


def test_bundle_that_cannot_be_kept_raises_the_first_error(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(BadSettings, match="does not exist; create it first"):
        save_or_keep(bundle, tmp_path / "gone" / "x.hmn", force=False)
