"""How well networks learn from a bundle, beside the rows that keep the figure honest.

Every row trains fresh networks by one protocol and tests each once, after its last epoch: on the
bundle's images; on random real images that take as many floats; and on random real images whose
JPEG files take as many bytes. Nothing is chosen by the test split.

Shape legend: N images, K classes, C channels, H height, W width.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hmnpack.augment import flips_where_alike
from hmnpack.bundle import Bundle, read
from hmnpack.container import container_of
from hmnpack.errors import BadData, BadSettings
from hmnpack.networks import build_network
from hmnpack.runtime import Listener, choose_device, silent, stream
from hmnpack.schema.config import EvaluateConfig
from hmnpack.schema.container import ImageShape
from hmnpack.schema.manifest import Manifest, Normalisation, Score, storable_class_names
from hmnpack.schema.result import Row
from hmnpack.sources import Source, SourceOptions, Split, choose_per_class, open_source
from hmnpack.training import accuracy, schedule_of, train

BUNDLE_ROW = "bundle"
FLOATS_ROW = "random real, same floats"
BYTES_ROW = "JPEG real, same bytes"

_DEFAULT_CONFIG = EvaluateConfig()
_DEFAULT_OPTIONS = SourceOptions()


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        rows: The bundle's row, then the control rows. The bytes row is missing where the budget
            does not hold one JPEG file of every class.
        score: The bundle's row as a manifest records it, with the protocol as it was followed.
    """

    rows: tuple[Row, ...]
    score: Score


@dataclass(frozen=True)
class TrainingSet:
    """Images of one network.

    Attributes:
        images: float32 in [0, 1], or uint8; [N, C, H, W].
        labels: int64 [N].
        bytes: What the images take in the form that they are counted in.
    """

    images: Tensor
    labels: Tensor
    bytes: int


@dataclass(frozen=True)
class _Bench:
    """What every row has in common."""

    config: EvaluateConfig
    normalisation: Normalisation
    classes: int
    image: ImageShape
    test: TrainingSet
    device: torch.device
    listener: Listener


def evaluate(
    bundle: str | Path | Bundle,
    data: str | Source,
    config: EvaluateConfig = _DEFAULT_CONFIG,
    *,
    device: str = "auto",
    source_options: SourceOptions = _DEFAULT_OPTIONS,
    listener: Listener = silent,
) -> Evaluation:
    """Train networks from scratch on a bundle's images, and test them on real ones.

    Args:
        bundle: A bundle or its path.
        data: The data set, or what ``open_source`` takes. Its test split is used once per network,
            after the last epoch; its training split for the control rows.
        config: Network, protocol, repeats, seed.
        device: Where to train: ``auto``, ``cpu``, ``cuda``, ...
        source_options: How ``data`` is opened, where it is a string.
        listener: Hears of every epoch; a stage is a row of the table.

    Raises:
        BadData: if the data has no test split, or is not of the bundle's shape and classes.
        BadBundle: if the file is not a whole bundle.
        Diverged: if a training fails.
    """
    if not isinstance(bundle, Bundle):
        bundle = read(bundle)
    source = data if isinstance(data, Source) else open_source(data, source_options, listener)
    test = _fitting_test_split(bundle.manifest, source)
    config = protocol_for(config, (source.name, bundle.manifest.source.name))
    place = choose_device(device)
    bench = _Bench(
        config,
        bundle.manifest.normalisation,
        len(source.classes),
        source.image,
        TrainingSet(test.images.to(place), test.labels.to(place), test.images.numel()),
        place,
        listener,
    )
    own = _bundle_set(bundle)
    accuracies, row = _row(bench, BUNDLE_ROW, [own] * config.repeats)
    score = Score(
        protocol=config,
        data=source.name,
        fingerprint=test.fingerprint,
        images=len(own.labels),
        accuracies=tuple(accuracies),
    )
    controls = _controls(bench, source, bundle.manifest) if config.controls else []
    return Evaluation((row, *controls), score)


def protocol_for(config: EvaluateConfig, names: tuple[str, ...]) -> EvaluateConfig:
    """Return the protocol without ``flip`` where a mirrored image is another class, or none.

    Args:
        config: The protocol that was asked for.
        names: Names of the data set, any of which decides, see :func:`flips_where_alike`.
    """
    kept = flips_where_alike(config.train.augment, names)
    return config.model_copy(update={"train": config.train.model_copy(update={"augment": kept})})


def _fitting_test_split(manifest: Manifest, source: Source) -> Split:
    image = manifest.container.image
    if source.image != image:
        raise BadData(
            f"{source.name}: images are {_shape(source.image)}, but the bundle's are "
            f"{_shape(image)}; evaluate on the data that it was made from ({manifest.source.name})"
        )
    if len(source.classes) != len(manifest.classes):
        raise BadData(
            f"{source.name} has {len(source.classes)} classes, but the bundle has "
            f"{len(manifest.classes)}; evaluate on the data that it was made from"
        )
    stored = storable_class_names(source.classes)
    for label, (theirs, ours) in enumerate(zip(stored, manifest.classes, strict=True)):
        if theirs != ours:
            raise BadData(
                f"class {label} of {source.name} is {theirs!r}, but {ours!r} in the bundle; "
                "evaluate on the data that it was made from"
            )
    if source.test is None or not len(source.test):
        raise BadData(
            f"{source.name} has no test split to evaluate on; give the data a test/ or val/ part"
        )
    return source.test


def _shape(image: ImageShape) -> str:
    return f"{image.channels}x{image.height}x{image.width}"


