"""Networks that a folder keeps: an evaluation that was interrupted ends as one that was not."""

from dataclasses import replace

import pytest
import torch

from hmnpack.errors import BadSettings
from hmnpack.evaluation import BUNDLE_ROW, BYTES_ROW, FLOATS_ROW, TrainingSet, evaluate
from hmnpack.evaluation.bench import Bench
from hmnpack.evaluation.kept import Kept, keeping
from hmnpack.runtime.progress import silent
from hmnpack.schema.manifest import Normalisation
from hmnpack.training.loop import TrainState

EPOCHS = 8
"""Of each of the protocol's two networks."""


UNSCALED = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)


class Stop(Exception):
    pass


@pytest.fixture
def alone(config):
    return config.model_copy(update={"controls": False})


@pytest.fixture
def every_epoch(monkeypatch):
    """States are kept after every epoch, not once a minute."""
    monkeypatch.setattr(
        "hmnpack.evaluation.bench.keeping", lambda networks: keeping(networks, seconds=0)
    )


def stopping(epochs, row=BUNDLE_ROW):
    """Return a listener that stops an evaluation when it hears of an epoch, which is then lost."""

    def hear(stage, done, total, **facts):
        if (stage, done) == (row, epochs):
            raise Stop

    return hear


@pytest.mark.parametrize(
    ("at_once", "lost", "told"),
    [
        pytest.param(1, 3, range(3, 17), id="in the first network"),
        pytest.param(1, 8, range(8, 17), id="at its end"),
        pytest.param(1, 11, range(11, 17), id="in the second network"),
        pytest.param(2, 6, range(6, 17, 2), id="in both at once"),
    ],
)
def test_it_goes_on_and_ends_as_ever(
    source, shades_bundle, alone, every_epoch, tmp_path, at_once, lost, told
):
    bundle, given = shades_bundle(source), {"device": "cpu", "at_once": at_once}
    with pytest.raises(Stop):
        evaluate(bundle, source, alone, **given, work=tmp_path, listener=stopping(lost))
    heard = []

    def hear(stage, done, total, **facts):
        heard.append((stage, done, total))

    found = evaluate(bundle, source, alone, **given, work=tmp_path, listener=hear)
    assert heard == [(BUNDLE_ROW, done, 2 * EPOCHS) for done in told]
    assert found == evaluate(bundle, source, alone, **given)
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"] * 2


def test_networks_that_got_differently_far_go_on_one_by_one(
    source, shades_bundle, alone, every_epoch, tmp_path
):
    bundle, given = shades_bundle(source), {"device": "cpu", "work": tmp_path}
    with pytest.raises(Stop):
        evaluate(bundle, source, alone, **given, listener=stopping(11))
    first = next(tmp_path.glob("*.json"))
    first.unlink()
    heard = []
    found = evaluate(
        bundle, source, alone, **given, at_once=2, listener=lambda *a, **_: heard.append(a[1])
    )
    assert heard == [*range(1, 9), *range(11, 17)]
    assert found == evaluate(bundle, source, alone, device="cpu")


def test_control_rows_and_the_choice_of_a_quality_are_kept(source, shades_bundle, config, tmp_path):
    bundle, heard = shades_bundle(source), []
    given = {"device": "cpu", "work": str(tmp_path)}
    with pytest.raises(Stop):
        # All 60 images in batches of 8 are 8 steps: 2 epochs for each of the two networks.
        evaluate(bundle, source, config, **given, listener=stopping(4, BYTES_ROW))
    found = evaluate(bundle, source, config, **given, listener=lambda *a, **_: heard.append(a[:2]))
    assert heard == [(BYTES_ROW, 3), (BYTES_ROW, 4)]
    assert found == evaluate(bundle, source, config, device="cpu")
    again = evaluate(bundle, source, config, **given, listener=stopping(1))
    assert again == found
    assert [row.name for row in found.rows] == [BUNDLE_ROW, FLOATS_ROW, BYTES_ROW]


@pytest.fixture
def bench(source, config):
    test = TrainingSet(source.test.images, source.test.labels, 1)
    same = Normalisation(mean=(0.4,) * 3, std=(0.2,) * 3)
    return Bench(config, same, 3, source.image, test, torch.device("cpu"), silent)


def file_of(bench, images, row="row", index=0):
    return bench._file(row, index, images)


