"""The stages of packing against loops that are written out from their settings."""

import math

import pytest
import torch

import hmnpack
from hmnpack import compressor
from hmnpack.compressor import RunOptions
from hmnpack.container import new_container
from hmnpack.errors import BadSettings
from hmnpack.fitting import Clock, Fitting
from hmnpack.matching.objective import Objective
from hmnpack.runtime import silent, stream
from hmnpack.schema.config import ContainerConfig, MatchConfig
from hmnpack.schema.stopping import StoppingConfig
from hmnpack.sources import SourceOptions, normalisation_of, tensor_source

LABELS = torch.arange(3).repeat_interleave(20)
FEW = {
    "seed": 7,
    "pool.train.epochs": 1,
    "warmup.steps": 6,
    "warmup.batch": 7,
    "warmup.lr": 0.03,
    "match.steps": 0,
}


@pytest.fixture
def source():
    noise = torch.randint(0, 120, (60, 1, 16, 16), generator=stream(0, "pixels"))
    pixels = (noise + 60 * LABELS[:, None, None, None]).to(torch.uint8)
    return tensor_source((pixels, LABELS), name="stripes")


@pytest.fixture
def packed(source, tmp_path):
    """Return a function that packs in a few steps, and takes single settings."""
    options = {
        "options": RunOptions(device="cpu"),
        "source_options": SourceOptions(cache_dir=tmp_path),
    }
    return lambda settings: hmnpack.compress(
        source, 8, recipe="smoke", settings=FEW | settings, **options
    )


@pytest.fixture
def spied(monkeypatch):
    """Return a function: of a name in the compressor, what it is called with, and what it gives."""

    def spied(name):
        calls, called = [], getattr(compressor, name)

        def spy(*given, **named):
            result = called(*given, **named)
            calls.append((given, named, result))
            return result

        monkeypatch.setattr(compressor, name, spy)
        return calls

    return spied


