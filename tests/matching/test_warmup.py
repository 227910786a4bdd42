import torch

from hmnpack.matching import choose_targets


def test_targets_are_real_images_class_by_class(real):
    targets = choose_targets(real, 6, 0)
    assert targets.shape == (18, 3, 16, 16)
    for index, image in enumerate(targets):
        rows = (real.images == image).flatten(1).all(1).nonzero().flatten()
        assert (real.labels[rows] == index // 6).any()
    assert len({bytes(image.numpy()) for image in targets}) == 18


def test_targets_support_unequal_counts(real):
    counts = (2, 6, 4)
    whole = choose_targets(real, 6, 0).split(6)
    found = choose_targets(real, counts, 0).split(counts)
    for label, (some, most) in enumerate(zip(found, whole, strict=True)):
        assert torch.equal(some, most[: counts[label]])


def test_small_class_repeats_its_images(real):
    targets = choose_targets(real, 15, 0)
    small = targets[30:]  # fifteen targets from nine images
    assert len({bytes(image.numpy()) for image in small}) == 9
    assert torch.equal(targets, choose_targets(real, 15, 0))
