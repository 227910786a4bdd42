"""Expert trajectories: what they are, how they are stored, and how an interrupted one goes on."""

import shutil
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from hmnpack.augment import normalise
from hmnpack.errors import BadSettings, Paused
from hmnpack.matching import Match
from hmnpack.matching.experts import Experts
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.mtt import MttConfig

CONFIG = MttConfig(
    iterations=1,
    network=NetworkConfig(width=3, depth=1),
    synthetic_batch=4,
    augment=("crop", "flip"),
    lr=1,
    momentum=0.5,
    adam_lr=0.01,
    experts=2,
    expert_lr=0.1,
    expert_batch=16,
    start_epochs=2,
    expert_epochs=1,
    student_steps=1,
    student_batch=0,
    student_lr=0.1,
    student_lr_step=0,
    student_lr_momentum=0.5,
)


@pytest.fixture
def experts(real, tmp_path):
    """Return a function that gives experts with their own cache, or that of the given name."""

    def made(folder="cache", check=lambda: None, **changes):
        config = CONFIG.model_copy(update=changes)
        return Experts(Match(real, None, config, 5, cache=tmp_path / folder, check=check))

    return made


def ready(experts):
    experts.ready()
    return experts


def whole(experts):
    """Return every weight of every epoch of every expert."""
    config = experts.match.config
    starts = range(config.epochs - config.expert_epochs + 1)
    segments = [experts.segment(i, e) for i in range(config.experts) for e in starts]
    return torch.cat([v.flatten() for s in segments for v in (*s.start, *s.target)])


def test_an_epoch_of_one_batch_is_a_step_of_gradient_descent(experts, real):
    """With all images in a batch their order has no effect: the step is written out here."""
    found = ready(experts(augment=(), expert_batch=1000))
    for epoch in range(2):
        segment = found.segment(1, epoch)
        kernel, bias, scale, shift, matrix, offset = leaves = [
            value.clone().requires_grad_() for value in segment.start
        ]
        x = F.conv2d(normalise(real.images.float() / 255, real.normalisation), kernel, bias, 1, 1)
        x = F.avg_pool2d(F.relu(F.group_norm(x, 3, scale, shift)), 2)
        loss = F.cross_entropy(F.linear(x.flatten(1), matrix, offset), real.labels)
        gradients = torch.autograd.grad(loss, leaves)
        for weight, gradient, after in zip(leaves, gradients, segment.target, strict=True):
            torch.testing.assert_close(after, weight.detach() - 0.1 * gradient, atol=1e-5, rtol=0)


def test_trajectories_differ_between_experts_and_continue_from_epoch_to_epoch(experts):
    found = ready(experts())
    first, second = found.segment(0, 0), found.segment(0, 1)
    assert all(torch.equal(a, b) for a, b in zip(first.target, second.start, strict=True))
    assert not torch.equal(first.start[0], found.segment(1, 0).start[0])


def test_an_interrupted_training_goes_on_from_its_last_epoch(experts):
    expected = whole(ready(experts("whole")))
    epochs = 0

    def pause():
        nonlocal epochs
        epochs += 1
        raise Paused("asked")

    for _ in range(4):
        with pytest.raises(Paused):
            experts("parts", pause).ready()
    assert torch.equal(whole(ready(experts("parts", pause))), expected)
    assert epochs == 2 * CONFIG.epochs  # none was trained twice


def test_fewer_epochs_need_no_further_training(experts):
    expected = whole(ready(experts()))[:10]

    def trained():
        raise AssertionError

    assert torch.equal(whole(ready(experts(check=trained, start_epochs=1)))[:10], expected)


def test_experts_that_do_not_fit_on_the_disk_are_refused(experts, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(BadSettings, match=r"the experts need 0\.0 GB .*lower rival\.experts"):
        experts().ready()
    assert list((tmp_path / "cache" / "experts").iterdir()) == []


def test_a_damaged_file_is_named(experts, tmp_path):
    found = ready(experts())
    for path in (tmp_path / "cache" / "experts").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(
        BadSettings, match=r"cannot read .*expert-.*\.pt; delete it and start again"
    ):
        found.segment(0, 0)


def test_a_deleted_file_is_made_again(experts, tmp_path):
    expected = whole(ready(experts()))
    for path in sorted((tmp_path / "cache" / "experts").iterdir())[::2]:
        path.unlink()
    assert torch.equal(whole(ready(experts())), expected)


def test_without_a_cache_there_are_no_experts(real):
    with pytest.raises(BadSettings, match="--cache-dir"):
        Experts(Match(real, None, CONFIG, 5)).ready()
