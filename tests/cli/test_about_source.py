"""What is said about class names that are stored differently."""

import json

import pytest
import torch
from PIL import Image

import hmnpack
from hmnpack.cli.about_source import renamed


def opened(classes):
    images = torch.arange(2 * len(classes) * 64, dtype=torch.int64).remainder(251).to(torch.uint8)
    labels = torch.arange(2 * len(classes)) % len(classes)
    return hmnpack.tensor_source((images.reshape(-1, 1, 8, 8), labels), classes=classes)


@pytest.fixture
def source(monkeypatch):
    """Function that makes every name open a dataset of these classes."""

    def make(classes):
        found = opened(classes)
        monkeypatch.setattr("hmnpack.condensing.plan.open_source", lambda *_, **__: found)
        return found

    return make


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("cat ", "cat"),
        ("\tcat", "_cat"),
        ("cat.", "cat"),
        ("a/b", "a_b"),
        ("\udcb9\udcb7", "__"),
        ("x" * 300, "x" * 180),
        ("dog", "dog (0)"),
        ("DOG", "DOG (0)"),
        ("  ", "class 0"),
    ],
)
def test_a_class_stored_under_another_name_is_paired_with_it(name, stored):
    twin = stored.endswith("(0)")
    pairs = renamed(["dog", name] if twin else [name, "dog"])
    assert pairs == [(name, stored.replace("0", "1") if twin else stored)]


def test_usual_names_are_stored_as_they_are():
    assert renamed(["cat", "Katze", "猫", "a b", "a (1)"]) == []


def test_plan_shows_the_pairs_and_escapes_them(run, source):
    source(["cat", "dog ", "\udcb9\udcb7"])
    done = run("plan", "pets", "--ipc", 4, "--recipe", "smoke")
    said = " ".join(done.stdout.split())
    assert done.exit_code == 0, done.output
    assert r"class names 'dog ' is stored as 'dog'; '\udcb9\udcb7' is stored as '__'" in said
    document = json.loads(run("plan", "pets", "--ipc", 4, "--recipe", "smoke", "--json").stdout)
    assert document["renamed"] == [["dog ", "dog"], ["\udcb9\udcb7", "__"]]


def test_plan_of_usual_names_says_nothing_of_them(run, source):
    source(["cat", "dog"])
    done = run("plan", "pets", "--ipc", 4, "--recipe", "smoke")
    assert (done.exit_code, "class names" in done.stdout) == (0, False)


def test_compress_shows_the_first_ten_pairs(run, source, tmp_path):
    source([f"{n:02}." for n in range(12)])
    done = run("compress", "pets", "--ipc", 4, "--recipe", "smoke", "-o", tmp_path / "x.hmn")
    said = " ".join(done.stderr.split())
    assert done.exit_code == 0, done.output
    assert "'09.' is stored as '09'; and 2 more" in said
    assert "'10.'" not in said


@pytest.mark.parametrize("command", ["plan", "compress"])
def test_files_left_out_are_told(run, source, tmp_path, command):
    found = source(["cat", "dog"])
    object.__setattr__(found, "skipped", {"unreadable": 1, "heic": 4, "litter": 2})
    output = ("-o", tmp_path / "x.hmn") if command == "compress" else ()
    done = run(command, "pets", "--ipc", 4, "--recipe", "smoke", *output)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.exit_code == 0, done.output
    assert "1 unreadable image, 4 .heic files, 2 hidden or system files and folders" in said
    if command == "plan":
        document = json.loads(run("plan", "pets", "--ipc", 4, "--json").stdout)
        assert document["skipped"] == found.skipped


@pytest.mark.parametrize("command", ["plan", "compress"])
def test_drawn_test_split_and_unequal_classes_are_said(run, tmp_path, command):
    for name, count in (("ant", 31), ("bee", 10), ("cat", 2)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(count):
            image = Image.new("L", (8, 8), 3 * number + len(name))
            image.save(tmp_path / "pets" / name / f"{number}.png")
    output = ("-o", tmp_path / "a.hmn") if command == "compress" else ()
    done = run(command, tmp_path / "pets", "--ipc", 4, "--recipe", "smoke", *output)
    said = " ".join((done.stdout + done.stderr).split())
    assert "2 images ('cat') to 28 ('ant'); each gets the same share of the budget" in said
    assert "4 images, 10 % of each class, drawn with seed 0; change it with --test-split" in said
    if output:
        facts = hmnpack.inspect(output[1]).source
        assert (facts.train_images, facts.test_split.part) == (39, 0.1)