def test_what_another_process_finished_meanwhile_is_no_training_under_way(bench, tmp_path):
    kept = file_of(
        replace(bench, kept=Kept(tmp_path)), TrainingSet(torch.zeros(2), torch.zeros(2), 0)
    )
    assert kept.read_state(torch.device("cpu")) is None
    kept.unfinished.write_bytes(b"nonsense")
    with pytest.raises(BadSettings, match="cannot be read; delete it"):
        kept.read_state(torch.device("cpu"))


def test_what_is_kept_is_of_one_arithmetic(bench, tmp_path, monkeypatch):
    """Precision `auto` is bfloat16 on one processor and float32 on another."""
    images, names = TrainingSet(torch.zeros(2), torch.zeros(2), 0), set()
    for native in (True, False):
        monkeypatch.setattr(
            "hmnpack.runtime.devices.multiplies_bfloat16", lambda device, n=native: n
        )
        names.add(file_of(replace(bench, kept=Kept(tmp_path)), images).path.name)
    assert len(names) == 2


def test_what_decides_an_accuracy_decides_its_file(bench, source, tmp_path):
    def protocol(**changes):
        train = bench.config.train.model_copy(update=changes.pop("train", {}))
        changed = bench.config.model_copy(update={"train": train, **changes})
        return replace(kept, config=changed)

    kept = replace(bench, kept=Kept(tmp_path))
    images = TrainingSet(source.train.images, source.train.labels, 1)
    named = replace(images, identity="a bundle's")
    other = TrainingSet(source.train.images, source.train.labels.flip(0), 1)
    darker = replace(images, images=images.images // 2)
    wider = bench.config.network.model_copy(update={"width": 8})
    files = [
        file_of(kept, images),
        file_of(kept, images, row="another"),
        file_of(kept, images, index=1),
        file_of(kept, named),
        file_of(kept, other),
        file_of(kept, darker),
        file_of(replace(kept, test=images), images),
        file_of(
            replace(kept, normalisation=Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)), images
        ),
        file_of(replace(kept, device=torch.device("mps")), images),
        *(file_of(protocol(train={name: 0.5}), images) for name in ("lr", "cutmix")),
        file_of(protocol(seed=1), images),
        file_of(protocol(min_steps=100), images),
        file_of(protocol(network=wider), images),
    ]
    assert len(set(files)) == len(files)
    # How many networks, which rows, and how many at once, decide none.
    for same in (protocol(repeats=5), protocol(controls=False), replace(kept, at_once=3)):
        assert file_of(same, images) == files[0]
    moved = replace(named, images=named.images.float() / 255)
    assert file_of(kept, moved) == files[3]
    assert file_of(bench, images) is None


def test_a_state_is_kept_now_and_then(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("hmnpack.evaluation.kept.time.monotonic", lambda: now[0])
    one, two = (Kept(tmp_path).network(index) for index in range(2))
    keep = keeping([one, two])
    reached = []
    for epoch, now[0] in enumerate((159.0, 160.0, 219.0, 221.0), 1):
        keep(slice(1, 2), [TrainState(epoch, {"w": torch.ones(1)}, {})])
        state = two.read_state(torch.device("cpu"))
        reached.append(state and state.epoch)
    assert reached == [None, 2, 2, 4]
    assert one.read_state(torch.device("cpu")) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"accuracy": "high"}', '{"accuracy": 101}'])
def test_a_broken_accuracy_is_trained_again(source, shades_bundle, alone, tmp_path, text):
    bundle, given = shades_bundle(source), {"device": "cpu", "work": tmp_path}
    once = alone.model_copy(update={"repeats": 1})
    found = evaluate(bundle, source, once, **given)
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    assert evaluate(bundle, source, once, **given) == found
    with pytest.raises(Stop):
        path.write_text(text)
        evaluate(bundle, source, once, **given, listener=stopping(1))


def test_a_broken_training_is_named(source, shades_bundle, alone, every_epoch, tmp_path):
    bundle, given = shades_bundle(source), {"device": "cpu", "work": tmp_path}
    with pytest.raises(Stop):
        evaluate(bundle, source, alone, **given, listener=stopping(3))
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"no training")
    with pytest.raises(BadSettings, match=f"{path.name} cannot be read; delete it"):
        evaluate(bundle, source, alone, **given)


def test_a_folder_that_cannot_be_written_is_refused_at_once(source, shades_bundle, alone, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadSettings, match=r"cannot keep work [(].*[)]; name another folder"):
        evaluate(
            shades_bundle(source),
            source,
            alone,
            device="cpu",
            work=tmp_path / "file" / "folder",
            listener=stopping(1),
        )
