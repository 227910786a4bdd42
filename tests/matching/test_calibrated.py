"""IDM's loss against loops over classes and images, in float64."""

import pytest
import torch

from hmnpack.matching.calibrated import calibrated_loss, trust
from hmnpack.runtime.seeds import stream


def normal(name, *shape):
    return torch.randn(shape, generator=stream(0, name), dtype=torch.float64)


def literal(real, features, matrix, classes, factor):
    total = torch.zeros((), dtype=torch.float64)
    for place, c in enumerate(classes):
        mean = sum(real[place]) / len(real[place])
        other = sum(features[place]) / len(features[place])
        total = total + ((mean - other) ** 2).sum()
        for one in features[place]:
            logits = matrix @ one
            entropy = torch.logsumexp(logits, 0) - logits[c]
            total = total + factor * entropy / len(features[place])
    return total


@pytest.mark.parametrize("accuracy", [0, 70])
def test_equals_loops_over_classes_and_images(accuracy):
    factor = trust(0.5, torch.tensor(accuracy), 100)
    real, start, matrix = normal("real", 2, 7, 6), normal("syn", 2, 3, 6), normal("head", 4, 6)
    one, other = start.clone().requires_grad_(), start.clone().requires_grad_()
    expected = literal(real, one, matrix, (1, 3), 0.5 * accuracy)
    expected.backward()
    found = calibrated_loss(real.mean(1), other, other @ matrix.T, torch.tensor([1, 3]), factor)
    found.backward()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(other.grad, one.grad, rtol=0, atol=1e-10)


def test_loss_of_all_classes_is_the_sum_over_parts_of_them():
    real, features, matrix = normal("real", 4, 6), normal("syn", 4, 3, 6), normal("head", 4, 6)
    logits = features @ matrix.T
    whole = calibrated_loss(real, features, logits, torch.arange(4), torch.tensor(10.0))
    parts = [
        calibrated_loss(real[some], features[some], logits[some], some, torch.tensor(10.0))
        for some in torch.arange(4).split(3)
    ]
    torch.testing.assert_close(whole, sum(parts))


def test_accuracy_counts_in_percent():
    assert float(trust(0.5, torch.tensor(7), 10)) == 35
    assert float(trust(0.1, torch.tensor(256), 256)) == 10


def test_a_network_without_training_has_no_cross_entropy():
    real, features = normal("real", 2, 6), normal("syn", 2, 3, 6)
    factor = trust(0.5, torch.tensor(0), 0)
    found = calibrated_loss(real, features, features, torch.arange(2), factor)
    assert found == (real - features.mean(1)).square().sum()
