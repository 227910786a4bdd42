"""Checks that run on the simulated device, as a program in a separate process.

    python checks.py FOLDER

runs every function here whose name starts with ``check_`` in FOLDER, and writes a JSON object to
FOLDER/found.json: check name -> traceback, empty if the check passed.
"""

import itertools
import json
import math
import os
import sys
import traceback
from contextlib import nullcontext
from functools import wraps
from pathlib import Path

import device
import torch
from device import WAITS

import hmnpack
from hmnpack import RunOptions, SourceOptions
from hmnpack.condensing import probe
from hmnpack.condensing.estimate import planned_stages
from hmnpack.container import container_of
from hmnpack.errors import Paused
from hmnpack.networks import build_network
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import NetworkConfig, TrainConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Normalisation
from hmnpack.settings import recorded_settings
from hmnpack.training import train_together

PLACE = f"{device.NAME}:0"
FLOAT32 = ("match.precision", "pool.train.precision", "gradient.train.precision")
SMALL = {
    **dict.fromkeys(FLOAT32, "float32"),
    **{"pool.network.width": 4, "pool.network.depth": 2, "pool.train.epochs": 1},
    **{"pool.size": 2, "pool.min_steps": 3, "warmup.steps": 3, "container.dtype": "F32"},
    **{"match.steps": 4, "match.views": 2, "match.real_batch": 8, "match.synthetic_batch": 4},
}
GRADIENT = {
    **{"match.steps": 2, "gradient.networks": 2, "gradient.inner_steps": 2},
    **{"gradient.network.width": 4, "gradient.network.depth": 2, "gradient.train_images": 12},
    **{"gradient.real_batch": 8, "gradient.synthetic_batch": 4},
}
PRUNE = {
    **{"margin_epochs": 2, "train.epochs": 2, "min_steps": 2, "seeds": 2, "network.width": 4},
    **{"network.depth": 2, "betas": [0.0, 0.5]},
    "train.precision": "float32",
}
EVALUATE = {
    **{"network.width": 4, "network.depth": 2, "train.epochs": 2, "min_steps": 2, "repeats": 2},
    "train.precision": "float32",
}
RUNS = {
    "features": {},
    "views_of_their_own": {"match.views": 0},
    "characteristic": {"match.objective": "characteristic"},
    "without_norms": {"container.norm": "none"},
    "resnet": {"pool.network.name": "resnet-ap", "pool.size": 1, "match.steps": 2},
    "gradient": GRADIENT,
    "gradient_l1": GRADIENT | {"gradient.distance": "l1"},
    "gradient_of_resnet": GRADIENT
    | {"gradient.network.name": "resnet-ap", "gradient.networks": 1, "gradient.inner_steps": 1},
    # With seed 0 two margins are so close that rounding decides which image is pruned.
    "pruned": {"prune.strategy": "double-end", "seed": 1}
    | {f"prune.{name}": value for name, value in PRUNE.items()},
}
REAL = {"rival.real_batch": 8}
METHODS = {
    "dsa": REAL | {"rival.image_steps": 2, "rival.epochs": 1},
    "dm": REAL,
    "idc": REAL
    | {"rival.inner_steps": 2, "rival.train_images": 12, "rival.train.precision": "float32"},
    "cafe-dsa": REAL | {"rival.image_steps": 2, "rival.epochs": 1},
    "idm": REAL | {"rival.push_every": 2, "rival.train_steps": 2, "rival.train_batch": 8},
    "mtt": {
        **{"rival.experts": 2, "rival.start_epochs": 2, "rival.expert_epochs": 1},
        **{"rival.student_steps": 2, "rival.expert_batch": 30, "rival.lr": 10.0},
    },
}
"""Recipe of a method to compare with -> its settings, besides those of all."""

EVERY_METHOD = {
    **{"rival.network.width": 4, "rival.network.depth": 2},
    "rival.synthetic_batch": 3,
}
DIFFERENCE = 1e-2
"""Tolerance of pixels: rounding over these few steps stays below it, a wrong step exceeds it."""


