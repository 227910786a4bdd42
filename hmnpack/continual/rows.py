"""Ways of storing the data of a stage: condensed, chosen at random, or chosen by herding.

A row is a function of one stage, and nothing else, to images and labels. It is called for the
stages in their order; what it writes into the stage's folder, it finds there later.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from hmnpack.bundle import read
from hmnpack.condensing.append import append
from hmnpack.condensing.compress import compress
from hmnpack.condensing.request import RunOptions
from hmnpack.container import container_of, decode
from hmnpack.continual.herding import herded
from hmnpack.evaluation.baselines import random_real
from hmnpack.evaluation.bench import Bench, TrainingSet
from hmnpack.evaluation.jpeg import jpeg_real
from hmnpack.evaluation.quality import choose_quality
from hmnpack.matching import RealData, load_or_train_pool
from hmnpack.matching.embedding import last_block_features
from hmnpack.runtime.devices import kind_of
from hmnpack.runtime.kept import entry_name
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.seeds import stream
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.continual import ContinualConfig
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.settings import merged, recipe_of
from hmnpack.sources import Source, SourceOptions, normalisation_of


@dataclass(frozen=True)
class Condensing:
    """How stages are condensed.

    Attributes:
        recipe: Name of a recipe.
        settings: Overrides, nested or by dotted path.
    """

    recipe: str
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One stage of a run, as a row sees it.

    Attributes:
        source: The dataset with the classes of this stage alone, labelled from 0.
        config: The protocol.
        condensing: How to condense.
        seed: Seed of the run.
        folder: Folder of the run's files.
        device: Device of the run.
        earlier: Fingerprints of the training splits of earlier stages; not their data.
        listener: Called with the progress.
    """

    source: Source
    config: ContinualConfig
    condensing: Condensing
    seed: int
    folder: Path
    device: torch.device
    earlier: tuple[str, ...] = ()
    listener: Listener = no_progress

    @property
    def settings(self) -> CompressConfig:
        """Settings of condensing this stage."""
        recipe = recipe_of(self.condensing.recipe, self.source.shape, self.config.ipc)
        return merged(recipe, self.condensing.settings, {"seed": self.seed})

    def file(self, stages: int) -> Path:
        """Return the path of the file with the classes of the first stages.

        Args:
            stages: Number of these stages, at most that of the stages so far.
        """
        fingerprints = (*self.earlier, self.source.train.fingerprint)[:stages]
        settings = sorted((path, repr(value)) for path, value in self.condensing.settings.items())
        facts = (self.condensing.recipe, settings, self.config.ipc, self.seed, kind_of(self.device))
        return self.folder / f"{entry_name('grown-1', *fingerprints, *facts)}.hmn"


Row = Callable[[Stage], TrainingSet]
"""Returns what is stored of a stage, with its labels, and its size in bytes."""


def grown(stage: Stage) -> TrainingSet:
    """Return the images of the stage's classes, appended to the file of the stages before."""
    path = grown_file(stage)
    bundle = read(path)
    spec, count = bundle.manifest.container, len(stage.source.classes)
    first = spec.offsets[-count]
    container = container_of(spec, bundle.tensors)
    images = decode(container, torch.arange(first, spec.images))
    return TrainingSet(images, container.labels()[first:] - (spec.classes - count), _added(stage))


def grown_file(stage: Stage) -> Path:
    """Return the file with the classes of all stages so far; condense this stage if need be."""
    number = len(stage.earlier) + 1
    path = stage.file(number)
    if not path.exists():
        condense = compress if number == 1 else partial(append, stage.file(number - 1))
        condense(
            stage.source,
            stage.config.ipc,
            config=stage.settings,
            output=path,
            options=RunOptions(device=stage.device, resume=True),
            source_options=SourceOptions(cache_dir=stage.folder / "cache"),
            listener=stage.listener,
        )
    return path


def same_floats(stage: Stage) -> TrainingSet:
    """Return random real images of as many floats as the budget has."""
    generator = stream(stage.seed, "continual", "floats", stage.source.train.fingerprint)
    source = stage.source
    return random_real(source.train, source.classes, stage.config.ipc, generator)


def same_bytes(stage: Stage) -> TrainingSet:
    """Return random real images as JPEG, within the bytes that the stage adds to the file.

    The quality is chosen on held-out images of the stage, as in evaluations.
    """
    grown_file(stage)
    source, budget = stage.source, _added(stage)
    images = source.train.images[:0]
    bench = Bench(
        config=EvaluateConfig(
            network=stage.config.network,
            train=stage.config.train,
            seed=stage.seed,
            min_steps=0,
        ),
        normalisation=normalisation_of(source.train),
        classes=len(source.classes),
        image=source.image,
        test=TrainingSet(images, source.train.labels[:0], 0),
        device=stage.device,
        listener=stage.listener,
    )
    quality = choose_quality(bench, source, budget)
    generator = stream(stage.seed, "continual", "bytes", source.train.fingerprint)
    return jpeg_real(source.train, source.classes, budget, quality.value, generator)


def herding(stage: Stage) -> TrainingSet:
    """Return real images that herding chooses, of as many floats as the budget has.

    Features are the last block's, of a matching network that is trained on the stage's images.
    """
    train, settings = stage.source.train, stage.settings
    real = RealData(
        images=train.images.to(stage.device),
        labels=train.labels.to(stage.device),
        classes=len(stage.source.classes),
        normalisation=normalisation_of(train),
        fingerprint=train.fingerprint,
    )
    one = settings.pool.model_copy(update={"size": 1})
    folder = stage.folder / "cache" / "pool"
    network = load_or_train_pool(real, one, stage.seed, folder, stage.listener).trained(0)
    chosen = []
    for label in range(real.classes):
        rows = real.rows_of(label)
        features = last_block_features(network, real, rows)
        count = min(stage.config.ipc, len(rows))
        chosen.append(rows[herded(features, count).to(rows.device)])
    rows = torch.cat(chosen).cpu()
    images = train.images[rows]
    return TrainingSet(images, train.labels[rows], 4 * images.numel())


def _added(stage: Stage) -> int:
    """Return the bytes that the stage added to the file."""
    number = len(stage.earlier) + 1
    size = read(stage.file(number)).manifest.ledger.bytes
    return size - (read(stage.file(number - 1)).manifest.ledger.bytes if number > 1 else 0)


ROWS: dict[str, Row] = {
    "hmn": grown,
    "floats": same_floats,
    "bytes": same_bytes,
    "herding": herding,
}
"""Rows by name. Another method is another entry: a function of a stage's data."""
