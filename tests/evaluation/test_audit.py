"""A complete audit: an attack that must be found, and what must not be taken for one."""

from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

import hmnpack
from hmnpack.errors import BadData, BadSettings
from hmnpack.evaluation.attack import CONTROL_ROW, MEMBERS_ROW
from hmnpack.evaluation.compare import BUNDLE_ROW
from hmnpack.evaluation.distances import nearest_by_features
from hmnpack.evaluation.real_parts import condensed_of, parts_of
from hmnpack.networks import ConvNet
from hmnpack.runtime.seeds import stream
from hmnpack.schema.audit import Audit
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources import Source
from hmnpack.sources.types import split_of

CONFIG = EvaluateConfig(
    network=NetworkConfig(width=16, depth=2),
    train=TrainConfig(epochs=30, batch=40, lr=0.1, augment=(), cutmix=0),
    repeats=2,
    min_steps=0,
)
"""Long enough to learn the labels of noise by heart."""


def noise(per_class, seed):
    labels = torch.arange(2 * per_class) % 2
    images = torch.randint(0, 256, (2 * per_class, 1, 8, 8), generator=stream(seed, "noise"))
    return split_of(images.to(torch.uint8), labels)


@pytest.fixture(scope="module")
def data():
    """Noise: whatever a network knows of its images, it has from these images."""
    return Source(name="noise", classes=("a", "b"), train=noise(20, 1), test=noise(30, 2))


