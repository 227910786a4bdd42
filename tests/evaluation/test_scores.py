"""Scores in a file: what is written, what is preserved, and what is rejected."""

import dataclasses
import fcntl
import json
import os
import stat
import tracemalloc

import pytest
import torch
from pydantic import ValidationError

from hmnpack.bundle import Bundle, inspect, read
from hmnpack.bundle.header import MAX_HEADER
from hmnpack.errors import BadSettings, OutputExists
from hmnpack.evaluation import Evaluation, scores
from hmnpack.evaluation.scores import check_recordable, record, recorded_score
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.pruning import Margins
from hmnpack.schema.result import Row
from hmnpack.schema.score import Score


def found(accuracies=(50.0, 52.0), fingerprint="1" * 64, rows=(), **protocol):
    config = EvaluateConfig(**protocol)
    score = Score(
        protocol="short",
        network=config.network.name,
        seed=config.seed,
        held_out=config.held_out,
        data="pets",
        fingerprint=fingerprint,
        images=4,
        accuracies=accuracies,
    )
    own = Row(name="bundle", images=4, accuracy_mean=51.0, accuracy_std=1.4, networks=2)
    return Evaluation(rows=(own, *rows), score=score, config=config)


BASELINE = Row(
    name="random [real]", images=9, accuracy_mean=20.5, accuracy_std=2.25, networks=2, figures={}
)


@pytest.fixture
def path(hmn_bundle, tmp_path):
    made = tmp_path / "c.hmn"
    hmn_bundle.save(made)
    return made


def test_recorded_fields(path, hmn_bundle):
    returned = record(path, hmn_bundle, found(rows=(BASELINE,)), device="cpu")
    manifest = inspect(path, verify=True)
    assert manifest == returned
    (score,) = manifest.scores
    assert score.accuracies == (50.0, 52.0)
    added = ("versions", "device", "arithmetic", "baselines")
    facts = {name: getattr(score, name) for name in added}
    assert score == found().score.model_copy(update=facts)
    assert score.device == "cpu"
    assert score.arithmetic == "float32"
    assert score.versions.torch == str(torch.__version__)
    assert all(score.versions.model_dump().values())
    (baseline,) = score.baselines
    assert baseline.model_dump() == {
        "name": "random [real]",
        "images": 9,
        "mean": 20.5,
        "std": 2.25,
        "networks": 2,
    }


def test_arithmetic_is_recorded(monkeypatch):
    """Precision `auto` depends on the processor; the others are recorded as given."""
    monkeypatch.setattr("hmnpack.runtime.devices.multiplies_bfloat16", lambda device: True)
    cpu = torch.device("cpu")
    assert recorded_score(found(), cpu).arithmetic == "bfloat16"
    exact = EvaluateConfig().train.model_copy(update={"precision": "float32"})
    assert recorded_score(found(train=exact), cpu).arithmetic == "float32"


def test_recording_changes_only_the_scores(path, hmn_bundle):
    before = path.read_bytes()
    record(path, hmn_bundle, found(), device="cpu")
    after = path.read_bytes()
    size = hmn_bundle.manifest.ledger.bytes
    assert after[-size:] == before[-size:]
    manifest = inspect(path)
    assert manifest.data_sha256 == hmn_bundle.manifest.data_sha256
    assert manifest.model_copy(update={"scores": ()}) == hmn_bundle.manifest
    assert read(path).to_bytes() == after


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_file_mode_is_preserved(path, hmn_bundle, mode):
    path.chmod(mode)
    record(path, hmn_bundle, found(), device="cpu")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(path.parent.iterdir()) == [path]


def test_score_with_same_protocol_and_test_split_is_replaced(path):
    for evaluation in (
        found((40.0, 41.0)),
        found((50.0, 51.0), seed=1),
        found((60.0,) * 5),
        found((70.0, 71.0), fingerprint="2" * 64),
        found((80.0, 81.0)),
    ):
        record(path, read(path), evaluation, device="cpu")
    firsts = [score.accuracies[0] for score in inspect(path).scores]
    assert firsts == [50.0, 60.0, 70.0, 80.0]