def _bundle_set(bundle: Bundle) -> TrainingSet:
    container = container_of(bundle.manifest.container, bundle.tensors)
    with torch.no_grad():
        images = container.expand()
    return TrainingSet(images, container.labels(), bundle.manifest.ledger.bytes)


def _controls(bench: _Bench, source: Source, manifest: Manifest) -> list[Row]:
    """Return the rows of real images; every network of a row has images of its own."""
    config, classes = bench.config, source.classes

    def floats(generator: torch.Generator) -> TrainingSet:
        return random_real(source.train, classes, manifest.budget.ipc, generator)

    def files(generator: torch.Generator) -> TrainingSet:
        budget, quality = manifest.budget.bytes, config.jpeg_quality
        return jpeg_real(source.train, classes, budget, quality, generator)

    rows = []
    makers: tuple[tuple[str, Callable[[torch.Generator], TrainingSet]], ...]
    makers = ((FLOATS_ROW, floats), (BYTES_ROW, files))
    for name, make in makers:
        streams = [stream(config.seed, "images", name, index) for index in range(config.repeats)]
        sets = [make(generator) for generator in streams]
        if all(len(images.labels) for images in sets):
            rows.append(_row(bench, name, sets)[1])
    return rows


def _row(bench: _Bench, name: str, sets: list[TrainingSet]) -> tuple[list[float], Row]:
    """Train and test one network per set; return each accuracy in percent, and the row."""
    accuracies = [_network_accuracy(bench, name, index, sets) for index in range(len(sets))]
    images = round(statistics.mean(len(one.labels) for one in sets))
    schedule = schedule_of(bench.config.train, images, bench.config.min_steps)
    row = Row(
        name=name,
        images=images,
        accuracy_mean=statistics.mean(accuracies),
        accuracy_std=statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        networks=len(accuracies),
        figures={
            "bytes": round(statistics.mean(one.bytes for one in sets)),
            "epochs": schedule.epochs,
            "steps": schedule.total,
        },
    )
    return accuracies, row


def _network_accuracy(bench: _Bench, row: str, index: int, sets: list[TrainingSet]) -> float:
    """Return the accuracy in percent of the network that is trained on one of the sets."""
    config, real = bench.config, bench.test
    network = build_network(
        config.network,
        classes=bench.classes,
        image=bench.image,
        generator=stream(config.seed, "evaluate", row, index),
    ).to(bench.device)

    def heard(stage: str, done: int, total: int, **facts: float) -> None:
        del stage  # the training's name says more than a reader of the table wants
        bench.listener(row, index * total + done, len(sets) * total, **facts)

    train(
        network,
        sets[index].images.to(bench.device),
        sets[index].labels.to(bench.device),
        config.train,
        normalisation=bench.normalisation,
        seed=config.seed,
        name=f"evaluate/{row}/{index}",
        min_steps=config.min_steps,
        listener=heard,
    )
    return accuracy(
        network,
        real.images,
        real.labels,
        normalisation=bench.normalisation,
        precision=config.train.precision,
    )


def random_real(
    split: Split, classes: tuple[str, ...], ipc: int, generator: torch.Generator
) -> TrainingSet:
    """Return ``ipc`` random images of each class, or as many as the smallest class has.

    Args:
        split: Real images.
        classes: Class names.
        ipc: Images per class.
        generator: Draws which.
    """
    smallest = int(torch.bincount(split.labels, minlength=len(classes)).min())
    rows = choose_per_class(split, min(ipc, smallest), generator, classes)
    images = split.images[rows]
    return TrainingSet(images, split.labels[rows], 4 * images.numel())


def jpeg_real(
    split: Split,
    classes: tuple[str, ...],
    budget: int,
    quality: int,
    generator: torch.Generator,
) -> TrainingSet:
    """Return random images of each class as JPEG shows them, as many as the budget holds.

    Args:
        split: Real images of 1 or 3 channels.
        classes: Class names.
        budget: Bytes that all files together may take.
        quality: Of the encoder, 1 to 95.
        generator: Draws which images.

    Returns:
        The same number of every class (perhaps none), decoded; their size is that of the files.

    Raises:
        BadSettings: if JPEG has no such number of channels.
    """
    if split.images.shape[1] not in (1, 3):
        raise BadSettings(
            f"JPEG holds 1 or 3 channels, not {split.images.shape[1]}; leave out the controls"
        )
    smallest = int(torch.bincount(split.labels, minlength=len(classes)).min())
    rounds = choose_per_class(split, smallest, generator, classes).view(len(classes), -1).t()
    chosen: list[Tensor] = []
    decoded: list[Tensor] = []
    used = 0
    for rows in rounds:
        files = [jpeg(image, quality) for image in split.images[rows]]
        size = sum(len(file) for file in files)
        if used + size > budget:
            break
        used += size
        chosen.append(split.labels[rows])
        decoded += [from_jpeg(file) for file in files]
    if not chosen:
        return TrainingSet(split.images[:0], split.labels[:0], 0)
    return TrainingSet(torch.stack(decoded), torch.cat(chosen), used)


def jpeg(image: Tensor, quality: int) -> bytes:
    """Return the JPEG file of an image, uint8 [C, H, W] with 1 or 3 channels."""
    pixels = image.permute(1, 2, 0).numpy()
    file = BytesIO()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def from_jpeg(file: bytes) -> Tensor:
    """Return the image of a JPEG file, uint8 [C, H, W]."""
    pixels = np.array(Image.open(BytesIO(file)))
    return torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1).contiguous()
