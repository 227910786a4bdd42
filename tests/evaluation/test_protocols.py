"""Protocol `paper` against values typed from the paper's appendix C.2, and `short`."""

import pytest

from hmnpack.registry import PROTOCOLS
from hmnpack.schema.config import TRAINING_AUGMENTATIONS
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.recipes import DataShape


def protocol(name, classes, side, ipc, *, kind="paper", channels=3):
    image = ImageShape(channels=channels, height=side, width=side)
    return PROTOCOLS[kind](DataShape(name=name, classes=classes, image=image), ipc)


PAPERS = {
    # dataset, classes, side, ipc: epochs, rate
    ("cifar10", 10, 32, 1): (2000, 0.01),
    ("cifar10", 10, 32, 10): (2000, 0.01),
    ("cifar10", 10, 32, 50): (1000, 0.01),
    ("cifar100", 100, 32, 1): (500, 0.01),
    ("cifar100", 100, 32, 10): (500, 0.01),
    ("cifar100", 100, 32, 50): (500, 0.01),
    ("svhn", 10, 32, 1): (1500, 0.01),
    ("svhn", 10, 32, 10): (1500, 0.01),
    ("svhn", 10, 32, 50): (700, 0.01),
    ("tiny-imagenet", 200, 64, 1): (300, 0.02),
    ("tiny-imagenet", 200, 64, 10): (300, 0.02),
    ("imagenet-10", 10, 224, 1): (300, 0.02),
}


@pytest.mark.parametrize(("data", "expected"), PAPERS.items(), ids=str)
def test_paper_protocol_of_each_dataset_and_budget(data, expected):
    config = protocol(*data)
    assert (config.train.epochs, config.train.lr) == expected
    assert config.network.name == ("resnet-ap" if data[0] == "imagenet-10" else "convnet")


@pytest.mark.parametrize("data", PAPERS, ids=str)
def test_paper_protocol_shared_settings(data):
    config = protocol(*data)
    train = config.train
    assert (train.momentum, train.weight_decay, train.batch) == (0.9, 0.0002, 64)
    assert (train.schedule, train.lr_end, train.cutmix) == ("cosine", 0.0001, 0.5)
    assert train.augment == TRAINING_AUGMENTATIONS
    assert (config.network.width, config.network.depth) == (128, 3)
    assert (config.repeats, config.min_steps) == (10, 0)


@pytest.mark.parametrize(
    ("data", "epochs"),
    [
        (("fashion-mnist", 10, 28, 10), 2000),
        (("stl10", 10, 96, 1), 300),  # closer to ImageNet-10 than to CIFAR-10
        (("birds", 120, 40, 3), 500),
        (("SVHN extra", 10, 32, 100), 700),
        (("cifar10", 10, 32, 3), 2000),
        (("cifar10", 10, 32, 20), 2000),  # closer to 10 than to 50, by ratio
        (("cifar10", 10, 32, 30), 1000),
    ],
    ids=str,
)
def test_other_datasets_use_the_nearest_protocol(data, epochs):
    assert protocol(*data).train.epochs == epochs


def test_short_protocol_is_the_default():
    assert protocol("cifar10", 10, 32, 50, kind="short") == EvaluateConfig()
    assert next(iter(PROTOCOLS)) == "short"
