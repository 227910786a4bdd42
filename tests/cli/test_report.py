"""`hmnpack report`."""

import json


def test_writes_a_page_and_prints_its_size(run, bundle_file, tmp_path):
    page = tmp_path / "report.html"
    done = run("report", bundle_file, "-o", page)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{page}: ")
    assert done.stdout.endswith(" kB\n")
    text = page.read_text(encoding="utf-8")
    assert "[bold]cat" in text
    assert "naïve" in text
    assert "\x1b" not in text


def test_page_includes_log_and_result(run, bundle, bundle_file, tmp_path):
    log, result, page = tmp_path / "l.jsonl", tmp_path / "r.json", tmp_path / "report.html"
    events = [{"event": "begun", "seconds": 0.0}]
    events += [
        {
            "event": "progress",
            "stage": "matching",
            "done": n,
            "total": 2,
            "figures": {"loss": 1 / n},
        }
        for n in (1, 2)
    ]
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    machine = {"processor": "x", "cores": 1, "memory_gib": 1, "device": "cpu", "versions": {}}
    facts = {"name": "x", "command": "x", "commit": "x", "machine": machine}
    facts |= {
        "accuracy_mean": 12.25,
        "figures": {"bundle_data_sha256": bundle.manifest.data_sha256},
    }
    result.write_text(json.dumps(facts))
    done = run("report", bundle_file, "-o", page, "--log", log, "--result", result)
    assert done.exit_code == 0, done.output
    text = page.read_text(encoding="utf-8")
    assert "Curves of the run" in text
    assert "12.2" in text


def test_invalid_options_fail_with_one_line(run, bundle_file, tmp_path):
    page = tmp_path / "report.html"
    page.write_text("mine")
    for arguments, code, expected in (
        (("-o", page), 2, "exists"),
        (("-o", tmp_path / "x.hmn"), 2, "name it x.hmn.html"),
        (("-o", page, "--force", "--log", bundle_file), 2, "is not the log of a run"),
        (("-o", page, "--force", "--result", bundle_file), 2, "is not a result file"),
    ):
        done = run("report", bundle_file, *arguments)
        assert done.exit_code == code
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1
    done = run("report", page, "-o", tmp_path / "new.html")
    assert done.exit_code == 4
    assert page.read_text() == "mine"
    assert run("report", bundle_file, "-o", page, "--force").exit_code == 0


def test_folder_has_a_gallery(run, bundle_file, tmp_path):
    (tmp_path / "broken.hmn").write_bytes(b"x" * 100)
    page = tmp_path / "gallery.html"
    done = run("report", tmp_path, "-o", page)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{page}: ")
    text = page.read_text(encoding="utf-8")
    assert "pets.hmn" in text and "broken.hmn" in text and "\x1b" not in text
    done = run("report", tmp_path, "-o", tmp_path / "x.html", "--log", bundle_file)
    assert done.exit_code == 2
    assert "belongs to one file" in done.stderr and done.stderr.count("\n") == 1
