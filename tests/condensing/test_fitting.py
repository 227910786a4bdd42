"""Runs with gradient matching and pruning: resuming and reporting; the sharded optimiser."""

import itertools

import pytest
import torch

import hmnpack
from hmnpack.condensing.adam import ContainerAdam
from hmnpack.condensing.request import RunOptions
from hmnpack.container import new_container
from hmnpack.errors import BadSettings, OutputExists, Paused
from hmnpack.runtime.ranks import ALONE, World
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import (
    ContainerConfig,
    GradientConfig,
    MatchConfig,
    NetworkConfig,
    PruneConfig,
    TrainConfig,
)
from hmnpack.schema.container import HmnSpec, ImageShape
from hmnpack.settings import recipe_of
from hmnpack.sources import Source, SourceOptions
from hmnpack.sources.types import split_of

LABELS = torch.arange(3).repeat_interleave(20)
GRADIENT = GradientConfig(
    networks=2,
    inner_steps=2,
    network=NetworkConfig(width=4, depth=2),
    train_images=12,
    train=TrainConfig(epochs=0, batch=6, schedule="constant"),
    real_batch=5,
    synthetic_batch=3,
)
SPEC = HmnSpec(
    classes=3,
    instances=2,
    image=ImageShape(channels=1, height=16, width=16),
    grid=4,
    dataset_channels=2,
    class_channels=2,
    instance_channels=1,
    extractor_channels=2,
    decoder_channels=(3,),
    activation="relu",
)


def changed(config, **values):
    return config.model_copy(update=values)


@pytest.fixture
def source():
    noise = torch.randint(0, 120, (60, 1, 16, 16), generator=stream(0, "pixels"))
    images = (noise + 60 * LABELS[:, None, None, None]).to(torch.uint8)
    return Source("stripes", ("a", "b", "c"), split_of(images, LABELS), None)


