"""Runs a class-incremental protocol for one row and one seed, stage by stage, resumable."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor, nn

from hmnpack.continual.learner import learn, widened
from hmnpack.continual.order import stages_of_classes
from hmnpack.continual.rows import Condensing, Row, Stage
from hmnpack.errors import BadData
from hmnpack.runtime.devices import kind_of
from hmnpack.runtime.kept import Store, digest_of
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.seeds import stream
from hmnpack.schema.characters import without_mirrored_characters
from hmnpack.schema.continual import ContinualConfig
from hmnpack.schema.manifest import Normalisation
from hmnpack.sources import Source, Split, normalisation_of
from hmnpack.sources.lazy import in_memory
from hmnpack.training import accuracy


@dataclass(frozen=True)
class StageResult:
    """The network after one stage.

    Attributes:
        classes: Classes seen so far.
        images: Images stored so far.
        stored_bytes: Their size in the stored form.
        accuracy: Accuracy on the test images of these classes, in percent; the mean, if several
            networks are trained.
    """

    classes: int
    images: int
    stored_bytes: int
    accuracy: float


@dataclass(frozen=True)
class Run:
    """One run of a protocol.

    Attributes:
        source: The whole dataset. A row sees the classes of one stage at a time; the normalisation
            of the networks is that of the whole training split, a constant in the literature.
        config: The protocol.
        condensing: How stages are condensed.
        seed: Seed of the run.
        folder: Work directory: files and networks, to resume from.
        device: Device of the run.
        listener: Called with the progress.
    """

    source: Source
    config: ContinualConfig
    condensing: Condensing
    seed: int
    folder: Path
    device: torch.device
    listener: Listener = field(default=no_progress)

    def stages(self) -> Iterator[Stage]:
        """Yield the stages as rows see them.

        Raises:
            BadSettings: if the classes cannot be divided into such stages.
        """
        earlier: tuple[str, ...] = ()
        for labels in stages_of_classes(self.config, len(self.source.classes), self.seed):
            part = self.source.only(self.source.classes[label] for label in labels)
            facts = (self.config, self.condensing, self.seed, self.folder, self.device)
            yield Stage(part, *facts, earlier, self.listener)
            earlier = (*earlier, part.train.fingerprint)


def results_of(name: str, row: Row, run: Run) -> list[StageResult]:
    """Return the result of every stage.

    Args:
        name: Name of the row; it determines the random streams of the trainings.
        row: What is stored of a stage.
        run: Data, protocol, seed, work directory.

    Raises:
        BadData: if the dataset has no test split, or a stage stores no image of some class.
        BadSettings: if the classes cannot be divided into such stages, or the work directory cannot
            be written.
        Diverged: if a training diverges.
    """
    store = Store(run.folder)
    store.check_writable()
    learner, memory = _Learner(name, run, store), _Memory()
    found: list[StageResult] = []
    order = [
        label
        for stage in stages_of_classes(run.config, len(run.source.classes), run.seed)
        for label in stage
    ]
    for stage in run.stages():
        kept = row(stage)
        if len(kept.labels.unique()) != len(stage.source.classes):
            raise BadData(f"{name}: the budget holds no image of some class; raise the ipc")
        memory.add(in_memory(kept.images), kept.labels, len(stage.source.classes), kept.bytes)
        test = _seen_of(run.source, order[: memory.classes])
        result = learner.after(memory, test)
        run.listener(name, len(found) + 1, run.config.stages, accuracy=result)
        found.append(StageResult(memory.classes, len(memory.labels), memory.bytes, result))
    return found


def _seen_of(source: Source, labels: list[int]) -> Split:
    """Return the test images of the classes seen so far, numbered as they arrived."""
    if source.test is None:
        raise source.test_problem or BadData(f"{source.name} has no test split to test on")
    return source.test.of_classes(labels)


class _Memory:
    """All that was stored so far; labels count the classes as they arrived."""

    def __init__(self) -> None:
        self.classes = 0
        self.bytes = 0
        self.images = torch.empty(0)
        self.labels = torch.empty(0, dtype=torch.int64)

    def add(self, images: Tensor, labels: Tensor, classes: int, size: int) -> None:
        """Add the images of a stage, uint8 or float32 in [0, 1], labelled from 0."""
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        self.images = torch.cat([self.images, pixels]) if self.classes else pixels
        self.labels = torch.cat([self.labels, labels + self.classes])
        self.classes += classes
        self.bytes += size


class _Learner:
    """The networks of a row, which are trained after each stage, and cached."""

    def __init__(self, name: str, run: Run, store: Store) -> None:
        self.name = name
        self.run = run
        self.store = store
        augment = without_mirrored_characters(run.config.train.augment, run.source.name)
        train = run.config.train.model_copy(update={"augment": augment})
        self.config = run.config.model_copy(update={"train": train})
        self.normalisation: Normalisation = normalisation_of(run.source.train)
        self.old: nn.Module | None = None
        self.past = ""

    def after(self, memory: _Memory, test: Split) -> float:
        """Train on what is stored by now; return the mean accuracy on the test images."""
        self.past = digest_of(self.past, memory.images, memory.labels)
        count = 1 if self.config.keeps_network else self.config.networks
        return mean(self._one(memory, test, index) for index in range(count))

    def _one(self, memory: _Memory, test: Split, index: int) -> float:
        run, config = self.run, self.config
        facts = (self.past, config.model_dump_json(), test.fingerprint, run.seed, index)
        entry = self.store.entry("continual-1", *facts, kind_of(run.device))
        done = entry.value(run.device)
        generator = stream(run.seed, "continual", "network", memory.classes, index)
        old = self.old if config.keeps_network else None
        parts = (old, config.network, memory.classes, run.source.image, generator)
        network = widened(*parts).to(run.device)
        if done is None:
            learn(
                network,
                (memory.images.to(run.device), memory.labels.to(run.device)),
                config,
                normalisation=self.normalisation,
                seed=run.seed,
                name=f"{self.name}, {memory.classes} classes, network {index + 1}",
                teacher=old,
                listener=run.listener,
            )
            found = accuracy(
                network,
                test.images.to(run.device),
                test.labels.to(run.device),
                normalisation=self.normalisation,
                precision=config.train.precision,
            )
            entry.finish({"network": network.state_dict(), "accuracy": found})
        else:
            network.load_state_dict(done["network"])
            found = float(done["accuracy"])
        self.old = network
        return found
