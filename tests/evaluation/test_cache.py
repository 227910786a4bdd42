"""The cache of networks: an interrupted evaluation resumes with the same result."""

from dataclasses import replace

import pytest
import torch

from hmnpack.errors import BadSettings
from hmnpack.evaluation import BUNDLE_ROW, BYTES_ROW, FLOATS_ROW, TrainingSet, evaluate
from hmnpack.evaluation.bench import Bench
from hmnpack.evaluation.cache import entries_of
from hmnpack.evaluation.trainer import train_row
from hmnpack.runtime.kept import Store, write_state
from hmnpack.runtime.progress import no_progress
from hmnpack.schema.manifest import Normalisation
from hmnpack.training import saving

EPOCHS = 8
"""Epochs of each of the two networks in the protocol."""


UNSCALED = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)


class Stop(Exception):
    pass


@pytest.fixture
def alone(config):
    return config.model_copy(update={"baselines": False})


@pytest.fixture
def every_epoch(monkeypatch):
    """Save checkpoints after every epoch, not once a minute."""
    monkeypatch.setattr(
        "hmnpack.evaluation.trainer.saving", lambda entries: saving(entries, seconds=0)
    )


def stopping(epochs, row=BUNDLE_ROW):
    """Return a listener that stops an evaluation when called with an epoch, which is then lost."""

    def record(stage, done, total, **facts):
        if (stage, done) == (row, epochs):
            raise Stop

    return record


@pytest.mark.parametrize(
    ("at_once", "lost", "reported"),
    [
        pytest.param(1, 3, range(3, 17), id="in the first network"),
        pytest.param(1, 8, range(8, 17), id="at its end"),
        pytest.param(1, 11, range(11, 17), id="in the second network"),
        pytest.param(2, 6, range(6, 17, 2), id="in both at once"),
    ],
)
def test_interrupted_evaluation_resumes(
    source, shades_bundle, alone, every_epoch, tmp_path, at_once, lost, reported
):
    bundle, given = shades_bundle(source), {"device": "cpu", "at_once": at_once}
    with pytest.raises(Stop):
        evaluate(bundle, source, alone, **given, work=tmp_path, listener=stopping(lost))
    calls = []

    def record(stage, done, total, **facts):
        calls.append((stage, done, total))

    found = evaluate(bundle, source, alone, **given, work=tmp_path, listener=record)
    assert calls == [(BUNDLE_ROW, done, 2 * EPOCHS) for done in reported]
    assert found == evaluate(bundle, source, alone, **given)
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt"] * 2


def test_networks_at_different_epochs_resume_separately(
    source, shades_bundle, alone, every_epoch, tmp_path
):
    bundle, given = shades_bundle(source), {"device": "cpu", "work": tmp_path}
    with pytest.raises(Stop):
        evaluate(bundle, source, alone, **given, listener=stopping(11))
    first = next(tmp_path.glob("*.pt"))
    first.unlink()
    calls = []
    found = evaluate(
        bundle, source, alone, **given, at_once=2, listener=lambda *a, **_: calls.append(a[1])
    )
    assert calls == [*range(1, 9), *range(11, 17)]
    assert found == evaluate(bundle, source, alone, device="cpu")


def test_baselines_and_quality_trials_are_cached(source, shades_bundle, config, tmp_path):
    bundle, calls = shades_bundle(source), []
    given = {"device": "cpu", "work": str(tmp_path)}
    with pytest.raises(Stop):
        # All 60 images in batches of 8 are 8 steps: 2 epochs for each of the two networks.
        evaluate(bundle, source, config, **given, listener=stopping(4, BYTES_ROW))
    found = evaluate(bundle, source, config, **given, listener=lambda *a, **_: calls.append(a[:2]))
    assert calls == [(BYTES_ROW, 3), (BYTES_ROW, 4)]
    assert found == evaluate(bundle, source, config, device="cpu")
    again = evaluate(bundle, source, config, **given, listener=stopping(1))
    assert again == found
    assert [row.name for row in found.rows] == [BUNDLE_ROW, FLOATS_ROW, BYTES_ROW]


@pytest.fixture
def bench(source, config):
    test = TrainingSet(source.test.images, source.test.labels, 1)
    same = Normalisation(mean=(0.4,) * 3, std=(0.2,) * 3)
    return Bench(config, same, 3, source.image, test, torch.device("cpu"), no_progress)


def file_of(bench, images, row="row", index=0):
    """Return the name of the file that caches a network."""
    (entry,) = entries_of(bench, row, [index], {index: images})
    return entry.path.name


