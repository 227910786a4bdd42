"""The growing network, the loss, and herding, against literal implementations."""

import math

import pytest
import torch

from hmnpack.continual.herding import herded
from hmnpack.continual.learner import distillation_loss, learn, widened
from hmnpack.schema.container import ImageShape
from hmnpack.schema.continual import PAPER
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.training import NetworkConfig

SMALL = NetworkConfig(width=4, depth=2)
SHAPE = ImageShape(channels=1, height=8, width=8)
NORMAL = Normalisation(mean=(0.5,), std=(0.25,))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_widened_network_predicts_old_classes_as_before():
    old = widened(None, SMALL, 2, SHAPE, generator())
    new = widened(old, SMALL, 5, SHAPE, generator(1))
    images = torch.rand(3, 1, 8, 8, generator=generator(2))
    assert new(images).shape == (3, 5)
    torch.testing.assert_close(new(images)[:, :2], old(images))
    assert torch.equal(new.classifier.weight[:2], old.classifier.weight)
    fresh = widened(None, SMALL, 5, SHAPE, generator(1))
    assert torch.equal(new.classifier.weight[2:], fresh.classifier.weight[2:])


def test_distillation_is_the_scaled_divergence():
    ours = torch.tensor([[1.0, 2.0, 5.0], [0.0, -1.0, 3.0]])
    theirs = torch.tensor([[2.0, 0.0], [1.0, 1.0]])
    expected = 0.0
    for new, old in zip(ours.tolist(), theirs.tolist(), strict=True):
        q = [math.exp(value / 2) for value in new[:2]]
        p = [math.exp(value / 2) for value in old]
        q, p = [v / sum(q) for v in q], [v / sum(p) for v in p]
        expected += sum(b * math.log(b / a) for a, b in zip(q, p, strict=True)) / 2
    assert float(distillation_loss(ours, theirs, 2.0)) == pytest.approx(4 * expected, rel=1e-5)
    assert float(distillation_loss(ours, ours[:, :2], 2.0)) == pytest.approx(0, abs=1e-6)


def test_training_equals_a_literal_loop():
    images = torch.rand(6, 1, 8, 8, generator=generator())
    labels = torch.tensor([0, 1, 2, 3, 0, 2])
    train = PAPER.train.model_copy(
        update={"epochs": 3, "batch": 6, "augment": (), "cutmix": 0.0, "precision": "float32"}
    )
    config = PAPER.model_copy(update={"train": train, "drops": (1, 2), "distillation": 0.5})
    teacher = widened(None, SMALL, 2, SHAPE, generator(1))
    ours = widened(teacher, SMALL, 4, SHAPE, generator(2))
    literal = widened(teacher, SMALL, 4, SHAPE, generator(2))
    learn(ours, (images, labels), config, normalisation=NORMAL, seed=0, name="x", teacher=teacher)
    velocity = [torch.zeros_like(parameter) for parameter in literal.parameters()]
    batch = (images - 0.5) / 0.25
    for rate in (0.01, 0.002, 0.0004):
        logits = literal(batch)
        loss = -logits.log_softmax(1)[range(6), labels].mean()
        loss = loss + 0.5 * distillation_loss(logits, teacher(batch).detach(), 2.0)
        literal.zero_grad()
        loss.backward()
        with torch.no_grad():
            for each, moving in zip(literal.parameters(), velocity, strict=True):
                moving.mul_(0.9).add_(each.grad + 0.0005 * each)
                each.sub_(rate * moving)
    for mine, theirs in zip(ours.parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_herding_equals_a_literal_search():
    features = torch.randn(9, 3, generator=generator())
    mean, chosen = features.mean(0), []
    for _ in range(5):
        left = [i for i in range(9) if i not in chosen]
        chosen.append(
            min(left, key=lambda i: float((features[[*chosen, i]].mean(0) - mean).norm()))
        )
    assert herded(features, 5).tolist() == chosen
    assert sorted(herded(features, 9).tolist()) == list(range(9))
