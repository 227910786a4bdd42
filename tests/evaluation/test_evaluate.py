"""A complete evaluation: its rows, its score, its errors, and what does not change."""

import pytest
import torch

from hmnpack.bundle import Bundle
from hmnpack.errors import BadData, BadSettings
from hmnpack.evaluation import (
    BUNDLE_ROW,
    BYTES_ROW,
    COUNT_ROW,
    FLOATS_ROW,
    WHOLE_ROW,
    TrainingSet,
    check_network,
    evaluate,
    protocol_for,
)
from hmnpack.evaluation.bench import Bench
from hmnpack.evaluation.protocol import followed
from hmnpack.evaluation.rows import half_interval, make_row
from hmnpack.evaluation.trainer import equal_groups, train_row
from hmnpack.runtime.progress import no_progress
from hmnpack.schema.config import TRAINING_AUGMENTATIONS, NetworkConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.schema.result import Row
from hmnpack.sources import Source, SourceOptions
from hmnpack.training import EVERY, train_together

CLASSES = ("dark", "middle", "light")


@pytest.fixture(scope="module")
def calls():
    return []


@pytest.fixture(scope="module")
def found(source, shades_bundle, config, calls):
    bundle = shades_bundle(source)
    return evaluate(bundle, source, config, device="cpu", listener=lambda *a, **_: calls.append(a))


@pytest.fixture
def alone(config):
    return config.model_copy(update={"baselines": False})