def test_networks_cached_by_another_process_are_reused(source, bench, tmp_path):
    """Another process trains the second while the first is trained; the third resumes the count."""
    images = TrainingSet(source.train.images[:12], source.train.labels[:12], 1)
    sets, calls = [images] * 3, []

    def other(stage, done, total, **facts):
        calls.append((done, total))
        if len(calls) == 1:
            train_row(replace(cached, listener=no_progress), "row", sets, [1])

    cached = replace(bench, store=Store(tmp_path), listener=other)
    found = train_row(cached, "row", sets)
    assert calls == [(done, 3 * EPOCHS) for done in (*range(1, 9), *range(17, 25))]
    assert found == train_row(bench, "row", sets)


def test_missing_networks_are_trained_as_one_batch(source, bench, tmp_path):
    images = TrainingSet(source.train.images[:12], source.train.labels[:12], 1)
    sets, calls = [images] * 5, []
    cached = replace(bench, store=Store(tmp_path), at_once=2)
    two = train_row(cached, "row", sets, [3, 1])
    cached = replace(cached, listener=lambda _, done, *rest, **facts: calls.append(done))
    found = train_row(cached, "row", sets)
    assert calls == [*range(18, 33, 2), *range(33, 41)]
    assert [found[3], found[1]] == two
    assert len(list(tmp_path.iterdir())) == 5


def test_cache_key_depends_on_arithmetic(bench, tmp_path, monkeypatch):
    """Precision `auto` selects bfloat16 on one processor and float32 on another."""
    images, names = TrainingSet(torch.zeros(2), torch.zeros(2), 0), set()
    for native in (True, False):
        monkeypatch.setattr(
            "hmnpack.runtime.devices.multiplies_bfloat16", lambda device, n=native: n
        )
        names.add(file_of(replace(bench, store=Store(tmp_path)), images))
    assert len(names) == 2


def test_cache_key_covers_everything_that_affects_accuracy(bench, source, tmp_path):
    def protocol(**changes):
        train = bench.config.train.model_copy(update=changes.pop("train", {}))
        changed = bench.config.model_copy(update={"train": train, **changes})
        return replace(cached, config=changed)

    cached = replace(bench, store=Store(tmp_path))
    images = TrainingSet(source.train.images, source.train.labels, 1)
    named = replace(images, identity="a bundle's")
    other = TrainingSet(source.train.images, source.train.labels.flip(0), 1)
    darker = replace(images, images=images.images // 2)
    wider = bench.config.network.model_copy(update={"width": 8})
    files = [
        file_of(cached, images),
        file_of(cached, images, row="another"),
        file_of(cached, images, index=1),
        file_of(cached, named),
        file_of(cached, other),
        file_of(cached, darker),
        file_of(replace(cached, test=images), images),
        file_of(
            replace(cached, normalisation=Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)), images
        ),
        file_of(replace(cached, device=torch.device("mps")), images),
        file_of(replace(cached, classes=4), images),
        *(file_of(protocol(train={name: 0.5}), images) for name in ("lr", "cutmix")),
        file_of(protocol(seed=1), images),
        file_of(protocol(min_steps=100), images),
        file_of(protocol(network=wider), images),
    ]
    assert len(set(files)) == len(files)
    # The number of networks, the other rows and at_once have no effect.
    for same in (protocol(repeats=5), protocol(baselines=False), replace(cached, at_once=3)):
        assert file_of(same, images) == files[0]
    moved = replace(named, images=named.images.float() / 255)
    assert file_of(cached, moved) == files[3]
    assert entries_of(bench, "row", [0], [images]) == []


@pytest.mark.parametrize("value", [{}, {"accuracy": "high"}, {"accuracy": 101.0}, None])
def test_damaged_accuracy_is_retrained(source, shades_bundle, alone, tmp_path, value):
    bundle, given = shades_bundle(source), {"device": "cpu", "work": tmp_path}
    once = alone.model_copy(update={"repeats": 1})
    found = evaluate(bundle, source, once, **given)
    (path,) = tmp_path.iterdir()

    def damage():
        if value is None:
            path.write_bytes(b"nonsense")
        else:
            write_state(path, value)

    damage()
    assert evaluate(bundle, source, once, **given) == found
    assert evaluate(bundle, source, once, **given, listener=stopping(1)) == found
    with pytest.raises(Stop):
        damage()
        evaluate(bundle, source, once, **given, listener=stopping(1))


def test_damaged_checkpoint_error_names_the_file(
    source, shades_bundle, alone, every_epoch, tmp_path
):
    bundle, given = shades_bundle(source), {"device": "cpu", "work": tmp_path}
    with pytest.raises(Stop):
        evaluate(bundle, source, alone, **given, listener=stopping(3))
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"no training")
    with pytest.raises(BadSettings, match=f"cannot read .*{path.name}; delete it"):
        evaluate(bundle, source, alone, **given)


def test_unwritable_work_directory_fails_before_training(source, shades_bundle, alone, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadSettings, match=r"cannot write to the work directory .*; name ano"):
        evaluate(
            shades_bundle(source),
            source,
            alone,
            device="cpu",
            work=tmp_path / "file" / "folder",
            listener=stopping(1),
        )
