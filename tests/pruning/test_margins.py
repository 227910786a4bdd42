"""Margins: by hand, and against a written-out training loop."""

import math

import pytest
import torch
import torch.nn.functional as F

from hmnpack.augment import apply, draw
from hmnpack.errors import BadSettings
from hmnpack.networks import build_network
from hmnpack.pruning import Trainings, margin_of, margins_of
from hmnpack.pruning.shrink import stored_margins
from hmnpack.runtime.seeds import stream
from hmnpack.schema.class_names import listed_bytes


def test_margin_by_hand():
    logits = torch.tensor([[0.5, 0.3, 0.2]] * 3 + [[0.1, 0.1, 0.8]]).log() + 7
    found = margin_of(logits, torch.tensor([0, 1, 2, 2]))
    torch.testing.assert_close(found, torch.tensor([0.2, -0.2, -0.3, 0.7]))


def literal_areas(images, config, name):
    """Process one image and one probability at a time."""
    net = build_network(
        config.network,
        classes=images.classes,
        image=images.shape,
        generator=stream(5, name, "network"),
    )
    train = config.margins
    optimiser = torch.optim.SGD(
        net.parameters(), train.lr, momentum=train.momentum, weight_decay=train.weight_decay
    )
    areas, step = [0.0] * len(images), 0
    steps = math.ceil(len(images) / train.batch)
    for epoch in range(train.epochs):
        generator = stream(5, name, "epoch", epoch)
        order = torch.randperm(len(images), generator=generator).tolist()
        for start in range(0, len(order), train.batch):
            rows = order[start : start + train.batch]
            part = step / (train.epochs * steps - 1)
            rate = train.lr_end + (train.lr - train.lr_end) * (1 + math.cos(math.pi * part)) / 2
            optimiser.param_groups[0]["lr"] = rate
            batch = (images.pixels[rows] - 0.5) / 0.25
            batch = apply(batch, draw(train.augment, len(rows), generator, one_spatial=True))
            torch.rand((), generator=generator)  # the random number of CutMix
            logits = net(batch)
            for row, values in zip(rows, logits.detach().double().tolist(), strict=True):
                powers = [math.exp(value) for value in values]
                label = int(images.labels[row])
                others = max(power for index, power in enumerate(powers) if index != label)
                areas[row] += (powers[label] - others) / sum(powers)
            optimiser.zero_grad()
            F.cross_entropy(logits, images.labels[rows]).backward()
            optimiser.step()
            step += 1
    return torch.tensor(areas)


@pytest.mark.parametrize("augment", [(), ("flip", "brightness", "crop", "rotate")])
def test_areas_match_a_literal_loop(shades, changed, plain, augment):
    images = shades()
    config = changed(train=plain.model_copy(update={"augment": augment}))
    found = margins_of(images, config, 5, Trainings())
    literal = [literal_areas(images, config, f"margins/{index}") for index in range(2)]
    torch.testing.assert_close(found, (literal[0] + literal[1]) / 2, rtol=1e-4, atol=1e-4)
    assert found.dtype == torch.float32
    assert not torch.allclose(literal[0], literal[1], atol=1e-2)
    assert found.abs().max() <= 3


@pytest.mark.parametrize("at_once", [2, 3])
@pytest.mark.slow
def test_batched_training_gives_the_same_areas(shades, changed, plain, at_once):
    images = shades(9)
    train = plain.model_copy(update={"augment": ("flip", "contrast", "crop", "scale")})
    config = changed(seeds=5, train=train)
    one = margins_of(images, config, 5, Trainings(at_once=1))
    found = margins_of(images, config, 5, Trainings(at_once=at_once))
    torch.testing.assert_close(found, one, rtol=1e-4, atol=1e-4)


def test_areas_do_not_depend_on_the_order_of_the_images(shades, changed, plain):
    images = shades()
    whole = changed(train=plain.model_copy(update={"batch": 100}))
    order = torch.randperm(len(images), generator=stream(0, "order"))
    found = margins_of(images, whole, 0, Trainings())
    torch.testing.assert_close(
        margins_of(images.subset(order), whole, 0, Trainings()), found[order], rtol=0, atol=1e-3
    )


def test_mislabelled_images_are_hard(shades, changed):
    images = shades(10, classes=2)
    images.labels[[3, 14]] = torch.tensor([1, 0])
    longer = changed(margin_epochs=12)
    found = margins_of(images, longer, 0, Trainings())
    for label, wrong in ((1, 3), (0, 14)):
        assert found[wrong] == found[images.labels == label].min()


def test_margin_training_is_evaluation_training_without_cutmix(changed, plain):
    config = changed(train=plain.model_copy(update={"cutmix": 0.5}), margin_epochs=7)
    assert config.margins == plain.model_copy(update={"epochs": 7})
    assert config.train.cutmix == 0.5


def test_one_class_is_rejected(shades, config):
    with pytest.raises(BadSettings, match="margins need 2 classes or more"):
        margins_of(shades(classes=1), config, 0, Trainings())


def test_stored_margins_are_ten_thousandths_and_omitted_if_too_many(monkeypatch):
    areas = torch.tensor([-200.0, 200.001, 0.0, 12.345])
    kept = torch.tensor([1, 0, 3, 2])
    stored = stored_margins(areas, kept, 200, 3)
    assert stored.values == (10000, -10000, 617, 0)
    assert stored.areas == (200.0, -200.0, 12.34, 0.0)
    monkeypatch.setattr("hmnpack.pruning.shrink.MAX_MARGINS", 3)
    assert stored_margins(areas, kept, 200, 3) is None


def test_stored_margins_are_omitted_if_names_fill_the_header(monkeypatch):
    areas, kept = torch.zeros(4), torch.arange(4)
    names = ("a" * 40, "b" * 40)
    monkeypatch.setattr("hmnpack.pruning.shrink.MAX_LISTED", listed_bytes(names) + 4 * 7)
    assert stored_margins(areas, kept, 200, 3, names) is not None
    assert stored_margins(areas, kept, 200, 3, (*names, "c")) is None
