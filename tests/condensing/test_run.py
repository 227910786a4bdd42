"""``compress`` end to end: budget, reproducibility, interruption and errors."""

import itertools
import signal
import subprocess
import sys
import textwrap

import pytest
import torch

import hmnpack
from hmnpack.condensing.checkpoint import Checkpoint
from hmnpack.condensing.request import RunOptions
from hmnpack.errors import BadData, BadSettings, BudgetTooSmall, Diverged, OutputExists, Paused
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import CompressConfig
from hmnpack.settings import recipe_of
from hmnpack.sources import Source, SourceOptions
from hmnpack.sources.types import split_of


def with_settings(config, settings):
    """Return a copy of the settings with nested overrides."""
    inner = {
        name: with_settings(config.get(name, {}), value) if isinstance(value, dict) else value
        for name, value in settings.items()
    }
    return config | inner


LABELS = torch.arange(3).repeat_interleave(20)


def split(seed):
    generator = stream(seed, "pixels")
    noise = torch.randint(0, 120, (60, 1, 16, 16), generator=generator)
    return split_of((noise + 60 * LABELS[:, None, None, None]).to(torch.uint8), LABELS)


@pytest.fixture
def source():
    return Source("stripes/../x", ("a/b", "a_b", "c"), split(0), split(1))


@pytest.fixture
def run(source, tmp_path):
    """Return a function that compresses the source with the smoke recipe and given options."""
    cache = SourceOptions(cache_dir=tmp_path / "cache")
    config = recipe_of("smoke")

    def run(output=None, config=config, **options):
        return hmnpack.compress(
            source,
            8,
            config=config,
            output=output,
            options=RunOptions(device="cpu", **options),
            source_options=cache,
        )

    return run


def test_bundle_fits_the_budget_and_records_its_source(run, source, tmp_path):
    bundle = run(tmp_path / "x.hmn")
    manifest = bundle.manifest
    assert manifest.ledger.floats <= manifest.budget.floats == 8 * 3 * 256
    assert manifest.source.fingerprint == source.train.fingerprint
    assert manifest.source.held_out == 6
    assert manifest.classes == ("a_b", "a_b (1)", "c")
    assert manifest.provenance.real_images_used_to_start
    again = hmnpack.bundle.read(tmp_path / "x.hmn")
    assert again.manifest == manifest
    assert all(torch.equal(again.tensors[name], bundle.tensors[name]) for name in again.tensors)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "x.hmn"]


def test_bytes_depend_on_the_seed_only(run):
    first, second = run().to_bytes(), run().to_bytes()
    assert first == second
    other = recipe_of("smoke").model_copy(update={"seed": 1})
    assert run(config=other).to_bytes() != first


def test_settings_override_a_recipe_or_a_config(source, tmp_path):
    options = {
        "options": RunOptions(device="cpu"),
        "source_options": SourceOptions(cache_dir=tmp_path / "cache"),
    }
    by_path = {"match.steps": 2, "match.augment": ("flip",), "seed": 3.0}
    nested = {"match": {"steps": 2, "augment": ["flip"]}, "seed": 3}
    bundles = [
        hmnpack.compress(source, 8, recipe="smoke", settings=by_path, **options),
        hmnpack.compress(source, 8, config=recipe_of("smoke"), settings=nested, **options),
    ]
    for bundle in bundles:
        manifest = bundle.manifest
        assert (manifest.recipe, manifest.seed) == ("smoke", 3)
        assert manifest.config == {"match": {"steps": 2, "augment": ["flip"]}}
    assert bundles[0].to_bytes() == bundles[1].to_bytes()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recipe": "smoke", "config": recipe_of("smoke")}, "give only one of them"),
        ({"settings": {"match.step": 2}}, "unknown setting 'match.step'; did you mean match.steps"),
        ({"settings": {"match.steps": -1}}, "setting match.steps = -1: "),
        ({"settings": {"match": 7}}, "unknown setting 'match'"),
        ({"settings": {"match.steps": torch.zeros(2)}}, "is a Tensor, a type that no setting has"),
    ],
)
def test_invalid_settings_are_rejected_before_opening_data(tmp_path, given, message):
    with pytest.raises(BadSettings, match=message):
        hmnpack.compress(tmp_path / "nothing here", 1, **given)


@pytest.mark.parametrize("every", [1, 3])
def test_paused_and_resumed_run_gives_the_same_bytes(run, tmp_path, every):
    whole = run().to_bytes()
    for path in (tmp_path / "cache" / "pool").iterdir():
        path.unlink()  # so that the pool's training is also paused
    output, pauses = tmp_path / "x.hmn", 0
    for _ in range(30):
        asked = itertools.count(1)
        try:
            run(output, resume=True, should_pause=lambda asked=asked: next(asked) >= every)
            break
        except Paused:
            pauses += 1
            assert not output.exists()
    assert pauses >= 10 // every - 1
    assert output.read_bytes() == whole
    assert not output.with_name("x.hmn.ckpt").exists()


