"""The stages of each recipe against explicit lists."""

from math import cos, pi

import pytest

from hmnpack.condensing.cost import costs_of
from hmnpack.condensing.objectives import OBJECTIVE_OF
from hmnpack.condensing.preflight import networks_of
from hmnpack.condensing.stage_cost import Run
from hmnpack.container.budget import plan
from hmnpack.schema.container import ImageShape
from hmnpack.schema.stages import FITTED, TITLES, has_stage, stages_of
from hmnpack.settings import merged, recipe_of

STEPS = {
    "smoke": [("pool", 0), ("warm-up", 5), ("matching", 4)],
    "fast": [("pool", 0), ("warm-up", 300), ("matching", 2300)],
    "best": [("pool", 0), ("warm-up", 1000), ("matching", 40_000)],
    "paper": [("warm-up", 1000), ("gradient", 200_000), ("pruning", 0)],
}
COSINE = {
    "smoke": {"warm-up": 0.02, "matching": 0.01},
    "fast": {"warm-up": 0.02, "matching": 0.04},
    "best": {"warm-up": 0.02, "matching": 0.02},
    "paper": {"warm-up": 0.02},
}
"""Initial learning rates of stages with a half-cosine schedule."""

EVERY = {"match.steps": 3, "gradient.networks": 2, "prune.strategy": "double-end"}
CIFAR = ImageShape(channels=3, height=32, width=32)


def stages(recipe, **changes):
    by_path = {name.replace("__", "."): value for name, value in changes.items()}
    return {stage.name: stage for stage in stages_of(merged(recipe_of(recipe), by_path))}


@pytest.mark.parametrize("recipe", STEPS)
def test_stages_of_a_recipe_are_in_order(recipe):
    found = stages_of(recipe_of(recipe))
    assert [(stage.name, stage.steps) for stage in found] == STEPS[recipe]


@pytest.mark.parametrize(("recipe", "name"), [(r, name) for r in COSINE for name in COSINE[r]])
def test_learning_rate_falls_by_half_a_cosine(recipe, name):
    stage, start = stages(recipe)[name], COSINE[recipe][name]
    some = range(0, stage.steps, max(1, stage.steps // 50))
    expected = [start / 2 + start / 2 * cos(pi * step / stage.steps) for step in some]
    assert [stage.learning_rate(step) for step in some] == pytest.approx(expected)
    assert stage.learning_rate(0) == start


def test_learning_rate_of_gradient_matching_falls_after_600_and_800_of_1000_networks():
    rate = stages("paper")["gradient"].learning_rate
    rates = [rate(step) for step in (0, 119_999, 120_000, 159_999, 160_000, 199_999)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])


@pytest.mark.parametrize(
    ("networks", "drops"), [(1, [1, 1]), (2, [2, 2]), (5, [3, 4]), (7, [5, 6]), (10, [6, 8])]
)
def test_learning_rate_of_gradient_matching_falls_between_networks(networks, drops):
    rate = stages("paper", gradient__networks=networks, gradient__inner_steps=3)["gradient"]
    expected = [0.01 * 0.1 ** sum(n >= drop for drop in drops) for n in range(networks)]
    found = [rate.learning_rate(step) for step in range(3 * networks)]
    assert found == pytest.approx([value for value in expected for _ in range(3)])


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"match.steps": 0}, ["warm-up"]),
        ({"warmup.steps": 0}, ["pool", "matching"]),
        ({"warmup.images": "none"}, ["pool", "matching"]),
        ({"match.steps": 0, "warmup.steps": 0}, []),
        ({"gradient.networks": 1}, ["pool", "warm-up", "matching", "gradient"]),
        ({"match.steps": 0, "gradient.networks": 1}, ["warm-up", "gradient"]),
        ({"prune.strategy": "random"}, ["pool", "warm-up", "matching", "pruning"]),
        (EVERY, ["pool", "warm-up", "matching", "gradient", "pruning"]),
    ],
)
def test_stages_without_work_are_omitted(changes, names):
    config = merged(recipe_of("smoke"), changes)
    assert [stage.name for stage in stages_of(config)] == names
    assert [name for name in TITLES if has_stage(config, name)] == names


@pytest.mark.parametrize(
    ("recipe", "steps", "lr"),
    [("dc", 1000, 0.1), ("dsa", 1000, 0.1), ("dm", 20_000, 1.0), ("idc", 200_000, 0.0005)],
)
def test_method_steps_by_sgd_on_pixels_and_by_adam_on_other_parameters(recipe, steps, lr):
    stage = stages(recipe)["rival"]
    assert (stage.steps, stage.sgd, stage.learning_rate(0)) == (steps, 0.5, lr)
    assert stage.on_normalised == (recipe != "idc")
    other = stages(recipe, container__kind="hmn")["rival"]
    assert (other.steps, other.sgd, other.learning_rate(steps - 1)) == (steps, None, 0.01)


def test_stages_declare_pool_probe_title_and_network():
    config = merged(recipe_of("smoke"), EVERY, {"prune.network.width": 3})
    found = stages_of(config)
    assert [stage.name for stage in found if stage.uses_pool] == ["matching"]
    assert [stage.name for stage in found if stage.is_probed] == ["matching", "gradient"]
    assert [stage.title for stage in found] == [
        *("pool", "warm-up", "feature matching", "gradient matching", "pruning")
    ]
    used = [(used.network.width, used.group, used.gives_features) for used in networks_of(config)]
    assert used == [(8, "pool", True), (128, "gradient", False), (3, "prune", False)]


def test_random_pruning_trains_no_network():
    assert stages("smoke", prune__strategy="random")["pruning"].network is None


def test_every_stage_has_a_title_objective_and_cost():
    config = merged(recipe_of("smoke"), EVERY).model_copy(update={"rival": recipe_of("dm").rival})
    names = [stage.name for stage in stages_of(config)]
    assert names == list(TITLES)
    assert [stage.name for stage in stages_of(config) if stage.steps] == list(FITTED)
    assert list(OBJECTIVE_OF) == list(FITTED)
    run = Run(config, plan(10, 10, CIFAR), 1000, keep=1, held_out=10)
    assert [cost.name for cost in costs_of(run)] == names
