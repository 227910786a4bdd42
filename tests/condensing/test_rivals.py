"""``compress`` with every method to compare with and every container, on 8 x 8 synthetic images."""

import itertools

import pytest
import torch

import hmnpack
from hmnpack.condensing.preflight import check_early
from hmnpack.condensing.request import RunOptions
from hmnpack.condensing.scale import scaled
from hmnpack.container import container_of, planned
from hmnpack.errors import BadSettings, Paused
from hmnpack.registry import RIVALS
from hmnpack.runtime.ranks import ALONE, World
from hmnpack.runtime.seeds import stream
from hmnpack.schema.container import ImageShape
from hmnpack.schema.kinds import CONTAINERS
from hmnpack.schema.methods import METHODS
from hmnpack.settings import (
    difference,
    merged,
    recipe_of,
    recorded_settings,
    settings_to_record,
)
from hmnpack.sources import SourceOptions, tensor_source

TINY = {
    "rival.network.width": 4,
    "rival.network.depth": 1,
    "rival.synthetic_batch": 3,
    "warmup.steps": 1,
}
SMALL = {
    "dc": {"rival.iterations": 2, "rival.image_steps": 2, "rival.epochs": 1, "rival.real_batch": 5},
    "dsa": {"rival.iterations": 2, "rival.image_steps": 2, "rival.epochs": 1, "rival.batch": 4},
    "dm": {"rival.iterations": 4, "rival.real_batch": 5},
    "idc": {"rival.iterations": 2, "rival.inner_steps": 2, "rival.train_images": 12},
    "cafe-dsa": {"rival.iterations": 2, "rival.image_steps": 2, "rival.epochs": 1},
    "idm": {
        "rival.iterations": 4,
        "rival.queue": 4,
        "rival.push_every": 2,
        "rival.train_steps": 2,
        "rival.train_batch": 8,
        "rival.count_steps": 3,
    },
    "mtt": {
        "rival.iterations": 4,
        "rival.experts": 2,
        "rival.expert_batch": 16,
        "rival.start_epochs": 2,
        "rival.expert_epochs": 1,
        "rival.student_steps": 2,
        "rival.student_batch": 4,
    },
}
"""Recipe of a method -> settings of a run of four steps."""

ALL = list(itertools.product(SMALL, CONTAINERS))


@pytest.fixture(scope="module")
def source():
    labels = torch.arange(3).repeat_interleave(12)
    noise = torch.randint(0, 120, (36, 3, 8, 8), generator=stream(0, "pixels"))
    images = (noise + 60 * labels[:, None, None, None]).to(torch.uint8)
    return tensor_source((images, labels))


@pytest.fixture
def run(source, tmp_path):
    """Return a function that compresses the images with a recipe's method, in few steps."""

    def run(recipe, *, output=None, ipc=4, settings=None, scale=1.0, **options):
        return hmnpack.compress(
            source,
            ipc,
            recipe=recipe,
            settings=TINY | SMALL[recipe] | (settings or {}),
            output=output,
            options=RunOptions(device="cpu", **options),
            source_options=SourceOptions(cache_dir=tmp_path / "cache"),
            scale=scale,
        )

    return run


def images_of(bundle):
    return container_of(bundle.manifest.container, bundle.tensors).expand()


def test_every_method_has_a_case():
    assert {recipe_of(name).rival.method for name in SMALL} == set(METHODS) == set(RIVALS)


@pytest.mark.parametrize(("recipe", "kind"), ALL)
def test_every_class_changes_and_a_paused_run_gives_the_same_bytes(run, recipe, kind, tmp_path):
    settings, output, pauses = {"container.kind": kind}, tmp_path / "x.hmn", 0
    still = settings | {"rival.iterations": 1, "rival.lr": 1e-9, "rival.adam_lr": 1e-9}
    start, whole = run(recipe, settings=still), run(recipe, settings=settings)
    before, after = images_of(start), images_of(whole)
    moved = (before - after).abs().flatten(1).amax(1).unflatten(0, (3, -1)).amax(1)
    assert moved.min() > 1e-6
    assert 0 <= after.min() < after.max() <= 1
    while not output.exists() and pauses < 9:
        try:
            run(recipe, settings=settings, output=output, resume=True, should_pause=Twice())
        except Paused:
            pauses += 1
    assert pauses >= 2
    assert output.read_bytes() == whole.to_bytes()
    manifest = hmnpack.inspect(output)
    assert manifest.container.kind == f"{kind}/1"
    assert manifest.ledger.floats <= manifest.budget.floats
    config = recorded_settings(manifest)
    assert (config.rival.method, config.container.kind) == (recipe_of(recipe).rival.method, kind)
    assert config.rival.network.width == TINY["rival.network.width"]


