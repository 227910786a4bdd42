"""A bundle's dataset is read in the size, and with the omissions, that the bundle records."""

import re

import numpy as np
import pytest
from PIL import Image

import hmnpack
from hmnpack.errors import BadData, BadImage
from hmnpack.sources import SourceOptions, as_recorded

QUICK = {"train.epochs": 1, "min_steps": 0, "repeats": 1, "baselines": False, "network.depth": 1}
SMALL_PRUNE = {"seeds": 1, "margin_epochs": 1, "train.epochs": 1, "min_steps": 0}


@pytest.fixture
def folder(tmp_path):
    """A dataset of images of several sizes; `a/bad.png` is not an image."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in "ab":
            place = tmp_path / "pets" / split / name
            place.mkdir(parents=True)
            for side in range(12, 20):
                pixels = rng.integers(0, 256, (side, 24 - side // 2, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{side}.png")
    return tmp_path / "pets"


@pytest.fixture
def options(tmp_path):
    return SourceOptions(cache_dir=tmp_path / "cache")


@pytest.fixture
def made(folder, tmp_path):
    """Return a function that condenses the dataset with options."""

    def make(**given):
        options = SourceOptions(cache_dir=tmp_path / "cache", **given)
        settings = {"holdout": 0.25, "match.steps": 1}
        return hmnpack.compress(
            folder, 3, recipe="smoke", settings=settings, source_options=options
        )

    return make


@pytest.mark.parametrize("held_out", [False, True])
def test_evaluate_reads_the_recorded_size(made, folder, options, held_out):
    settings = QUICK | {"held_out": held_out}
    done = hmnpack.evaluate(
        made(size=8), folder, settings=settings, source_options=options, device="cpu"
    )
    assert done.score.images > 0


def test_evaluate_skips_bad_images_of_a_bundle_that_skipped_them(made, folder, options):
    (folder / "train/a/bad.png").write_bytes(b"\x89PNG but no more")
    bundle = made(size=8, skip_bad=True)
    hmnpack.evaluate(bundle, folder, settings=QUICK, source_options=options)
    (folder / "train/a/bad.png").unlink()
    whole = made(size=8)
    (folder / "test/b/bad.png").write_bytes(b"\x89PNG but no more")
    with pytest.raises(BadImage):
        hmnpack.evaluate(whole, folder, settings=QUICK, source_options=options)


def test_size_that_is_given_overrides_the_recorded_one(made, folder, options):
    other = SourceOptions(size=9, cache_dir=options.cache_dir)
    with pytest.raises(BadData, match=r"3x9x9.*3x8x8.*--size 8"):
        hmnpack.evaluate(made(size=8), folder, settings=QUICK, source_options=other)


def test_prune_reads_the_recorded_size(made, folder, options):
    settings = SMALL_PRUNE | {"network.depth": 1, "betas": [0.5, 1]}
    pruned = hmnpack.prune(
        made(size=8), 2, settings=settings, data=folder, source_options=options, device="cpu"
    )
    assert pruned.manifest.budget.ipc == 2


def test_verify_reads_the_recorded_size(made, folder, options, tmp_path):
    bundle = made(size=8)
    settings = QUICK | {"repeats": 3}
    score = hmnpack.evaluate(bundle, folder, settings=settings, source_options=options).score
    manifest = bundle.manifest.model_copy(update={"scores": (score,)})
    hmnpack.Bundle(manifest, bundle.tensors).save(tmp_path / "a.hmn")
    found = hmnpack.verify(tmp_path / "a.hmn", folder, source_options=options)
    assert found.repetition is not None
    assert found.repetition.accuracies == score.accuracies


@pytest.mark.parametrize("call", ["evaluate", "prune"])
def test_open_source_of_another_size_is_told_the_size(made, folder, call):
    source = hmnpack.open_source(folder, SourceOptions(size=10))
    bundle = made(size=8)
    with pytest.raises(BadData, match=re.escape("(--size 8)")):
        if call == "evaluate":
            hmnpack.evaluate(bundle, source, settings=QUICK)
        else:
            hmnpack.prune(bundle, 2, data=source)


def test_options_keep_their_folders(made, tmp_path):
    given = SourceOptions(data_dir=tmp_path / "d", cache_dir=tmp_path / "c")
    assert as_recorded(made(size=8).manifest, given, "digits") == SourceOptions(
        size=8, data_dir=tmp_path / "d", cache_dir=tmp_path / "c", test_split=0
    )
