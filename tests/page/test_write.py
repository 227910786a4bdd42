"""Writing a report, and rejected input."""

import json

import pytest

import hmnpack
from hmnpack.bundle import data_sha256
from hmnpack.errors import BadBundle, BadSettings, OutputExists
from hmnpack.schema.result import Machine, Result


@pytest.fixture
def file(full_bundle, tmp_path):
    path = tmp_path / "pets.hmn"
    full_bundle.save(path)
    return path


@pytest.fixture
def result_of(full_bundle, tmp_path):
    """Return a function that writes a result file, with changed fields."""

    def make(**changes):
        facts = {
            "name": "evaluate",
            "command": "hmnpack evaluate",
            "commit": "abc",
            "machine": Machine(processor="x", cores=1, memory_gib=1, device="cpu", versions={}),
            "accuracy_mean": 41.5,
            "networks": 1,
            "figures": {"bundle_data_sha256": full_bundle.manifest.data_sha256},
        }
        path = tmp_path / "result.json"
        path.write_text(Result.model_validate(facts | changes).model_dump_json())
        return path

    return make


def test_page_contains_the_log_and_the_result(file, lines, result_of, tmp_path):
    log = tmp_path / "run.jsonl"
    log.write_bytes(b"".join(lines))
    page = hmnpack.report(file, tmp_path / "a.html", log=log, result=result_of())
    text = page.read_text(encoding="utf-8")
    assert page == tmp_path / "a.html"
    assert "Curves of the run" in text
    assert "41.5" in text
    assert text.count("<img ") == 8 + 8


def test_output_is_deterministic(file, full_bundle, tmp_path):
    first = hmnpack.report(file, tmp_path / "a.html").read_bytes()
    assert hmnpack.report(full_bundle, tmp_path / "b.html").read_bytes() == first


def test_function_is_not_shadowed_by_a_module():
    import hmnpack.page
    import hmnpack.page.write

    assert callable(hmnpack.report)
    assert hmnpack.report is hmnpack.page.report


def test_output_is_only_replaced_with_force(file, tmp_path):
    out = tmp_path / "a.html"
    out.write_bytes(b"mine")
    with pytest.raises(OutputExists):
        hmnpack.report(file, out)
    assert out.read_bytes() == b"mine"
    hmnpack.report(file, out, force=True)
    assert out.read_bytes().startswith(b"<!doctype html>")


@pytest.mark.parametrize("name", ["pets.hmn", "page", "page.pdf"])
def test_output_must_be_html(file, tmp_path, name):
    before = file.read_bytes()
    with pytest.raises(BadSettings, match=f"name it {name}.html"):
        hmnpack.report(file, tmp_path / name, force=True)
    assert file.read_bytes() == before


def test_bundle_named_html_is_not_overwritten(file, tmp_path):
    page = file.rename(tmp_path / "pets.html")
    before = page.read_bytes()
    with pytest.raises(OutputExists, match="is the bundle itself"):
        hmnpack.report(page, page, force=True)
    assert page.read_bytes() == before


def test_invalid_bundle_is_rejected(tmp_path):
    path = tmp_path / "x.hmn"
    path.write_bytes(b"GIF89a" * 100)
    with pytest.raises(BadBundle):
        hmnpack.report(path, tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_result_of_another_bundle_is_rejected(file, result_of, tmp_path):
    other = result_of(figures={"bundle_data_sha256": data_sha256({})})
    with pytest.raises(BadSettings, match="is the result of another bundle"):
        hmnpack.report(file, tmp_path / "a.html", result=other)


def test_invalid_result_is_rejected(file, result_of, tmp_path):
    with pytest.raises(BadSettings, match="which has no accuracy"):
        hmnpack.report(file, tmp_path / "a.html", result=result_of(accuracy_mean=None))
    for content in ("", "{}", json.dumps({"name": 1}), "GIF"):
        path = tmp_path / "x.json"
        path.write_text(content)
        with pytest.raises(BadSettings, match="is not a result file written by evaluate --save"):
            hmnpack.report(file, tmp_path / "a.html", result=path)
    with pytest.raises(BadSettings, match="cannot be read"):
        hmnpack.report(file, tmp_path / "a.html", result=tmp_path)
