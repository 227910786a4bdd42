"""The inputs of one run, and the bundle made from them."""

from dataclasses import dataclass

import torch

from hmnpack.bundle import Bundle, data_sha256
from hmnpack.condensing.grow import Grown
from hmnpack.condensing.probe import Probe
from hmnpack.container import Container, appended_container, new_container
from hmnpack.container.budget import budget_of, ipc_of
from hmnpack.matching import RealData
from hmnpack.runtime.seeds import stream
from hmnpack.schema.class_names import storable_class_names
from hmnpack.schema.config import CompressConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import Manifest, Provenance, SourceFacts
from hmnpack.schema.stages import has_stage, starts_from_real
from hmnpack.settings import settings_to_record
from hmnpack.sources import Source, Split, normalisation_of
from hmnpack.sources.lazy import on_device
from hmnpack.version import __version__


@dataclass(frozen=True)
class Job:
    """The inputs of one run.

    Attributes:
        source: The dataset.
        config: Settings of the run.
        spec: The condensed container, including the images that pruning will drop.
        seen: Images of the training split to condense.
        held_out: The validation split: the rest of the training split.
        grown: The file that the classes are appended to, or None.
    """

    source: Source
    config: CompressConfig
    spec: ContainerSpec
    seen: Split
    held_out: Split
    grown: Grown | None = None

    @property
    def is_pruned(self) -> bool:
        """Whether the run condenses over budget and then prunes to it."""
        return has_stage(self.config, "pruning")

    def new_container(self) -> Container:
        """Return the untrained container."""
        settings, generator = self.config.container, stream(self.config.seed, "container")
        if self.grown is not None:
            return appended_container(self.spec, self.grown.file.tensors, settings, generator)
        return new_container(self.spec, settings, generator)

    def real_data(self, device: torch.device) -> RealData:
        """Return the images to condense, on a device."""
        return RealData(
            images=on_device(self.seen.pixels, device),
            labels=self.seen.labels.to(device),
            classes=len(self.source.classes),
            normalisation=normalisation_of(self.source.train),
            fingerprint=self.seen.fingerprint,
        )

    def probe(self, count: int, real: RealData) -> Probe | None:
        """Return the run's probe, tested on the validation split; None if ``count`` is 0.

        Raises:
            BadSettings: if the validation split is empty.
        """
        if not count:
            return None
        return Probe(
            on_device(self.held_out.pixels, real.device),
            self.held_out.labels.to(real.device),
            real.normalisation,
            self.config.seed,
            count,
        )

    def bundle(self, container: Container, real: RealData, ipc: int | None = None) -> Bundle:
        """Return the bundle of a fitted container.

        Args:
            container: The container.
            real: The images that it was made from.
            ipc: Budget, in images per class; None: the smallest that it fits.
        """
        tensors = container.stored_tensors()
        spec: ContainerSpec = container.spec
        manifest = Manifest(
            source=self._facts(),
            classes=storable_class_names(self.source.classes),
            normalisation=real.normalisation,
            container=spec,
            ledger=spec.ledger(),
            budget=budget_of(ipc or ipc_of(spec), spec.classes, spec.image),
            recipe=self.config.recipe,
            seed=self.config.seed,
            holdout=self.config.holdout,
            config=settings_to_record(self.config, self.source.shape),
            provenance=Provenance(
                hmnpack=__version__,
                torch=str(torch.__version__),
                device=real.device.type,
                real_images_used_to_start=starts_from_real(self.config),
            ),
            data_sha256=data_sha256(tensors),
        )
        return Bundle(manifest, tensors)

    def _facts(self) -> SourceFacts:
        return SourceFacts(
            name=self.source.name,
            fingerprint=self.source.train.fingerprint,
            train_images=len(self.source.train),
            held_out=len(self.held_out),
            skipped=dict(self.source.skipped),
            size=self.source.size,
            test_split=self.source.test_split,
            train_list=self.source.train_list,
            test_list=self.source.test_list,
            image_column=self.source.image_column,
            label_column=self.source.label_column,
            classes=self.source.chosen,
        )