@pytest.fixture(scope="module")
def packed(data):
    def make(split):
        return hmnpack.pack(split.images, split.labels, ipc=len(split) // 2, data=data)

    return make


@pytest.fixture(scope="module")
def leaking(data, packed):
    """The audit of a file that holds the training images themselves."""
    return hmnpack.audit(packed(data.train), data, CONFIG, device="cpu")


@pytest.fixture(scope="module")
def harmless(data, packed):
    """The audit of a file of other noise."""
    return hmnpack.audit(packed(noise(20, 3)), data, CONFIG, device="cpu", pictures=False)


@pytest.mark.slow
def test_file_of_training_images_is_found(leaking):
    pixels, features = leaking.nearest
    assert (pixels.space, pixels.copies, pixels.synthetic.p95) == ("pixels", 40, 0.0)
    assert (features.space, features.copies) == ("features", 40)
    assert pixels.below_p1 == features.below_p1 == 100
    assert pixels.real.least > 50
    own, control, members = leaking.attacks
    assert [row.name for row in leaking.attacks] == [BUNDLE_ROW, CONTROL_ROW, MEMBERS_ROW]
    assert own.auc.low > 0.9 > control.auc.high
    assert leaking.over_control.low > 0.2
    assert leaking.over_control.value == pytest.approx(own.auc.value - control.auc.value)
    assert members.auc.low > 0.8


@pytest.mark.slow
def test_file_of_other_images_is_not(harmless):
    pixels, features = harmless.nearest
    assert pixels.copies == features.copies == 0
    assert pixels.synthetic.least > 50 and pixels.below_p1 <= 10
    own, control, members = harmless.attacks
    assert own.auc.low < 0.6 and control.auc.low < 0.6
    assert harmless.over_control.low < 0 < harmless.over_control.high
    assert members.auc.low > 0.8


@pytest.mark.slow
def test_numbers_of_images_are_stated(leaking, harmless):
    for found in (leaking, harmless):
        own, control, members = found.attacks
        assert (found.condensed, found.mixed_in, found.held_out) == (40, 0, False)
        assert (own.images, own.members, own.non_members) == (40, 30, 30)
        assert (control.images, control.members, control.non_members) == (30, 30, 30)
        assert (members.images, members.members, members.non_members) == (40, 40, 30)
        assert all(len(row.aucs) == 2 for row in found.attacks)
        assert all(row.auc.value == pytest.approx(sum(row.aucs) / 2) for row in found.attacks)
        assert found.nearest[0].synthetic.images == 40 and found.nearest[0].real.images == 30


@pytest.mark.slow
def test_pairs_and_their_picture(leaking, harmless, data):
    digests = {
        bytes(row).hex(): int(k)
        for row, k in zip(data.train.digests.numpy(), data.train.labels, strict=True)
    }
    for found in (leaking, harmless):
        assert len(found.pairs) == 10
        distances = [pair.distance for pair in found.pairs]
        assert distances == sorted(distances)
        assert all(digests[pair.real_sha256] == pair.real_label for pair in found.pairs)
    assert all(pair.label == pair.real_label for pair in leaking.pairs)
    assert harmless.picture is None
    picture = np.asarray(Image.open(BytesIO(b64decode(leaking.picture))))
    assert picture.shape == (2 * 64 + 2, 10 * 66 - 2)
    assert (picture[:64] == picture[66:]).all()
    order = torch.tensor([pair.image for pair in leaking.pairs])
    stored = data.train.images[order].numpy()  # a packed file keeps the order of a split
    shown = np.stack([picture[3:64:8, x : x + 64 : 8] for x in range(3, 658, 66)])
    assert (shown == stored[:, 0]).all()


def test_audit_is_deterministic_and_survives_json(data, packed):
    bundle = packed(noise(20, 3))
    short = {"repeats": 1, "train.epochs": 2}
    first, again = (
        hmnpack.audit(bundle, data, CONFIG, settings=short, device="cpu") for _ in range(2)
    )
    assert again == first
    assert Audit.model_validate_json(first.model_dump_json()) == first


def test_parts_do_not_overlap_and_have_like_classes():
    data = noise(20, 1), noise(9, 2)
    found = parts_of((data[0], 0), data[1], ("a", "b"), seed=3)
    names = [
        {bytes(row) for row in part.digests.numpy()}
        for part in (found.condensed, found.non_members, found.control)
    ]
    assert [len(part) for part in names] == [40, 10, 8]
    assert len(set.union(*names)) == 58
    assert {bytes(row) for row in found.members.digests.numpy()} <= names[0]
    for part in (found.members, found.non_members):
        assert torch.bincount(part.labels).tolist() == [5, 5]
    other = parts_of((data[0], 0), data[1], ("a", "b"), seed=4)
    assert other.members.fingerprint != found.members.fingerprint


def test_tested_images_are_bounded(monkeypatch):
    monkeypatch.setattr("hmnpack.evaluation.real_parts.TESTED", 6)
    found = parts_of((noise(20, 1), 0), noise(9, 2), ("a", "b"), seed=3)
    assert (len(found.members), len(found.non_members), len(found.control)) == (6, 6, 12)


def test_held_out_images_are_not_condensed_ones(data, packed):
    bundle = packed(data.train)
    made_from = bundle.manifest.source.model_copy(update={"held_out": 8})
    unknown = bundle.manifest.model_copy(update={"source": made_from})
    assert condensed_of(bundle.manifest, data) == (data.train, 0)
    assert condensed_of(unknown, data) == (data.train, 8)
    known = unknown.model_copy(update={"holdout": 0.2, "seed": 5})
    condensed, mixed_in = condensed_of(known, data)
    assert (len(condensed), mixed_in) == (32, 0)
    held_out = CONFIG.model_copy(update={"held_out": True, "repeats": 1})
    found = hmnpack.audit(
        hmnpack.Bundle(known, bundle.tensors),
        replace(data, test=None),
        held_out,
        settings={"train.epochs": 1},
        device="cpu",
    )
    assert found.held_out and found.condensed == 32
    assert found.attacks[0].non_members == 4


def test_other_data_are_refused(data, packed):
    bundle = packed(data.train)
    with pytest.raises(BadData, match="is not the dataset that the bundle was made from"):
        hmnpack.audit(bundle, replace(data, train=noise(20, 9)), CONFIG, device="cpu")
    with pytest.raises(BadData, match="has no test split"):
        hmnpack.audit(bundle, replace(data, test=None), CONFIG, device="cpu")
    with pytest.raises(BadData, match="class 'a' has 1 images that were not condensed"):
        hmnpack.audit(bundle, replace(data, test=noise(1, 2)), CONFIG, device="cpu")
    with pytest.raises(BadSettings, match=r"train\.epoch"):
        hmnpack.audit(bundle, data, CONFIG, settings={"train.epoch": 1}, device="cpu")


def test_parts_of_a_file_are_not_audited(data, packed):
    """The data that a part records have other classes, too."""
    (bundle,) = hmnpack.split(packed(data.train), ["a"])
    with pytest.raises(BadData, match="does not record which images of noise it was made from"):
        hmnpack.audit(bundle, data.only(["a"]), CONFIG, device="cpu")


def test_network_without_features_is_measured_by_its_logits():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    images, others = noise(4, 1).images, noise(20, 2).images
    centre = Normalisation(mean=(0.5,), std=(0.25,))
    space, (found,) = nearest_by_features(network, [others], images, normalisation=centre)
    with torch.no_grad():
        logits = [network((group / 255 - 0.5) / 0.25) for group in (others, images)]
    assert space == "logits"
    assert found.numpy() == pytest.approx(torch.cdist(*logits).amin(1).numpy(), rel=1e-3)


def test_features_are_searched_in_parts(monkeypatch):
    monkeypatch.setattr("hmnpack.evaluation.distances._PART", 7)
    image = ImageShape(channels=1, height=8, width=8)
    network = ConvNet(2, image, NetworkConfig(width=4, depth=2))
    images, others = noise(15, 1).images, noise(5, 2).images
    centre = Normalisation(mean=(0.5,), std=(0.25,))
    space, found = nearest_by_features(
        network, [others, images[20:22]], images, normalisation=centre
    )
    with torch.no_grad():
        network.eval()
        real, some = (
            network.features((group / 255 - 0.5) / 0.25)[-1].flatten(1)
            for group in (images, others)
        )
    assert space == "features"
    assert found[0].numpy() == pytest.approx(torch.cdist(some, real).amin(1).numpy(), rel=1e-4)
    assert found[1].tolist() == pytest.approx([0, 0], abs=1e-5)
