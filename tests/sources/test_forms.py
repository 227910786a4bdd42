"""The same images as folder, Parquet, torchvision files and tensors give the same bundle."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import hmnpack
from hmnpack.registry import RECIPES
from hmnpack.sources import SourceOptions, open_source, seen_and_held_out, tensor_source

CLASSES = ["airplane", "bird", "cat"]
NAME = "cifar10"


def images_of(count, seed):
    """CIFAR-10-like images, some of them duplicated in a class, one in two classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    images[3], images[9] = images[0], images[0]  # of class 0, like image 0
    images[4] = images[0]  # of class 1
    return images, labels


TRAIN, TEST = images_of(36, 1), images_of(12, 2)


def shuffled(part, seed):
    order = np.random.default_rng(seed).permutation(len(part[1]))
    return part[0][order], part[1][order]


def as_folder(root, encode, make_parquet):
    for split, (images, labels) in (("train", TRAIN), ("test", TEST)):
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = root / NAME / split / CLASSES[label] / f"{row * 7 % 40:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(path)
    return root / NAME


def as_parquet(shards, seed):
    def make(root, encode, make_parquet):
        for split, part in (("train", TRAIN), ("test", TEST)):
            images, labels = shuffled(part, seed)
            payloads = [encode(Image.fromarray(image.transpose(1, 2, 0))) for image in images]
            for shard in range(shards):
                rows = slice(shard, None, shards)
                path = root / NAME / f"{split}-{shard:05}-of-{shards:05}.parquet"
                make_parquet(path, payloads[rows], labels[rows].tolist(), CLASSES)
        return root / NAME

    return make


def as_tensors(seed):
    def make(root, encode, make_parquet):
        train, test = shuffled(TRAIN, seed), shuffled(TEST, seed)
        return tensor_source(train, test, classes=CLASSES, name=NAME)

    return make


def as_torchvision(root, encode, make_parquet):
    """Write the folder `cifar-10-batches-py` with two batches."""
    folder = root / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, part, rows in (
        ("data_batch_1", TRAIN, slice(0, 20)),
        ("data_batch_2", TRAIN, slice(20, None)),
        ("test_batch", TEST, slice(None)),
    ):
        images, labels = (values[rows] for values in shuffled(part, 5))
        batch = {"data": images.reshape(len(images), -1), "labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CLASSES}))
    return NAME


FORMS = {
    "folder": as_folder,
    "parquet": as_parquet(1, 3),
    "parquet in other order and shards": as_parquet(3, 4),
    "tensors": as_tensors(6),
    "tensors in other order": as_tensors(7),
    "torchvision": as_torchvision,
}


@pytest.fixture
def opened(tmp_path, encode, make_parquet, monkeypatch):
    """Each form, opened for the first time and again (from the cache, if it has one)."""

    def entry(name):
        data = (tmp_path / "torchvision" / "data" / "cifar-10-batches-py" / name).read_bytes()
        return [name, hashlib.md5(data).hexdigest()]

    found = {}
    for form, make in FORMS.items():
        root = tmp_path / form
        options = SourceOptions(data_dir=root / "data", cache_dir=tmp_path / "cache")
        spec = make(root, encode, make_parquet)
        if form == "torchvision":  # it accepts only files with known checksums
            known = torchvision.datasets.CIFAR10
            monkeypatch.setattr(known, "train_list", [entry("data_batch_1"), entry("data_batch_2")])
            monkeypatch.setattr(known, "test_list", [entry("test_batch")])
            meta = dict(zip(("filename", "md5"), entry("batches.meta"), strict=True))
            monkeypatch.setattr(known, "meta", meta | {"key": "label_names"})
        found[form] = open_source(spec, options)
        found[f"{form}, again"] = open_source(spec, options)
    return found


def test_all_forms_open_as_the_same_dataset(opened):
    config = RECIPES["smoke"].model_copy(update={"seed": 5, "holdout": 0.25})
    first = opened["folder"]
    for source in opened.values():
        assert (source.name, source.classes) == (NAME, tuple(CLASSES))
        parts = zip(
            (
                source.train,
                source.test,
                *seen_and_held_out(source.train, config.holdout, config.seed),
            ),
            (first.train, first.test, *seen_and_held_out(first.train, config.holdout, config.seed)),
            (36, 12, 27, 9),
            strict=True,
        )
        for split, expected, count in parts:
            assert len(split) == count
            assert split.fingerprint == expected.fingerprint
            assert torch.equal(split.images, expected.images)
            assert torch.equal(split.labels, expected.labels)


def test_all_forms_compress_to_the_same_file(opened, tmp_path):
    few = {"holdout": 0.25, "match.steps": 2, "warmup.steps": 2, "pool.train.epochs": 1}
    files = set()
    for number, source in enumerate(opened.values()):
        path = tmp_path / f"{number}.hmn"
        options = SourceOptions(cache_dir=tmp_path / str(number))  # networks are not shared
        hmnpack.compress(
            source, 1, recipe="smoke", settings=few, output=path, source_options=options
        )
        files.add(path.read_bytes())
    assert len(files) == 1
