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
