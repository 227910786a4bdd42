"""Every setting of a run is used by a recipe, chosen by the user, or justified by a measurement."""

from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from hmnpack.registry import PROTOCOLS, RECIPES
from hmnpack.schema.config import CompressConfig, NetworkConfig, TrainConfig
from hmnpack.schema.kinds import CONTAINERS
from hmnpack.schema.methods import METHODS
from hmnpack.schema.nested import setting_names
from hmnpack.schema.presets import PRESETS
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import recipe_of

RESULTS = Path(__file__).parents[1] / "examples" / "reproduce" / "results"
SHARED = (NetworkConfig, TrainConfig)
"""Models shared by several stages and `evaluate`: each field is justified for all of them."""

CHOSEN = {
    "seed": "there is no best one",
    "container.kind": "which method's container is compared",
    "container.hallucinators": "varied where the method is compared with: HaBa's five do not fit",
    "container.bases": "varied where the method is compared with: LinBa states one number only",
    "holdout": "how many images a user can spare for validation",
    "match.augment": "which augmentations preserve the class depends on the data",
    "gradient.augment": "the same",
    "match.precision": "depends on what the device multiplies natively",
    "gradient.precision": "the same",
    "TrainConfig.precision": "the same",
    "warmup.lr": "a run that diverged needs a lower one",
    "prune.beta": "selection without real images (`hmnpack prune --beta`)",
    "prune.seeds": "how much time the selection may take",
    "prune.networks": "the same",
}
"""Settings that the user must choose, with the reason."""

MEASURED = {
    "container.norm": ("p1-norm-none.json", "container.norm=none"),
    "container.instance_channels": ("p2-images-29.json", "container.instance_channels=1"),
    "container.decoder_channels": ("p5-decoder-32-16.json", "container.decoder_channels=[32,16]"),
    "match.objective": ("q2-characteristic.json", "match.objective=characteristic"),
    "match.classification": ("p4-classification-0.json", "match.classification=0"),
    "gradient.inner_steps": ("q1-gradient-fresh.json", "gradient.inner_steps=87"),
    "gradient.synthetic_batch": ("q1-gradient-fresh.json", "gradient.synthetic_batch=32"),
    "gradient.real_batch": ("p1-gradient-finish.json", "gradient.real_batch=32"),
    "prune.margin_epochs": ("paper-table6.json", "prune.margins.epochs=40"),  # its former name
    "prune.betas": ("paper-table6.json", '"scale": "cpu"'),  # a scale that tries five betas
    "prune.min_steps": ("paper-table6.json", '"scale": "cpu"'),  # and uses a quarter of the steps
    "TrainConfig.batch": ("p1-fast.json", '"batch": 128'),
    "TrainConfig.momentum": ("digits.json", '"momentum": 0.9'),  # every recorded score has it
}
"""Settings justified by a measurement: the result file, and a text in it."""


def values(config, prefix=""):
    """Yield every setting's name, value and model, except those of a method to compare with."""
    for name, value in config:
        if name == "rival":
            continue
        if isinstance(value, BaseModel):
            yield from values(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value, type(config)


def defaults(kind, prefix="", given=None):
    """Yield every setting's name and default; a required setting gets a unique object."""
    for name, field in kind.model_fields.items():
        if given is not None:
            default = getattr(given, name)
        else:
            default = object() if field.is_required() else field.default
        inner = type(default) if isinstance(default, BaseModel) else field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            start = default if isinstance(default, BaseModel) else None
            yield from defaults(inner, f"{prefix}{name}.", start)
        else:
            yield prefix + name, default


def shipped():
    """Yield the settings of every recipe, for every preset dataset."""
    for preset in PRESETS:
        shape = DataShape(name=preset.dataset, classes=preset.classes, image=preset.image)
        for name in RECIPES:
            yield recipe_of(name, shape)


@cache
def used_of_shared():
    """Return the fields of shared models that a recipe or protocol changes from the default."""
    protocols = [
        make(DataShape(name=each.dataset, classes=each.classes, image=each.image), each.ipc)
        for each in PRESETS
        for make in map(PROTOCOLS.__getitem__, PROTOCOLS)
    ]
    own = {(kind, name): value for kind in SHARED for name, value in defaults(kind)}
    return {
        f"{kind.__name__}.{path.rpartition('.')[2]}"
        for config in (*shipped(), *protocols)
        for path, value, kind in values(config)
        if kind in SHARED and value != own[kind, path.rpartition(".")[2]]
    }


@cache
def used():
    """Return the settings that a recipe changes from the default."""
    default = dict(defaults(CompressConfig))
    for kind in CONTAINERS.values():
        default |= {(kind, f"container.{name}"): value for name, value in defaults(kind)}
    return {
        path
        for config in shipped()
        for path, value, kind in values(config)
        if value != default.get((kind, path), default.get(path))
    }


def name_of(path, kind):
    """Return the listed name of a setting; a shared model's field goes by the model's name."""
    return f"{kind.__name__}.{path.rpartition('.')[2]}" if kind in SHARED else path


OF_KINDS = {f"container.{name}" for each in CONTAINERS.values() for name in each.model_fields}
NAMES = sorted({name_of(path, kind) for path, _, kind in values(recipe_of("fast"))} | OF_KINDS)


@pytest.mark.parametrize("name", NAMES)
def test_setting_is_used_chosen_or_measured(name):
    reasons = [name in used() | used_of_shared(), name in CHOSEN, name in MEASURED]
    assert any(reasons), f"nothing justifies {name}: delete it, or list the reason here"
    assert sum(reasons) == 1, f"{name} is listed though a recipe uses it, or twice"


@pytest.mark.parametrize("method", METHODS)
def test_setting_of_a_method_is_stated_by_a_recipe(method):
    fields = METHODS[method].model_fields
    assert [name for name, field in fields.items() if not field.is_required()] == ["method"]
    assert method in {config.rival.method for config in shipped() if config.rival}


def test_listed_names_are_settings():
    assert {*CHOSEN, *MEASURED} <= set(NAMES)
    assert len(list(setting_names(recipe_of("fast")))) < 90


@pytest.mark.skipif(not RESULTS.is_dir(), reason="needs the source tree")
@pytest.mark.parametrize("name", MEASURED)
def test_measurement_of_a_setting_exists(name):
    file, text = MEASURED[name]
    assert text in (RESULTS / file).read_text(encoding="utf-8").replace('\\"', '"')