def test_the_warm_up_is_adam_on_the_squares_of_some_images_at_a_time(packed, spied):
    calls = spied("targets_of")
    bundle = packed({"warmup.images": "random"})
    ((_, _, targets),) = calls
    spec, config = bundle.manifest.container, bundle.manifest.config
    container = new_container(spec, config.container, stream(7, "container"))
    adam = torch.optim.Adam(container.parameters(), betas=(0.9, 0.99))
    for step in range(6):
        adam.param_groups[0]["lr"] = 0.03 * (1 + math.cos(math.pi * step / 6)) / 2
        some = torch.randperm(len(targets), generator=stream(7, "warm-up", step))[:7]
        adam.zero_grad()
        (container.expand(some) - targets[some] / 255).square().mean().backward()
        adam.step()
    container.freeze()
    for name, value in container.stored_tensors().items():
        torch.testing.assert_close(bundle.tensors[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("images", ["random", "kmeans"])
def test_the_warm_up_has_the_images_that_were_asked_for(packed, spied, images):
    calls = spied("targets_of")
    packed({"warmup.images": images})
    (((_, _, _, kind, seed), _, _),) = calls
    assert (kind, seed) == (images, 7)


class Quadratic(Objective):
    """How far the images are from grey ones, which get lighter from step to step."""

    blocks = ()

    def losses(self, container, step):
        yield ((container.expand() - 0.1 * step) ** 2).sum()


def test_classes_of_unequal_counts_are_not_condensed(hmn):
    container = new_container(
        hmn(classes=3, instances=(1, 3, 2)), ContainerConfig(), stream(0, "container")
    )
    fitting = Fitting(Clock(None, 1e9, lambda: False), None, silent)
    with pytest.raises(BadSettings, match=r"classes of 1 to 3 images cannot be condensed; give"):
        fitting.run("matching", container, Quadratic(), MatchConfig(steps=1))


def test_rates_and_moments_of_matching_are_those_of_the_settings(hmn):
    config = MatchConfig(steps=4, lr=0.04, lr_end=0.01, beta1=0.5, beta2=0.8)
    ours, theirs = (
        new_container(hmn(), ContainerConfig(norm="none"), stream(0, "container")) for _ in range(2)
    )
    clock = Clock(None, 1e9, lambda: False)
    Fitting(clock, None, silent).run("matching", ours, Quadratic(), config)
    adam = torch.optim.Adam(theirs.parameters(), betas=(0.5, 0.8))
    # 0.025 +- 0.015 cos(0, 45, 90, 135 degrees)
    for step, rate in enumerate((0.04, 0.025 + 0.015 * 0.5**0.5, 0.025, 0.025 - 0.015 * 0.5**0.5)):
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        ((theirs.expand() - 0.1 * step) ** 2).sum().backward()
        adam.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


class Judge:
    """A probe that finds the weights after the third of four steps best."""

    def __init__(self):
        self.seen = []

    def due(self, stage, done, total):
        return stage == "matching"

    def __call__(self, container):
        self.seen.append(container.copied())
        return [10.0, 20.0, 90.0, 30.0][len(self.seen) - 1]


def test_the_weights_that_are_kept_are_those_that_were_judged(hmn):
    """Where a mean is taken, too, they are the mean of then."""
    stopping = StoppingConfig(probes=4, patience=9)
    config = MatchConfig(steps=4, lr=0.04, average=1.0, stopping=stopping)
    container = new_container(hmn(), ContainerConfig(norm="none"), stream(0, "container"))
    judge = Judge()
    fitting = Fitting(Clock(None, 1e9, lambda: False), None, silent, judges={"matching": judge})
    fitting.run("matching", container, Quadratic(), config)
    assert len(judge.seen) == 4
    for name, value in container.named_parameters():
        assert torch.equal(value, judge.seen[2][name])


def test_a_container_starts_with_the_spread_that_its_settings_say(hmn):
    spec = hmn(
        classes=9,
        instances=40,
        grid=8,
        dataset_channels=30,
        class_channels=20,
        instance_channels=5,
        extractor_channels=8,
        decoder_channels=(60, 7),
    )
    config = ContainerConfig(dataset_std=0.3, class_std=0.6, instance_std=1.2)
    container = new_container(spec, config, stream(0, "container"))
    spread = {name: float(value.detach().std()) for name, value in container.named_parameters()}
    # He et al.: of a kernel of 4 x 4 and stride 2, each output adds up 2 x 2 of each channel.
    expected = {
        "dataset": 0.3,
        "classwise": 0.6,
        "instance": 1.2,
        "extractor_weight": 30**-0.5,
        "weights.0": (2 / (4 * 33)) ** 0.5,
        "weights.1": (2 / (4 * 60)) ** 0.5,
    }
    found = {name: spread[name] for name in expected}
    assert found == pytest.approx(expected, rel=0.1)


def test_each_objective_has_its_settings_and_the_seed(packed, spied):
    calls = spied("Match")
    few = {"match.steps": 1, "gradient.networks": 1, "gradient.inner_steps": 1}
    config = packed(few).manifest.config
    assert [given[2:4] for given, _, _ in calls] == [(config.match, 7), (config.gradient, 7)]


@pytest.mark.parametrize(("group", "stage"), [("match", "matching"), ("gradient", "gradient")])
def test_each_stage_is_judged_if_it_is_to_stop_early(packed, monkeypatch, group, stage):
    def stop(*_, judges, **__):
        assert set(judges) == {stage}
        raise StopIteration

    monkeypatch.setattr(compressor, "Fitting", stop)
    few = {"match.steps": 2, "gradient.networks": 1, "gradient.inner_steps": 2}
    with pytest.raises(StopIteration):
        packed(few | {f"{group}.stopping.probes": 1, "holdout": 0.2})


def test_the_pool_is_of_the_images_that_are_not_held_out(packed, spied, tmp_path):
    calls = spied("pool_of")
    for part in (0.1, 0.5):
        packed({"match.steps": 1, "holdout": part})
    assert [len(given[0].labels) for given, _, _ in calls] == [54, 30]
    kept = len(list((tmp_path / "pool").glob("*.pt")))
    assert kept == 2 * calls[0][0][1].size


def test_channels_are_centred_by_all_of_train(packed, source):
    assert packed({"holdout": 0.5}).manifest.normalisation == normalisation_of(source.train)


@pytest.mark.parametrize("other", ["data", "ipc"])
def test_a_checkpoint_of_another_run_is_refused(source, tmp_path, other):
    def run(source, ipc):
        options = RunOptions(device="cpu", resume=True, should_pause=lambda: True)
        places = SourceOptions(cache_dir=tmp_path / "cache")
        output = tmp_path / "x.hmn"
        given = {"output": output, "options": options, "source_options": places}
        return hmnpack.compress(source, ipc, recipe="smoke", settings=FEW, **given)

    while not (tmp_path / "x.hmn.ckpt").exists():  # the pool is paused, too
        with pytest.raises(hmnpack.HmnError, match="paused"):
            run(source, 8)
    before = (tmp_path / "x.hmn.ckpt").read_bytes()
    mirrored = source.train.images.flip(3), source.train.labels
    changed = (tensor_source(mirrored), 8) if other == "data" else (source, 9)
    with pytest.raises(hmnpack.HmnError, match="is of a run with other data, ipc"):
        run(*changed)
    assert (tmp_path / "x.hmn.ckpt").read_bytes() == before
    with pytest.raises(hmnpack.HmnError, match="paused at step 2"):
        run(source, 8)
