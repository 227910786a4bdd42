"""A run on images that are read from a file makes the same bytes as one on images in memory."""

import pytest
import torch
from PIL import Image

import hmnpack
from hmnpack import RunOptions, SourceOptions, tensor_source
from hmnpack.runtime.seeds import stream
from hmnpack.sources import open_source
from hmnpack.sources.lazy import LazyImages

SMALL = {"pool.min_steps": 3, "pool.size": 1, "warmup.steps": 3, "match.steps": 3}
PRUNED = {
    **{"strategy": "double-end", "margin_epochs": 1, "seeds": 1, "networks": 1, "betas": [0.5]},
    **{"network.width": 4, "network.depth": 2, "train.epochs": 1, "min_steps": 1},
}
RUNS = {
    "parts": {"match.part_images": 2, "match.views": 2},
    "gradient": {
        **{"match.steps": 0, "gradient.networks": 1, "gradient.inner_steps": 2},
        **{"gradient.network.width": 4, "gradient.network.depth": 2, "gradient.real_batch": 8},
        **{"gradient.train.epochs": 1, "gradient.train_images": 12},
    },
    "pruned": {f"prune.{name}": value for name, value in PRUNED.items()},
    "closed form": {"container.kind": "multi-formation"},
}


@pytest.fixture
def root(tmp_path):
    """A folder of 66 PNG images of three classes."""
    images = torch.randint(0, 256, (66, 16, 16, 3), generator=stream(0, "x"), dtype=torch.uint8)
    for number, image in enumerate(images.numpy()):
        part = "train" if number < 60 else "test"
        folder = tmp_path / "noise" / part / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    return tmp_path / "noise"


@pytest.fixture
def sources(root, tmp_path):
    """The dataset read from the cache's file, and the same in memory."""
    lazy = open_source(root, SourceOptions(cache_dir=tmp_path / "cache"))
    assert isinstance(lazy.train.pixels, LazyImages)
    parts = [(part.images, part.labels) for part in (lazy.train, lazy.test)]
    return lazy, tensor_source(*parts, classes=list("abc"), name="noise")


def compressed(source, folder, settings, ipc=2):
    hmnpack.compress(
        source,
        ipc,
        recipe="smoke",
        settings=SMALL | settings,
        output=folder / "x.hmn",
        options=RunOptions(device="cpu"),
        source_options=SourceOptions(cache_dir=folder / "cache"),
    )
    return (folder / "x.hmn").read_bytes()


@pytest.mark.parametrize("run", RUNS)
def test_file_is_that_of_images_in_memory(sources, tmp_path, run):
    found = []
    for index, source in enumerate(sources):
        folder = tmp_path / str(index)
        folder.mkdir()
        found.append(compressed(source, folder, RUNS[run]))
    assert found[0] == found[1]


def test_pruning_and_evaluation_give_the_same_results(sources, tmp_path):
    path = tmp_path / "x.hmn"
    compressed(sources[0], tmp_path, {}, ipc=4)
    pruned = [
        hmnpack.prune(path, 3, settings=PRUNED, data=source, device="cpu") for source in sources
    ]
    assert pruned[0].manifest == pruned[1].manifest
    settings = {
        **{"network.width": 4, "network.depth": 2, "train.epochs": 1, "min_steps": 1},
        **{"repeats": 1, "rows": ["floats", "bytes", "whole"], "jpeg_quality": 50},
    }
    rows = []
    for index, source in enumerate(sources):
        cache = SourceOptions(cache_dir=tmp_path / str(index))
        rows.append(
            hmnpack.evaluate(
                path, source, settings=settings, device="cpu", source_options=cache
            ).rows
        )
    assert rows[0] == rows[1]
