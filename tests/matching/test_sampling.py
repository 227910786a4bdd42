import torch

from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.runtime import stream
from hmnpack.schema.container import ImageShape, ImagesSpec


def test_real_images_are_of_their_class_and_uniform():
    labels = torch.tensor([1, 0, 1, 2, 1, 0])
    drawn = ClassSampler(labels, 3).draw(6000, stream(0, "draw"))
    assert drawn.shape == (3, 6000)
    assert all((labels[drawn[label]] == label).all() for label in range(3))
    counts = torch.bincount(drawn[1], minlength=6)[[0, 2, 4]]
    assert (counts - 2000).abs().max() < 200


def test_synthetic_images_are_different_and_of_their_class():
    spec = ImagesSpec(classes=3, instances=5, image=ImageShape(channels=1, height=2, width=2))
    chosen = choose_instances(spec, 3, stream(0, "choose"))
    assert chosen.shape == (3, 3)
    assert (chosen // 5 == torch.arange(3)[:, None]).all()
    assert all(len(set(row.tolist())) == 3 for row in chosen)
    assert choose_instances(spec, 99, stream(0, "choose")).sort(
        1
    ).values.flatten().tolist() == list(range(15))
