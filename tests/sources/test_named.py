import gzip
import importlib.util
import re
import struct
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision

from hmnpack.errors import BadData, BadSettings, MissingExtra
from hmnpack.sources import SourceOptions, open_source
from hmnpack.sources.types import split_of


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_idx(folder, compressed=False):
    """Write a small dataset as MNIST's files, and return its training split."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    train = None
    for part, count in (("train", 20), ("t10k", 10)):
        images, labels = rng.integers(0, 256, (count, 28, 28)), np.arange(count) % 10
        pixels = torch.from_numpy(images).to(torch.uint8)[:, None]
        train = train or split_of(pixels, torch.from_numpy(labels))
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{part}-{kind}-ubyte"
            data = idx(array)
            if compressed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(data))
            else:
                path.write_bytes(data)
    return train


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")]
)
def test_existing_files_are_used_offline(options, name, folder, compressed):
    expected = write_idx(options.data_root / folder / "raw", compressed)
    source = open_source(name, options)
    assert source.name == name
    assert torch.equal(source.train.images, expected.images)
    assert torch.equal(source.train.labels, expected.labels)
    assert len(source.test) == 10
    assert list(source.classes) == getattr(torchvision.datasets, folder).classes


def test_compressed_files_may_be_links_and_are_not_changed(options, tmp_path):
    write_idx(tmp_path / "shared", compressed=True)
    raw = options.data_root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (tmp_path / "shared").iterdir():
        (raw / path.name).symlink_to(path)
    before = sorted(raw.iterdir())
    assert len(open_source("fashion-mnist", options).train) == 20
    assert sorted(raw.iterdir()) == before


def test_damaged_compressed_file_is_rejected_by_name(options):
    raw = options.data_root / "MNIST" / "raw"
    write_idx(raw, compressed=True)
    path = raw / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadData, match=re.escape(f"cannot unpack {path} (")):
        open_source("mnist", options)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("cifar10", "cifar-10-python.tar.gz"),
        ("cifar100", "cifar-100-python.tar.gz"),
        ("mnist", "MNIST/raw/"),
        ("fashion-mnist", "FashionMNIST/raw/"),
        ("stl10", "stl10_binary.tar.gz"),
        ("svhn", "train_32x32.mat"),
        ("imagenette", "imagenette2-160.tgz"),
    ],
)
def test_download_error_says_where_to_put_the_files(options, name, place):
    sized = SourceOptions(size=32, data_dir=options.data_dir)
    with pytest.raises(BadData) as caught:
        open_source(name, sized)
    text = str(caught.value)
    assert text.startswith(f"{name} is not in {options.data_root} and could not be downloaded (")
    assert place in text
    assert "\n" not in text


class FakeDataset:
    """The interface of torchvision's classes: missing until downloaded."""

    downloaded = False

    def __init__(self, root, train=None, split=None, download=False):
        type(self).downloaded |= download
        if not self.downloaded:
            raise RuntimeError("Dataset not found or corrupted.")
        count = 20 if train or split == "train" else 10
        rng = np.random.default_rng(count)
        self.data = rng.integers(0, 256, (count, *self.shape), np.uint8)
        setattr(self, self.target, [n % 10 for n in range(count)])
        print("Files already downloaded and verified")


def fake(**attributes):
    return type("Fake", (FakeDataset,), attributes)


@pytest.mark.parametrize(
    ("name", "factory", "shape", "target"),
    [
        ("cifar10", "CIFAR10", (32, 32, 3), "targets"),
        ("cifar100", "CIFAR100", (32, 32, 3), "targets"),
        ("svhn", "SVHN", (3, 32, 32), "labels"),
        ("stl10", "STL10", (3, 96, 96), "labels"),
    ],
)
def test_downloaded_arrays_are_complete(monkeypatch, options, capsys, name, factory, shape, target):
    made = fake(shape=shape, target=target)
    monkeypatch.setattr(torchvision.datasets, factory, made)
    source = open_source(name, options)
    data = torch.from_numpy(made("", train=True, split="train").data)
    images = data.permute(0, 3, 1, 2) if shape[-1] == 3 else data
    expected = split_of(images, torch.arange(20) % 10)
    assert torch.equal(source.train.images, expected.images)
    assert torch.equal(source.train.labels, expected.labels)
    assert source.test.labels.tolist() == list(range(10))
    assert source.classes == tuple("0123456789")
    assert capsys.readouterr().out.count("verified") == 2  # from this test's own calls


def test_size_applies_to_named_datasets(monkeypatch, options):
    made = fake(shape=(32, 32, 3), target="targets", downloaded=True)
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", made)
    source = open_source("cifar10", SourceOptions(size=8, data_dir=options.data_dir))
    assert source.train.images.shape == (20, 3, 8, 8)


def test_svhn_without_scipy_names_the_extra(monkeypatch, options):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[svhn\]'"):
        open_source("svhn", options)


@pytest.mark.parametrize(("size", "folder"), [(4, "imagenette2-160"), (200, "imagenette2")])
def test_imagenette_uses_the_smallest_sufficient_variant(options, image_of, size, folder):
    wnids = {"n01440764": "tench", "n03888257": "parachute"}
    for split in ("train", "val"):
        for number, wnid in enumerate(wnids):
            place = options.data_root / folder / split / wnid
            place.mkdir(parents=True)
            image_of(number, size=(20 + number, 30)).save(place / "a.JPEG")
    (options.data_root / "imagenette2-320").touch()
    sized = SourceOptions(size, options.data_dir, cache_dir=options.cache_dir)
    source = open_source("imagenette", sized)
    assert (source.name, source.classes) == ("imagenette", tuple(wnids.values()))
    assert source.train.images.shape == (2, 3, size, size)
    assert source.test.labels.tolist() == [0, 1]


def test_imagenette_needs_a_size(options):
    with pytest.raises(
        BadSettings, match="imagenette's images vary in size: choose a size, such as --size"
    ):
        open_source("imagenette", options)


def test_compressed_files_of_another_dataset_are_named(options):
    folder = options.data_root / "MNIST" / "raw"
    write_idx(folder, compressed=True)
    for path in folder.iterdir():
        path.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(BadData, match=f"the files in {re.escape(str(folder))} are not those of"):
        open_source("mnist", options)


def test_data_folder_that_cannot_be_written_is_told_with_its_option(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadData, match=r"cifar10 is not in .*--data-dir or HMNPACK_DATA; or put"):
        open_source("cifar10", SourceOptions(data_dir=tmp_path / "file"))
