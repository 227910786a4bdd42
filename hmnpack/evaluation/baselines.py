"""Baselines: networks trained on real images, with which the bundle's row is compared.

Shape legend: N images, K classes, C channels, H height, W width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.compare import BYTES_ROW, COUNT_ROW, FLOATS_ROW
from hmnpack.evaluation.jpeg import jpeg_real
from hmnpack.evaluation.quality import Quality, choose_quality
from hmnpack.evaluation.rows import make_row
from hmnpack.evaluation.trainer import train_row
from hmnpack.evaluation.whole import whole_row
from hmnpack.runtime.seeds import stream
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.names import BaselineRow
from hmnpack.schema.result import Figure, Row
from hmnpack.sources import Source, Split, choose_per_class
from hmnpack.training.loop import schedule_of

Make = Callable[[torch.Generator], TrainingSet]
"""Selects the images of one network, with the generator."""


@dataclass(frozen=True)
class Material:
    """What the baselines are built from.

    Attributes:
        source: The dataset.
        manifest: Manifest of the bundle, which sets the budget and the number of images.
        cache_root: Cache folder; everything in it can be recomputed.
    """

    source: Source
    manifest: Manifest
    cache_root: Path


def baseline_rows(bench: Bench, material: Material) -> list[Row]:
    """Return the requested baselines, except those whose budget is too small for any image.

    All except the full dataset's train for as many optimiser steps as the bundle's row, rounded up
    to a whole epoch. They therefore differ from the bundle's row only in their images, even where
    the number of images differs.

    Args:
        bench: What the rows have in common.
        material: What the baselines are built from.
    """
    wanted = bench.config.baseline_rows
    rows = [make(bench, material) for name, make in _ROWS.items() if name in wanted]
    return [row for row in rows if row is not None]


def as_long(bench: Bench, manifest: Manifest) -> Bench:
    """Return the bench with as many optimiser steps as the bundle's row takes.

    Args:
        bench: The bench of the bundle's row.
        manifest: Manifest of the bundle.
    """
    config = bench.config
    steps = schedule_of(config.train, manifest.container.images, config.min_steps).total
    train = config.train.model_copy(update={"epochs": 0})
    return replace(bench, config=config.model_copy(update={"train": train, "min_steps": steps}))


def _floats(bench: Bench, material: Material) -> Row | None:
    return _random(bench, material, FLOATS_ROW, material.manifest.nearest_ipc)


def _count(bench: Bench, material: Material) -> Row | None:
    return _random(bench, material, COUNT_ROW, material.manifest.container.counts)


def _random(bench: Bench, material: Material, name: str, counts: int | Sequence[int]) -> Row | None:
    source = material.source

    def make(generator: torch.Generator) -> TrainingSet:
        return random_real(source.train, source.classes, counts, generator)

    return _resampled_row(as_long(bench, material.manifest), name, make)


def _bytes(bench: Bench, material: Material) -> Row | None:
    source, budget = material.source, material.manifest.ledger.bytes
    bench = as_long(bench, material.manifest)
    fixed = bench.config.jpeg_quality
    quality = Quality(fixed, 0, {}) if fixed else choose_quality(bench, source, budget)

    def make(generator: torch.Generator) -> TrainingSet:
        return jpeg_real(source.train, source.classes, budget, quality.value, generator)

    tried = {f"held_out_accuracy_{one}": found for one, found in quality.accuracies.items()}
    chosen = {"jpeg_quality": quality.value, "held_out_images": quality.held_out}
    return _resampled_row(bench, BYTES_ROW, make, **chosen, **tried)


def _whole(bench: Bench, material: Material) -> Row | None:
    return whole_row(bench, material.source, material.cache_root)


_ROWS: dict[BaselineRow, Callable[[Bench, Material], Row | None]] = {
    "floats": _floats,
    "bytes": _bytes,
    "count": _count,
    "whole": _whole,
}


def _resampled_row(bench: Bench, name: str, make: Make, **figures: Figure) -> Row | None:
    """Return a row whose networks are each trained on a random draw of their own."""
    config = bench.config
    streams = [stream(config.seed, "images", name, index) for index in range(config.repeats)]
    sets = [make(generator) for generator in streams]
    if not all(len(images.labels) for images in sets):
        return None
    return make_row(config, name, sets, train_row(bench, name, sets), **figures)


def random_real(
    split: Split,
    classes: tuple[str, ...],
    counts: int | Sequence[int],
    generator: torch.Generator,
) -> TrainingSet:
    """Return random images of each class.

    Args:
        split: Real images.
        classes: Class names.
        counts: Images per class. An integer is reduced to the size of the smallest class, so that
            all classes have equally many; in a sequence, each count is reduced to the size of its
            own class.
        generator: Selects the images.
    """
    there = torch.bincount(split.labels, minlength=len(classes)).tolist()
    if isinstance(counts, int):
        counts = [min(counts, *there)] * len(there)
    counts = [min(pair) for pair in zip(counts, there, strict=True)]
    rows = choose_per_class(split, counts, generator, classes)
    images = split.pixels[rows]
    return TrainingSet(images, split.labels[rows], 4 * images.numel())