class Twice:
    """A request to pause that is made when it is asked for the second time."""

    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return self.asked >= 2


@pytest.mark.parametrize(
    ("recipe", "part", "expected"),
    [
        ("dc", 0.05, {"rival.iterations": 50}),
        ("dm", 0.01, {"rival.iterations": 200}),
        ("idc", 1e-9, {"rival.iterations": 1}),
        ("haba", 0.1, {"match.steps": 230}),
        ("paper", 0.5, {"gradient.networks": 500}),
        ("dm", 1, {}),
    ],
)
def test_scale_shortens_the_run_and_nothing_else(recipe, part, expected):
    full = recipe_of(recipe)
    assert difference(scaled(full, part), full) == nested(expected)


def nested(values):
    return {path.split(".")[0]: {path.split(".")[1]: value} for path, value in values.items()}


@pytest.mark.parametrize("part", [0, -1, 1.01, float("nan")])
def test_scale_must_be_a_fraction(part):
    with pytest.raises(BadSettings, match="the scale is a fraction of the iterations, such as"):
        scaled(recipe_of("dm"), part)


def test_scaled_run_is_recorded_and_settings_override_the_scale(run, source):
    plan = hmnpack.plan(source, 4, recipe="dm", scale=0.5, device="cpu")
    assert plan.config.rival.iterations == 10_000
    assert plan.cost.seconds > 0
    bundle = run("dm", scale=0.5)
    assert bundle.manifest.config["rival"]["iterations"] == 4
    assert recorded_settings(bundle.manifest).rival.real_batch == 5


@pytest.mark.parametrize(
    ("ipc", "steps", "epochs"), [(1, 1, 1), (10, 10, 50), (12, 10, 50), (50, 50, 10), (200, 100, 2)]
)
def test_settings_depend_on_the_budget_and_are_recorded(source, ipc, steps, epochs):
    plan = hmnpack.plan(source, ipc, recipe="dc", device="cpu")
    assert (plan.config.rival.image_steps, plan.config.rival.epochs) == (steps, epochs)
    own = settings_to_record(plan.config, source.shape) or {}
    found = (own.get("rival") or {}).get("image_steps", 1)
    assert found == steps


def test_several_ranks_are_rejected(source):
    config, spec = recipe_of("dm"), hmnpack.plan(source, 4, recipe="dm").spec
    with pytest.raises(BadSettings, match="recipe dm runs in one process, not in 2 ranks"):
        check_early(config, spec, World(0, 2))


def test_network_without_features_is_rejected_before_training():
    shape = ImageShape(channels=3, height=16, width=16)
    config = merged(recipe_of("dm"), {"rival.network.name": "resnet18"})
    spec = planned(4, 3, shape, config.container)
    with pytest.raises(BadSettings, match="'resnet18' exposes no block features"):
        check_early(config, spec, ALONE)
    check_early(merged(recipe_of("dc"), {"rival.network.name": "resnet18"}), spec, ALONE)


def test_custom_recipe_with_a_method_is_recorded_whole(source, tmp_path):
    base = merged(recipe_of("dm"), TINY, SMALL["dm"], {"recipe": "mine"})
    bundle = hmnpack.compress(source, 4, config=base, options=RunOptions(device="cpu"))
    assert recorded_settings(bundle.manifest) == base
    added = recipe_of("smoke").model_copy(update={"rival": base.rival})
    own = settings_to_record(added, source.shape)
    assert merged(recipe_of("smoke"), own).rival == base.rival


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rival.method": "dc"}, "the method is the recipe's; name one with --recipe"),
        ({"rival.image_steps": 2}, "it belongs to --recipe dc or dsa"),
        ({"rival": {"method": "gan"}}, "unknown rival.method 'gan'"),
        ({"rival": {"method": "idc", "iterations": 0}}, "setting rival.iterations = 0"),
    ],
)
def test_settings_of_another_method_are_rejected(settings, said):
    with pytest.raises(BadSettings, match=said):
        merged(recipe_of("dm"), settings)
