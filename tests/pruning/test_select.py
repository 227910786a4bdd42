"""The images that each strategy retains, and their order, by hand."""

import math

import pytest
import torch

from hmnpack.errors import BadSettings
from hmnpack.pruning import hardest_of, kept_images, most_useful_first
from hmnpack.runtime.seeds import stream

BETAS = tuple(tenth / 10 for tenth in range(10))
MARGINS = torch.tensor([0.3, 0.0, 0.5, 0.1, 0.4, 0.2])
ONE_CLASS = torch.zeros(6, dtype=torch.int64)


def test_hardest_of_is_floor_of_beta_k():
    """93 pruned to 85: k = 8; 306 to 278: k = 28; and a product that floats round down."""
    assert [hardest_of(beta, 8) for beta in BETAS] == [0, 0, 1, 2, 3, 4, 4, 5, 6, 7]
    assert [hardest_of(beta, 28) for beta in BETAS] == [0, 2, 5, 8, 11, 14, 16, 19, 22, 25]
    assert (hardest_of(0.29, 100), hardest_of(1.0, 8), hardest_of(1, 3)) == (29, 8, 3)


@pytest.mark.parametrize("beta", BETAS)
def test_double_end_follows_algorithm_1(beta):
    margins = torch.randn(2 * 93, generator=stream(0, "margins"))
    labels = torch.arange(2 * 93) % 2
    kept = kept_images(margins, labels, 85, "double-end", beta=beta)
    assert [len(rows) for rows in kept] == [85, 85]
    for label in (0, 1):
        members = sorted((i for i in range(186) if i % 2 == label), key=lambda i: margins[i])
        hardest = math.floor(round(beta * 8, 6))
        assert set(kept[label].tolist()) == set(members[hardest : 93 - (8 - hardest)])


@pytest.mark.parametrize(
    ("strategy", "beta", "tenths"),
    [
        ("easy", None, [1, 0, 2]),
        ("hard", None, [4, 3, 5]),
        ("double-end", 0.0, [1, 0, 2]),
        ("double-end", 0.4, [2, 1, 3]),
        ("double-end", 1.0, [4, 3, 5]),
    ],
)
def test_each_strategy_by_hand(strategy, beta, tenths):
    """Six images with margins 0.0 to 0.5; three remain, the middle one first."""
    kept = kept_images(MARGINS, ONE_CLASS, 3, strategy, beta=beta)
    assert (MARGINS[kept[0]] * 10).round().tolist() == tenths


def test_strategies_without_margins():
    labels = torch.tensor([1, 0, 0, 1, 0, 1, 1])
    kept = kept_images(None, labels, 2, "none")
    assert [rows.tolist() for rows in kept] == [[1, 2], [0, 3]]
    found = kept_images(None, labels, 3, "random", generator=stream(0, "r"))
    assert sorted(found[0].tolist()) == [1, 2, 4]
    assert set(found[1].tolist()) < {0, 3, 5, 6}
    many = torch.zeros(1000, dtype=torch.int64)
    chosen = [
        kept_images(None, many, 500, "random", generator=stream(seed, "r"))[0] for seed in (0, 0, 1)
    ]
    assert torch.equal(chosen[0], chosen[1])
    assert not torch.equal(chosen[0], chosen[2])
    assert len(set(chosen[0].tolist())) == 500


@pytest.mark.parametrize("count", [1, 2, 5, 8, 85])
def test_first_ranks_match_double_end_at_one_half(count):
    order = most_useful_first(count)
    for few in range(1, count + 1):
        hardest = (count - few) // 2
        assert sorted(order[:few]) == list(range(hardest, hardest + few))


def test_prefix_of_a_class_is_the_class_pruned_further():
    margins = torch.randn(40, generator=stream(0, "margins"))
    kept = kept_images(margins, torch.arange(40) % 2, 17, "double-end", beta=0.3)
    labels = torch.tensor([0, 1]).repeat_interleave(17)
    for few in range(1, 17):
        left = torch.cat(kept)
        further = kept_images(margins[left], labels, few, "double-end", beta=0.5)
        for label in (0, 1):
            assert set(left[further[label]].tolist()) == set(kept[label][:few].tolist())


@pytest.mark.parametrize("strategy", ["double-end", "easy", "hard", "random", "none"])
def test_classes_with_unequal_counts_are_pruned_independently(strategy):
    """Nine, two and six images: each class is pruned as if it were alone."""
    labels = torch.tensor([2, 0, 0, 1, 2, 0, 0, 0, 2, 1, 0, 2, 2, 0, 0, 0, 2])
    margins = torch.randn(17, generator=stream(1, "margins"))
    beta = 0.5 if strategy == "double-end" else None
    kept = kept_images(
        margins, labels, (4, 2, 5), strategy, beta=beta, generator=stream(0, "draws")
    )
    draws = stream(0, "draws")
    for label, few in enumerate((4, 2, 5)):
        rows = (labels == label).nonzero().flatten()
        alone = torch.zeros(len(rows), dtype=torch.int64)
        (expected,) = kept_images(margins[rows], alone, few, strategy, beta=beta, generator=draws)
        assert kept[label].tolist() == rows[expected].tolist()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((MARGINS, ONE_CLASS, 7, "easy"), "cannot keep 7 images of class 0, which has 6"),
        ((MARGINS, ONE_CLASS, 0, "easy"), "cannot keep 0"),
        ((None, ONE_CLASS, 3, "hard"), "hard needs margins"),
        ((MARGINS, ONE_CLASS, 3, "double-end"), "needs a beta"),
        ((None, ONE_CLASS, 3, "random"), "needs a generator"),
    ],
)
def test_missing_inputs_are_rejected(given, message):
    with pytest.raises(BadSettings, match=message):
        kept_images(*given)
