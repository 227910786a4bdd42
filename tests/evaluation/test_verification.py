"""Verification: the criterion by hand and by simulation, then true and false scores."""

import dataclasses

import numpy as np
import pytest
import torch

from hmnpack.errors import BadBundle, BadData, BadSettings
from hmnpack.evaluation import evaluate
from hmnpack.evaluation.scores import record
from hmnpack.evaluation.verification import Repetition, interval_of, verify
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.sources import Source
from hmnpack.sources.types import split_of

IMAGE = ImageShape(channels=1, height=16, width=16)
PROTOCOL = EvaluateConfig(
    network=NetworkConfig(width=4, depth=2),
    train=TrainConfig(epochs=2, batch=2, augment=("flip", "crop")),
    repeats=2,
    min_steps=0,
    baselines=False,
)


CHANGES = {
    "network": {"width": 4, "depth": 2},
    "train": {"epochs": 2, "batch": 2, "weight_decay": 0.0005, "augment": ["flip", "crop"]},
    "min_steps": 0,
    "baselines": False,
}
"""The overrides of protocol `short`, as a score records them."""


class TestCriterion:
    def test_interval_by_hand(self):
        """Squares 2 + 8 over 3 degrees of freedom; t from a table is 5.841; 1/2 + 1/3 = 5/6."""
        low, high = interval_of((49.0, 51.0), (58.0, 60.0, 62.0), 0.01)
        reach = 5.8409 * (10 / 3 * 5 / 6) ** 0.5
        assert (low, high) == pytest.approx((50 - reach, 50 + reach), abs=1e-3)

    def test_single_recorded_network_uses_the_spread_of_the_new_ones(self):
        """Squares 2 over 1 degree of freedom; t is 63.657; 1 + 1/2 = 3/2."""
        low, _ = interval_of((50.0,), (49.9, 50.1), 0.01)
        assert low == pytest.approx(50 - 63.657 * (0.02 * 1.5) ** 0.5, abs=1e-3)

    def test_equal_accuracies_have_the_resolution_as_spread(self):
        low, high = interval_of((50.0,) * 3, (50.0,) * 3, 0.1)
        reach = 4.6041 * 0.1 * (2 / 3) ** 0.5
        assert (low, high) == pytest.approx((50 - reach, 50 + reach), abs=1e-4)

    def test_interval_is_within_0_and_100(self):
        assert interval_of((1.0, 99.0), (50.0,), 1) == (0.0, 100.0)

    @pytest.mark.parametrize(("recorded", "new"), [(1, 2), (3, 3), (5, 2), (10, 3)])
    @pytest.mark.parametrize("test_images", [360, 10_000])
    def test_false_positive_rate_is_at_most_one_percent(self, recorded, new, test_images):
        """1000 true scores: normally distributed, rounded to whole test images."""
        assert self.alarms(recorded, new, test_images) <= 20

    @pytest.mark.parametrize(("recorded", "new", "least"), [(3, 3, 700), (3, 10, 990)])
    def test_shift_of_five_standard_deviations_is_detected(self, recorded, new, least):
        assert self.alarms(recorded, new, 10_000, shift=5 * 0.6) >= least

    def alarms(self, recorded, new, test_images, shift=0.0):
        generator = np.random.default_rng([recorded, new, test_images])
        samples = generator.normal(60, 0.6, (1000, recorded + new))
        samples[:, recorded:] += shift
        samples = np.round(samples / 100 * test_images) * 100 / test_images
        score = given(samples[0][:recorded])
        return sum(
            not Repetition(
                1,
                score.model_copy(update={"accuracies": tuple(row[:recorded].tolist())}),
                tuple(row[recorded:].tolist()),
                test_images,
            ).reproduced
            for row in samples
        )


def given(accuracies, **changes):
    from hmnpack.schema.score import Score

    facts = {
        "protocol": "short",
        "config": CHANGES,
        "network": "convnet",
        "seed": 0,
        "held_out": False,
        "data": "shades",
        "fingerprint": "b" * 64,
        "images": 4,
    }
    return Score(**(facts | {"accuracies": tuple(accuracies)} | changes))


def split(count, fingerprint):
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 128, (count, 1, 16, 16), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 2
    made = split_of(images + labels.view(-1, 1, 1, 1).byte() * 100, labels)
    return dataclasses.replace(made, fingerprint=fingerprint * 64)


@pytest.fixture
def source():
    return Source("shades", ("ant", "bee"), split(8, "a"), split(40, "b"))


@pytest.fixture
def save(bundle_of, images, tmp_path):
    """Return a function that saves a bundle with the given scores."""

    def made(*scores):
        path = tmp_path / "s.hmn"
        bundle_of(images(image=IMAGE), scores=scores).save(path, force=True)
        return path

    return made


