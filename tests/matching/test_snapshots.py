"""Matching through snapshots, against its description written image by image, and what is kept."""

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from hmnpack.augment import apply, draw, normalise
from hmnpack.container import new_container
from hmnpack.errors import BadSettings, Paused
from hmnpack.matching import FeatureMatching, Match, pool_of
from hmnpack.matching import features as module
from hmnpack.matching.pool import untrained
from hmnpack.matching.sampling import ClassSampler, choose_instances
from hmnpack.matching.views import Views
from hmnpack.runtime import stream
from hmnpack.schema.config import ContainerConfig, MatchConfig
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.training import train

SPEC = ImagesSpec(classes=3, instances=4, image=ImageShape(channels=3, height=16, width=16))
EPOCHS = 5


@pytest.fixture
def config_of_pool(pool_config):
    train = pool_config.train.model_copy(update={"epochs": EPOCHS})
    return pool_config.model_copy(update={"train": train})


@pytest.fixture
def pool(real, config_of_pool, tmp_path):
    return pool_of(real, config_of_pool, 0, tmp_path, snapshots=True)


def config(**changes):
    settings = {"snapshots": (0.2, 1.0), "ahead": 2, "classifier": "between"} | changes
    return MatchConfig(
        steps=1, real_batch=5, synthetic_batch=3, precision="float32", classification=2.5
    ).model_copy(update=settings)


def container():
    return new_container(SPEC, ContainerConfig(), stream(0, "container"))


def trajectory(real, config, index):
    """A network after 0, 1, 2, ... epochs, trained by itself."""

    def start():
        return untrained(real, config.network, stream(0, "pool", index), "pool.network.name")

    states, settings = [], {"normalisation": real.normalisation, "seed": 0}
    name = f"pool network {index + 1}"
    train(
        start(),
        real.images,
        real.labels,
        config.train,
        **settings,
        name=name,
        on_epoch=states.append,
    )
    found = [start() for _ in range(EPOCHS + 1)]
    for network, state in zip(found[1:], states, strict=True):
        network.load_state_dict(state.network)
    return found


def literal(match, trajectories, images, step):
    """The loss of a step, and the two epochs: of the network matched through, and of the later.

    Random numbers in the order that the modules document.
    """
    config, data = match.config, match.data
    generator = stream(match.seed, "match", step)
    networks = trajectories[int(torch.randint(len(trajectories), (), generator=generator))]
    first, last = (round(part * EPOCHS) for part in config.snapshots)
    epoch = first + int(torch.randint(last - first + 1, (), generator=generator))
    draws = draw(config.augment, data.classes, generator)
    real = ClassSampler(data.labels, data.classes).draw(config.real_batch, generator)
    chosen = choose_instances(SPEC, config.synthetic_batch, generator)
    until = min(epoch + config.ahead, EPOCHS)
    ahead = stream(match.seed, "ahead", step)
    later = epoch + int(torch.randint(until - epoch + 1, (), generator=ahead))

    means, errors = {}, []
    for label in range(data.classes):
        own = draws.index(torch.tensor([label]))
        ours = apply(normalise(images[chosen[label]], data.normalisation), own)
        theirs = data.images[real[label]].float() / 255
        theirs = apply(normalise(theirs, data.normalisation), own)
        for block, (a, b) in enumerate(
            zip(networks[epoch].features(ours), networks[epoch].features(theirs), strict=True)
        ):
            means[label, block] = a.mean(0).flatten(), b.mean(0).flatten().detach()
        logits = networks[later](ours)
        errors += [F.cross_entropy(some[None], torch.tensor([label])) for some in logits]
    loss = config.classification * sum(errors) / len(errors)
    for block in range(1 + max(block for _, block in means)):
        pairs = [means[label, block] for label in range(data.classes)]
        centre = sum(theirs for _, theirs in pairs) / data.classes
        around = sum(((theirs - centre) ** 2).sum() for _, theirs in pairs)
        loss = loss + sum(((ours - theirs) ** 2).sum() for ours, theirs in pairs) / around
    return loss, epoch, later


@pytest.mark.parametrize("changes", [{}, {"ahead": 0}, {"snapshots": (0.0, 0.5), "ahead": 9}])
@pytest.mark.parametrize("chunk", [1, 1000 * 256])
def test_loss_and_gradient_are_those_of_the_description(
    real, config_of_pool, pool, monkeypatch, changes, chunk
):
    monkeypatch.setattr(module, "CPU_CHUNK", chunk)
    match = Match(real, pool, config(**changes), 5)
    trajectories = [trajectory(real, config_of_pool, index) for index in range(2)]
    ours, theirs, epochs = container(), container(), set()
    for step in range(6):
        loss = FeatureMatching(match).loss(ours, step)
        expected, *drawn = literal(match, trajectories, theirs.expand(), step)
        torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-4)
        loss.backward()
        expected.backward()
        epochs.add(tuple(drawn))
    torch.testing.assert_close(ours.pixels.grad, theirs.pixels.grad, atol=1e-5, rtol=1e-3)
    assert len(epochs) > 2
    assert any(later > epoch for epoch, later in epochs) == (match.config.ahead > 0)


