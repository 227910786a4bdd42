"""Numbers of numpy and torch are accepted wherever Python's are."""

import numpy as np
import pytest
import torch

import hmnpack
from hmnpack.errors import BadSettings
from hmnpack.runtime.numbers import as_integer
from hmnpack.settings import merged, recipe_of
from hmnpack.sources import Source, SourceOptions
from hmnpack.sources.types import split_of

INTEGERS = [np.int64(2), np.int32(2), np.uint8(2), np.array(2), torch.tensor(2)]
IMAGES, LABELS = torch.arange(8 * 48).reshape(8, 3, 4, 4).to(torch.uint8), torch.arange(8) % 2


@pytest.mark.parametrize("value", INTEGERS, ids=lambda value: type(value).__name__)
def test_integer_becomes_python_s(value):
    assert type(as_integer(value)) is int
    assert as_integer(value) == 2


@pytest.mark.parametrize("value", [True, 2.0, np.float64(2), "2", None, np.arange(2)], ids=repr)
def test_integer_is_not_made_of_other_values(value):
    assert as_integer(value) is value


@pytest.mark.parametrize(
    "value", [*INTEGERS, np.float32(2)], ids=lambda value: type(value).__name__
)
def test_setting_of_another_kind_of_number(value):
    config = merged(recipe_of("fast"), {"match.steps": value, "prune.betas": [value / 4]})
    assert (type(config.match.steps), config.match.steps) == (int, 2)
    assert config.prune.betas == (0.5,)


def test_setting_of_a_numpy_truth_value_is_no_integer():
    with pytest.raises(BadSettings, match=r"match\.steps = True: .*valid integer"):
        merged(recipe_of("fast"), {"match.steps": np.bool_(True)})


@pytest.mark.parametrize("kind", [np.int64, np.int16, np.uint8])
def test_pack_and_prune_with_numpy_integers(kind):
    bundle = hmnpack.pack(IMAGES, LABELS, ipc=kind(4))
    assert bundle.manifest.budget.ipc == 4
    smaller = hmnpack.prune(
        bundle, kind(2), settings={"strategy": "none"}, seed=kind(1), at_once=kind(1)
    )
    assert smaller.manifest.budget.ipc == 2


def test_compress_and_plan_with_numpy_integers():
    images = torch.arange(24 * 192).reshape(24, 3, 8, 8).to(torch.uint8)
    split = split_of(images, torch.arange(24) % 2)
    source = Source("pets", ("a", "b"), split, None)
    settings = {"seed": np.int64(3), "match.steps": np.int32(1)}
    assert hmnpack.plan(source, np.int64(1), recipe="smoke").ipc == 1
    manifest = hmnpack.compress(source, np.int64(1), recipe="smoke", settings=settings).manifest
    assert (manifest.budget.ipc, manifest.seed) == (1, 3)


def test_image_size_may_be_a_numpy_integer():
    assert type(SourceOptions(size=np.int64(8)).size) is int


def test_batch_size_may_be_a_numpy_integer(tmp_path):
    hmnpack.pack(IMAGES, LABELS, ipc=4, output=tmp_path / "a.hmn")
    loader = hmnpack.load(tmp_path / "a.hmn").loader(np.int64(3))
    assert [len(labels) for _, labels in loader] == [3, 3, 2]
