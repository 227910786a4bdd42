"""Pruning bundles whose classes have unequal counts, and pruning to unequal counts."""

import pytest
import torch

from hmnpack.bundle import inspect, read
from hmnpack.errors import BadSettings, BudgetTooSmall
from hmnpack.pruning import (
    LabelledImages,
    Search,
    Trainings,
    best_beta,
    hardest_of,
    margins_of,
    prune,
    pruned,
)
from hmnpack.schema.config import PruneConfig
from hmnpack.schema.manifest import Margins, SourceFacts

CPU = torch.device("cpu")
NONE = PruneConfig(strategy="none")


@pytest.fixture
def unequal(bundle_of, hmn, source):
    """A bundle of 100, 5 and 60 images whose manifest names the source as its dataset."""
    facts = SourceFacts(
        name="shades",
        fingerprint=source.train.fingerprint,
        train_images=60,
        held_out=6,
        skipped={},
    )
    spec = hmn(classes=3, instances=(100, 5, 60), dataset_channels=2, extractor_channels=None)
    return bundle_of(spec, source=facts, recipe="smoke", seed=0, holdout=0.1)


def test_smaller_budget_is_shared_evenly(unequal, rows_of, tmp_path):
    """786 of 2304 floats are shared, with norms: 94 images of 16 floats fit, and 93 remain."""
    small = prune(unequal, 1, NONE, device="cpu")
    spec = small.manifest.container
    assert spec.instances == (44, 5, 44)
    assert small.manifest.provenance.prunings[0].instances == (100, 5, 60)
    rows = rows_of(small, unequal)
    expected = [*range(44), *range(100, 105), *range(105, 149)]
    assert rows.tolist() == expected
    small.save(tmp_path / "small.hmn")
    assert inspect(tmp_path / "small.hmn", verify=True) == read(tmp_path / "small.hmn").manifest


def test_equal_counts_are_stored_as_one_integer(bundle_of, images):
    big = bundle_of(images(classes=3, instances=(7, 2, 3)))
    small = prune(big, 2, NONE, device="cpu")
    assert small.manifest.container.instances == 2
    assert small.manifest.provenance.prunings[0].instances == (7, 2, 3)


def test_classes_may_retain_different_counts(bundle_of, images, rows_of, image_shape):
    big = bundle_of(images(classes=3, instances=6, image=image_shape(1, 8, 8)))
    margins = Margins(epochs=9, seeds=2, values=tuple(range(18)))
    big = type(big)(big.manifest.model_copy(update={"margins": margins}), big.tensors)
    small = pruned(big, 4, NONE, seed=0, device=CPU, keep=(6, 1, 3))
    assert small.manifest.container.instances == (6, 1, 3)
    kept = [0, 1, 2, 3, 4, 5, 6, 12, 13, 14]
    assert rows_of(small, big).tolist() == kept
    assert small.manifest.margins.values == tuple(kept)
    again = pruned(small, 2, NONE, seed=0, device=CPU)
    assert again.manifest.container.instances == (2, 1, 2)
    assert [each.instances for each in again.manifest.provenance.prunings] == [6, (6, 1, 3)]


@pytest.mark.parametrize("strategy", ["double-end", "easy", "hard"])
def test_margins_select_within_each_class(bundle_of, hmn, changed, rows_of, images_of, strategy):
    """The definition is applied to the margins of all images together."""
    spec = hmn(classes=3, instances=(30, 4, 21), dataset_channels=2, extractor_channels=None)
    big = bundle_of(spec)
    beta = 0.25 if strategy == "double-end" else None
    config = changed(strategy=strategy, beta=beta)
    small = pruned(big, 1, config, seed=4, device=CPU, keep=12)
    assert small.manifest.container.instances == (12, 4, 12)
    labels = torch.tensor([0] * 30 + [1] * 4 + [2] * 21)
    given = LabelledImages(images_of(big), labels, 3, big.manifest.normalisation)
    areas = margins_of(given, config, 4, Trainings())
    rows = rows_of(small, big).split([12, 4, 12])
    rate = {"double-end": 0.25, "easy": 0.0, "hard": 1.0}[strategy]
    for label, (count, few) in enumerate(((30, 12), (4, 4), (21, 12))):
        members = (labels == label).nonzero().flatten()
        hardest = hardest_of(rate, count - few)
        expected = members[areas[members].argsort(stable=True)][hardest : hardest + few]
        assert sorted(rows[label].tolist()) == sorted(expected.tolist())
    torch.testing.assert_close(
        torch.tensor(small.manifest.margins.areas), areas[torch.cat(rows)], atol=3e-4, rtol=0
    )


def test_beta_is_selected_when_classes_drop_unequal_counts(unequal, source, changed):
    config = changed(betas=(0.0, 0.5, 1.0))
    small = prune(unequal, 1, config, data=source, seed=2, device="cpu")
    (record,) = small.manifest.provenance.prunings
    assert record.held_out == 6
    assert [score.beta for score in record.scores] == [0.0, 0.5, 1.0]
    assert small.manifest.container.instances == (44, 5, 44)


def test_betas_with_the_same_counts_share_trainings(shades, changed):
    images = shades()
    areas = margins_of(images, changed(), 0, Trainings())
    config = changed(betas=(0.0, 0.5, 0.6, 0.75))
    search = Search(images, areas, (4, 8, 6), shades(5, seed=9), config, 0)
    assert [search.hardest(beta) for beta in config.betas] == ["0-0-0", "0-1-2", "0-1-2", "0-1-3"]
    trainings = Trainings()
    _, scores = best_beta(search, trainings)
    assert len(trainings.done) == 3
    assert scores[1].accuracies == scores[2].accuracies
    assert [len(search.left_by(beta)) for beta in config.betas] == [18] * 4


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (0, "cannot keep 0 of 2 to 7 images of each class at ipc 3; keep from 1 to 4"),
        (5, "cannot keep 5 of 2 to 7 images"),
        ((1, 1), "got 2 counts of images to keep for 3 classes"),
        ((1, 3, 1), "cannot keep 3 of the 2 images of class 1; keep from 1 to 2"),
        ((0, 1, 1), "cannot keep 0 of the 7 images of class 0"),
        ((7, 2, 1), "cannot keep 10 of 12 images at ipc 3; keep 9 at most"),
    ],
)
def test_counts_beyond_a_class_or_the_budget_are_rejected(bundle_of, images, keep, message):
    big = bundle_of(images(classes=3, instances=(7, 2, 3)))
    with pytest.raises(BadSettings, match=message) as caught:
        pruned(big, 3, NONE, seed=0, device=CPU, keep=keep)
    assert "\n" not in str(caught.value)


def test_retaining_all_images_is_nothing_to_prune(unequal, bundle_of, images, hmn):
    with pytest.raises(BadSettings, match="all 5 to 100 images of each class are within"):
        prune(unequal, 2, NONE, device="cpu")
    same = bundle_of(images(classes=3, instances=(7, 2, 3)))
    with pytest.raises(BadSettings, match="cannot keep 12 of 12 images at ipc 9; keep 11"):
        pruned(same, 9, NONE, seed=0, device=CPU, keep=(7, 2, 3))
    few = bundle_of(hmn(classes=2, instances=(300, 2), decoder_channels=(64,)))
    with pytest.raises(BudgetTooSmall, match="smallest ipc that works here is 7"):
        prune(few, 6, NONE, device="cpu")
