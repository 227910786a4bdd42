"""The objective of MTT against back-propagation through a student that is written out here."""

import pytest
import torch
import torch.nn.functional as F

from hmnpack.augment import normalise
from hmnpack.container import new_container
from hmnpack.errors import Diverged
from hmnpack.matching import Match
from hmnpack.matching.mtt import TrajectoryMatching
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.schema.images import ImagesConfig
from hmnpack.schema.mtt import MttConfig

SPEC = ImagesSpec(classes=3, instances=4, image=ImageShape(channels=3, height=16, width=16))
CONFIG = MttConfig(
    iterations=1,
    network=NetworkConfig(width=3, depth=1),
    synthetic_batch=4,
    augment=(),
    lr=1,
    momentum=0.5,
    adam_lr=0.01,
    experts=1,
    expert_lr=0.1,
    expert_batch=16,
    start_epochs=1,
    expert_epochs=2,
    student_steps=3,
    student_batch=0,
    student_lr=0.1,
    student_lr_step=1e-4,
    student_lr_momentum=0.5,
)


@pytest.fixture
def objective(real, tmp_path):
    """Return a function that gives the objective; expert and start are the only ones there are."""

    def made(**changes):
        config = CONFIG.model_copy(update=changes)
        return TrajectoryMatching(Match(real, None, config, 5, cache=tmp_path))

    return made


@pytest.fixture
def container():
    return new_container(SPEC, ImagesConfig(), stream(0, "container")).double()


def gradient(container, loss):
    container.zero_grad()
    loss.backward()
    return container.pixels.grad.clone()


def literal(objective, pixels, rate, normalisation):
    """Return loss, gradient of the pixels and of the rate, by one graph through three steps."""
    segment = objective.experts.segment(0, 0, torch.float64)
    pixels = pixels.detach().clone().requires_grad_()
    rate = torch.tensor(rate, dtype=torch.float64, requires_grad=True)
    weights = [value.clone().requires_grad_() for value in segment.start]
    labels = torch.arange(3).repeat_interleave(4)
    for _ in range(3):
        kernel, bias, scale, shift, matrix, offset = weights
        x = F.conv2d(normalise(pixels, normalisation), kernel, bias, padding=1)
        x = F.avg_pool2d(F.relu(F.group_norm(x, 3, scale, shift)), 2)
        loss = F.cross_entropy(F.linear(x.flatten(1), matrix, offset), labels)
        gradients = torch.autograd.grad(loss, weights, create_graph=True)
        weights = [w - rate * g for w, g in zip(weights, gradients, strict=True)]
    miss = sum(((w - t) ** 2).sum() for w, t in zip(weights, segment.target, strict=True))
    way = sum(((s - t) ** 2).sum() for s, t in zip(segment.start, segment.target, strict=True))
    loss = miss / way
    return loss.detach(), *torch.autograd.grad(loss, [pixels, rate])


def test_loss_gradient_and_rate_equal_the_literal_ones(objective, container, real):
    found = objective()
    rate = found.figures()["student_lr"]
    assert rate == pytest.approx(0.1)
    loss = found.loss(container, 0)
    expected, by_pixels, by_rate = literal(found, container.pixels, rate, real.normalisation)
    torch.testing.assert_close(loss.detach(), expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(gradient(container, loss), by_pixels, rtol=0, atol=1e-9)
    rate -= 1e-4 * float(by_rate)
    assert found.figures()["student_lr"] == pytest.approx(rate, rel=1e-6)
    # The second step has momentum: half of the first one.
    rate = found.figures()["student_lr"]
    *_, later = literal(found, container.pixels, rate, real.normalisation)
    found.loss(container, 1)
    rate -= 1e-4 * (float(later) + 0.5 * float(by_rate))
    assert found.figures()["student_lr"] == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize(("steps", "seen"), [(2, 6), (4, 12), (5, 12)])
def test_students_go_through_the_images_batch_by_batch(objective, container, steps, seen):
    found = objective(student_batch=3, student_steps=steps)
    pixels = gradient(container, found.loss(container, 0))
    assert int((pixels.flatten(1).abs().sum(1) > 0).sum()) == seen


def test_a_step_can_be_repeated(objective, container):
    changes = {"augment": ("flip", "crop", "brightness"), "student_batch": 5, "experts": 2}
    first, again = objective(**changes), objective(**changes)
    losses = [float(first.loss(container, step).detach()) for step in range(3)]
    again.restore(first.state())
    assert again.figures() == first.figures()
    assert len(set(losses)) == 3
    assert float(objective(**changes).loss(container, 0).detach()) == losses[0]


def test_a_rate_below_zero_ends_the_run(objective, container):
    found = objective(student_lr_step=1e6)
    found.loss(container, 0)
    rate = float(found.rate)
    found.restore({"rate": torch.tensor(-abs(rate)), "velocity": torch.tensor(0.0)})
    for asked in (found.figures, found.state):
        with pytest.raises(Diverged, match=r"rate became -.* use a lower rival\.student_lr_step"):
            asked()
