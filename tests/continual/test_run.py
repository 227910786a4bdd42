"""A whole protocol on tiny data: what rows see, what they store, and resuming."""

import pytest
import torch

import hmnpack
from hmnpack.continual import CONTINUAL, ROWS, Condensing, Run, results_of
from hmnpack.errors import BadData, BadSettings
from hmnpack.sources import tensor_source

LABELS = torch.arange(4).repeat_interleave(12)


@pytest.fixture(scope="module")
def source():
    noise = torch.randint(0, 90, (48, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    pixels = (noise + 50 * LABELS[:, None, None, None]).to(torch.uint8)
    return tensor_source((pixels, LABELS), (pixels, LABELS), classes=["a", "b", "c", "d"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("continual")


def run_of(source, folder, name="paper", **changes):
    config = CONTINUAL[name]
    train = config.train.model_copy(update={"epochs": 2})
    network = config.network.model_copy(update={"width": 4, "depth": 2})
    parts = {"stages": 2, "ipc": 8, "train": train, "network": network, "networks": 2}
    config = config.model_copy(update=parts | changes)
    return Run(source, config, Condensing("smoke"), 0, folder, torch.device("cpu"))


def test_rows_see_one_stage_at_a_time_and_networks_all_that_was_stored(source, folder):
    seen = []

    def row(stage):
        seen.append(stage)
        return ROWS["floats"](stage)

    found = results_of("probe", row, run_of(source, folder))
    assert [stage.source.classes for stage in seen] == [("a", "b"), ("c", "d")]
    assert seen[1].earlier == (seen[0].source.train.fingerprint,)
    for stage in seen:
        assert stage.source.train.labels.unique().tolist() == [0, 1]
    assert [(one.classes, one.images, one.stored_bytes) for one in found] == [
        (2, 16, 16 * 256 * 4),
        (4, 32, 32 * 256 * 4),
    ]
    assert all(0 <= one.accuracy <= 100 for one in found)


def test_appended_file_has_all_stages_and_work_is_not_repeated(source, folder, monkeypatch):
    run = run_of(source, folder)
    found = results_of("hmn", ROWS["hmn"], run)
    first, last = run.stages()
    whole = hmnpack.load(last.file(2))
    assert whole.classes == ["a", "b", "c", "d"]
    assert found[1].images == len(whole)
    assert found[1].stored_bytes == hmnpack.inspect(last.file(2)).ledger.bytes
    assert found[0].stored_bytes == hmnpack.inspect(first.file(1)).ledger.bytes
    jpeg = ROWS["bytes"](last)
    assert 0 < jpeg.bytes <= found[1].stored_bytes - found[0].stored_bytes

    monkeypatch.setattr("hmnpack.continual.run.learn", lambda *_, **__: pytest.fail("trained"))
    monkeypatch.setattr("hmnpack.continual.rows.append", lambda *_, **__: pytest.fail("condensed"))
    assert results_of("hmn", ROWS["hmn"], run) == found


def test_herding_chooses_real_images_of_the_budget(source, folder):
    stage = next(iter(run_of(source, folder).stages()))
    kept = ROWS["herding"](stage)
    assert kept.labels.tolist() == [0] * 8 + [1] * 8
    real = {image.numpy().tobytes() for image in stage.source.train.images}
    assert len({image.numpy().tobytes() for image in kept.images} & real) == 16


def test_new_networks_are_trained_where_none_is_kept(source, folder, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "hmnpack.continual.run.learn", lambda *_, **given: calls.append(given["teacher"])
    )
    results_of("floats", ROWS["floats"], run_of(source, folder, "dm-5", ipc=9))
    assert calls == [None] * 4


def test_what_cannot_be_run_is_refused(source, folder):
    def nothing(stage):
        kept = ROWS["floats"](stage)
        return type(kept)(kept.images[:0], kept.labels[:0], 0)

    with pytest.raises(BadData, match="no image of some class"):
        results_of("none", nothing, run_of(source, folder))
    untested = tensor_source((source.train.images, source.train.labels))
    with pytest.raises(BadData, match="no test split"):
        results_of("floats", ROWS["floats"], run_of(untested, folder))
    with pytest.raises(BadSettings, match="cannot be divided"):
        results_of("floats", ROWS["floats"], run_of(source, folder, stages=3))
