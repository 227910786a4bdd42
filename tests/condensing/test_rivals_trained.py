"""Runs of CAFE, IDM and MTT: with every container, interrupted anywhere, and at what cost."""

import itertools

import pytest
import torch

import hmnpack
from hmnpack.condensing.run import RunOptions
from hmnpack.container import container_of
from hmnpack.errors import Paused
from hmnpack.runtime.seeds import stream
from hmnpack.schema.kinds import CONTAINERS
from hmnpack.sources import SourceOptions

SMALL = {
    "cafe": {"iterations": 2, "image_steps": 2, "epochs": 1, "real_batch": 5},
    "cafe-dsa": {"iterations": 2, "image_steps": 2, "epochs": 1, "real_batch": 5},
    "idm": {
        "iterations": 4,
        "real_batch": 5,
        "queue": 4,
        "push_every": 2,
        "train_steps": 2,
        "train_batch": 8,
        "count_steps": 3,
    },
    "mtt": {
        "iterations": 3,
        "experts": 2,
        "expert_batch": 16,
        "start_epochs": 2,
        "expert_epochs": 1,
        "student_steps": 2,
        "student_batch": 4,
    },
}


@pytest.fixture(scope="module")
def source():
    labels = torch.arange(3).repeat_interleave(12)
    noise = torch.randint(0, 120, (36, 3, 8, 8), generator=stream(0, "pixels"))
    images = (noise + 60 * labels[:, None, None, None]).to(torch.uint8)
    return hmnpack.tensor_source((images, labels), name="toy")


@pytest.fixture
def run(source, tmp_path):
    """Return a function that compresses the source with a small form of a recipe."""

    def run(name, output=None, kind=None, cache="cache", **options):
        settings = {f"rival.{key}": value for key, value in SMALL[name].items()}
        settings |= {"rival.network.width": 4, "holdout": 0, "warmup.steps": 3}
        if kind is not None:
            settings["container.kind"] = kind
        return hmnpack.compress(
            source,
            2 if kind in (None, "images", "multi-formation") else 6,
            recipe=name,
            settings=settings,
            output=output,
            options=RunOptions(device="cpu", **options),
            source_options=SourceOptions(cache_dir=tmp_path / cache),
        )

    return run


@pytest.mark.parametrize("name", SMALL)
def test_a_run_paused_everywhere_ends_with_the_same_bytes(run, name, tmp_path):
    """Each part may do one step, or train one epoch of an expert, before it is paused."""
    whole = run(name).to_bytes()
    for parts in itertools.count(1):
        asked = itertools.count()
        try:
            found = run(
                name,
                tmp_path / "x.hmn",
                cache="other",
                resume=True,
                should_pause=lambda asked=asked: next(asked) >= 1,
            )
            break
        except Paused:
            assert parts < 30
    assert parts > 2
    assert found.to_bytes() == whole


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("name", ["cafe-dsa", "idm", "mtt"])
def test_every_container_can_be_fitted(run, name, kind):
    bundle = run(name, kind=kind)
    assert bundle.manifest.container.kind.startswith(kind)
    images = container_of(bundle.manifest.container, bundle.tensors).expand()
    assert bool(images.isfinite().all())