def test_concurrently_recorded_scores_are_preserved(path):
    bundle = read(path)
    record(path, bundle, found(seed=1), device="cpu")
    record(path, bundle, found(seed=2), device="cpu")
    assert [score.seed for score in inspect(path).scores] == [1, 2]


def test_changed_file_is_not_overwritten(path, hmn_bundle, bundle_of, hmn):
    bundle_of(hmn(), draw_seed=5).save(path, force=True)
    other = path.read_bytes()
    with pytest.raises(OutputExists, match="has changed since it was read"):
        record(path, hmn_bundle, found(), device="cpu")
    assert path.read_bytes() == other


def test_full_header_is_rejected(path, hmn_bundle):
    before = path.read_bytes()
    room = MAX_HEADER // 19
    with pytest.raises(BadSettings, match=r"c\.hmn: the header .* has no room"):
        record(path, hmn_bundle, found((100 / 3,) * room), device="cpu")
    assert path.read_bytes() == before


def test_unwritable_file_is_rejected_before_training(path, monkeypatch):
    link = path.with_name("link.hmn")
    link.symlink_to(path)
    with pytest.raises(OutputExists, match="symbolic link"):
        check_recordable(link)
    for place in (path, path.parent):
        with monkeypatch.context() as patch:
            patch.setattr(os, "access", lambda other, mode, place=place: other != place)
            with pytest.raises(BadSettings, match=f"{place} (may not be written|is not writable)"):
                check_recordable(path)


def test_folder_is_locked_while_recording(path, hmn_bundle, monkeypatch):
    """The lock covers reading and replacing the file; otherwise a concurrent score is lost."""
    held, real = [], scores._replace

    def replace(*given):
        other = os.open(path.parent, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        held.append(real(*given))

    monkeypatch.setattr(scores, "_replace", replace)
    record(path, hmn_bundle, found(), device="cpu")
    assert len(held) == 1


def test_unrecorded_fields_are_omitted(bundle_of, hmn):
    text = bundle_of(hmn(), scores=(found().score,)).to_bytes()
    for name in (b"versions", b'device\\":\\"cpu\\",\\"finger', b"arithmetic"):
        assert name not in text


def test_recorded_score_is_read_back(bundle_of, hmn):
    score = recorded_score(found(rows=(BASELINE,)), torch.device("cpu"))
    document = score.model_dump(mode="json")
    assert document["baselines"][0]["name"] == "random [real]"
    assert Score.model_validate_json(json.dumps(document), strict=True) == score


@pytest.mark.parametrize(
    "change",
    [
        {"device": ""},
        {"device": "x" * 1001},
        {"versions": {"torch": "2"}},
        {"baselines": [{"name": "x"}]},
        {"accuracies": [101]},
    ],
)
def test_invalid_fields_are_rejected(change):
    with pytest.raises(ValidationError):
        Score.model_validate(found().score.model_dump() | change)


@pytest.mark.parametrize("field", ["accuracies", "baselines"])
def test_many_invalid_values_take_little_memory(field):
    document = found().score.model_dump() | {field: [None] * 200_000}
    tracemalloc.start()
    try:
        with pytest.raises(ValidationError) as caught:
            Score.model_validate(document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.error_count() <= 2
    assert peak < 8 * 2**20


def test_margins_are_preserved_with_a_score(hmn_bundle, tmp_path):
    margins = Margins(epochs=3, seeds=1, values=(0,) * 6)
    manifest = hmn_bundle.manifest.model_copy(update={"margins": margins})
    bundle = dataclasses.replace(hmn_bundle, manifest=manifest)
    assert isinstance(bundle, Bundle)
    bundle.save(tmp_path / "m.hmn")
    assert record(tmp_path / "m.hmn", bundle, found(), device="cpu").margins == margins
