"""A protocol in a score: stored as a name and overrides, and restored to the same settings."""

import pytest

from hmnpack.errors import BadSettings
from hmnpack.evaluation.protocol import followed, recorded
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.score import Score
from hmnpack.settings import merged, protocol_of


@pytest.fixture
def manifest(images_bundle):
    return images_bundle.manifest


def score_of(config, manifest):
    name, changes = recorded(config, manifest)
    return Score(
        protocol=name,
        config=changes,
        network=config.network.name,
        seed=config.seed,
        data="x",
        held_out=config.held_out,
        fingerprint="0" * 64,
        images=4,
        accuracies=(50.0,) * config.repeats,
    )


@pytest.mark.parametrize(
    ("base", "changes", "written"),
    [
        ("short", {}, None),
        ("paper", {}, None),
        ("short", {"repeats": 7, "seed": 3, "held_out": True, "network.name": "vgg16"}, None),
        ("short", {"train.epochs": 20, "min_steps": 0}, {"train": {"epochs": 20}, "min_steps": 0}),
        ("paper", {"baselines": False}, {"baselines": False}),
        ("short", {"jpeg_quality": 50, "rows": ["bytes"]}, {"jpeg_quality": 50, "rows": ["bytes"]}),
    ],
)
def test_overrides_are_recorded_and_restored(manifest, base, changes, written):
    config = merged(protocol_of(base, manifest), changes)
    score = score_of(config, manifest)
    assert (score.protocol, score.config) == (base, written)
    assert followed(score, 1, manifest) == config


def test_protocol_depends_on_dataset_and_budget(bundle_of, images, image_shape):
    """Epochs of `paper` depend on both: 2,000 for CIFAR-10 at 1 ipc, 1,000 at 50."""
    spec = images(classes=10, instances=50, image=image_shape(3, 32, 32))
    bundle = bundle_of(spec)
    assert bundle.manifest.budget.ipc == 50
    score = score_of(protocol_of("paper", bundle.manifest), bundle.manifest)
    assert (score.protocol, score.config) == ("paper", None)
    assert followed(score, 1, bundle.manifest).train.epochs == 1000
    in_bytes = bundle_of(spec, budget={"bytes": bundle.manifest.budget.bytes}).manifest
    assert in_bytes.nearest_ipc == 50
    assert followed(score, 1, in_bytes).train.epochs == 1000


def test_overrides_larger_than_a_file_holds_are_rejected(manifest):
    many = merged(EvaluateConfig(), {"train.augment": ["flip"] * 3000})
    with pytest.raises(
        BadSettings, match=r"a file cannot hold these settings: .* maximum of 16384"
    ):
        recorded(many, manifest)
