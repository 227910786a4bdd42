"""A bundle as a torch dataset, as tensors, and as batches on a device."""

import base64
import io
import pickle
import re

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import hmnpack
from hmnpack import augment
from hmnpack.container import container_of
from hmnpack.dataset import condensed as dataset_module
from hmnpack.errors import BadBundle, BadSettings


@pytest.fixture
def dataset(hmn_bundle):
    return hmnpack.load(hmn_bundle)


def expected(bundle):
    return container_of(bundle.manifest.container, bundle.tensors).expand()


def plus_ten(label):
    return label + 10


def halved(image):
    return image / 2


def test_dataset_has_the_interface_of_torchvision(dataset, hmn_bundle):
    assert isinstance(dataset, Dataset)
    assert len(dataset) == 6
    assert dataset.classes == ["ant", "bee"]
    assert dataset.class_to_idx == {"ant": 0, "bee": 1}
    assert dataset.targets == (0, 0, 0, 1, 1, 1)
    assert dataset.transform is dataset.target_transform is None
    image, label = dataset[4]
    assert image.shape == (3, 16, 16) and image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1
    assert type(label) is int and label == 1
    torch.testing.assert_close(image, expected(hmn_bundle)[4])
    with pytest.raises(IndexError):
        dataset[6]
    assert dataset.manifest == hmn_bundle.manifest


def test_load_from_a_file(hmn_bundle, tmp_path):
    path = tmp_path / "a.hmn"
    hmn_bundle.save(path)
    dataset = hmnpack.load(str(path), transform=halved, target_transform=plus_ten)
    image, label = dataset[3]
    torch.testing.assert_close(image, expected(hmn_bundle)[3] / 2)
    assert label == 11
    assert repr(dataset).splitlines()[:3] == [
        "Dataset CondensedDataset",
        "    Number of datapoints: 6",
        f"    Root location: {path}",
    ]
    assert "Transform: <function halved" in repr(dataset)
    assert "Target transform: <function plus_ten" in repr(dataset)
    with pytest.raises(BadBundle, match="No such file"):
        hmnpack.load(tmp_path / "none.hmn")


def test_dataset_decodes_once_and_lazily(dataset, monkeypatch):
    calls = []
    decode = dataset_module.decode
    monkeypatch.setattr(dataset_module, "decode", lambda *a: calls.append(1) or decode(*a))
    assert calls == []
    assert (*(label for _, label in (dataset[i] for i in range(6))),) == dataset.targets
    assert calls == [1]


def test_per_class_selects_a_prefix_of_each_class(hmn_bundle):
    dataset = hmnpack.load(hmn_bundle, per_class=2)
    assert dataset.targets == (0, 0, 1, 1)
    images, labels = dataset.tensors()
    torch.testing.assert_close(images, expected(hmn_bundle)[[0, 1, 3, 4]])
    assert tuple(labels.tolist()) == dataset.targets
    for count in (0, -1, 4, 1.5):
        said = f"per_class is {count}, but classes have 3 images: give .* 1 to 3"
        with pytest.raises(BadSettings, match=said):
            hmnpack.load(hmn_bundle, per_class=count)


def test_dataset_with_unequal_class_sizes(bundle_of, hmn):
    bundle = bundle_of(hmn(classes=3, instances=(1, 4, 2)))
    dataset = hmnpack.load(bundle)
    assert len(dataset) == 7
    assert dataset.targets == (0, 1, 1, 1, 1, 2, 2)
    images, labels = dataset.tensors()
    torch.testing.assert_close(images, expected(bundle))
    assert tuple(labels.tolist()) == dataset.targets
    assert [dataset[index][1] for index in range(7)] == [0, 1, 1, 1, 1, 2, 2]
    seen = torch.cat([batch for _, batch in dataset.loader(3)])
    assert torch.bincount(seen).tolist() == [1, 4, 2]


