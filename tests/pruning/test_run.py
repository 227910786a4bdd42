"""Pruning a bundle: budget, images, provenance, selection of beta, invalid input."""

import pytest
import torch

import hmnpack
from hmnpack.bundle import Bundle, inspect, read
from hmnpack.condensing.request import RunOptions
from hmnpack.errors import BadData, BadSettings, BudgetTooSmall
from hmnpack.pruning import (
    LabelledImages,
    Trainings,
    check_prune_settings,
    hardest_of,
    margins_of,
    most_useful_first,
    prune,
    pruned,
)
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import PruneConfig
from hmnpack.schema.manifest import SourceFacts
from hmnpack.schema.pruning import Margins
from hmnpack.settings import merged, recipe_of
from hmnpack.sources import (
    SourceOptions,
    hold_out,
    seen_and_held_out,
    seen_and_held_out_by,
)

CPU = torch.device("cpu")


@pytest.fixture
def small(big, changed):
    """The big bundle, pruned to 1 ipc by double-end at beta 1/4."""
    return pruned(big, 1, changed(beta=0.25), seed=4, device=CPU)


def test_remaining_images_are_unchanged(small, big, images_of, rows_of):
    spec = small.manifest.container
    assert spec.instances < big.manifest.container.instances
    rows = rows_of(small, big)
    torch.testing.assert_close(images_of(small), images_of(big)[rows], atol=1e-6, rtol=0)
    assert (rows // 80).tolist() == [c for c in range(3) for _ in range(spec.instances)]
    assert len(set(rows.tolist())) == spec.images
    for name, tensor in small.tensors.items():
        assert name == "memory.instance" or torch.equal(tensor, big.tensors[name])


def test_pruned_bundle_fills_the_budget(small):
    manifest = small.manifest
    assert manifest.budget.floats == 3 * 3 * 16 * 16
    assert manifest.ledger == manifest.container.ledger()
    norms = 2 * 5  # the paper counts the decoder's normalisation, which is folded away
    assert 0 <= manifest.budget.floats - manifest.ledger.floats - norms < 3 * 16


def test_provenance_records_the_pruning(small, changed, tmp_path):
    small.save(tmp_path / "small.hmn")
    manifest = inspect(tmp_path / "small.hmn", verify=True)
    assert manifest == read(tmp_path / "small.hmn").manifest == small.manifest
    (record,) = manifest.provenance.prunings
    assert (record.strategy, record.seed, record.beta) == ("double-end", 4, 0.25)
    usual = PruneConfig(strategy="double-end", beta=0.25)
    assert merged(usual, record.config) == changed(beta=0.25)
    assert (record.instances, record.held_out, record.scores) == (80, 0, ())
    assert (manifest.recipe, manifest.seed, manifest.holdout) == ("smoke", 0, 0.1)
    assert (manifest.margins.epochs, manifest.margins.seeds) == (3, 2)


def test_margins_match_the_images_and_middle_ranks_come_first(
    small, big, config, images_of, rows_of
):
    labels = torch.arange(3).repeat_interleave(80)
    given = LabelledImages(images_of(big), labels, 3, big.manifest.normalisation)
    areas = margins_of(given, config, 4, Trainings())
    rows = rows_of(small, big)
    torch.testing.assert_close(
        torch.tensor(small.manifest.margins.areas), areas[rows], atol=3e-4, rtol=0
    )
    keep = small.manifest.container.instances
    for label in range(3):
        of_class = (labels == label).nonzero().flatten()
        ranks = torch.empty_like(labels)
        ranks[of_class[areas[of_class].argsort(stable=True)]] = torch.arange(len(of_class))
        places = ranks[rows[label * keep : (label + 1) * keep]]
        assert (places - hardest_of(0.25, 80 - keep)).tolist() == most_useful_first(keep)


def test_prefix_of_a_pruned_bundle_is_a_smaller_set(small, images_of):
    few = hmnpack.load(small, per_class=2)
    keep = small.manifest.container.instances
    wanted = [label * keep + index for label in range(3) for index in (0, 1)]
    torch.testing.assert_close(few.tensors()[0], images_of(small)[wanted])
    assert few.targets == (0, 0, 1, 1, 2, 2)


def test_stored_pixels_are_pruned_too(bundle_of, images, image_shape, changed, rows_of):
    big = bundle_of(images(instances=5, image=image_shape(1, 8, 8)))
    small = pruned(big, 2, changed(strategy="hard"), seed=0, device=CPU)
    assert small.manifest.container.instances == 2
    assert small.manifest.ledger.floats == small.manifest.budget.floats == 2 * 2 * 64
    rows = rows_of(small, big)
    assert torch.equal(small.tensors["pixels"], big.tensors["pixels"][rows])
    assert (rows // 5).tolist() == [0, 0, 1, 1]


def test_keep_may_be_smaller_than_the_budget_holds(big, changed, rows_of):
    small = pruned(big, 1, changed(strategy="none"), seed=0, device=CPU, keep=3)
    assert rows_of(small, big).tolist() == [
        80 * label + index for label in range(3) for index in (0, 1, 2)
    ]
    assert (small.manifest.budget.ipc, small.manifest.container.instances) == (1, 3)
    for ipc, keep in ((1, 0), (1, 80), (9, 80)):
        with pytest.raises(BadSettings, match=f"cannot keep {keep} of 80 images .* keep from 1 to"):
            pruned(big, ipc, changed(strategy="none"), seed=0, device=CPU, keep=keep)


def test_the_same_seed_gives_the_same_bytes(big, changed):
    def data(seed, strategy="random"):
        return pruned(big, 1, changed(strategy=strategy), seed=seed, device=CPU).to_bytes()

    assert data(0) == data(0) != data(1)
    assert data(0, "easy") == data(0, "easy")


def test_pruning_twice_records_both_and_preserves_margins(bundle_of, images, changed, rows_of):
    big = bundle_of(images(instances=7))
    margins = Margins(epochs=9, seeds=2, values=tuple(range(14)))
    once = Bundle(big.manifest.model_copy(update={"margins": margins}), big.tensors)
    twice = pruned(once, 4, changed(strategy="none"), seed=0, device=CPU)
    thrice = pruned(twice, 2, changed(strategy="random"), seed=0, device=CPU)
    assert twice.manifest.margins.values == (0, 1, 2, 3, 7, 8, 9, 10)
    records = thrice.manifest.provenance.prunings
    assert [record.instances for record in records] == [7, 4]
    assert [record.strategy for record in records] == ["none", "random"]
    assert thrice.manifest.margins.values == tuple(rows_of(thrice, big).tolist())


def test_scores_of_the_original_images_are_removed(bundle_of, images, changed):
    score = {
        "protocol": "short",
        "network": "convnet",
        "seed": 0,
        "held_out": False,
        "data": "x",
        "fingerprint": "1" * 64,
        "images": 8,
        "accuracies": (50.0,),
    }
    big = bundle_of(images(instances=4), scores=(score,))
    assert big.manifest.scores
    assert pruned(big, 1, changed(strategy="none"), seed=0, device=CPU).manifest.scores == ()


def test_flips_are_disabled_for_digits(bundle_of, images):
    facts = SourceFacts(name="digits", fingerprint="0" * 64, train_images=9, held_out=1, skipped={})
    big = bundle_of(images(instances=3), source=facts)
    config = PruneConfig(strategy="none")
    assert "flip" in config.train.augment
    small = pruned(big, 1, config, seed=0, device=CPU)
    used = small.manifest.provenance.prunings[0].config
    assert "flip" not in used["train"]["augment"]
    assert "crop" in used["train"]["augment"]


def test_overrides_of_a_strategy(big):
    config = PruneConfig(strategy="none")
    small = prune(big, 1, config, settings={"margin_epochs": 3}, seed=0, device="cpu")
    assert small.manifest.provenance.prunings[0].config == {"margin_epochs": 3}


def test_beta_is_selected_on_held_out_images(big, source, changed):
    config = changed(betas=(0.0, 0.5, 1.0))
    small = prune(big, 1, config, data=source, seed=2, device="cpu")
    (record,) = small.manifest.provenance.prunings
    assert record.held_out == 6
    assert [score.beta for score in record.scores] == [0.0, 0.5, 1.0]
    best = max(score.accuracies[0] for score in record.scores)
    assert record.beta == next(s.beta for s in record.scores if s.accuracies[0] == best)
    _, expected = hold_out(source.train, 0.1, stream(0, "hold-out"))
    assert seen_and_held_out_by(big.manifest, source)[1].fingerprint == expected.fingerprint


def test_held_out_images_are_those_of_compress(monkeypatch, tmp_path, source):
    seen = []

    def tracked(train, holdout, seed):
        seen.append(seen_and_held_out(train, holdout, seed))
        return seen[-1]

    monkeypatch.setattr("hmnpack.condensing.run.seen_and_held_out", tracked)
    bundle = hmnpack.compress(
        source,
        4,
        config=recipe_of("smoke"),
        options=RunOptions(device="cpu"),
        source_options=SourceOptions(cache_dir=tmp_path),
    )
    assert seen_and_held_out_by(bundle.manifest, source)[1].fingerprint == seen[0][1].fingerprint


def test_batched_training_gives_the_same_bundle(big, source, changed):
    quick = {"epochs": 2, "batch": 48, "lr": 0.05, "augment": ["crop", "scale"]}
    config = changed(betas=(0.0, 0.5, 1.0), margin_epochs=2, train=quick)
    one, three = (
        prune(big, 1, config, data=source, seed=2, device="cpu", at_once=at_once)
        for at_once in (1, 3)
    )
    records = [made.manifest.provenance.prunings for made in (one, three)]
    assert records[0] == records[1]
    assert torch.equal(one.tensors["memory.instance"], three.tensors["memory.instance"])
    difference = torch.tensor(one.manifest.margins.areas) - torch.tensor(
        three.manifest.margins.areas
    )
    assert float(difference.abs().max()) < 1e-2


def test_at_once_zero_is_rejected_before_any_work(big, config):
    with pytest.raises(BadSettings, match="at_once must be 1 or more networks, got 0"):
        prune(big, 1, config, data="nowhere", device="cpu", at_once=0)


def test_other_datasets_and_unidentified_ones_are_rejected(big, source, other_source, config):
    with pytest.raises(
        BadData, match=r"not the dataset that the bundle was made from .*fingerprint"
    ):
        prune(big, 1, config, data=other_source, device="cpu")
    by_hand = big.manifest.model_copy(update={"holdout": None})
    with pytest.raises(BadData, match="does not record which images were held out"):
        prune(Bundle(by_hand, big.tensors), 1, config, data=source, device="cpu")


@pytest.mark.parametrize(
    ("changes", "held_out", "message"),
    [
        ({"strategy": "easy", "beta": 0.5}, 5, "strategy easy does not use beta, got 0.5"),
        ({"strategy": "none", "beta": 0.5}, 5, "strategy none does not use beta, got 0.5"),
        ({}, 0, "none were held out"),
    ],
)
def test_unusable_settings_are_rejected_first(changed, changes, held_out, message):
    with pytest.raises(BadSettings, match=message) as caught:
        check_prune_settings(changed(**changes), held_out)
    assert "\n" not in str(caught.value)


def test_nothing_to_prune_and_missing_inputs_are_rejected(big, config):
    with pytest.raises(BadSettings, match=r"all 80 images of each class are within .* ipc 9"):
        prune(big, 9, config, device="cpu")
    with pytest.raises(BadSettings, match=r"name the dataset .*--data.*--beta"):
        prune(big, 1, config, device="cpu")


def test_budget_below_the_shared_tensors_names_one_that_works(bundle_of, hmn, changed):
    big = bundle_of(hmn(classes=2, instances=300, decoder_channels=(64,)))
    with pytest.raises(BudgetTooSmall, match="smallest ipc that works here is 7") as caught:
        prune(big, 6, changed(strategy="none"), device="cpu")
    assert "\n" not in str(caught.value)
    small = prune(big, 7, changed(strategy="none"), device="cpu")
    assert 1 <= small.manifest.container.instances < 300
    few = bundle_of(hmn(classes=2, instances=3, decoder_channels=(64,)))
    with pytest.raises(BudgetTooSmall, match="no budget smaller than its own"):
        prune(few, 6, changed(strategy="none"), device="cpu")
