import torch

from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape, ImagesSpec


def test_class_sampler_is_uniform_within_each_class():
    labels = torch.tensor([1, 0, 1, 2, 1, 0])
    drawn = ClassSampler(labels, 3).draw(6000, stream(0, "draw"))
    assert drawn.shape == (3, 6000)
    assert all((labels[drawn[label]] == label).all() for label in range(3))
    counts = torch.bincount(drawn[1], minlength=6)[[0, 2, 4]]
    assert (counts - 2000).abs().max() < 200


def test_unequal_classes_give_equally_many_instances():
    image = ImageShape(channels=1, height=2, width=2)
    spec = ImagesSpec(classes=3, instances=(5, 2, 3), image=image)
    classes = [range(5), range(5, 7), range(7, 10)]
    drawn = [choose_instances(spec, 9, stream(0, "choose", step)) for step in range(60)]
    for chosen in drawn:
        assert chosen.shape == (3, 2)
        for row, rows in zip(chosen.tolist(), classes, strict=True):
            assert len(set(row)) == 2 and set(row) <= set(rows)
    assert set(torch.stack(drawn).flatten().tolist()) == set(range(10))
    even = choose_instances(spec, 9, stream(0, "choose"), torch.tensor([0, 0, 1]), parts=2)
    assert even.shape == (3, 1)
    first, second, third = even.flatten().tolist()
    assert first in (0, 2, 4) and (second, third) == (5, 8)


def test_chosen_instances_are_distinct_and_of_their_class():
    spec = ImagesSpec(classes=3, instances=5, image=ImageShape(channels=1, height=2, width=2))
    chosen = choose_instances(spec, 3, stream(0, "choose"))
    assert chosen.shape == (3, 3)
    assert (chosen // 5 == torch.arange(3)[:, None]).all()
    assert all(len(set(row.tolist())) == 3 for row in chosen)
    assert choose_instances(spec, 99, stream(0, "choose")).sort(
        1
    ).values.flatten().tolist() == list(range(15))


def test_small_classes_are_shown_once_and_large_ones_are_drawn():
    labels = torch.tensor([2, 0, 0, 1, 2, 0, 2, 2, 2])
    sampler = ClassSampler(labels, 3)
    some, one, many = sampler.up_to(3, stream(0, "draw"), torch.tensor([0, 1, 2]))
    assert some.tolist() == [1, 2, 5]
    assert one.tolist() == [3]
    assert torch.equal(many, sampler.draw(3, stream(0, "draw"))[2])