@pytest.mark.parametrize(
    ("count", "rows"),
    [(1, [0, 1, 5]), (2, [0, 1, 2, 5, 6]), (3, [0, 1, 2, 3, 5, 6]), (4, [0, 1, 2, 3, 4, 5, 6])],
)
def test_per_class_selects_all_images_of_smaller_classes(bundle_of, hmn, count, rows):
    bundle = bundle_of(hmn(classes=3, instances=(1, 4, 2)))
    dataset = hmnpack.load(bundle, per_class=count)
    torch.testing.assert_close(dataset.tensors()[0], expected(bundle)[rows])
    labels = (0, 1, 1, 1, 1, 2, 2)
    assert dataset.targets == tuple(labels[row] for row in rows)


def test_per_class_above_every_class_size_is_rejected(bundle_of, hmn):
    bundle = bundle_of(hmn(classes=3, instances=(1, 4, 2)))
    with pytest.raises(
        BadSettings, match=r"per_class is 5, but classes have 1 to 4 images: give .* 4"
    ):
        hmnpack.load(bundle, per_class=5)


def test_tensors_are_the_decoded_images(dataset, hmn_bundle):
    images, labels = dataset.tensors("cpu", torch.float64)
    assert images.dtype == torch.float64 and labels.dtype == torch.int64
    torch.testing.assert_close(images.float(), expected(hmn_bundle))
    images.requires_grad_().sum().backward()
    images.data.zero_()
    assert dataset[0][0].any()
    with pytest.raises(BadSettings, match=r"torch\.uint8; use a floating-point dtype"):
        dataset.tensors(dtype=torch.uint8)


def test_tensors_joins_decoded_chunks(hmn_bundle, monkeypatch):
    monkeypatch.setattr("hmnpack.container.chunks.CHUNK_ELEMENTS", 4 * 7 * 64)
    images, _ = hmnpack.load(hmn_bundle).tensors()
    torch.testing.assert_close(images, expected(hmn_bundle))


def test_pickle_excludes_decoded_images(dataset, hmn_bundle):
    empty = len(pickle.dumps(dataset))
    image, _ = dataset[0]
    data = pickle.dumps(dataset)
    assert len(data) == empty
    again = pickle.loads(data)
    assert torch.equal(again[0][0], image)
    assert again.manifest == hmn_bundle.manifest and again.targets == dataset.targets


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.slow
def test_dataset_works_in_data_loader_workers(images_bundle, method):
    dataset = hmnpack.load(images_bundle)
    loader = DataLoader(dataset, batch_size=2, num_workers=1, multiprocessing_context=method)
    batches = list(loader)
    assert torch.equal(torch.cat([images for images, _ in batches]), dataset.tensors()[0])
    assert torch.cat([labels for _, labels in batches]).tolist() == [*dataset.targets]


def test_loader_yields_every_image_once(dataset):
    loader = dataset.loader(4, shuffle=False, normalise=False)
    assert len(loader) == 2
    for _ in range(2):
        batches = list(loader)
        assert [len(labels) for _, labels in batches] == [4, 2]
        images, labels = dataset.tensors()
        torch.testing.assert_close(torch.cat([batch for batch, _ in batches]), images)
        assert torch.cat([batch for _, batch in batches]).tolist() == labels.tolist()


def test_loader_shuffles_by_its_generator(dataset):
    def order(seed):
        loader = dataset.loader(6, generator=torch.Generator().manual_seed(seed))
        return [next(iter(loader))[0] for _ in range(3)]

    first, second, third = order(0)
    assert not torch.equal(first, second) and not torch.equal(second, third)
    assert all(torch.equal(*pair) for pair in zip(order(0), (first, second, third), strict=True))


def test_loader_normalises(dataset):
    images, _ = next(iter(dataset.loader(6, shuffle=False)))
    torch.testing.assert_close(
        images, augment.normalise(dataset.tensors()[0], dataset.normalisation)
    )


