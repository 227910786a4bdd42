"""Scores section: means, intervals, baselines, and the paper's accuracies if comparable."""

import pytest

from hmnpack.page.paper import is_jpeg_copy, paper_score
from hmnpack.page.scores import Line, headline, scores_part
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import SourceFacts
from hmnpack.schema.presets import PRESETS
from hmnpack.schema.result import DataFacts, Machine, Result, Row

SPACE = "\N{NO-BREAK SPACE}"
TABLE_2 = {
    "cifar10": {1: 65.7, 10: 73.7, 50: 76.9},
    "cifar100": {1: 36.3, 10: 45.4, 50: 48.5},
    "svhn": {1: 87.4, 10: 90.0, 50: 91.2},
    "tiny-imagenet": {1: 19.4, 10: 24.4},
    "imagenet-10": {1: 64.6},
}


@pytest.fixture
def manifest_of(full_bundle):
    """Return a function that makes the manifest of a named source with a preset's sizes."""

    def make(name, preset, ipc=None):
        manifest = full_bundle.manifest
        source = SourceFacts(
            name=name, fingerprint="0" * 64, train_images=9, held_out=0, skipped={}
        )
        spec = manifest.container.model_copy(
            update={"classes": preset.classes, "image": preset.image}
        )
        budget = manifest.budget.model_copy(update={"ipc": ipc or preset.ipc})
        return manifest.model_copy(update={"source": source, "container": spec, "budget": budget})

    return make


@pytest.fixture
def result():
    machine = Machine(processor="x", cores=2, memory_gib=8, device="cpu", versions={})
    control = Row(name="<b>random", images=2, accuracy_mean=20.0, accuracy_std=1.0, networks=3)
    return Result(
        name="<i>evaluate",
        command="hmnpack evaluate '<script>'",
        commit="abc",
        machine=machine,
        data=DataFacts(name="digits & more", fingerprint="1" * 64),
        accuracy_mean=51.0,
        accuracy_std=1.0,
        networks=3,
        baselines=(control,),
        figures={"network": "convnet", "epochs": 300, "images": 8},
    )


def cells(table):
    return [
        (row.one("th").text, *(cell.text.replace(SPACE, " ") for cell in row.all("td")))
        for row in table.one("tbody").all("tr")
    ]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: f"{p.dataset}-{p.ipc}")
def test_paper_scores_are_those_of_table_2(manifest_of, preset):
    found = paper_score(manifest_of(preset.dataset, preset))
    assert found.accuracy == TABLE_2[preset.dataset][preset.ipc]
    assert found.accuracy < found.whole
    assert (found.network == "ResNet-AP") == (preset.dataset == "imagenet-10")


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        ("cifar10", True),
        ("hf:uoft-cs/cifar10", True),
        ("CIFAR-10 (JPEG)", True),
        ("cifar10-jpeg", True),
        ("cifar100", False),
        ("svhn", True),
        ("cinic10", False),
        ("stl10", False),
    ],
)
def test_dataset_of_the_paper_is_recognised_by_name(manifest_of, name, is_known):
    assert (paper_score(manifest_of(name, PRESETS[3])) is not None) == is_known


def test_other_shapes_and_budgets_have_no_paper_score(manifest_of):
    assert paper_score(manifest_of("cifar10", PRESETS[6])) is None
    assert paper_score(manifest_of("cifar10", PRESETS[3], ipc=2)) is None


def test_jpeg_copy_is_recognised_by_name():
    assert is_jpeg_copy("CIFAR-10 (JPEG)")
    assert is_jpeg_copy("cifar10-jpg")
    assert not is_jpeg_copy("cifar10")


def test_rows_match_the_score(full_bundle, parsed):
    body = parsed(scores_part(full_bundle.manifest, None).body)
    sign = "\N{PLUS-MINUS SIGN}"
    assert cells(body.one("table", class_="scores")) == [
        (f"these images 8{SPACE}images, 3{SPACE}networks", f"51.0 {sign} 1.0 %", f"{sign} 2.5"),
        (
            f"random real, same floats 2{SPACE}images, 3{SPACE}networks",
            f"20.0 {sign} 3.0 %",
            f"{sign} 7.5",
        ),
    ]
    assert "torch 2.8.0, torchvision 0.23, Python 3.11, on cuda" in body.text
    assert "1" * 64 in body.text
    assert not list(body.all("p", class_="note"))


