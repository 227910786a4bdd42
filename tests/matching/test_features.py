"""Feature matching against a reference implementation, image by image and class by class."""

import pytest
import torch
from torch.nn import functional as F

from hmnpack.augment import apply, draw, normalise
from hmnpack.container import new_container
from hmnpack.matching import FeatureMatching, Match, RealData, load_or_train_pool
from hmnpack.matching import features as module
from hmnpack.matching.footprint import Memory, StepShape, feature_classes
from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig, MatchConfig, NetworkConfig
from hmnpack.schema.container import ImageShape, ImagesSpec

SPEC = ImagesSpec(classes=3, instances=4, image=ImageShape(channels=3, height=16, width=16))
CONFIGS = {
    "default": MatchConfig(steps=1, real_batch=5, synthetic_batch=3),
    "plain": MatchConfig(steps=1, real_batch=5, synthetic_batch=9, classification=0, farthest=0.0),
    "many images": MatchConfig(
        steps=1, real_batch=5, synthetic_batch=3, classification=0.5, classification_images=3
    ),
    "few images": MatchConfig(
        steps=1, real_batch=5, synthetic_batch=3, classification=0.5, classification_images=9
    ),
}


def container():
    return new_container(SPEC, ContainerConfig(), stream(0, "container"))


def literal(match, images, step):
    """Return the reference loss; random numbers are drawn in the same order as in the library."""
    config, data, seed = match.config, match.data, match.seed
    generator = stream(seed, "match", step)
    index = int(torch.randint(len(match.pool), (), generator=generator))
    part = config.farthest * float(torch.rand((), generator=generator))
    draws = draw(config.augment, data.classes, generator)
    real = ClassSampler(data.labels, data.classes).draw(config.real_batch, generator)
    chosen = choose_instances(SPEC, config.synthetic_batch, generator)
    network = match.pool.between(index, part)

    def augmented(some, label):
        return apply(normalise(some, data.normalisation), draws.index(torch.tensor([label])))

    means, errors = [], []
    for label in range(data.classes):
        ours = augmented(images[chosen[label]], label)
        theirs = augmented(data.images[real[label]].float() / 255, label)
        means.append(
            [
                (a.mean(0).flatten(), b.mean(0).flatten())
                for a, b in zip(network.features(ours), network.features(theirs), strict=True)
            ]
        )
        targets = torch.full((len(ours),), label)
        errors.append(F.cross_entropy(network(ours), targets))
    weight = config.classification * (1 - part)
    if config.classification_images:
        weight *= min(config.classification_images / SPEC.instances, 1)
    loss = weight * sum(errors) / len(errors)
    for block in range(len(means[0])):
        centre = sum(means[label][block][1] for label in range(data.classes)) / data.classes
        distance, around = 0.0, 0.0
        for label in range(data.classes):
            ours, theirs = means[label][block]
            distance = distance + ((ours - theirs) ** 2).sum()
            around = around + ((theirs - centre) ** 2).sum()
        loss = loss + distance / around
    return loss


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("chunk", [1, 6 * 256, 1000 * 256])
def test_loss_and_gradient_match_the_reference(
    real, pool_config, tmp_path, monkeypatch, name, chunk
):
    monkeypatch.setattr("hmnpack.matching.footprint.CPU_CHUNK", chunk)
    config = CONFIGS[name].model_copy(update={"precision": "float32"})
    match = Match(real, load_or_train_pool(real, pool_config, 0, tmp_path), config, 5)
    ours, theirs = container(), container()
    for step in range(3):
        loss = FeatureMatching(match).loss(ours, step)
        expected = literal(match, theirs.expand(), step)
        torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-5)
        loss.backward()
        expected.backward()
    torch.testing.assert_close(ours.pixels.grad, theirs.pixels.grad, atol=1e-6, rtol=1e-4)
    assert ours.pixels.grad.abs().sum() > 0


def test_loss_of_the_real_images_is_zero(real, pool_config, tmp_path):
    config = CONFIGS["plain"].model_copy(update={"augment": (), "precision": "float32"})
    twelve = [int((real.labels == label).nonzero()[0]) for label in range(3) for _ in range(4)]
    alike = RealData(
        real.images[twelve], torch.arange(3).repeat_interleave(4), 3, real.normalisation, "alike"
    )
    match = Match(alike, load_or_train_pool(real, pool_config, 0, tmp_path), config, 0)
    start = container()
    with torch.no_grad():
        start.pixels.copy_(real.images[twelve].float() / 255)
    assert float(FeatureMatching(match).loss(start, 0).detach()) < 1e-10


def test_out_of_memory_step_is_repeated_with_smaller_chunks(
    real, pool_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "feature_classes", lambda *_, **__: 3)
    match = Match(real, load_or_train_pool(real, pool_config, 0, tmp_path), CONFIGS["default"], 0)
    whole, found = FeatureMatching._compared, []

    def limited(self, real, blocks, classes):
        if len(classes) > 1:
            raise RuntimeError("GET was unable to find an engine to execute this computation")
        return whole(self, real, blocks, classes)

    for method in (whole, limited):
        monkeypatch.setattr(FeatureMatching, "_compared", method)
        start = container()
        loss = FeatureMatching(match).loss(start, 0)
        loss.backward()
        found.append((loss.detach(), start.pixels.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-7)


def at_once(images, most, *, caches_views=False):
    image = ImageShape(channels=3, height=64, width=64)
    step = StepShape(NetworkConfig(), image, 200, images, images, caches_views=caches_views)
    return feature_classes(step, Memory(on_cpu=False, most=most))


def test_chunk_size_follows_the_memory_of_an_accelerator():
    """Hand count for feature maps of 64, 32 and 16 pixels a side, 128 channels, in float32.

    2 1/4 times their size is stored; the backward pass needs 1 1/2 times the largest.
    """
    stored = 10 * 4 * 128 * 9 * (64**2 + 32**2 + 16**2) // 4
    one = stored + 10 * 4 * 128 * 3 * 64**2 // 2
    assert at_once(10, 3 * one) == 3
    assert at_once(10, 3 * one - 1) == 2
    assert at_once(10, 1) == 1
    assert at_once(10, 300 * one) == 200
    assert at_once(10, 6 * one, caches_views=True) == 3, "half is reserved for the view cache"
    assert at_once(10, 6 * one) == 6
    assert at_once(10, None) == 200


def test_chunk_size_keeps_feature_maps_below_32_bit_indices():
    per_class = 128 * 128 * 64 * 64
    assert at_once(128, None) == (2**31 - 1) // per_class == 31
    assert at_once(5000, None) == 1


def test_chunk_size_of_real_images_uses_their_number():
    image = ImageShape(channels=3, height=64, width=64)
    step = StepShape(NetworkConfig(), image, classes=200, synthetic=2, real=5)
    memory = Memory(on_cpu=False, most=2**28)
    few, many = (feature_classes(step, memory, real=real) for real in (True, False))
    assert (few, many) == (at_once(5, 2**28), at_once(2, 2**28))
    assert few < many