def stripes(seed=0):
    labels = torch.arange(3).repeat_interleave(20)
    noise = torch.randint(0, 90, (60, 3, 16, 16), generator=stream(seed, "noise"))
    return (noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels


SOURCE = hmnpack.tensor_source(stripes(), stripes(1), name="stripes")
IMAGE = ImageShape(channels=3, height=16, width=16)


def compress(place, name="x", *, options=None, **settings):
    with within(place):
        return hmnpack.compress(
            SOURCE,
            4,
            recipe="best",
            settings=SMALL | settings,
            output=f"{name}.hmn",
            options=options or RunOptions(device=place, force=True),
            source_options=SourceOptions(cache_dir=Path(f"cache-{place[:3]}")),
        )


def within(place):
    """Return a context in which tensors can be created on a device."""
    return device.in_reach() if place == PLACE else nullcontext()


def on_device(check):
    """Decorate a check that creates tensors on the simulated device."""

    @wraps(check)
    def within_reach():
        with device.in_reach():
            check()

    return within_reach


def pixels(bundle):
    return container_of(bundle.manifest.container, bundle.tensors).expand()


@on_device
def check_mixed_devices_raise():
    held, here = torch.zeros(3, device=PLACE), torch.zeros(3)
    for mixed in (
        lambda: held + here,
        lambda: torch.cat([held, here]),
        lambda: here[torch.arange(2, device=PLACE)],
        lambda: torch.randn(3, device=PLACE, generator=stream(0, "x")),
        held.numpy,
    ):
        try:
            mixed()
        except (RuntimeError, TypeError):
            continue
        raise AssertionError("two devices in one operation")
    assert (held + torch.tensor(1.0)).sum().item() == 3  # a GPU accepts CPU scalars too


def check_compression(name):
    on_cpu, found = (pixels(compress(place, name, **RUNS[name])) for place in ("cpu", PLACE))
    assert on_cpu.shape == found.shape
    worst = float((on_cpu - found).abs().max())
    assert worst <= DIFFERENCE, f"pixels differ by {worst}"


def check_bfloat16_and_probes_run():
    low = {"match.precision": "bfloat16", "pool.train.precision": "bfloat16"}
    object.__setattr__(probe._DEFAULT, "steps", 2)  # the default is 300
    options = RunOptions(device=PLACE, force=True, probes=1)
    assert pixels(compress(PLACE, options=options, **low)).isfinite().all()


def check_paused_run_resumes():
    whole = pixels(compress(PLACE, "whole"))
    asked = itertools.count(1)
    pause = RunOptions(device=PLACE, should_pause=lambda: next(asked) == 5)
    try:
        compress(PLACE, "parts", options=pause)
    except Paused:
        found = compress(PLACE, "parts", options=RunOptions(device=PLACE, resume=True))
        assert float((pixels(found) - whole).abs().max()) <= DIFFERENCE
        return
    raise AssertionError("the run did not pause")


def check_evaluation_matches_the_cpu():
    bundle = compress("cpu", "evaluated")
    settings = EVALUATE | {"rows": ["floats", "whole"]}
    found = []
    for place, at_once in (("cpu", 1), (PLACE, None), (PLACE, 1)):
        work = Path(f"evaluated-{place[:3]}-{at_once}")
        options = SourceOptions(cache_dir=work / "cache")
        with within(place):
            rows = hmnpack.evaluate(
                bundle,
                SOURCE,
                settings=settings,
                device=place,
                at_once=at_once,
                work=work,
                source_options=options,
            ).rows
        found.append([(row.name, row.accuracies) for row in rows])
    assert found[0] == found[1] == found[2], found


@on_device
def check_scores_are_recorded_and_verified():
    bundle = compress(PLACE, "scored")
    settings = EVALUATE | {"repeats": 4, "held_out": True, "baselines": False}
    result = hmnpack.evaluate(bundle, SOURCE, settings=settings, device=PLACE)
    hmnpack.record("scored.hmn", bundle, result, device=PLACE)
    assert hmnpack.verify("scored.hmn", SOURCE, device=PLACE).reproduced


def check_pruning_keeps_the_same_images():
    bundle = compress("cpu", "pruned-later")
    found = []
    for place in ("cpu", PLACE):
        with within(place):
            found.append(hmnpack.prune(bundle, 2, settings=PRUNE, data=SOURCE, device=place))
    assert torch.equal(*map(pixels, found))


@on_device
def check_dataset_decodes_on_the_device():
    compress("cpu", "loaded")
    here, moved = hmnpack.load("loaded.hmn"), hmnpack.load("loaded.hmn", device=PLACE)
    images, labels = here.tensors(PLACE)
    assert images.device == labels.device == torch.device(PLACE)
    assert torch.allclose(images.cpu(), here.tensors()[0], atol=1e-6)
    assert torch.allclose(moved[0][0].cpu(), here[0][0], atol=1e-6)
    batch, targets = next(iter(here.loader(5, augment=("flip", "crop", "cutout"), device=PLACE)))
    assert batch.device == targets.device == torch.device(PLACE)


@on_device
def check_batched_training_supports_batch_norm():
    images, labels = stripes()
    config = TrainConfig(epochs=1, batch=30, precision="float32", cutmix=0.5)
    found = []
    for place in ("cpu", PLACE):
        networks = [
            build_network(
                NetworkConfig(name="resnet18"),
                classes=3,
                image=IMAGE,
                generator=stream(0, "made", index),
            ).to(place)
            for index in range(2)
        ]
        train_together(
            networks,
            [(images.to(place), labels.to(place))] * 2,
            config,
            normalisation=Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3),
            seed=0,
            names=["a", "b"],
        )
        found.append([value.cpu() for value in networks[1].state_dict().values()])
    worst = max(float((a.float() - b.float()).abs().max()) for a, b in zip(*found, strict=True))
    assert worst < 1e-2, worst