def test_loader_augments(dataset):
    def batch(normalise):
        generator = torch.Generator().manual_seed(3)
        loader = dataset.loader(
            6,
            ("flip", "brightness", "crop", "rotate"),
            generator=generator,
            shuffle=False,
            normalise=normalise,
        )
        return next(iter(loader))[0]

    draws = augment.draw(
        ("flip", "brightness", "crop", "rotate"),
        6,
        torch.Generator().manual_seed(3),
        one_spatial=True,
    )
    plain = augment.normalise(dataset.tensors()[0], dataset.normalisation)
    torch.testing.assert_close(batch(True), augment.apply(plain, draws))
    torch.testing.assert_close(batch(False), augment.apply(plain, draws) * 0.25 + 0.5)


def test_loader_rejects_invalid_arguments(dataset):
    with pytest.raises(BadSettings, match="batch_size is 0"):
        dataset.loader(0)
    with pytest.raises(BadSettings, match=r"batch_size is 2\.5"):
        dataset.loader(2.5)
    for names in (("flip", "mirror"), "mirror"):
        with pytest.raises(BadSettings, match="unknown augmentation 'mirror'; choose from flip"):
            dataset.loader(2, names)


def test_loader_accepts_a_single_augmentation(dataset):
    def batch(names):
        generator = torch.Generator().manual_seed(3)
        return next(iter(dataset.loader(6, names, generator=generator)))[0]

    assert torch.equal(batch("crop"), batch(("crop",)))


def test_targets_are_immutable(dataset):
    with pytest.raises(AttributeError):
        dataset.targets = [0]
    with pytest.raises(AttributeError):
        dataset.targets.pop()


@pytest.mark.parametrize("device", ["gpu", "cuda:99", torch.device("cuda:99")])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_missing_device_is_rejected(hmn_bundle, dataset, device, processes, monkeypatch):
    """Unlike `compress`, a distributed training may name each process's own device."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    with pytest.raises(BadSettings, match=r"device .* cannot be used"):
        hmnpack.load(hmn_bundle, device=device)
    with pytest.raises(BadSettings, match=r"device .* cannot be used"):
        dataset.tensors(device)


def test_device_may_be_a_name_or_a_torch_device(hmn_bundle, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("auto", "cpu", torch.device("cpu")):
        data = hmnpack.load(hmn_bundle, device=device)
        assert data.device == torch.device("cpu")
        assert torch.equal(data.tensors(device)[0], data.tensors()[0])


@pytest.mark.parametrize(
    ("classes", "instances", "shown"),
    [(2, 3, 6), (2, 40, 50), (12, 9, 48), (1, 90, 50), (2, (3, 40), 28), (3, (20, 1, 9), 26)],
)
def test_html_shows_some_images(bundle_of, images, classes, instances, shown):
    bundle = bundle_of(images(classes=classes, instances=instances))
    page = hmnpack.load(bundle)._repr_html_()
    pngs = re.findall(r"data:image/png;base64,([^\"]+)", page)
    assert len(pngs) == shown
    assert page.startswith("<pre>Dataset CondensedDataset\n")
    with Image.open(io.BytesIO(base64.b64decode(pngs[-1]))) as image:
        assert image.size == (3, 2) and image.mode == "L"


def test_html_without_images_for_unsupported_channels(bundle_of, images, image_shape):
    bundle = bundle_of(images(image=image_shape(5, 2, 2)))
    assert "<img" not in hmnpack.load(bundle)._repr_html_()


def test_in_place_transform_does_not_change_the_dataset(hmn_bundle):
    plain = dataset_module.CondensedDataset(hmn_bundle)
    darker = dataset_module.CondensedDataset(hmn_bundle, transform=lambda image: image.mul_(0.5))
    for _ in range(2):
        assert torch.equal(darker[0][0], plain[0][0] * 0.5)


def test_changing_an_item_does_not_change_the_dataset(dataset):
    before = dataset[0][0].clone()
    dataset[0][0].sub_(0.5)
    assert torch.equal(dataset[0][0], before)