@pytest.fixture
def run(tmp_path, source):
    def run(gradient, output=None, listener=lambda *a, **f: None, config=None, **options):
        return hmnpack.compress(
            source,
            8,
            config=changed(config or recipe_of("smoke"), gradient=gradient),
            output=output,
            options=RunOptions(device="cpu", **options),
            source_options=SourceOptions(cache_dir=tmp_path / "cache"),
            listener=listener,
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("images", [12, 0])
def test_run_paused_at_every_step_gives_the_same_bytes(run, tmp_path, images):
    gradient = changed(GRADIENT, train_images=images)
    whole, output, pauses = run(gradient).to_bytes(), tmp_path / "x.hmn", 0
    for _ in range(30):
        asked = itertools.count(1)
        try:
            run(gradient, output, resume=True, should_pause=lambda a=asked: next(a) >= 1)
            break
        except Paused:
            pauses += 1
    assert pauses >= 5 + 4 + 4 - 1
    assert output.read_bytes() == whole


def test_every_stage_reports_its_start_and_progress(run):
    events = []
    run(GRADIENT, listener=lambda stage, done, total, **facts: events.append((stage, done, total)))
    stages = [event for event in events if event[0] in ("warm-up", "matching", "gradient")]
    assert stages == [
        *[("warm-up", 0, 5), ("warm-up", 5, 5), ("matching", 0, 4), ("matching", 4, 4)],
        *[("gradient", 0, 4), ("gradient", 4, 4)],
    ]


def test_run_without_pool_trains_none(run, tmp_path):
    config = changed(
        recipe_of("smoke"),
        match=MatchConfig(steps=0),
        gradient=GRADIENT,
    )
    images = torch.randint(0, 255, (60, 1, 16, 16), generator=stream(0, "p")).to(torch.uint8)
    source = Source("noise", ("a", "b", "c"), split_of(images, LABELS), None)
    options = SourceOptions(cache_dir=tmp_path / "none")
    hmnpack.compress(source, 8, config=config, source_options=options)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_probes_report_held_out_accuracy_and_change_no_byte(run, monkeypatch):
    events = []

    def listener(stage, done, total, **facts):
        events.extend([(stage, done)] if "accuracy" in facts else [])

    with_probes = run(GRADIENT, listener=listener, probes=2)
    assert events == [("matching", 2), ("matching", 4), ("gradient", 2), ("gradient", 4)]
    assert with_probes.to_bytes() == run(GRADIENT).to_bytes()


def twin_containers():
    return [
        new_container(SPEC, ContainerConfig(norm="none"), stream(0, "container")) for _ in range(2)
    ]


def loss_of(container, classes, step):
    images = container.expand().unflatten(0, (3, -1))[list(classes)]
    return (images - 0.1 * step).square().sum()


def test_adam_on_one_rank_matches_torch():
    ours, theirs = twin_containers()
    adam = ContainerAdam(ours, (0.9, 0.99), ALONE)
    expected = torch.optim.Adam(theirs.parameters(), 0.03, (0.9, 0.99))
    for step in range(4):
        adam.set_rate(0.03)
        adam.step(loss_of(ours, range(3), step))
        expected.zero_grad()
        loss_of(theirs, range(3), step).backward()
        expected.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


class Second(World):
    """The second of three ranks, without communication."""

    def __init__(self):
        super().__init__(1, 3)

    def add(self, tensors):
        pass

    def collect(self, tensors, count):
        pass


def test_adam_updates_only_the_ranks_own_classes():
    container, _ = twin_containers()
    adam = ContainerAdam(container, (0.9, 0.99), Second())
    adam.set_rate(0.03)
    before = {name: value.detach().clone() for name, value in container.named_parameters()}
    adam.step(loss_of(container, range(3), 1))
    for name, value in container.named_parameters():
        moved = (value - before[name]).reshape(len(value), -1).abs().sum(1) > 0
        if name not in container.by_class:
            assert moved.any(), name
            continue
        rows = moved.view(3, -1).any(1).tolist()
        assert rows == [False, True, False], name


@pytest.mark.parametrize("world", [ALONE, Second()], ids=["alone", "second of three"])
def test_adam_state_restores_under_any_sharding(world):
    ours, theirs = twin_containers()
    first = ContainerAdam(ours, (0.9, 0.99), ALONE)
    first.set_rate(0.03)
    for step in range(2):
        first.step(loss_of(ours, range(3), step))
    theirs.load_state_dict(ours.state_dict())
    second = ContainerAdam(theirs, (0.9, 0.99), world)
    second.restore(first.state())
    state, own = second.state(), world.share(3)
    assert state.keys() == first.state().keys()
    for name, saved in first.state().items():
        for key, value in saved.items():
            found, expected = state[name][key], value
            if name in ours.by_class and value.dim():
                found, expected = (
                    rows.unflatten(0, (3, -1))[own.start : own.stop] for rows in (found, value)
                )
            torch.testing.assert_close(found, expected, rtol=0, atol=0)


PRUNED = PruneConfig(
    strategy="double-end",
    betas=(0.0, 0.9),
    network=NetworkConfig(width=4, depth=2),
    seeds=2,
    margin_epochs=2,
    train=TrainConfig(epochs=2),
    min_steps=0,
)


@pytest.mark.slow
def test_pruned_run_fits_the_budget_and_resumes(run, tmp_path):
    """The run is paused after every step and every training."""
    config = changed(recipe_of("smoke"), prune=PRUNED)
    plain, whole = run(GradientConfig()), run(GradientConfig(), config=config)
    assert whole.manifest.container.instances == plain.manifest.container.instances
    assert whole.manifest.budget == plain.manifest.budget
    assert whole.manifest.ledger.floats <= whole.manifest.budget.floats
    assert len(whole.manifest.provenance.prunings) == 1
    output, pauses = tmp_path / "x.hmn", 0
    for _ in range(40):
        asked = itertools.count(1)
        try:
            options = {"resume": True, "should_pause": lambda a=asked: next(a) >= 1}
            run(GradientConfig(), output, config=config, **options)
            break
        except Paused:
            pauses += 1
    assert pauses >= 5 + 4 + 2 + 2 - 1
    assert output.read_bytes() == whole.to_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "x.hmn"]


@pytest.mark.slow
def test_unpruned_output_prunes_to_the_same_bundle(run, source, tmp_path):
    config = changed(recipe_of("smoke"), prune=PRUNED)
    big = tmp_path / "big.hmn"
    whole = run(GradientConfig(), config=config, unpruned=big)
    unpruned = hmnpack.inspect(big, verify=True)
    assert unpruned.container.instances > whole.manifest.container.instances
    assert unpruned.provenance.prunings == ()
    again = hmnpack.prune(big, 8, PRUNED, data=source, device="cpu")
    assert again.manifest.data_sha256 == whole.manifest.data_sha256
    assert again.manifest.provenance.prunings == whole.manifest.provenance.prunings
    with pytest.raises(OutputExists, match=r"big\.hmn exists"):
        run(GradientConfig(), config=config, unpruned=big)
    with pytest.raises(BadSettings, match=r"prune\.strategy is none"):
        run(GradientConfig(), unpruned=tmp_path / "other.hmn")


def test_impossible_pruning_is_rejected_before_any_work(run, tmp_path):
    config = changed(recipe_of("smoke"), prune=PRUNED, holdout=0.0)
    with pytest.raises(BadSettings, match="none were held out"):
        run(GradientConfig(), config=config)
    assert not (tmp_path / "cache").exists()