def test_run_paused_in_network_training_resumes_that_network(run, tmp_path):
    """Two networks of three epochs each: six pauses during their training."""
    epochs = {"networks": 2, "inner_steps": 2, "train": {"epochs": 3}, "network": {"width": 4}}
    document = with_settings(recipe_of("smoke").model_dump(), {"gradient": epochs})
    config = CompressConfig.model_validate(document)
    whole, output, reasons = run(config=config).to_bytes(), tmp_path / "x.hmn", []
    for _ in range(40):
        try:
            run(output, config=config, resume=True, should_pause=lambda: True)
            break
        except Paused as pause:
            reasons.append(str(pause))
    assert sum("training a matching network" in reason for reason in reasons) == 6
    assert output.read_bytes() == whole


def test_partitioned_classes_change_the_result(run):
    def matched(**parts):
        config = recipe_of("smoke")
        return run(
            config=config.model_copy(update={"match": config.match.model_copy(update=parts)})
        ).tensors["decoder.0.weight"]

    whole, four, more = matched(), matched(part_images=1000), matched(part_images=2)
    assert not torch.equal(whole, four)
    assert not torch.equal(four, more)


def test_zero_minutes_still_makes_progress(run, tmp_path):
    for _ in range(15):
        try:
            run(tmp_path / "x.hmn", resume=True, max_minutes=0)
            break
        except Paused:
            continue
    assert (tmp_path / "x.hmn").read_bytes() == run().to_bytes()


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_bytes(tmp_path):
    script = """
        import os, signal, sys
        from pathlib import Path
        import hmnpack
        from hmnpack.condensing.request import RunOptions
        from hmnpack.settings import recipe_of
        from hmnpack.condensing.checkpoint import Checkpoint
        from hmnpack.sources import SourceOptions
        kill = int(sys.argv[2])
        write = Checkpoint.write
        def counted(self, **state):
            global kill
            write(self, **state)
            kill -= 1
            if kill == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        Checkpoint.write = counted
        config = recipe_of("smoke")
        hmnpack.compress(
            "digits", 10, config=config, output=sys.argv[1],
            options=RunOptions(device="cpu", resume=True, checkpoint_seconds=0),
            source_options=SourceOptions(cache_dir=Path(sys.argv[3])),
        )
    """
    pytest.importorskip("sklearn")

    def run(name, kill):
        command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / name), str(kill)]
        return subprocess.run([*command, str(tmp_path / "cache")], check=False).returncode

    assert run("whole.hmn", 0) == 0
    assert run("killed.hmn", 7) == -signal.SIGKILL
    assert not (tmp_path / "killed.hmn").exists()
    assert run("killed.hmn", 0) == 0
    assert (tmp_path / "killed.hmn").read_bytes() == (tmp_path / "whole.hmn").read_bytes()


def test_unfinished_run_is_not_overwritten_without_force(run, tmp_path):
    with pytest.raises(Paused):
        run(tmp_path / "x.hmn", should_pause=itertools.cycle([False, False, True]).__next__)
    checkpoint = (tmp_path / "x.hmn.ckpt").read_bytes()
    with pytest.raises(OutputExists, match=r"x\.hmn\.ckpt holds an unfinished run; pass --resume"):
        run(tmp_path / "x.hmn")
    other = recipe_of("smoke").model_copy(update={"seed": 1})
    with pytest.raises(BadSettings, match="belongs to another run"):
        run(tmp_path / "x.hmn", config=other, resume=True)
    assert (tmp_path / "x.hmn.ckpt").read_bytes() == checkpoint
    run(tmp_path / "x.hmn", force=True)
    assert (tmp_path / "x.hmn").exists()


def test_paused_run_survives_rejected_settings(run, tmp_path):
    """The validation split is empty: rejected before the old run's checkpoint is deleted."""
    with pytest.raises(Paused):
        run(tmp_path / "x.hmn", should_pause=itertools.cycle([False, False, True]).__next__)
    checkpoint = (tmp_path / "x.hmn.ckpt").read_bytes()
    other = recipe_of("smoke").model_copy(update={"holdout": 0.0})
    with pytest.raises(BadSettings, match="held-out images"):
        run(tmp_path / "x.hmn", config=other, force=True, probes=3)
    assert (tmp_path / "x.hmn.ckpt").read_bytes() == checkpoint


@pytest.mark.slow
def test_run_resumed_in_pruning_trains_no_pool(run, tmp_path, monkeypatch):
    settings = {"prune": {"strategy": "easy", "seeds": 2, "margin_epochs": 1}}
    document = with_settings(recipe_of("smoke").model_dump(), settings)
    config = CompressConfig.model_validate(document)
    run(tmp_path / "whole.hmn", config=config)

    def in_pruning():
        path = tmp_path / "x.hmn.ckpt"
        return path.exists() and torch.load(path, weights_only=True)["stage"] == "pruning"

    with pytest.raises(Paused):
        run(tmp_path / "x.hmn", config=config, should_pause=in_pruning, checkpoint_seconds=0)
    monkeypatch.setattr(
        "hmnpack.condensing.learning.load_or_train_pool",
        lambda *_: pytest.fail("a pool was trained"),
    )
    run(tmp_path / "x.hmn", config=config, resume=True)
    assert (tmp_path / "x.hmn").read_bytes() == (tmp_path / "whole.hmn").read_bytes()


