"""What an evaluation trains and tests on, observed where the training function is called."""

from dataclasses import replace

import pytest
import torch

from hmnpack.errors import BadSettings
from hmnpack.evaluation import BYTES_ROW, COUNT_ROW, FLOATS_ROW, evaluate, trainer
from hmnpack.evaluation.jpeg import jpeg
from hmnpack.evaluation.run import bench_of
from hmnpack.runtime.progress import no_progress
from hmnpack.schema.config import TRAINING_AUGMENTATIONS
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.sources.types import split_of


@pytest.fixture
def trained(monkeypatch):
    """Name, initial weights and images of every network that is trained."""
    seen, real = [], trainer.train_together

    def spy(networks, sets, *given, names, **named):
        for name, network, (images, _) in zip(names, networks, sets, strict=True):
            seen.append((name, network.classifier.weight.detach().clone(), images))
        return real(networks, sets, *given, names=names, **named)

    monkeypatch.setattr(trainer, "train_together", spy)
    return seen


def test_networks_are_tested_on_the_test_split(source, shades_bundle, config):
    """The test labels are shifted by one class, so a network trained on train is always wrong."""
    wrong = split_of(source.train.images, (source.train.labels + 1) % 3)
    alone = config.model_copy(update={"baselines": False})
    found = evaluate(shades_bundle(source), replace(source, test=wrong), alone, device="cpu")
    assert max(found.score.accuracies) < 20


def test_networks_and_random_images_differ(source, shades_bundle, config, trained):
    rows = config.model_copy(update={"rows": ("floats",)})
    evaluate(shades_bundle(source), source, rows, device="cpu")
    names, weights, images = zip(*trained, strict=True)
    assert len(set(names)) == 4
    assert not torch.equal(weights[0], weights[1])
    assert torch.equal(images[0], images[1])
    assert [FLOATS_ROW in name for name in names] == [False, False, True, True]
    assert not torch.equal(images[2], images[3])


def test_count_row_has_the_counts_of_each_class(source, bundle_of, images, config, monkeypatch):
    seen, real = {}, trainer.train_together

    def spy(networks, sets, *given, names, **named):
        counts = (torch.bincount(labels).tolist() for _, labels in sets)
        seen.update(zip(names, counts, strict=True))
        return real(networks, sets, *given, names=names, **named)

    monkeypatch.setattr(trainer, "train_together", spy)
    spec = images(classes=3, instances=(5, 1, 3), image=source.image)
    bundle = bundle_of(spec, classes=source.classes)
    rows = config.model_copy(update={"rows": ("floats", "count"), "repeats": 1})
    found = evaluate(bundle, source, rows, device="cpu")
    assert [row.images for row in found.rows] == [9, 9, 9]
    by_row = {name.split("/")[1]: counts for name, counts in seen.items()}
    assert by_row == {"bundle": [5, 1, 3], FLOATS_ROW: [3, 3, 3], COUNT_ROW: [5, 1, 3]}


def test_jpeg_images_fit_the_bytes_of_the_tensors(bundle_of, images, source, config):
    """A 16-bit bundle, whose tensors take half of the budget's bytes."""
    spec = images(classes=3, instances=1, image=source.image, dtype="F16")
    bundle = bundle_of(spec, classes=source.classes)
    ledger, budget = bundle.manifest.ledger.bytes, bundle.manifest.budget.bytes
    assert budget == 2 * ledger
    changes = {"rows": ("bytes",), "jpeg_quality": 95, "repeats": 1}
    (_, row) = evaluate(bundle, source, config.model_copy(update=changes), device="cpu").rows
    assert row.name == BYTES_ROW
    assert row.images < len(source.train)
    assert ledger / 2 < row.figures["bytes"] <= ledger


def test_two_channels_are_rejected_before_training(
    bundle_of, images, source, split, config, trained
):
    two = split(4, 1, channels=2)
    grey = replace(source, train=two, test=two)
    bundle = bundle_of(images(classes=3, instances=1, image=grey.image), classes=source.classes)
    with pytest.raises(BadSettings, match="1 or 3 channels, not 2; omit the row `bytes`"):
        evaluate(bundle, grey, config, device="cpu")
    assert trained == []
    evaluate(bundle, grey, config, settings={"rows": ["floats"]}, device="cpu")
    assert trained


@pytest.mark.parametrize(("name", "flips"), [("mnist", False), ("shades", True)])
def test_flips_depend_on_the_dataset_name(source, shades_bundle, name, flips):
    manifest = shades_bundle(source).manifest
    named = replace(source, name=name)
    bench = bench_of(manifest, named, EvaluateConfig(), torch.device("cpu"), no_progress)
    without = tuple(each for each in TRAINING_AUGMENTATIONS if each != "flip")
    assert bench.config.train.augment == (TRAINING_AUGMENTATIONS if flips else without)


def test_jpeg_images_have_half_the_chroma_resolution():
    """Segment SOF0: for each component its number, its sampling factors and its table."""
    file = jpeg(torch.zeros(3, 16, 16, dtype=torch.uint8), 75)
    start = file.index(b"\xff\xc0") + 10
    assert [file[start + 3 * each : start + 3 * each + 2].hex() for each in range(3)] == [
        "0122",
        "0211",
        "0311",
    ]
