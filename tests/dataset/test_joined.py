"""Several bundles as one dataset."""

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import hmnpack
from hmnpack.bundle import Bundle
from hmnpack.errors import BadBundle, BadData, BadSettings
from hmnpack.schema.manifest import Normalisation


@pytest.fixture
def pair(bundle_of, hmn, images, image_shape):
    """Two bundles of different containers with one class in common."""
    first = bundle_of(hmn(), classes=("ant", "bee"))
    spec = images(instances=(2, 1), image=image_shape(3, 16, 16))
    return first, bundle_of(spec, 1, classes=("cat", "ant"))


def test_classes_of_one_name_are_one_class(pair):
    joined = hmnpack.concat(pair)
    assert joined.classes == ["ant", "bee", "cat"]
    assert joined.class_to_idx == {"ant": 0, "bee": 1, "cat": 2}
    assert joined.targets == (0, 0, 0, 1, 1, 1, 2, 2, 0)
    assert joined.tasks == (0,) * 6 + (1,) * 3
    assert len(joined) == 9 and [part.bundle for part in joined.parts] == list(pair)


def test_images_are_those_of_each_file_in_every_form(pair):
    joined, parts = hmnpack.concat(pair), [hmnpack.load(one) for one in pair]
    images, labels = joined.tensors()
    assert torch.equal(images, torch.cat([part.tensors()[0] for part in parts]))
    assert tuple(labels.tolist()) == joined.targets and labels.dtype == torch.int64
    arrays, numbers = joined.arrays()
    assert np.array_equal(arrays, np.concatenate([part.arrays()[0] for part in parts]))
    assert numbers.tolist() == labels.tolist()
    items = [joined[index] for index in range(len(joined))]
    assert torch.equal(torch.stack([image for image, _ in items]), images)
    assert tuple(label for _, label in items) == joined.targets
    batches = list(joined.loader(4, shuffle=False, normalise=False))
    torch.testing.assert_close(torch.cat([batch for batch, _ in batches]), images)
    assert torch.equal(torch.cat([batch for _, batch in batches]), labels)
    loaded = list(DataLoader(joined, batch_size=9))
    assert torch.equal(loaded[0][0], images)


def test_transforms_apply_to_items(pair):
    joined = hmnpack.concat(pair, transform=lambda image: image / 2, target_transform=str)
    image, label = joined[8]
    assert torch.equal(image, joined.tensors()[0][8] / 2) and label == "0"


def test_one_mapping_renames_the_classes_of_all_files(pair):
    joined = hmnpack.concat(pair, rename={"ant": "insect", "bee": "insect"})
    assert joined.classes == ["insect", "cat"]
    assert joined.targets == (0,) * 6 + (1, 1, 0)


def test_mappings_of_each_file_keep_classes_apart(pair):
    joined = hmnpack.concat(pair, rename=[{}, {"ant": "red ant"}])
    assert joined.classes == ["ant", "bee", "cat", "red ant"]
    assert joined.targets[6:] == (2, 2, 3)


def test_unknown_class_is_refused_with_near_ones(pair):
    for rename in ({"bea": "x"}, [{"bea": "x"}, {}]):
        with pytest.raises(BadSettings, match="unknown class 'bea'; did you mean bee"):
            hmnpack.concat(pair, rename=rename)
    with pytest.raises(BadSettings, match="unknown class 'bee'"):
        hmnpack.concat(pair, rename=[{}, {"bee": "x"}])
    with pytest.raises(BadSettings, match="rename has 1 mappings for 2 files"):
        hmnpack.concat(pair, rename=[{}])


def test_files_of_all_kinds_are_joined(pair, tmp_path):
    pair[0].save(tmp_path / "a.hmn")
    loaded = hmnpack.load(pair[1], per_class=1)
    files = [tmp_path / "a.hmn", pair[1].to_bytes(), pair[0], loaded]
    joined = hmnpack.concat(files, per_class=2)
    assert [joined.tasks.count(task) for task in range(4)] == [4, 3, 4, 2]
    assert f"Task 0: 4 images of {tmp_path}/a.hmn" in repr(joined)
    assert "Task 2: 4 images of memory" in repr(joined)
    with pytest.raises(BadBundle, match="No such file"):
        hmnpack.concat([tmp_path / "none.hmn"])


@pytest.mark.parametrize("files", [[], (), "a.hmn", None])
def test_something_else_than_files_is_refused(files):
    with pytest.raises(BadSettings, match="concat needs a list"):
        hmnpack.concat(files)


def test_dataset_with_a_transform_is_refused(pair):
    with pytest.raises(BadSettings, match="transform of its own"):
        hmnpack.concat([hmnpack.load(pair[0], transform=str)])


def test_images_of_different_shapes_are_refused(hmn_bundle, images_bundle):
    with pytest.raises(BadData, match=r"memory are 1x2x3, but those of memory are 3x16x16"):
        hmnpack.concat([hmn_bundle, images_bundle])


def with_statistics(bundle, train_images, mean, std):
    source = bundle.manifest.source.model_copy(update={"train_images": train_images})
    statistics = Normalisation(mean=(mean,) * 3, std=(std,) * 3)
    changes = {"source": source, "normalisation": statistics}
    return Bundle(bundle.manifest.model_copy(update=changes), bundle.tensors)


def test_normalisation_is_that_of_all_real_images(pair):
    values = [torch.rand(10, dtype=torch.float64), torch.rand(30, dtype=torch.float64) / 2]
    bundles = [
        with_statistics(one, len(drawn), drawn.mean().item(), drawn.std(correction=0).item())
        for one, drawn in zip(pair, values, strict=True)
    ]
    found, every = hmnpack.concat(bundles).normalisation, torch.cat(values)
    assert found.mean == pytest.approx([every.mean().item()] * 3)
    assert found.std == pytest.approx([every.std(correction=0).item()] * 3)
    same = hmnpack.concat(bundles[:1] * 3)
    assert same.normalisation == bundles[0].manifest.normalisation


def test_joined_dataset_is_pickled_without_its_images(pair):
    joined = hmnpack.concat(pair)
    empty = len(pickle.dumps(joined))
    image, _ = joined[7]
    data = pickle.dumps(joined)
    assert len(data) == empty
    assert torch.equal(pickle.loads(data)[7][0], image)


def test_notebook_shows_images_of_every_class(pair):
    page = hmnpack.concat(pair)._repr_html_()
    assert page.count("<img") == 9 and page.count('alt="cat"') == 2