@on_device
def check_costs_are_estimated():
    manifest = compress("cpu", "planned").manifest
    place = choose_device(PLACE)
    assert planned_stages(recorded_settings(manifest), manifest.container, 60, place, ipc=4)


def check_steps_do_not_synchronise():
    """Losses are read at intervals, not at every step. (So are states, at intervals of time.)"""
    compress(PLACE, "x")  # caches the pool
    unsaved = RunOptions(device=PLACE, force=True, checkpoint_seconds=math.inf)
    for name, steps, settings in (
        ("cached views", "match.steps", {}),
        ("new views", "match.steps", {"match.views": 0}),
        ("warm-up", "warmup.steps", {}),
        ("gradient", "gradient.inner_steps", GRADIENT),
    ):
        waits = []
        for count in (4, 9):
            WAITS.clear()
            compress(PLACE, "x", options=unsaved, **settings | {steps: count})
            waits.append(sum(WAITS.values()))
        more = waits[1] - waits[0]
        assert more <= 2, f"{name}: {more} more waits in 5 more steps"


def by_method(place, recipe, iterations):
    options = RunOptions(device=place, force=True, checkpoint_seconds=math.inf)
    own = METHODS[recipe] | {"rival.iterations": iterations}
    with within(place):
        return hmnpack.compress(
            *(SOURCE, 4), recipe=recipe, settings=EVERY_METHOD | own, options=options
        )


def check_methods_match_the_cpu_and_do_not_synchronise():
    for recipe in METHODS:
        on_cpu, waits = pixels(by_method("cpu", recipe, 1)), []
        for iterations in (1, 3):
            WAITS.clear()
            found = pixels(by_method(PLACE, recipe, iterations))
            waits.append(sum(WAITS.values()))
            if iterations == 1:
                worst = float((on_cpu - found).abs().max())
                assert worst <= DIFFERENCE, f"{recipe}: pixels differ by {worst}"
        assert waits[1] - waits[0] <= 2, f"{recipe}: {waits} waits in 1 and in 3 iterations"


@on_device
def check_epoch_synchronises_once():
    network = build_network(
        NetworkConfig(width=4, depth=2),
        classes=3,
        image=IMAGE,
        generator=stream(0, "made"),
    ).to(PLACE)
    images, labels = (value.to(PLACE) for value in stripes())
    WAITS.clear()
    train_together(
        [network],
        [(images, labels)],
        TrainConfig(epochs=3, batch=5),
        normalisation=Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3),
        seed=0,
        names=["a"],
    )
    assert sum(WAITS.values()) == 3, WAITS


def _outcome(check, *words):
    try:
        check(*words)
    except Exception:
        return traceback.format_exc()
    return ""


def every_check():
    """Yield each check's name, function and arguments."""
    for name, check in list(globals().items()):
        if name == "check_compression":
            yield from ((f"compression_{run}", check, run) for run in RUNS)
        elif name.startswith("check_"):
            yield name.removeprefix("check_"), check


def main(folder):
    os.chdir(folder)
    found = {name: _outcome(check, *words) for name, check, *words in every_check()}
    Path("found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    device.install()
    main(sys.argv[1])
