"""Every setting of a run is one that a recipe uses, a user must choose, or a measurement keeps."""

from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from hmnpack.registry import PROTOCOLS
from hmnpack.schema.config import CompressConfig, NetworkConfig, TrainConfig
from hmnpack.schema.presets import PRESETS
from hmnpack.schema.recipes import DataShape
from hmnpack.settings import RECIPES, recipe_of, setting_names

RESULTS = Path(__file__).parents[1] / "examples" / "reproduce" / "results"
SHARED = (NetworkConfig, TrainConfig)
"""Models that several stages, and `evaluate`, have: a field of theirs is kept for all or none."""

CHOSEN = {
    "seed": "there is no best one",
    "holdout": "how many images a user can spare for choices",
    "match.augment": "what leaves an image its class, which depends on the data",
    "gradient.augment": "the same",
    "match.precision": "what the device multiplies natively",
    "gradient.precision": "the same",
    "TrainConfig.precision": "the same",
    "warmup.lr": "a run that diverged asks for a lower one",
    "prune.beta": "a choice without real images (`hmnpack prune --beta`)",
    "prune.seeds": "how much time a choice may take",
    "prune.networks": "the same",
}
"""Settings that a user must choose, and why."""

MEASURED = {
    "container.norm": ("p1-norm-none.json", "container.norm=none"),
    "container.instance_channels": ("p2-images-29.json", "container.instance_channels=1"),
    "container.decoder_channels": ("p5-decoder-32-16.json", "container.decoder_channels=[32,16]"),
    "warmup.images": ("q1-no-warm-up.json", "warmup.images=none"),
    "match.objective": ("q2-characteristic.json", "match.objective=characteristic"),
    "match.classification": ("p4-classification-0.json", "match.classification=0"),
    "gradient.inner_steps": ("q1-gradient-fresh.json", "gradient.inner_steps=87"),
    "gradient.synthetic_batch": ("q1-gradient-fresh.json", "gradient.synthetic_batch=32"),
    "gradient.real_batch": ("p1-gradient-finish.json", "gradient.real_batch=32"),
    "prune.margin_epochs": ("paper-table6.json", "prune.margins.epochs=40"),  # its name of then
    "prune.betas": ("paper-table6.json", '"scale": "cpu"'),  # a size that tries five
    "prune.min_steps": ("paper-table6.json", '"scale": "cpu"'),  # and takes a quarter
    "TrainConfig.batch": ("p1-fast.json", '"batch": 128'),
    "TrainConfig.momentum": ("digits.json", '"momentum": 0.9'),  # every recorded score has it
}
"""Settings that a measurement keeps: its file, and what stands there."""


def values(config, prefix=""):
    """Give every setting's name and value, and the model that it is a field of."""
    for name, value in config:
        if isinstance(value, BaseModel):
            yield from values(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value, type(config)


def defaults(kind, prefix="", given=None):
    """Give every setting's name and default; one that must be given has a default of its own."""
    for name, field in kind.model_fields.items():
        if given is not None:
            default = getattr(given, name)
        else:
            default = object() if field.is_required() else field.default
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            start = default if isinstance(default, BaseModel) else None
            yield from defaults(inner, f"{prefix}{name}.", start)
        else:
            yield prefix + name, default


def shipped():
    """Give the settings of every recipe, for every kind of data that one of them looks at."""
    for preset in PRESETS:
        shape = DataShape(name=preset.dataset, classes=preset.classes, image=preset.image)
        for name in RECIPES:
            yield recipe_of(name, shape)


@cache
def used_of_shared():
    """Return the fields of shared models that something shipped has away from the model's own."""
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
    """Return the settings that a recipe has away from their default."""
    default = dict(defaults(CompressConfig))
    return {
        path for config in shipped() for path, value, _ in values(config) if value != default[path]
    }


def name_of(path, kind):
    """Return what a setting is listed as: a shared model's field by the model's name."""
    return f"{kind.__name__}.{path.rpartition('.')[2]}" if kind in SHARED else path


NAMES = sorted({name_of(path, kind) for path, _, kind in values(recipe_of("fast"))})


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_is_used_chosen_or_measured(name):
    reasons = [name in used() | used_of_shared(), name in CHOSEN, name in MEASURED]
    assert any(reasons), f"nothing keeps {name}: delete it, or list here what does"
    assert sum(reasons) == 1, f"{name} is listed though a recipe uses it, or twice"


def test_what_is_listed_is_a_setting():
    assert {*CHOSEN, *MEASURED} <= set(NAMES)
    assert len(list(setting_names(CompressConfig))) < 90


@pytest.mark.skipif(not RESULTS.is_dir(), reason="no source tree in reach")
@pytest.mark.parametrize("name", MEASURED)
def test_a_measurement_that_keeps_a_setting_is_there(name):
    file, text = MEASURED[name]
    assert text in (RESULTS / file).read_text(encoding="utf-8").replace('\\"', '"')
