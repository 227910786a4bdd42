"""The stages that fit a container, against explicit optimisation loops."""

import math

import pytest
import torch

import hmnpack
from hmnpack.condensing import learning, objectives
from hmnpack.condensing.fitting import Clock, Fitting
from hmnpack.condensing.request import RunOptions
from hmnpack.container import new_container
from hmnpack.container.images import Images
from hmnpack.errors import BadSettings
from hmnpack.matching.objective import Objective
from hmnpack.runtime.progress import no_progress
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import ContainerConfig
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.schema.stages import Stage
from hmnpack.settings import recorded_settings
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
def compressed(source, tmp_path):
    """Return a function that compresses in a few steps, with overrides of settings."""
    options = {
        "options": RunOptions(device="cpu"),
        "source_options": SourceOptions(cache_dir=tmp_path),
    }
    return lambda settings: hmnpack.compress(
        source, 8, recipe="smoke", settings=FEW | settings, **options
    )


@pytest.fixture
def recorded_calls(monkeypatch):
    """Return a function that records the calls of a module's function, with their results."""

    def recorded_calls(module, name):
        calls, called = [], getattr(module, name)

        def spy(*given, **named):
            result = called(*given, **named)
            calls.append((given, named, result))
            return result

        monkeypatch.setattr(module, name, spy)
        return calls

    return recorded_calls


def test_warm_up_matches_adam_on_squared_errors(compressed, recorded_calls):
    calls = recorded_calls(objectives, "choose_targets")
    bundle = compressed({})
    ((_, _, targets),) = calls
    spec, config = bundle.manifest.container, recorded_settings(bundle.manifest)
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


@pytest.mark.parametrize(("images", "times"), [("random", 1), ("none", 0)])
def test_warm_up_without_images_chooses_no_targets(compressed, recorded_calls, images, times):
    calls = recorded_calls(objectives, "choose_targets")
    compressed({"warmup.images": images})
    assert [given[2] for given, _, _ in calls] == [7] * times


class Quadratic(Objective):
    """The squared distance from grey images that get lighter from step to step."""

    is_shared = False

    def loss(self, container, step):
        return ((container.expand() - 0.1 * step) ** 2).sum()


def test_unequal_class_sizes_are_rejected(hmn):
    container = new_container(
        hmn(classes=3, instances=(1, 3, 2)), ContainerConfig(), stream(0, "container")
    )
    fitting = Fitting(Clock(None, 1e9, lambda: False), None, no_progress)
    with pytest.raises(BadSettings, match=r"classes of 1 to 3 images cannot be condensed; give"):
        fitting.run(Stage("matching", steps=1), container, Quadratic())


def test_fitting_uses_the_stages_rates_and_the_papers_betas(hmn):
    rates = (0.04, 0.01, 0.03, 0.002)
    stage = Stage("matching", 4, lambda step: rates[step])
    ours, theirs = (
        new_container(hmn(), ContainerConfig(norm="none"), stream(0, "container")) for _ in range(2)
    )
    clock = Clock(None, 1e9, lambda: False)
    Fitting(clock, None, no_progress).run(stage, ours, Quadratic())
    adam = torch.optim.Adam(theirs.parameters(), betas=(0.9, 0.99))
    for step, rate in enumerate(rates):
        adam.param_groups[0]["lr"] = rate
        adam.zero_grad()
        ((theirs.expand() - 0.1 * step) ** 2).sum().backward()
        adam.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


class Grey(Objective):
    """The squared distance of each class from a grey value of its own."""

    def loss(self, container, step):
        images = container.expand().unflatten(0, (2, -1))
        values = torch.tensor([0.2 * step, 0.1 + 0.2 * step])
        return ((images - values.view(2, 1, 1, 1, 1)) ** 2).sum()

    def figures(self):
        return {"rate": 0.5}