@pytest.fixture
def bundle(bundle_of, images):
    return bundle_of(images(image=IMAGE))


def test_without_dataset_only_the_file_is_checked(save):
    path = save(given((50.0, 51.0)))
    found = verify(path)
    assert found.reproduced
    assert found.repetition is None
    assert len(found.manifest.scores) == 1
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadBundle, match=r"s\.hmn: the tensors do not match"):
        verify(path)


def test_recorded_seed_reproduces_the_accuracies(save, source, bundle):
    path = save()
    found = evaluate(bundle, source, PROTOCOL, device="cpu")
    record(path, bundle, found, device="cpu")
    renamed = dataclasses.replace(source, name="digits")  # for which flips are disabled
    repetition = verify(path, renamed, device="cpu").repetition
    assert repetition.accuracies == found.score.accuracies
    assert repetition.reproduced
    assert (repetition.number, repetition.test_images) == (1, 40)


@pytest.fixture
def trained(monkeypatch):
    """Record protocols instead of training; every network has 50 % accuracy."""
    seen = []

    def stand_in(bundle, source, config, **_):
        from hmnpack.evaluation import Evaluation

        seen.append(config)
        return Evaluation(rows=(), score=given((50.0,) * config.repeats), config=config)

    monkeypatch.setattr("hmnpack.evaluation.verification.evaluate", stand_in)
    return seen


def test_score_that_is_not_reproduced(save, source, trained):
    again = verify(save(given((99.0, 100.0, 100.0))), source)
    assert not again.reproduced
    low, high = again.repetition.interval
    assert 50 < low < 99 < high == 100


def test_protocol_is_the_recorded_one_without_baselines(save, source, trained):
    path = save(given((50.0, 50.0), config=CHANGES | {"baselines": True}))
    assert verify(path, source).reproduced
    verify(path, source, networks=5, seed=9)
    assert trained == [PROTOCOL, PROTOCOL.model_copy(update={"repeats": 5, "seed": 9})]


def test_score_is_the_last_on_this_dataset_or_the_named_one(save, source, trained):
    scores = (given((50.0, 50.0)), given((90.0, 90.0)), given((50.0,), fingerprint="c" * 64))
    path = save(*scores)
    assert verify(path, source).repetition.number == 2
    assert not verify(path, source).reproduced
    assert verify(path, source, score=1).reproduced
    with pytest.raises(BadData, match=r"score 3 was tested on shades, .* fingerprints differ"):
        verify(path, source, score=3)
    with pytest.raises(BadSettings, match="no score 4; its scores are numbered 1 to 3"):
        verify(path, source, score=4)


def test_other_dataset_is_rejected(save, source, trained):
    path = save(given((50.0, 50.0)))
    for test, why in ((source.train, "fingerprints differ"), (None, "shades has no test split")):
        with pytest.raises(BadData, match=f"{why}.*name the same dataset"):
            verify(path, dataclasses.replace(source, test=test))
    assert trained == []


def test_dataset_is_not_opened_for_a_file_without_scores(save, tmp_path):
    with pytest.raises(BadSettings, match=r"evaluate .*s\.hmn --data DATA --record"):
        verify(save(), str(tmp_path / "absent"))


@pytest.mark.parametrize("recorded", [1, 2, 3])
def test_three_networks_are_too_few(save, source, trained, recorded):
    path = save(given((50.0,) * recorded))
    enough = 4 - recorded
    if enough > 1:
        with pytest.raises(BadSettings, match=rf"has {recorded} recorded .*--networks {enough}\)"):
            verify(path, source, networks=enough - 1)
    assert verify(path, source, networks=enough).reproduced
    with pytest.raises(BadSettings, match="repeats = 0"):
        verify(path, source, networks=0)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"config": {"train": {"foo": 1}}}, "unknown setting 'train.foo'"),
        ({"config": {"train": {"epochs": "many"}}}, "setting train.epochs = 'many': .*integer"),
        ({"config": {"train": 5}}, "unknown setting 'train'"),
        ({"protocol": "long"}, "unknown protocol 'long'"),
    ],
)
def test_unknown_protocol_error_is_one_line(save, source, trained, facts, why):
    path = save(given((50.0, 50.0)), given((50.0, 50.0), **facts))
    cannot = r"s\.hmn: this version of hmnpack cannot follow the protocol of score 2"
    with pytest.raises(BadSettings, match=rf"{cannot} \({why}[^;]*\)$"):
        verify(path, source)
    assert trained == []
    assert verify(path).reproduced  # the protocol is not needed to read the file
