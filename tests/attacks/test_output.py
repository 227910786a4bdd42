"""Output paths: links are not followed, nothing is overwritten by accident, writes are atomic."""

import os
import re
import stat

import pytest

import hmnpack
from hmnpack.errors import BadSettings, OutputExists
from hmnpack.runtime.output import check_output_path, replacing, write_atomically

FORMATS = {"folder": "out", "sheet": "out.png", "tar": "out.tar", "parquet": "out.parquet"}


def left_over(folder):
    return sorted(path.name for path in folder.iterdir())


def test_written_file_has_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"abc", force=False)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert left_over(tmp_path) == ["a"]


def test_existing_file_is_only_replaced_with_force(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(OutputExists, match="exists; name another"):
        write_atomically(path, b"new", force=False)
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new", force=True)
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("target", ["victim", "nothing"])
def test_a_symbolic_link_is_not_followed(hmn_bundle, tmp_path, force, target):
    (tmp_path / "victim").write_text("precious")
    link = tmp_path / "a.hmn"
    link.symlink_to(tmp_path / target)
    with pytest.raises(OutputExists, match="symbolic link"):
        hmn_bundle.save(link, force=force)
    assert (tmp_path / "victim").read_text() == "precious"
    assert left_over(tmp_path) == ["a.hmn", "victim"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_expand_does_not_follow_a_link(images_bundle, tmp_path, force, format):
    (tmp_path / "victim").mkdir()
    link = tmp_path / FORMATS[format]
    link.symlink_to(tmp_path / "victim")
    with pytest.raises(OutputExists, match="symbolic link"):
        hmnpack.expand(images_bundle, link, format=format, force=force)
    assert left_over(tmp_path / "victim") == []


@pytest.mark.parametrize("force", [False, True])
def test_folders_pipes_and_missing_parents(tmp_path, force):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputExists, match="is a folder"):
        check_output_path(tmp_path, force=force)
    with pytest.raises(OutputExists, match="not a regular file"):
        check_output_path(tmp_path / "pipe", force=force)
    with pytest.raises(BadSettings, match=r"the folder .* does not exist; create it"):
        check_output_path(tmp_path / "none" / "a", force=force)


def test_unwritable_folder_is_rejected_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "ro").mkdir()
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path / "ro")
    with pytest.raises(BadSettings, match=r"the folder .*ro is not writable"):
        check_output_path(tmp_path / "ro" / "a", force=False)
    check_output_path(tmp_path / "a", force=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError])
