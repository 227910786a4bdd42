"""The cost of methods to compare with against hand counts; METHODS.md prints some of them."""

import re
from pathlib import Path

import pytest

from hmnpack.condensing.cost import costs_of
from hmnpack.condensing.estimate import planned_stages
from hmnpack.condensing.stage_cost import Run
from hmnpack.container import planned
from hmnpack.registry import RECIPES, RIVALS
from hmnpack.runtime.devices import choose_device
from hmnpack.schema.recipes import CIFAR10
from hmnpack.settings import recipe_of

FIRST, INNER, LINEAR = 7_077_888, 94_371_840, 40_960
"""Forward operations of ConvNet-3, width 128, per image, by layer."""

OUR_RECIPES = ("fast", "best", "paper", "smoke")

PAGE = Path(__file__).parents[2] / "METHODS.md"


def stages(recipe, ipc):
    config = recipe_of(recipe, CIFAR10, ipc)
    spec = planned(ipc, 10, CIFAR10.image, config.container)
    return {cost.name: cost for cost in costs_of(Run(config, spec, 45_000))}


def stage(recipe, ipc):
    return stages(recipe, ipc)["rival"]


def total(recipe, ipc):
    return sum(cost.flops for cost in stages(recipe, ipc).values())


def work(recipe, ipc):
    return {part.work: part.flops for part in stage(recipe, ipc).parts}


def test_dm_matches_a_hand_count():
    """Forward on 256 real images; forward and backward to the images on 10 synthetic ones."""
    per_class = 256 * (FIRST + INNER) + 10 * 2 * (FIRST + INNER)
    assert work("dm", 10) == {"features": 20_000 * 10 * per_class, "decoding": 0}


def test_dc_matches_a_hand_count():
    """Gradients of 256 real images; second derivatives of 10; 9 trainings of 50 epochs on 100."""
    trained = 2 * FIRST + 3 * INNER + 3 * LINEAR
    second = 5 * FIRST + 8 * INNER + 4 * LINEAR
    assert work("dc", 10) == {
        "gradients": 1000 * 10 * 10 * (256 * trained + 10 * second),
        "training": 1000 * 9 * 50 * 100 * trained,
        "decoding": 0,
    }
    assert work("dsa", 10) == work("dc", 10)
    assert work("dc", 1)["training"] == 0


def test_idc_costs_what_gradient_matching_costs():
    paper = recipe_of("paper")
    same = {"networks": 2000, "inner_steps": 100, "synthetic_batch": 128}
    config = paper.model_copy(
        update={
            "container": recipe_of("idc").container,
            "gradient": paper.gradient.model_copy(update=same),
        }
    )
    spec = planned(10, 10, CIFAR10.image, config.container)
    own = {cost.name: cost for cost in costs_of(Run(config, spec, 45_000))}["gradient"]
    assert [(p.work, p.flops) for p in stage("idc", 10).parts] == [
        (p.work, p.flops) for p in own.parts
    ]
    assert stage("idc", 10).bytes == own.bytes


@pytest.mark.parametrize("recipe", ["dc", "dm", "idc", "cafe", "idm", "mtt"])
def test_every_method_has_a_cost_on_a_cpu(recipe):
    config = recipe_of(recipe, CIFAR10, 10)
    spec = planned(10, 10, CIFAR10.image, config.container)
    stages = planned_stages(config, spec, 50_000, choose_device("cpu"), ipc=10)
    assert [each.name for each in stages] == ["rival"]
    assert stages[0].flops > 1e15
    assert 10**7 < stages[0].bytes < 2 * 10**9
    assert recipe_of(recipe).rival.method in RIVALS


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the source tree")
def test_page_states_the_counted_operations():
    count = r" [\d.]+e\+\d\d \|"
    rows = re.findall(rf"^\| (`[^|]+`) \|(.+?)\|({3 * count})$", PAGE.read_text("utf-8"), re.M)
    stated = {name: counts for names, _, counts in rows for name in names[1:-1].split("`, `")}
    assert set(stated) == {name for name in RECIPES if name not in OUR_RECIPES}
    for name, counts in stated.items():
        found = [f"{total(name, ipc):.1e}" for ipc in (1, 10, 50)]
        assert [each.strip() for each in counts.split("|")[:3]] == found, name