def test_stage_takes_sgd_steps_with_momentum_in_normalised_space():
    image = ImageShape(channels=3, height=4, width=4)
    spec = ImagesSpec(classes=2, instances=3, image=image)
    pixels = 0.4 + 0.2 * torch.rand(6, 3, 4, 4, generator=stream(0, "start"))
    std, heard = (0.2, 0.25, 0.3), []
    scale = torch.tensor(std)[:, None, None]
    mean = torch.tensor([0.5, 0.4, 0.3])[:, None, None]
    ours, z, velocity = Images(spec, pixels.clone()), (pixels - mean) / scale, 0.0
    stage = Stage("rival", 3, lambda step: 0.3 - 0.1 * step, sgd=0.5, on_normalised=True)
    fitting = Fitting(
        *(Clock(None, 1e9, lambda: False), None),
        lambda name, done, total, **facts: heard.append((done, facts)),
        pixel_std=std,
    )
    fitting.run(stage, ours, Grey())
    total = 0.0
    for step in range(3):
        errors = (mean + scale * z).unflatten(0, (2, -1)) - 0.2 * step
        errors[1] -= 0.1
        total = float(errors.square().sum())
        velocity = 0.5 * velocity + 2 * errors.flatten(0, 1) * scale
        z = z - (0.3 - 0.1 * step) * velocity
    torch.testing.assert_close(ours.pixels.detach(), mean + scale * z, rtol=0, atol=1e-6)
    assert heard[-1] == (3, {"loss": pytest.approx(total, rel=1e-5), "rate": 0.5})


def test_container_initialisation_has_expected_spread(hmn):
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
    container = new_container(spec, ContainerConfig(), stream(0, "container"))
    spread = {name: float(value.detach().std()) for name, value in container.named_parameters()}
    # He et al.: with a 4 x 4 kernel and stride 2, each output sums 2 x 2 inputs per channel.
    expected = {
        "dataset": 0.5,
        "classwise": 0.5,
        "instance": 0.5,
        "extractor_weight": 30**-0.5,
        "weights.0": (2 / (4 * 33)) ** 0.5,
        "weights.1": (2 / (4 * 60)) ** 0.5,
    }
    found = {name: spread[name] for name in expected}
    assert found == pytest.approx(expected, rel=0.1)


@pytest.mark.slow
def test_each_objective_gets_its_settings_and_the_seed(compressed, recorded_calls):
    calls = recorded_calls(objectives, "Match")
    few = {"match.steps": 1, "gradient.networks": 1, "gradient.inner_steps": 1}
    config = recorded_settings(compressed(few).manifest)
    assert [given[2:4] for given, _, _ in calls] == [(config.match, 7), (config.gradient, 7)]


def test_pool_excludes_held_out_images(compressed, recorded_calls, tmp_path):
    calls = recorded_calls(learning, "load_or_train_pool")
    for part in (0.1, 0.5):
        compressed({"match.steps": 1, "holdout": part})
    assert [len(given[0].labels) for given, _, _ in calls] == [54, 30]
    cached = len(list((tmp_path / "pool").glob("*.pt")))
    assert cached == 2 * calls[0][0][1].size


def test_normalisation_uses_the_full_training_split(compressed, source):
    assert compressed({"holdout": 0.5}).manifest.normalisation == normalisation_of(source.train)


@pytest.mark.parametrize("other", ["data", "ipc"])
def test_checkpoint_of_another_run_is_rejected(source, tmp_path, other):
    def run(source, ipc):
        options = RunOptions(device="cpu", resume=True, should_pause=lambda: True)
        places = SourceOptions(cache_dir=tmp_path / "cache")
        output = tmp_path / "x.hmn"
        given = {"output": output, "options": options, "source_options": places}
        return hmnpack.compress(source, ipc, recipe="smoke", settings=FEW, **given)

    while not (tmp_path / "x.hmn.ckpt").exists():  # the pool's training is paused first
        with pytest.raises(hmnpack.HmnError, match="paused"):
            run(source, 8)
    before = (tmp_path / "x.hmn.ckpt").read_bytes()
    mirrored = source.train.images.flip(3), source.train.labels
    changed = (tensor_source(mirrored), 8) if other == "data" else (source, 9)
    with pytest.raises(hmnpack.HmnError, match="belongs to another run"):
        run(*changed)
    assert (tmp_path / "x.hmn.ckpt").read_bytes() == before
    with pytest.raises(hmnpack.HmnError, match="paused at step 2"):
        run(source, 8)
