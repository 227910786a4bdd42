"""Methods to compare with against their literal references, in float64, over several steps."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch

from hmnpack.augment import apply
from hmnpack.condensing.fitting import Clock, Fitting
from hmnpack.container.images import Images
from hmnpack.matching import RIVALS, Match
from hmnpack.matching.families import draw_family, families
from hmnpack.matching.row_cosine import row_cosine
from hmnpack.matching.synthetic import chosen_images
from hmnpack.networks import build_network
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.schema.stages import stages_of
from hmnpack.settings import merged, recipe_of

SEED, EACH, SHAPE = 5, 4, ImageShape(channels=3, height=16, width=16)
SPEC = ImagesSpec(classes=3, instances=EACH, image=SHAPE)
SMALL = {"rival.network.width": 4, "rival.network.depth": 2, "rival.real_batch": 7, "seed": SEED}
LOOPS = {"rival.image_steps": 3, "rival.epochs": 2, "rival.batch": 5, "rival.network_lr": 0.1}
CASES = {
    "dc": LOOPS,
    "dsa": LOOPS,
    "dm": {"rival.lr": 0.1},
}
RUNS = {"dc": "dc_run", "dm": "dm_run"}
"""Method -> its literal run."""


@pytest.fixture(scope="module")
def reference():
    path = Path(__file__).with_name("literal_methods.py")
    spec = importlib.util.spec_from_file_location("literal_methods", path)
    module = sys.modules["literal_methods"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config_of(recipe, **changes):
    return merged(recipe_of(recipe), SMALL | CASES[recipe], changes)


def container():
    """Return images far enough from 0 and 1 that no step is clamped."""
    shape = (3 * EACH, SHAPE.channels, SHAPE.height, SHAPE.width)
    pixels = 0.4 + 0.2 * torch.rand(shape, generator=stream(0, "start"), dtype=torch.float64)
    return Images(SPEC, pixels)


def objective(recipe, real, **changes):
    rival = config_of(recipe, **changes).rival
    return RIVALS[rival.method](Match(real, None, rival, SEED))


def fitted(recipe, real, steps, **changes):
    """Return the losses and the images after some steps of the stage."""
    config, ours, losses = config_of(recipe, **changes), container(), []
    stage = next(stage for stage in stages_of(config) if stage.name == "rival")
    fit = objective(recipe, real, **changes)
    seen = fit.loss

    def loss(container, step):
        found = seen(container, step)
        losses.append(float(found.detach()))
        return found

    fit.loss = loss
    clock = Clock(None, math.inf, lambda: False)
    few = type(stage)(**{**vars(stage), "steps": steps})
    fitting = Fitting(clock, None, lambda *a, **f: None, pixel_std=real.normalisation.std)
    fitting.run(few, ours, fit)
    return losses, ours.pixels.detach()


@pytest.mark.parametrize("recipe", CASES)
def test_losses_and_images_equal_the_literal_run(reference, real, recipe):
    config = config_of(recipe).rival
    start = reference.normalised(container().pixels.detach(), real.normalisation)
    literal = getattr(reference, RUNS[config.method])
    expected, images = literal(real, config, start.unflatten(0, (3, EACH)), SEED, 4)
    losses, pixels = fitted(recipe, real, 4)
    assert losses == pytest.approx(expected, rel=1e-6)
    found = reference.normalised(pixels, real.normalisation).unflatten(0, (3, EACH))
    torch.testing.assert_close(found, images, atol=1e-6, rtol=0)
    assert (images - start.view_as(images)).abs().amax((1, 2, 3, 4)).min() > 1e-5


@pytest.mark.parametrize("recipe", CASES)
def test_gradient_of_a_step_equals_the_literal_one(reference, real, recipe):
    config, ours = config_of(recipe).rival, container()
    loss = objective(recipe, real).loss(ours, 0)
    loss.backward()
    x = container().pixels
    images = reference.normalised(x, real.normalisation).unflatten(0, (3, EACH))
    network = reference.new_network(real, config.network, SEED, 0)
    value = getattr(reference, f"{config.method}_loss")(network, real, config, images, SEED, 0)
    torch.testing.assert_close(loss.detach(), value.detach(), rtol=1e-6, atol=0)
    (expected,) = torch.autograd.grad(value, x)
    largest = float(expected.abs().max())
    assert largest > 0.1
    torch.testing.assert_close(ours.pixels.grad, expected, rtol=0, atol=1e-6 * max(1, largest))


def test_row_cosine_counts_every_output_row_and_no_vector():
    """394 rows a class for the ConvNet of 128 channels and 10 classes: 3 x 128 + 10."""
    network = build_network(
        NetworkConfig(), classes=10, image=SHAPE, generator=stream(0, "network")
    )
    shapes = [parameter.shape for parameter in network.parameters()]
    ones, halves, nothing = (
        [torch.full(shape, value, dtype=torch.float64) for shape in shapes]
        for value in (1.0, 0.5, 0.0)
    )
    assert float(row_cosine(ones, halves)) == pytest.approx(0, abs=1e-4)
    assert float(row_cosine(ones, [-each for each in halves])) == pytest.approx(2 * 394)
    assert float(row_cosine(ones, nothing)) == 394


@pytest.mark.parametrize("family", range(6))
def test_each_family_is_augmented_as_described(reference, family):
    images = torch.rand(3, 3, 16, 16, generator=stream(0, "x"), dtype=torch.float64)
    augment = recipe_of("dsa").rival.augment
    for seed in range(200):
        expected = reference.drawn(3, stream(seed, "family"))
        if expected[1] == reference.FAMILIES[family]:
            break
    found = apply(images, draw_family(augment, 3, stream(seed, "family")))
    torch.testing.assert_close(found, reference.augmented(images, *expected), rtol=0, atol=1e-6)
    assert not torch.equal(found, images)


def test_families_without_names_change_nothing():
    images = torch.rand(2, 1, 8, 8, generator=stream(0, "x"))
    assert torch.equal(apply(images, draw_family((), 2, stream(0, "family"))), images)
    assert len(families(recipe_of("dsa").rival.augment)) == 6


def test_class_with_more_images_than_a_step_takes_is_sampled(real):
    ours = container()
    found = chosen_images(ours, 3, SEED, 0)
    assert len(found) == 9
    every = ours.expand()
    for label, some in enumerate(found.unflatten(0, (3, 3))):
        own = every[label * EACH : (label + 1) * EACH]
        places = [[torch.equal(one, other) for other in own].index(True) for one in some]
        assert len(set(places)) == 3
    assert torch.equal(chosen_images(ours, EACH, SEED, 0), every)
    few = objective("dm", real, **{"rival.synthetic_batch": 2})
    few.loss(ours, 1).backward()
    assert int(ours.pixels.grad.abs().flatten(1).amax(1).count_nonzero()) == 6