def test_snapshots_are_those_of_each_training_and_come_back_from_the_cache(
    real, config_of_pool, pool, tmp_path
):
    again = pool_of(
        real, config_of_pool, 0, tmp_path, lambda *_, **__: pytest.fail(), snapshots=True
    )
    assert again.epochs == EPOCHS
    for index in range(2):
        for epoch, network in enumerate(trajectory(real, config_of_pool, index)):
            for some in (pool, again):
                found = some.snapshot(index, epoch).state_dict()
                torch.testing.assert_close(found, network.state_dict(), rtol=1e-4, atol=1e-6)
        assert again.snapshot(index, EPOCHS) is again.trained(index)


def test_networks_without_snapshots_are_trained_again_to_the_same(real, config_of_pool, tmp_path):
    plain = pool_of(real, config_of_pool, 0, tmp_path)
    assert plain.epochs == 0
    heard = []
    kept = pool_of(
        real, config_of_pool, 0, tmp_path, lambda *said, **_: heard.append(said), snapshots=True
    )
    assert len(heard) == 2 * EPOCHS
    assert kept.epochs == EPOCHS
    min(tmp_path.glob("*.epoch-2.pt")).unlink()
    pool_of(real, config_of_pool, 0, tmp_path, lambda *s, **_: heard.append(s), snapshots=True)
    assert len(heard) == 3 * EPOCHS
    torch.testing.assert_close(plain.trained(1).state_dict(), kept.trained(1).state_dict())
    pool_of(real, config_of_pool, 0, tmp_path, lambda *_, **__: pytest.fail())


@pytest.mark.parametrize("before", [True, False])
def test_an_interrupted_training_goes_on_if_its_snapshots_are_there(
    real, config_of_pool, pool, tmp_path, before
):
    folder, epochs, heard = tmp_path / "pieces", [], []

    def stop():
        epochs.append(1)
        if len(epochs) == 3:
            raise Paused("now")

    with pytest.raises(Paused):
        pool_of(real, config_of_pool, 0, folder, after_epoch=stop, snapshots=before)
    pieces = pool_of(
        real, config_of_pool, 0, folder, lambda *said, **_: heard.append(said), snapshots=True
    )
    assert len(heard) == 2 * EPOCHS - (3 if before else 0)
    for epoch in range(EPOCHS + 1):
        wanted = pool.snapshot(0, epoch).state_dict()
        torch.testing.assert_close(pieces.snapshot(0, epoch).state_dict(), wanted)


def test_epochs_are_in_their_range_and_later_ones_as_far_ahead_as_they_may_be(real, pool):
    def drawn(**changes):
        views = Views(Match(real, pool, config(**changes), 0), pool)
        found = (views.at(SPEC, step)[0] for step in range(200))
        return {(view.epoch, view.later) for view in found}

    assert drawn(snapshots=(0.4, 0.8), ahead=2) == {
        (2, 2), (2, 3), (2, 4), (3, 3), (3, 4), (3, 5), (4, 4), (4, 5)
    }  # fmt: skip
    assert drawn(snapshots=(0.0, 0.2), ahead=0) == {(0, 0), (1, 1)}
    assert drawn(snapshots=(1.0, 1.0), ahead=3) == {(EPOCHS, EPOCHS)}


def test_what_is_kept_of_views_changes_no_loss_and_later_networks_still_change(real, pool):
    """One objective remembers its views; of the other, made anew for each step, none is kept."""
    match = Match(real, pool, config(views=2), 7)
    kept, later = FeatureMatching(match), set()
    for step in range(8):
        images = container()
        loss, again = (each.loss(images, step) for each in (kept, FeatureMatching(match)))
        torch.testing.assert_close(loss, again, rtol=0, atol=0)
        view, _ = kept.views.at(SPEC, step)
        later.add((view.number, view.later))
    assert len(kept._kept) == 2
    assert len(later) > 2


def test_a_pool_without_snapshots_is_refused(real, config_of_pool, tmp_path):
    match = Match(real, pool_of(real, config_of_pool, 0, tmp_path), config(), 0)
    with pytest.raises(BadSettings, match="weights were kept after every epoch"):
        FeatureMatching(match)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"snapshots": (0.9, 0.1)}, "an earlier part"), ({"ahead": 2}, "set snapshots")],
)
def test_settings_that_make_no_sense_are_refused(changes, reason):
    with pytest.raises(ValidationError, match=reason):
        MatchConfig(steps=1, **changes)
