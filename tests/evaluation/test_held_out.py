"""Evaluation without the test split: tests on held-out images, baselines on the others."""

from dataclasses import replace

import pytest
import torch

from hmnpack.errors import BadData
from hmnpack.evaluation import evaluate, trainer
from hmnpack.evaluation.scores import record
from hmnpack.evaluation.verification import verify
from hmnpack.runtime.seeds import stream
from hmnpack.sources import SourceOptions, as_seen, hold_out


@pytest.fixture
def bundle(source, shades_bundle):
    """A bundle whose manifest records that a quarter of each class, 15 of 60, was held out."""
    made = shades_bundle(source)
    facts = made.manifest.source.model_copy(
        update={"fingerprint": source.train.fingerprint, "held_out": 15}
    )
    changes = {"source": facts, "recipe": "smoke", "seed": 5, "holdout": 0.25}
    return replace(made, manifest=made.manifest.model_copy(update=changes))


@pytest.fixture
def held_out_config(config):
    changes = {"held_out": True, "rows": ("floats", "whole")}
    return config.model_copy(update=changes)


@pytest.fixture
def used(monkeypatch):
    """Training images by row, and test images."""
    found = {"tested": []}
    train, test = trainer.train_together, trainer.accuracies

    def trained(networks, sets, *given, names, **named):
        for name, (images, _) in zip(names, sets, strict=True):
            found.setdefault(name.split("/")[1], []).append(images)
        return train(networks, sets, *given, names=names, **named)

    def tested(networks, images, *given, **named):
        found["tested"].append(images)
        return test(networks, images, *given, **named)

    monkeypatch.setattr(trainer, "train_together", trained)
    monkeypatch.setattr(trainer, "accuracies", tested)
    return found


def image_bytes(images):
    """Return each image's bytes; no two images of the dataset are equal."""
    return {image.numpy().tobytes() for image in images[:]}


@pytest.mark.slow
def test_held_out_images_test_and_others_train_the_baselines(
    source, bundle, held_out_config, used, tmp_path
):
    options = SourceOptions(cache_dir=tmp_path)
    without = replace(source, test=None)  # a test split is not needed
    evaluate(bundle, without, held_out_config, device="cpu", source_options=options)
    own, *baselines = (used.pop(name) for name in [n for n in used if n != "tested"])
    held_out = image_bytes(used["tested"][0])
    assert all(image_bytes(images) == held_out for images in used["tested"])
    seen = image_bytes(source.train.images) - held_out
    assert (len(held_out), len(seen)) == (15, 45)
    assert all(torch.equal(images, own[0]) for images in own)
    for row in baselines:
        assert all(image_bytes(images) <= seen for images in row)
    assert image_bytes(baselines[-1][0]) == seen  # the full dataset


def test_held_out_images_are_those_of_the_run(source, bundle):
    """By hand: a quarter of each class, selected by the run's seed."""
    seen, held_out = hold_out(source.train, 0.25, stream(5, "hold-out"))
    found = as_seen(bundle.manifest, source)
    assert torch.equal(found.train.images, seen.images)
    assert torch.equal(found.test.images, held_out.images)
    assert found.test.fingerprint == held_out.fingerprint != source.test.fingerprint


@pytest.mark.slow
def test_score_on_held_out_images_is_recorded_and_verified(source, bundle, config, tmp_path):
    path = tmp_path / "s.hmn"
    bundle.save(path)
    alone = config.model_copy(update={"baselines": False})
    held_out = evaluate(bundle, source, alone, settings={"held_out": True}, device="cpu")
    record(path, bundle, held_out, device="cpu")
    tested = evaluate(bundle, source, alone, device="cpu")
    manifest = record(path, bundle, tested, device="cpu")
    assert [score.held_out for score in manifest.scores] == [True, False]
    assert manifest.scores[0].fingerprint == as_seen(bundle.manifest, source).test.fingerprint
    for number, test_images in ((1, 15), (2, 30)):
        again = verify(path, source, score=number, device="cpu").repetition
        assert again.accuracies == manifest.scores[number - 1].accuracies
        assert again.test_images == test_images
    assert verify(path, source, device="cpu").repetition.number == 2
    assert verify(path, replace(source, test=None), device="cpu").repetition.number == 1


def test_bundle_without_held_out_images_is_rejected(source, bundle, held_out_config):
    facts = bundle.manifest.source.model_copy(update={"held_out": 0})
    manifest = bundle.manifest.model_copy(update={"source": facts, "holdout": 0.0})
    with pytest.raises(
        BadData, match=r"made from the full training split.*condense with a holdout"
    ):
        evaluate(replace(bundle, manifest=manifest), source, held_out_config, device="cpu")


def test_other_dataset_is_rejected(source, bundle, held_out_config):
    train = replace(source.train, fingerprint="9" * 64)
    with pytest.raises(BadData, match="not the dataset that the bundle was made from"):
        evaluate(bundle, replace(source, train=train), held_out_config, device="cpu")


def test_missing_test_split_error_suggests_held_out_images(source, bundle, shades_bundle, config):
    without = replace(source, test=None)
    with pytest.raises(BadData, match=r"test on the 15 held-out training images \(--held-out\)"):
        evaluate(bundle, without, config, device="cpu")
    with pytest.raises(BadData, match=r"no test split .*val/ part$"):
        evaluate(shades_bundle(source), without, config, device="cpu")


def test_score_on_other_held_out_images_is_not_verified(source, bundle, held_out_config, tmp_path):
    path = tmp_path / "s.hmn"
    bundle.save(path)
    alone = held_out_config.model_copy(update={"baselines": False})
    record(path, bundle, evaluate(bundle, source, alone, device="cpu"), device="cpu")
    train = replace(source.train, fingerprint="9" * 64)
    with pytest.raises(BadData, match="not the dataset that the bundle was made from"):
        verify(path, replace(source, train=train), device="cpu")
