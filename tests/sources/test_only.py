"""Some classes of a dataset: the same as a dataset that has no others."""

from dataclasses import replace

import pytest
import torch

import hmnpack
from hmnpack.errors import BadData, BadSettings
from hmnpack.sources import SourceOptions, as_recorded, open_source, tensor_source

QUICK = {"train.epochs": 1, "min_steps": 0, "repeats": 1, "baselines": False, "network.depth": 1}
NAMES = ["ant", "bee", "cat", "dog"]


def drawn(count, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return images, torch.arange(count) % 4


@pytest.fixture
def pets():
    return tensor_source(drawn(80, 0), drawn(40, 1), classes=NAMES, name="pets")


@pytest.mark.parametrize("names", [["cat", "dog"], ["dog", "ant", "dog"], "bee", iter(["bee"])])
def test_chosen_classes_are_a_dataset_of_their_own(pets, names):
    chosen = pets.only(names)
    others = []
    for images, labels in (drawn(80, 0), drawn(40, 1)):
        numbers = [chosen.classes.index(n) if n in chosen.classes else -1 for n in NAMES]
        mapped = torch.tensor(numbers)[labels]
        others.append((images[mapped >= 0], mapped[mapped >= 0]))
    alone = tensor_source(*others, classes=chosen.classes, name="pets")
    for part, wanted in ((chosen.train, alone.train), (chosen.test, alone.test)):
        assert torch.equal(part.images, wanted.images) and torch.equal(part.labels, wanted.labels)
        assert torch.equal(part.digests, wanted.digests)
        assert part.fingerprint == wanted.fingerprint
    assert chosen.chosen == chosen.classes and chosen.name == "pets"


def test_all_classes_in_their_order_are_no_choice(pets):
    assert pets.only(NAMES) is pets
    assert pets.only(NAMES[::-1]).only(NAMES).train.fingerprint == pets.train.fingerprint


def test_unknown_class_is_refused_with_near_ones(pets):
    with pytest.raises(BadSettings, match="unknown class 'bea'; did you mean bee"):
        pets.only(["cat", "bea"])
    with pytest.raises(BadSettings, match="no class was chosen"):
        pets.only([])
    many = tensor_source(
        (torch.zeros(50, 1, 8, 8, dtype=torch.uint8), range(50)),
        classes=[f"class number {i}" for i in range(50)],
    )
    with pytest.raises(BadSettings) as error:
        many.only(["zzz"])
    assert len(str(error.value)) < 600


def test_test_split_without_these_classes_is_none():
    images, labels = drawn(8, 0)
    source = tensor_source((images, labels), (images[:1], labels[:1]), classes=NAMES)
    assert source.only(["bee"]).test is None


def test_options_choose_classes_of_folders_and_open_sources(make_folder, options, pets):
    folder = make_folder(train={"ant": 3, "bee": 2, "cat": 2}, test={"ant": 1, "cat": 1})
    source = open_source(folder, replace(options, classes=["cat", "ant"]))
    assert source.classes == ("cat", "ant")
    assert source.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert source.test.labels.tolist() == [0, 1]
    assert open_source(pets, SourceOptions(classes=("dog",))).classes == ("dog",)
    with pytest.raises(BadSettings, match="unknown class 'cow'"):
        open_source(folder, replace(options, classes=["cow"]))


@pytest.fixture
def bundle(pets):
    return hmnpack.compress(
        pets.only(["dog", "bee"]),
        8,
        recipe="smoke",
        settings={"holdout": 0.25, "match.steps": 1},
        options=hmnpack.RunOptions(device="cpu"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("held_out", [False, True])
def test_file_records_its_classes_for_evaluation(bundle, pets, held_out):
    assert bundle.manifest.classes == bundle.manifest.source.classes == ("dog", "bee")
    assert hmnpack.Bundle.from_bytes(bundle.to_bytes()).manifest == bundle.manifest
    settings = QUICK | {"held_out": held_out}
    found = hmnpack.evaluate(bundle, pets, settings=settings, device="cpu")
    tested = pets.only(["dog", "bee"])
    assert found.score.held_out or found.score.fingerprint == tested.test.fingerprint
    with pytest.raises(BadData, match="class 0 of pets is 'bee', but 'dog' in the bundle"):
        hmnpack.evaluate(
            bundle,
            pets,
            settings=settings | {"held_out": False},
            source_options=SourceOptions(classes=("bee", "dog")),
            device="cpu",
        )


@pytest.mark.slow
def test_pruning_uses_the_recorded_classes(bundle, pets):
    settings = {"seeds": 1, "margin_epochs": 1, "train.epochs": 1, "min_steps": 0}
    settings |= {"betas": (0.0, 1.0), "network.depth": 1, "network.width": 8}
    less = hmnpack.prune(bundle, 7, settings=settings, data=pets, device="cpu")
    assert less.manifest.source == bundle.manifest.source


def test_packed_images_record_the_classes_of_their_data(pets):
    images, labels = drawn(4, 5)
    data = pets.only(["dog", "bee"])
    bundle = hmnpack.pack(images, labels // 2, ipc=2, data=data)
    assert bundle.manifest.source.classes == ("dog", "bee")
    assert as_recorded(bundle.manifest, SourceOptions(), pets).classes == ("dog", "bee")


def lacking_cats(pets):
    """Return training and test images as tensors; the former have no cat."""
    has = pets.train.labels != NAMES.index("cat")
    return (pets.train.images[has], pets.train.labels[has]), (pets.test.images, pets.test.labels)


LACKING = ["ant", "bee", "dog"]


def test_classes_without_training_images_can_be_left_out_of_tensors(pets):
    lacking = tensor_source(*lacking_cats(pets), classes=NAMES, name="pets")
    for chosen in (
        lacking.only(LACKING),
        open_source(lacking, SourceOptions(classes=tuple(LACKING))),
    ):
        assert chosen.train.fingerprint == pets.only(LACKING).train.fingerprint
        assert chosen.test.fingerprint == pets.only(LACKING).test.fingerprint
    for wanted in (lacking, lacking.only(["cat", "dog"])):
        with pytest.raises(BadData, match="class 'cat' has no images in train: add some, or"):
            open_source(wanted)


@pytest.mark.parametrize("in_train", [True, False])
def test_classes_without_training_images_can_be_left_out_of_a_folder(
    make_folder, options, in_train
):
    empty = {"cat": 0} if in_train else {}
    folder = make_folder(train={"ant": 3, "bee": 2} | empty, test={"ant": 1, "cat": 2})
    source = open_source(folder, replace(options, classes=["ant", "bee"]))
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert source.test.labels.tolist() == [0]
    for _ in range(2):  # the second time, from the cache
        with pytest.raises(BadData, match="class 'cat'"):
            open_source(folder, options)
    if in_train:
        with pytest.raises(BadData, match="class 'cat' has no images in train"):
            open_source(folder, replace(options, classes=["ant", "cat"]))


def test_classes_without_training_images_can_be_left_out_of_lists(make_folder, options, tmp_path):
    folder = make_folder(train={"ant": 3, "bee": 2, "cat": 2}) / "train"
    (tmp_path / "train.txt").write_text("ant/000.png\nant/001.png\nbee/000.png\n")
    (tmp_path / "test.txt").write_text("cat/000.png\nant/002.png\n")
    listed = replace(options, train_list=tmp_path / "train.txt", test_list=tmp_path / "test.txt")
    with pytest.raises(BadData, match="class 'cat' is in the list of test"):
        open_source(folder, listed)
    source = open_source(folder, replace(listed, classes=["bee", "ant"]))
    assert source.train.labels.tolist() == [0, 1, 1]
    assert source.test.labels.tolist() == [1]


def test_classes_without_training_images_can_be_left_out_of_a_parquet_file(
    make_parquet, encode, image_of, tmp_path, options
):
    cells = [encode(image_of(number)) for number in range(4)]
    make_parquet(tmp_path / "set" / "train.parquet", cells, [0, 3, 0, 3], NAMES)
    source = open_source(tmp_path / "set", replace(options, classes=("dog", "ant")))
    assert source.train.labels.tolist() == [0, 0, 1, 1]
    with pytest.raises(BadData, match="class 'bee' has no images in train"):
        open_source(tmp_path / "set", options)


def test_bundle_of_a_part_is_evaluated_on_its_classes(pets):
    lacking = tensor_source(*lacking_cats(pets), classes=NAMES, name="pets").only(LACKING)
    bundle = hmnpack.compress(lacking, 1, recipe="smoke", options=hmnpack.RunOptions(device="cpu"))
    assert bundle.manifest.classes == tuple(LACKING) == bundle.manifest.source.classes
    (row,) = hmnpack.evaluate(bundle, pets, settings=QUICK).rows
    assert row.images == bundle.manifest.container.images


def test_one_class_may_be_named_by_a_text():
    assert SourceOptions(classes="cat").classes == ("cat",)
