"""The cost of CAFE, IDM and MTT against arithmetic on the passes of one image."""

import pytest

from hmnpack.condensing.cost import costs_of
from hmnpack.condensing.stage_cost import Run
from hmnpack.networks import flops
from hmnpack.networks.profile import profile_network
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.settings import merged, recipe_of

SPEC = ImagesSpec(classes=10, instances=10, image=ImageShape(channels=3, height=32, width=32))
IMAGES = 45_000


@pytest.fixture
def cost():
    """Return a function that gives the operations of each kind of work, and the memory."""

    def cost(recipe, **settings):
        start = recipe_of(recipe, ipc=10)
        config = merged(start, {f"rival.{name}": value for name, value in settings.items()})
        (found,) = [s for s in costs_of(Run(config, SPEC, IMAGES)) if s.name == "rival"]
        return {part.work: part.flops for part in found.parts}, found.bytes

    return cost


@pytest.fixture(scope="module")
def once():
    """Operations of one image: forward, to the features, to the images, training."""
    profile = profile_network(recipe_of("mtt").rival.network, 10, SPEC.image)
    return profile.flops


def test_experts_of_mtt_cost_an_ordinary_training(cost, once):
    work, _ = cost("mtt")
    assert work["training"] == 100 * 21 * IMAGES * once(flops.TRAINING)


def test_students_of_mtt_cost_their_steps_and_the_way_back(cost, once):
    work, _ = cost("mtt", iterations=7, student_batch=25)
    assert work["gradients"] == 7 * 30 * 25 * (once(flops.TRAINING) + once(flops.UNROLLED_STEP))
    whole, _ = cost("mtt", iterations=7)
    assert whole["gradients"] == 4 * work["gradients"]  # all 100 images


def test_memory_of_mtt_grows_by_the_weights_of_a_step_only(cost):
    few, many = (cost("mtt", student_steps=steps)[1] for steps in (30, 31))
    weights = profile_network(recipe_of("mtt").rival.network, 10, SPEC.image).weight_bytes
    assert many - few == weights


def test_networks_of_cafe_are_trained_between_steps(cost, once):
    work, _ = cost("cafe", iterations=3)
    assert work["training"] == 3 * 10 * 10 * 100 * once(flops.TRAINING)
    synthetic = once(flops.FEATURES) + once(flops.FEATURES_TO_IMAGES)
    assert work["features"] == 33 * 10 * (256 * once(flops.FEATURES) + 10 * synthetic)


def test_two_networks_of_idm_are_trained_after_each_step(cost, once):
    work, _ = cost("idm", iterations=5)
    assert work["training"] == 4 * 2 * 10 * 256 * once(flops.TRAINING)
    real, ours = 256 * once(flops.FEATURES), 10 * once(flops.FEATURES_TO_IMAGES)
    assert work["features"] == 5 * 10 * (real + ours)


def test_memory_of_idm_grows_with_its_queue(cost):
    few, many = (cost("idm", queue=count)[1] for count in (50, 60))
    weights = profile_network(recipe_of("idm").rival.network, 10, SPEC.image).weight_bytes
    assert many - few == 10 * 2 * weights


def test_memory_of_cafe_holds_the_last_features_of_real_images(cost):
    few, many = (cost("cafe", real_batch=count)[1] for count in (32, 64))
    assert many - few == 4 * 10 * 32 * 2048
