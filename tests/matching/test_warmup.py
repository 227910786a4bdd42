import pytest
import torch
from torch.nn import functional as F

from hmnpack.augment import normalise
from hmnpack.matching import pool_of, targets_of


def test_targets_are_real_images_class_by_class(real, pool_config, tmp_path):
    pool = pool_of(real, pool_config, 0, tmp_path)
    for kind in ("random", "kmeans", "easy", "hard"):
        targets = targets_of(real, pool, 6, kind, 0)
        assert targets.shape == (18, 3, 16, 16)
        for index, image in enumerate(targets):
            rows = (real.images == image).flatten(1).all(1).nonzero().flatten()
            assert (real.labels[rows] == index // 6).any()
        assert len({bytes(image.numpy()) for image in targets}) == 18


def test_targets_of_unequal_counts_are_those_of_each_class(real):
    counts = (2, 6, 4)
    whole = targets_of(real, None, 6, "random", 0).split(6)
    found = targets_of(real, None, counts, "random", 0).split(counts)
    for label, (some, most) in enumerate(zip(found, whole, strict=True)):
        assert torch.equal(some, most[: counts[label]])


def test_a_small_class_repeats_its_images(real, pool_config, tmp_path):
    pool = pool_of(real, pool_config, 0, tmp_path)
    targets = targets_of(real, pool, 15, "kmeans", 0)
    small = targets[30:]  # nine images fill fifteen places
    assert len({bytes(image.numpy()) for image in small}) == 9
    assert torch.equal(targets, targets_of(real, pool, 15, "kmeans", 0))


@pytest.mark.parametrize("kind", ["easy", "hard"])
def test_easy_and_hard_images_are_those_of_the_extreme_losses(real, pool_config, tmp_path, kind):
    pool = pool_of(real, pool_config, 0, tmp_path)
    network = pool.trained(0)
    losses = []
    for image, label in zip(real.images, real.labels, strict=True):  # one image at a time
        with torch.no_grad():
            logits = network(normalise(image[None].float() / 255, real.normalisation))
        losses.append(float(F.cross_entropy(logits, label[None])))
    targets = targets_of(real, pool, 4, kind, 0).unflatten(0, (3, 4))
    for label in range(3):
        rows = sorted((losses[row], row) for row in range(len(losses)) if real.labels[row] == label)
        expected = rows[:4] if kind == "easy" else rows[:-5:-1]
        for target, (_, row) in zip(targets[label], expected, strict=True):
            assert torch.equal(target, real.images[row])