def test_interruption_preserves_the_old_file(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises((error, BadSettings)), replacing(path, force=True) as file:
        file.write(b"half of the new")
        raise error("no more")
    assert path.read_bytes() == b"old"
    assert left_over(tmp_path) == ["a"]


def test_system_error_is_one_line(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadSettings, match=r"cannot write .* \(No space left"):
        write_atomically(tmp_path / "a", b"abc", force=False)
    assert left_over(tmp_path) == []


def test_folder_that_is_not_empty(images_bundle, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(OutputExists, match="not empty"):
        hmnpack.expand(images_bundle, out)
    assert left_over(out) == ["mine.txt"]
    hmnpack.expand(images_bundle, out, force=True)
    assert left_over(out) == ["ant", "bee", "classes.json", "mine.txt"]
    assert (out / "mine.txt").read_text() == "precious"
    assert left_over(tmp_path) == ["out"]


def test_force_does_not_replace_foreign_files(images_bundle, tmp_path):
    out = tmp_path / "out"
    (out / "ant").mkdir(parents=True)
    (out / "ant" / "holiday.jpg").write_text("precious")
    with pytest.raises(OutputExists, match="'ant', which hmnpack did not write"):
        hmnpack.expand(images_bundle, out, force=True)
    assert left_over(out / "ant") == ["holiday.jpg"]


@pytest.mark.parametrize("name", [".DS_Store", "._0.png", "Thumbs.db"])
def test_files_of_a_file_browser_are_ignored(images_bundle, tmp_path, name):
    out = tmp_path / "out"
    hmnpack.expand(images_bundle, out)
    (out / "ant" / name).touch()
    hmnpack.expand(images_bundle, out, force=True)
    assert name not in left_over(out / "ant")


@pytest.mark.parametrize("text", ["", "[]", '{"made_by":"x"}', '{"made_by":"hmnpack"}', "[" * 9999])
def test_foreign_index_does_not_allow_replacement(images_bundle, tmp_path, text):
    out = tmp_path / "out"
    (out / "ant").mkdir(parents=True)
    (out / "classes.json").write_text(text)
    with pytest.raises(OutputExists, match="did not write"):
        hmnpack.expand(images_bundle, out, force=True)


def test_an_index_cannot_reach_out_of_its_folder(images_bundle, tmp_path):
    out = tmp_path / "out"
    hmnpack.expand(images_bundle, out)
    index = '{"made_by": "hmnpack", "folders": ["ant", "bee", "..", "../victim", "/etc", 3]}'
    (out / "classes.json").write_text(index)
    (tmp_path / "victim").write_text("precious")
    hmnpack.expand(images_bundle, out, force=True)
    assert left_over(tmp_path) == ["out", "victim"]
    assert left_over(out) == ["ant", "bee", "classes.json"]


def test_interruption_preserves_the_old_folder(images_bundle, tmp_path, monkeypatch):
    out = tmp_path / "out"
    hmnpack.expand(images_bundle, out, per_class=1)

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("hmnpack.writers.folder._fill", interrupt)
    with pytest.raises(KeyboardInterrupt):
        hmnpack.expand(images_bundle, out, force=True)
    assert left_over(tmp_path) == ["out"]
    assert left_over(out / "ant") == ["0.png"]


HOSTILE = ('<script>alert("1")<|script>', "[bold]x[link=a]", "CON", "a\"b'&<img onerror=x>")


def test_markup_in_names_is_inert(bundle_of, images, tmp_path):
    bundle = bundle_of(images(classes=4), classes=HOSTILE)
    page = hmnpack.load(bundle)._repr_html_()
    assert re.findall(r"<(\w+)", page) == ["pre", "div", *["img"] * 8]
    assert 'title="&lt;script&gt;alert(&quot;1&quot;)&lt;|script&gt;"' in page
    assert 'alt="a&quot;b&#x27;&amp;&lt;img onerror=x&gt;"' in page
    out = hmnpack.expand(bundle, tmp_path / "out")
    folders = sorted(path.name for path in out.iterdir() if path.is_dir())
    assert folders == [
        "0-_script_alert(_1_)__script_",
        "1-[bold]x[link=a]",
        "2-CON_",
        "3-a_b'&_img onerror=x_",
    ]


def test_force_does_not_delete_files_added_among_the_images(images_bundle, tmp_path):
    out = tmp_path / "out"
    hmnpack.expand(images_bundle, out)
    before = left_over(out / "ant")
    (out / "ant" / "notes.txt").write_text("precious")
    with pytest.raises(OutputExists, match=r"'ant/notes\.txt', which hmnpack did not"):
        hmnpack.expand(images_bundle, out, force=True)
    assert left_over(out / "ant") == sorted([*before, "notes.txt"])


@pytest.mark.parametrize("name", [".", "..", "out/.."])
def test_an_output_has_a_name(images_bundle, tmp_path, monkeypatch, name):
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(BadSettings, match=r"cannot be an output; name a new folder or file"):
        hmnpack.expand(images_bundle, name)
    assert left_over(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "\ud800"])
@pytest.mark.parametrize("kind", FORMATS)
def test_text_that_no_file_can_have_as_its_name_is_no_output(tmp_path, images_bundle, kind, name):
    out = f"{tmp_path}/{name}{'' if kind == 'folder' else '.' + FORMATS[kind].partition('.')[2]}"
    with pytest.raises(BadSettings, match="cannot be an output"):
        hmnpack.expand(images_bundle, out, format=kind)
    assert left_over(tmp_path) == []