def test_interval_uses_students_t():
    assert Line("x", "own", 50.0, 1.0, networks=3).reach == pytest.approx(4.302653 / 3**0.5)
    assert Line("x", "own", 50.0, 1.0, networks=1).reach is None
    assert Line("x", "own", 50.0, None, networks=3).reach is None
    assert Line("x", "paper", 50.0, 1.0).reach is None


def test_scores_are_shown_with_the_paper_and_a_note(manifest_of, parsed):
    body = parsed(scores_part(manifest_of("cifar10-jpeg", PRESETS[3]), None).body)
    names = [row[0] for row in cells(body.one("table", class_="scores"))]
    assert names[2:] == ["the paper, ConvNet ", "the paper, ConvNet, full CIFAR-10 "]
    assert "is a JPEG copy, so" in body.one("p", class_="note").text
    original = parsed(scores_part(manifest_of("cifar10", PRESETS[3]), None).body)
    assert "for a JPEG copy" in original.one("p", class_="note").text


def test_result_file_is_shown_as_a_score(full_bundle, result, parsed):
    manifest = full_bundle.manifest.model_copy(update={"scores": ()})
    body = parsed(scores_part(manifest, result).body)
    assert [row[0] for row in cells(body.one("table", class_="scores"))] == [
        f"these images 8{SPACE}images, 3{SPACE}networks",
        f"<b>random 2{SPACE}images, 3{SPACE}networks",
    ]
    assert "does not state which bundle" in body.text
    assert "hmnpack evaluate '<script>'" in body.text
    name, line = headline(manifest, result)
    assert (name, line.mean) == ("test accuracy", 51.0)


def test_result_that_is_recorded_in_the_file_is_shown_once(full_bundle, result, parsed):
    manifest = full_bundle.manifest
    score = manifest.scores[0]
    changes = {"protocol": EvaluateConfig(), "accuracies": score.accuracies}
    same = result.model_copy(update=changes)
    assert len(list(parsed(scores_part(manifest, same).body).all("h3"))) == 1
    other = same.model_copy(update={"accuracies": (1.0,)})
    assert len(list(parsed(scores_part(manifest, other).body).all("h3"))) == 2


def test_file_without_scores(manifest_of, images_bundle, parsed):
    body = parsed(scores_part(images_bundle.manifest, None).body)
    assert body.text.startswith("This file has no recorded score")
    assert not list(body.all("table"))
    assert headline(images_bundle.manifest, None) is None
    bare = manifest_of("cifar10", PRESETS[3]).model_copy(update={"scores": ()})
    assert "65.7" in parsed(scores_part(bare, None).body).text


def test_paper_is_only_shown_with_test_split_scores(manifest_of, parsed):
    manifest = manifest_of("cifar10", PRESETS[3])
    held_out = [score.model_copy(update={"held_out": True}) for score in manifest.scores]
    assert held_out
    body = parsed(scores_part(manifest.model_copy(update={"scores": tuple(held_out)}), None).body)
    assert "paper" not in body.text
    both = manifest.model_copy(update={"scores": (*manifest.scores, *held_out)})
    body = parsed(scores_part(both, None).body)
    assert "the paper, ConvNet" in body.text
    assert "accuracies are from its Table 2" in body.text


def test_held_out_score_is_labelled_as_held_out(full_bundle, parsed):
    score = full_bundle.manifest.scores[0]
    held_out = score.model_copy(update={"held_out": True})
    manifest = full_bundle.manifest.model_copy(update={"scores": (held_out,)})
    body = parsed(scores_part(manifest, None).body)
    assert f", tested on images held out of {score.data}" in body.one("h3").text
    assert f"Held-out images {score.fingerprint}" in body.text
    assert headline(manifest, None)[0] == "held-out accuracy"


def test_several_scores_are_numbered(full_bundle, parsed):
    score = full_bundle.manifest.scores[0]
    other = score.model_copy(update={"accuracies": (70.0,), "baselines": ()})
    manifest = full_bundle.manifest.model_copy(update={"scores": (score, other)})
    body = parsed(scores_part(manifest, None).body)
    assert [h.text[:9] for h in body.all("h3")] == ["Score 1: ", "Score 2: "]
    assert headline(manifest, None)[1] == Line("these images", "own", 70.0, None, 8, 1)
