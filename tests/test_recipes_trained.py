"""The recipes of CAFE, IDM and MTT against their authors' settings, quoted row by row."""

import pytest

from hmnpack.condensing.scale import scaled
from hmnpack.schema.container import ImageShape
from hmnpack.schema.recipes import DataShape
from hmnpack.schema.stages import stages_of
from hmnpack.settings import recipe_of

SIDES = {"cifar10": (10, 32), "cifar100": (100, 32), "tiny-imagenet": (200, 64), "nette": (10, 128)}


def shape(name, channels=3, classes=None, side=None):
    known = SIDES.get(name, (classes, side))
    return DataShape(
        name=name,
        classes=known[0],
        image=ImageShape(channels=channels, height=known[1], width=known[1]),
    )


def rival(recipe, data, ipc):
    return recipe_of(recipe, data, ipc).rival


@pytest.mark.parametrize(
    ("data", "ipc", "n", "m", "start", "lr", "lr_lr", "lr_0", "batch"),
    [
        ("cifar10", 1, 50, 2, 2, 100, 1e-7, 0.01, 0),
        ("cifar10", 10, 30, 2, 20, 100, 1e-5, 0.001, 0),
        ("cifar10", 50, 30, 2, 40, 1000, 1e-5, 0.001, 0),
        ("cifar100", 1, 20, 3, 20, 1000, 1e-5, 0.01, 0),
        ("cifar100", 10, 20, 2, 20, 1000, 1e-5, 0.01, 0),
        ("cifar100", 50, 80, 2, 40, 1000, 1e-5, 0.01, 125),
        ("tiny-imagenet", 1, 10, 2, 10, 10_000, 1e-4, 0.01, 0),
        ("tiny-imagenet", 10, 20, 2, 40, 10_000, 1e-4, 0.01, 200),
        ("tiny-imagenet", 50, 20, 2, 40, 10_000, 1e-4, 0.01, 300),
        ("nette", 10, 20, 2, 10, 1000, 1e-6, 0.01, 20),
    ],
)
def test_mtt_has_the_authors_settings(data, ipc, n, m, start, lr, lr_lr, lr_0, batch):
    found = rival("mtt", shape(data), ipc)
    assert (found.student_steps, found.expert_epochs, found.start_epochs) == (n, m, start)
    assert (found.lr, found.student_lr_step, found.student_lr) == (lr, lr_lr, lr_0)
    assert found.student_batch == batch
    assert (found.iterations, found.experts, found.momentum) == (5000, 100, 0.5)
    assert (found.expert_lr, found.expert_batch, found.student_lr_momentum) == (0.01, 256, 0.5)
    assert found.network.depth == {32: 3, 64: 4, 128: 5}[SIDES[data][1]]
    assert found.epochs == start - 1 + m


@pytest.mark.parametrize(
    ("data", "ipc", "weight", "push", "train", "real", "count"),
    [
        ("cifar10", 1, 0.5, 5, 10, 5000, 100),
        ("cifar10", 10, 0.5, 30, 10, 256, 100),
        ("cifar10", 50, 0.1, 30, 10, 256, 500),
        ("cifar100", 1, 0.5, 5, 10, 5000, 100),
        ("cifar100", 10, 0.1, 30, 50, 256, 100),
        ("cifar100", 50, 0.1, 30, 10, 256, 500),
        ("tiny-imagenet", 50, 0.8, 30, 50, 256, 1000),
        ("nette", 1, 3, 50, 10, 128, 200),
    ],
)
def test_idm_has_the_authors_settings(data, ipc, weight, push, train, real, count):
    config = recipe_of("idm", shape(data), ipc)
    found = config.rival
    assert (found.ce_weight, found.push_every, found.train_steps) == (weight, push, train)
    assert (found.real_batch, found.count_steps) == (real, count)
    assert found.queue == (50 if data == "nette" else 100)
    assert (found.iterations, found.lr, found.momentum) == (20_000, 0.2, 0.5)
    assert (found.network_lr, found.network_momentum, found.network_decay) == (0.01, 0.9, 0.0005)
    assert (config.container.kind, config.container.factor) == ("multi-formation", 2)


@pytest.mark.parametrize("recipe", ["cafe", "cafe-dsa"])
def test_cafe_starts_from_noise_and_differs_by_augmentation(recipe):
    config = recipe_of(recipe, shape("cifar10"), 10)
    found = config.rival
    assert config.warmup.images == "none"
    assert (found.iterations, found.image_steps, found.epochs) == (2000, 11, 10)
    assert (found.lr, found.momentum, found.network_lr, found.batch) == (0.1, 0.5, 0.01, 256)
    assert bool(found.augment) == (recipe == "cafe-dsa")
    (stage,) = stages_of(config)
    rates = [stage.learning_rate(11 * network) for network in (0, 1199, 1200, 1600, 1999)]
    assert rates == [0.1, 0.1, 0.05, 0.025, 0.0125]


@pytest.mark.parametrize("recipe", ["cafe-dsa", "idm", "mtt"])
def test_digits_are_not_mirrored(recipe):
    digits = shape("svhn", classes=10, side=32)
    assert "flip" not in rival(recipe, digits, 1).augment
    assert {"flip", "cutout", "rotate"} <= set(rival(recipe, shape("cifar10"), 1).augment)


def test_another_budget_or_dataset_takes_the_nearest_row():
    assert rival("mtt", shape("cifar10"), 3) == rival("mtt", shape("cifar10"), 1)
    assert rival("mtt", shape("cifar10"), 25).start_epochs == 40
    many = shape("birds", classes=80, side=32)
    assert rival("idm", many, 10).train_steps == 50


def test_a_shorter_run_of_mtt_has_fewer_experts():
    config = scaled(recipe_of("mtt", shape("cifar10"), 10), 0.04)
    assert (config.rival.iterations, config.rival.experts) == (200, 4)
    assert scaled(config, 0.001).rival.experts == 1