def test_rows_of_an_evaluation(found):
    assert [row.name for row in found.rows] == [BUNDLE_ROW, FLOATS_ROW, BYTES_ROW]
    own, floats, files = found.rows
    assert own.images == floats.images == 12
    assert own.figures["bytes"] == floats.figures["bytes"] == 4 * 12 * 768
    assert files.images > 12
    assert files.images % 3 == 0
    assert files.figures["bytes"] <= own.figures["bytes"]
    assert own.figures["steps"] == 16
    assert all(row.networks == 2 for row in found.rows)
    # 12 images in batches of 8 take 16 steps in 8 epochs; more images take fewer epochs.
    assert floats.figures["steps"] == 16
    steps = -(-files.images // 8)
    assert files.figures["steps"] == steps * files.figures["epochs"]
    assert 16 <= files.figures["steps"] < 16 + steps
    assert files.accuracy_mean > 80


def test_half_interval_against_printed_table():
    """Against printed 97.5th percentiles for one and for four degrees of freedom."""
    assert half_interval([60.0, 62.0]) == pytest.approx(12.706, rel=1e-4)
    assert half_interval([1, 2, 3, 4, 5]) == pytest.approx(2.776 * 2.5**0.5 / 5**0.5, rel=1e-3)
    assert half_interval([60.0]) is None


def test_row_has_mean_deviation_and_interval(config):
    sets = [TrainingSet(torch.zeros(n, 1), torch.zeros(n), n) for n in (6, 8)]
    row = make_row(config, "row", sets, [60, 62])
    assert (row.images, row.networks, row.figures["bytes"]) == (7, 2, 7)
    assert (row.accuracy_mean, row.accuracy_std) == (61, pytest.approx(2**0.5))
    assert row.accuracy_ci95 == pytest.approx(12.706, rel=1e-4)


def test_score_of_an_evaluation(found, source, config):
    first, second = found.score.accuracies
    assert found.rows[0].accuracies == (first, second)
    assert found.rows[0].accuracy_mean == pytest.approx((first + second) / 2)
    assert found.rows[0].accuracy_std == pytest.approx(abs(first - second) / 2**0.5)
    assert found.score.data == "shades"
    assert found.score.fingerprint == source.test.fingerprint
    assert found.score.images == 12
    assert found.config == config


def test_quality_is_selected_on_held_out_images_and_recorded(found, calls):
    figures = found.rows[2].figures
    tried = {int(name.rpartition("_")[2]): v for name, v in figures.items() if "accuracy" in name}
    assert list(tried) == [5, 10, 20, 30, 50, 75]
    assert figures["held_out_images"] == 6
    assert tried[figures["jpeg_quality"]] == max(tried.values())
    stages = list(dict.fromkeys(stage for stage, *_ in calls))
    trials = [f"JPEG quality {quality}" for quality in tried]
    assert stages == [BUNDLE_ROW, FLOATS_ROW, *trials, BYTES_ROW]


def test_given_quality_skips_the_selection(source, shades_bundle, config):
    stages = []
    given = config.model_copy(update={"rows": ("bytes",), "jpeg_quality": 42, "repeats": 1})
    bundle = shades_bundle(source)
    rows = evaluate(
        bundle, source, given, device="cpu", listener=lambda stage, *_, **__: stages.append(stage)
    ).rows
    assert [row.name for row in rows] == [BUNDLE_ROW, BYTES_ROW]
    assert set(stages) == {BUNDLE_ROW, BYTES_ROW}
    assert (rows[1].figures["jpeg_quality"], rows[1].figures["held_out_images"]) == (42, 0)


def test_rows_are_selected_by_name(source, shades_bundle, config, tmp_path):
    """The order of the rows is fixed."""
    given = config.model_copy(update={"rows": ("whole", "count", "floats")})
    cache = SourceOptions(cache_dir=tmp_path)
    full = shades_bundle(source, 2)
    budget = full.manifest.budget.model_copy(update={"ipc": 1})  # as if it decoded to twice as many
    bundle = Bundle(full.manifest.model_copy(update={"budget": budget}), full.tensors)
    rows = evaluate(bundle, source, given, device="cpu", source_options=cache).rows
    assert [row.name for row in rows] == [BUNDLE_ROW, FLOATS_ROW, COUNT_ROW, WHOLE_ROW]
    assert [row.images for row in rows] == [6, 3, 6, 60]
    assert [row.networks for row in rows] == [2, 2, 2, 2]
    assert rows[3].figures["bytes"] == 60 * 4 * 768


def test_path_and_same_seed_give_the_same_row(found, source, shades_bundle, alone, tmp_path):
    path = tmp_path / "shades.hmn"
    shades_bundle(source).save(path)
    again = evaluate(path, source, alone, device="cpu")
    assert len(again.rows) == 1
    assert again.score.accuracies == found.score.accuracies


def test_batched_training_gives_the_same_accuracies(found, source, shades_bundle, config):
    """A batch of up to three networks; a row has two."""
    calls = []
    again = evaluate(
        shades_bundle(source),
        source,
        config.model_copy(update={"jpeg_quality": found.rows[2].figures["jpeg_quality"]}),
        device="cpu",
        at_once=3,
        listener=lambda *a, **_: calls.append(a),
    )
    assert again.score.accuracies == pytest.approx(found.score.accuracies, abs=1e-9)
    for row, other in zip(again.rows, found.rows, strict=True):
        assert row.accuracy_mean == pytest.approx(other.accuracy_mean, abs=1e-9)
    assert calls[:8] == [(BUNDLE_ROW, done, 16) for done in range(2, 17, 2)]


def test_groups_have_equal_numbers_of_images(source, config):
    sets = [TrainingSet(torch.zeros(n, 1), torch.zeros(n), 0) for n in (6, 9, 6, 6, 9)]
    groups = {n: equal_groups(range(5), sets, n) for n in (1, 2, EVERY)}
    assert groups[1] == [(0,), (2,), (3,), (1,), (4,)]
    assert groups[2] == [(0, 2), (3,), (1, 4)]
    assert groups[EVERY] == [(0, 2, 3), (1, 4)]


def test_accuracies_are_in_the_order_of_the_sets(source, config):
    """Networks with equal numbers of images are trained first; progress counts all of them."""
    test = TrainingSet(source.test.images, source.test.labels, 1)
    same, calls = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3), []

    def record(stage, done, total, **facts):
        calls.append((done, total))

    given = (config, same, 3, source.image, test, torch.device("cpu"))
    images, labels = source.train.images, source.train.labels
    sets = [TrainingSet(images[:n], labels[:n], 0) for n in (6, 9, 6)]
    found = train_row(Bench(*given, record, 2), "row", sets)
    assert calls == [(done, 24) for done in (*range(2, 17, 2), *range(17, 25))]
    alone = [train_row(Bench(*given, no_progress), "row", sets, [index]) for index in range(3)]
    assert found == pytest.approx([accuracy for (accuracy,) in alone], abs=1e-9)


