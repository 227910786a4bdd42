"""``compress`` and ``prune`` with the containers of other methods, on a part of the digits."""

import pytest
import torch

import hmnpack
from hmnpack.condensing.request import RunOptions
from hmnpack.container import container_of
from hmnpack.errors import BadSettings, Paused
from hmnpack.settings import recorded_settings
from hmnpack.sources import SourceOptions, open_source, tensor_source

KINDS = ["images", "multi-formation", "linear-basis", "hallucinator"]
GRADIENT = {
    "match.steps": 0,
    "gradient.networks": 1,
    "gradient.inner_steps": 2,
    "gradient.network.width": 8,
    "gradient.train_images": 20,
}


@pytest.fixture(scope="module")
def source():
    pytest.importorskip("sklearn")
    train = open_source("digits").train
    return tensor_source((train.images[::8], train.labels[::8]))


@pytest.fixture
def run(source, tmp_path):
    """Return a function that compresses the digits with the smoke recipe and given settings."""

    def run(kind, *, output=None, ipc=3, resume=False, pause=False, **settings):
        return hmnpack.compress(
            source,
            ipc,
            recipe="smoke",
            settings={"container.kind": kind} | settings,
            output=output,
            options=RunOptions(device="cpu", resume=resume, should_pause=lambda: pause),
            source_options=SourceOptions(cache_dir=tmp_path / "cache"),
        )

    return run


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{}, GRADIENT], ids=["features", "gradients"])
def test_file_is_within_the_budget_and_records_the_kind(run, kind, settings, tmp_path):
    run(kind, output=tmp_path / "x.hmn", **settings)
    bundle = hmnpack.bundle.read(tmp_path / "x.hmn")
    manifest = bundle.manifest
    assert manifest.container.kind == f"{kind}/1"
    assert manifest.ledger.floats <= manifest.budget.floats == 3 * 10 * 64
    assert manifest.config["container"] == {"kind": kind}
    assert recorded_settings(manifest).container.kind == kind
    assert manifest.provenance.real_images_used_to_start
    images = container_of(manifest.container, bundle.tensors).expand()
    assert images.shape == (manifest.container.images, 1, 8, 8)
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_matching_changes_the_images_that_the_run_starts_from(run, kind):
    start = run(kind, **{"match.steps": 0})
    matched, noise = run(kind), run(kind, **{"warmup.images": "none"})
    assert not noise.manifest.provenance.real_images_used_to_start
    found = [
        container_of(each.manifest.container, each.tensors).expand()
        for each in (start, matched, noise)
    ]
    assert (found[0] - found[1]).abs().mean() < (found[0] - found[2]).abs().mean() / 2
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_run_has_the_same_bytes(run, kind, tmp_path):
    dtype = "F16" if kind == "images" else "I8"
    settings = {"container.dtype": dtype, "warmup.steps": 1}
    whole = run(kind, **settings)
    output, pauses = tmp_path / "x.hmn", 0
    while not output.exists():
        try:
            run(kind, output=output, resume=True, pause=pauses < 4, **settings)
        except Paused:
            pauses += 1
    assert pauses == 4
    assert output.read_bytes() == whole.to_bytes()
    assert dtype in {row.dtype for row in whole.manifest.ledger.rows}


@pytest.mark.parametrize("kind", KINDS)
def test_plan_has_the_same_container(run, source, kind):
    plan = hmnpack.plan(source, 3, recipe="smoke", settings={"container.kind": kind})
    assert plan.spec == run(kind).manifest.container
    assert [stage.stage for stage in plan.cost.stages] == ["pool", "matching"]


@pytest.mark.parametrize("strategy", ["none", "random"])
@pytest.mark.parametrize("kind", KINDS)
def test_pruning_drops_whole_rows(run, kind, strategy):
    bundle = run(kind, ipc=4)
    pruned = hmnpack.prune(bundle, 3, settings={"strategy": strategy}, device="cpu")
    before, after = (
        container_of(each.manifest.container, each.tensors).expand() for each in (bundle, pruned)
    )
    row = bundle.manifest.container.images_per_row
    assert pruned.manifest.ledger.floats <= pruned.manifest.budget.floats
    assert pruned.manifest.container.each < bundle.manifest.container.each
    known = {rows.numpy().tobytes() for rows in before.split(row)}
    assert all(rows.numpy().tobytes() in known for rows in after.split(row))
    if strategy == "none":
        each = pruned.manifest.container.each
        assert torch.equal(after[:each], before[:each])


def test_single_images_of_a_row_are_not_selected(run, source):
    said = "double-end pruning selects single images, but 4 images of multi-formation/1 share"
    with pytest.raises(BadSettings, match=said):
        hmnpack.prune(run("multi-formation"), 1, settings={"beta": 0.5}, device="cpu")
    with pytest.raises(BadSettings, match=said):
        run("multi-formation", **{"prune.strategy": "double-end"})


def test_over_budget_rows_are_pruned(run):
    bundle = run("multi-formation", **{"prune.strategy": "random"})
    assert bundle.manifest.container.instances == 12
    assert bundle.manifest.provenance.prunings[0].instances == 16