@pytest.mark.parametrize("name", ["x.hmn", "x.hmn.ckpt"])
def test_unpruned_output_must_differ_from_the_output(run, tmp_path, name):
    with pytest.raises(OutputExists, match="is the output, or its checkpoint; name another file"):
        run(tmp_path / "x.hmn", unpruned=tmp_path / name)


def test_damaged_checkpoint_is_rejected(run, tmp_path):
    (tmp_path / "x.hmn.ckpt").write_bytes(b"nonsense")
    with pytest.raises(BadSettings, match=r"cannot read .*; delete it"):
        run(tmp_path / "x.hmn", resume=True)
    torch.save([1], tmp_path / "x.hmn.ckpt")
    with pytest.raises(BadSettings, match=r"does not contain a saved state; delete it"):
        run(tmp_path / "x.hmn", resume=True)


def test_existing_output_is_rejected_before_any_work(run, tmp_path):
    (tmp_path / "x.hmn").write_bytes(b"mine")
    with pytest.raises(OutputExists):
        run(tmp_path / "x.hmn")
    assert (tmp_path / "x.hmn").read_bytes() == b"mine"
    assert not (tmp_path / "cache").exists()


def test_nan_loss_keeps_the_last_checkpoint(run, tmp_path, monkeypatch):
    from hmnpack.matching import FeatureMatching

    real_call = FeatureMatching.loss

    def broken(self, container, step):
        return real_call(self, container, step) * (float("nan") if step == 2 else 1)

    monkeypatch.setattr(FeatureMatching, "loss", broken)
    with pytest.raises(Diverged, match=r"matching became nan by step 3"):
        run(tmp_path / "x.hmn", checkpoint_seconds=0)
    last = Checkpoint(tmp_path / "x.hmn.ckpt")
    state = torch.load(last.path, weights_only=True)
    assert (state["stage"], state["step"]) == ("matching", 2)


def test_nan_weights_keep_the_last_checkpoint(run, tmp_path, monkeypatch):
    """The loss before the step is finite, but the step makes the weights NaN."""
    from hmnpack.matching import FeatureMatching

    real_call = FeatureMatching.loss

    def broken(self, container, step):
        loss = real_call(self, container, step)
        if step == 2:
            loss.register_hook(lambda gradient: gradient * float("nan"))
        return loss

    monkeypatch.setattr(FeatureMatching, "loss", broken)
    with pytest.raises(Diverged, match=r"a weight of matching became .* by step 3"):
        run(tmp_path / "x.hmn", checkpoint_seconds=0)
    state = torch.load(tmp_path / "x.hmn.ckpt", weights_only=True)
    assert (state["stage"], state["step"]) == ("matching", 2)
    tensors = [value for value in state["container"].values() if torch.is_tensor(value)]
    assert tensors
    assert all(bool(tensor.isfinite().all()) for tensor in tensors)


def test_too_small_a_budget_is_rejected(tmp_path):
    labels = torch.arange(2).repeat_interleave(5)
    tiny = split_of(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), labels)
    source = Source("tiny", ("a", "b"), tiny, None)
    with pytest.raises(BudgetTooSmall, match="smallest ipc"):
        hmnpack.compress(source, 1, source_options=SourceOptions(cache_dir=tmp_path))


def test_one_class_is_rejected(tmp_path):
    alone = split_of(torch.zeros(9, 1, 16, 16, dtype=torch.uint8), torch.zeros(9).long())
    with pytest.raises(BadData, match="one class"):
        hmnpack.compress(Source("alone", ("a",), alone, None), 9)


def test_too_long_class_names_are_rejected_before_any_work():
    names = tuple(f"{number:0200}" for number in range(4500))
    black = split_of(torch.zeros(4500, 1, 8, 8, dtype=torch.uint8), torch.arange(4500))
    with pytest.raises(BadData, match=r"4,500 classes of many take .* holds at most 900,000"):
        hmnpack.compress(Source("many", names, black, None), 9)


def test_unknown_recipe_error_suggests_similar_names():
    with pytest.raises(BadSettings, match="did you mean fast"):
        recipe_of("fats")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pool": {"network": {"name": "convnett"}}}, "convnett"),
        ({"pool": {"network": {"name": "resnet18"}}}, r"pool\.network\.name 'resnet18' exposes no"),
        ({"match": {"objective": "feature"}}, r"objective.*feature.*features"),
        ({"gradient": {"networks": 1, "network": {"name": "convnett"}}}, "convnett"),
        ({"gradient": {"networks": 1, "network": {"depth": 6}}}, "6 blocks"),
        ({"prune": {"strategy": "easy", "network": {"name": "convnett"}}}, "convnett"),
    ],
)
def test_invalid_stage_settings_are_rejected_before_any_work(run, monkeypatch, settings, message):
    config = with_settings(recipe_of("smoke").model_dump(), settings)
    monkeypatch.setattr(
        "hmnpack.condensing.run.fit_container", lambda *_: pytest.fail("fitting started")
    )
    with pytest.raises(BadSettings, match=message):
        run(config=CompressConfig.model_validate(config))