def test_batch_shrinks_when_memory_is_exhausted(found, source, shades_bundle, alone):
    sizes, calls = [], []

    def train(networks, *given, **more):
        sizes.append(len(networks))
        if len(networks) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        train_together(networks, *given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hmnpack.evaluation.trainer.train_together", train)
        given = {"device": "cpu", "at_once": 2, "listener": lambda *a, **_: calls.append(a)}
        again = evaluate(shades_bundle(source), source, alone, **given)
    assert sizes == [2, 1, 1]
    assert again.score.accuracies == found.score.accuracies
    assert calls == [(BUNDLE_ROW, done, 16) for done in range(1, 17)]


def test_at_once_zero_is_rejected(source, shades_bundle, config):
    with pytest.raises(BadSettings, match="at_once must be 1 or more networks, got 0"):
        evaluate(shades_bundle(source), source, config, device="cpu", at_once=0)


def test_listener_is_called_after_every_epoch(calls, found):
    assert calls[:16] == [(BUNDLE_ROW, done, 16) for done in range(1, 17)]


def test_single_network_has_zero_deviation(source, shades_bundle, alone):
    once = alone.model_copy(update={"repeats": 1})
    (row,) = evaluate(shades_bundle(source), source, once, device="cpu").rows
    assert (row.accuracy_std, row.accuracy_ci95) == (0, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": None}, "shades has no test split"),
        ({"side": 8}, "images are 3x8x8, but the bundle's are 3x16x16"),
        ({"classes": CLASSES[:2]}, "shades has 2 classes, but the bundle has 3"),
        ({"classes": CLASSES[::-1]}, "class 0 of shades is 'light', but 'dark' in the bundle"),
    ],
)
def test_incompatible_dataset_is_rejected(source, shades_bundle, split, config, changes, message):
    facts = {"name": "shades", "classes": CLASSES, "train": source.train, "test": source.test}
    if "side" in changes:
        changes = {"train": split(2, 1, side=changes["side"])}
    if len(changes.get("classes", CLASSES)) < len(CLASSES):
        part = source.only(changes["classes"])
        changes |= {"train": part.train, "test": part.test}
    with pytest.raises(BadData, match=message):
        evaluate(shades_bundle(source), Source(**(facts | changes)), config, device="cpu")


@pytest.mark.parametrize("name", ["convnat", "torchvision:alexnet"])
def test_incompatible_network_is_rejected(source, shades_bundle, name):
    manifest = shades_bundle(source).manifest
    check_network(NetworkConfig(), manifest)
    with pytest.raises(BadSettings, match=name):
        check_network(NetworkConfig(name=name), manifest)


@pytest.mark.parametrize(
    ("name", "flips"),
    [
        ("cifar10", True),
        ("fashion-mnist", True),
        ("hf:someone/fashion_mnist", True),
        ("mnist", False),
        ("svhn", False),
        ("digits", False),
        ("hf:someone/mnist:plain", False),
    ],
)
def test_digits_are_not_flipped(name, flips):
    used = protocol_for(EvaluateConfig(), (name, "other"))
    assert ("flip" in used.train.augment) == flips
    assert set(TRAINING_AUGMENTATIONS) - set(used.train.augment) <= {"flip"}


def test_explicit_augmentations_are_preserved(config):
    assert config.train.augment == ("flip", "crop")
    assert protocol_for(config, ("digits",)) == config


class TestSettings:
    def test_overrides_of_a_config(self, source, shades_bundle, config, found):
        bundle = shades_bundle(source)
        short = {"train": {"epochs": 2}, "baselines": False}
        found = evaluate(bundle, source, config, settings=short, device="cpu")
        train = config.train.model_copy(update={"epochs": 2})
        assert found.config == config.model_copy(update={"train": train, "baselines": False})
        assert followed(found.score, 1, bundle.manifest) == found.config
        with pytest.raises(BadSettings, match="`protocol` is not a setting"):
            evaluate(bundle, source, settings={"protocol": "paper"})
        with pytest.raises(BadSettings, match=r"unknown setting 'epochs'; did you mean train.ep"):
            evaluate(bundle, source, settings={"epochs": 2})

    def test_overrides_of_a_protocol(self, source, shades_bundle, monkeypatch):
        seen = []

        def stop(manifest, source, config, *_, **__):
            seen.append(config)
            raise StopIteration

        monkeypatch.setattr("hmnpack.evaluation.run.bench_of", stop)
        bundle = shades_bundle(source)
        for name in (None, "short", "paper"):
            with pytest.raises(StopIteration):
                evaluate(bundle, source, protocol=name, settings={"train.batch": 7})
        assert [each.train.batch for each in seen] == [7, 7, 7]
        assert [each.train.weight_decay for each in seen] == [0.0002, 0.0002, 0.0002]
        assert [each.repeats for each in seen] == [3, 3, 10]

    def test_contradictory_and_unknown_settings_are_rejected(self, source, shades_bundle, config):
        bundle = shades_bundle(source)
        with pytest.raises(BadSettings, match="both define all settings"):
            evaluate(bundle, source, config, protocol="short")
        with pytest.raises(BadSettings, match="unknown protocol 'long'; did you mean paper"):
            evaluate(bundle, source, protocol="long")


def test_spec_describes_the_source(source):
    assert source.image == ImageShape(channels=3, height=16, width=16)


class TestStoredConfig:
    def test_rows_are_preserved(self):
        given = EvaluateConfig(rows=("count",))
        assert given.baseline_rows == ("count",)
        assert EvaluateConfig.model_validate_json(given.model_dump_json()) == given
        assert given.model_copy(update={"baselines": False}).baseline_rows == ()

    def test_old_row_is_readable(self):
        old = {"name": "bundle", "images": 9, "accuracy_mean": 50, "accuracy_std": 1, "networks": 3}
        assert Row.model_validate(old).accuracy_ci95 is None
