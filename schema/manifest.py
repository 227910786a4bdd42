"""The manifest: everything that a bundle says about itself, as one JSON document."""

import json
import unicodedata
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import FailFast, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hmnpack.schema.base import Extended, Frozen
from hmnpack.schema.config import CompressConfig, Fraction, PruneConfig
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.instances import Instances, check_length
from hmnpack.schema.ledger import Ledger
from hmnpack.schema.result import Percent

FORMAT_VERSION = 1
MAX_CLASS_NAME = 200
"""Longest class name, in bytes of UTF-8: file systems stop at 255."""

MARGIN_UNITS = 10_000
"""Units in a margin of 1; margins are stored as whole units, so that many fit into a header."""

MAX_MARGINS = 100_000
"""Most images whose margins are stored: 700 kB of a header, which has 1 MiB at most."""

MAX_LISTED = 900_000
"""Most bytes of a header that class names and margins take; the rest is for all else."""

MAX_IPC = 1_000_000
"""Most images per class that a budget may equal."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ShortText = Annotated[str, Field(min_length=1, max_length=1000)]


def class_name_fault(name: str) -> str | None:
    """Return why a class name may not be stored, or None where it may.

    Names become folder names, HTML and terminal text: a reader escapes them for the last two, and
    the first is why separators, control characters and names of whole folders are refused here.
    """
    if not name.strip():
        return "is empty"
    if len(name.encode("utf-8", "surrogatepass")) > MAX_CLASS_NAME:
        return f"is longer than {MAX_CLASS_NAME} bytes"
    if any(_is_invisible(character) for character in name):
        return "has a control, formatting or line-breaking character"
    if any(separator in name for separator in "/\\"):
        return "has a path separator"
    if name != name.strip() or name.startswith(".") or name.endswith("."):
        return "starts or ends with a space or a dot"
    return None


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 40 else name[:37] + "...")


def same_on_disk(name: str) -> str:
    """Return the form under which file systems may take two names for one."""
    return unicodedata.normalize("NFKC", name).casefold()


def storable_class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names as a bundle may store them: as they are, wherever that is possible.

    Separators and control characters become ``_``, spaces and dots at the ends go, long names are
    cut, and names that file systems would take for an earlier one get a number.
    """
    stored: list[str] = []
    taken: set[str] = set()
    for label, name in enumerate(names):
        plain = name if class_name_fault(name) is None else _mended(name) or f"class {label}"
        text, number = plain, label
        while same_on_disk(text) in taken:
            text, number = f"{_cut(plain)} ({number})", number + 1
        taken.add(same_on_disk(text))
        stored.append(text)
    return tuple(stored)


def listed_bytes(names: Sequence[str]) -> int:
    """Return the bytes that class names take in a header, where they are JSON within JSON."""
    return len(json.dumps(json.dumps(names, ensure_ascii=False), ensure_ascii=False).encode())


def _mended(name: str) -> str:
    dark = "".join("_" if c in "/\\" or _is_invisible(c) else c for c in name)
    return _cut("".join(" " if c.isspace() else c for c in dark))


def _cut(name: str) -> str:
    return name.encode()[: MAX_CLASS_NAME - 20].decode(errors="ignore").strip(" .")


class SourceFacts(Frozen):
    """The data that a bundle was made from."""

    name: ShortText = Field(description="Name of the data set, as asked for.")
    fingerprint: Sha256 = Field(
        description="sha256 over shapes, pixels and labels of the training split, as decoded."
    )
    train_images: int = Field(ge=1, description="Images in the training split.")
    held_out: int = Field(ge=0, description="Images of these that condensing never saw.")
    skipped: int = Field(ge=0, description="Unreadable images that were left out.")


class Normalisation(Frozen):
    """Mean and standard deviation of the training images, per channel."""

    mean: tuple[float, ...] = Field(description="Mean per channel, of pixels in [0, 1].")
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        description="Standard deviation per channel, of pixels in [0, 1]."
    )


class Budget(Frozen):
    """What the bundle may hold: ipc * K * C * H * W numbers."""

    ipc: int = Field(ge=1, le=MAX_IPC, description="Images per class that the budget equals.")
    floats: int = Field(ge=1, description="Numbers that may be stored.")
    bytes: int = Field(ge=1, description="The same, as 32-bit floats, in bytes.")


class Versions(Frozen):
    """The software that an evaluation ran on."""

    hmnpack: ShortText = Field(description="Version of hmnpack.")
    torch: ShortText = Field(description="Version of torch.")
    torchvision: ShortText = Field(description="Version of torchvision.")
    python: ShortText = Field(description="Version of Python.")


class ControlScore(Frozen):
    """What networks learned, by the protocol of a score, from something else than its images."""

    name: ShortText = Field(description="What they were trained on.")
    images: int = Field(ge=1, description="Training images.")
    mean: Percent = Field(description="Mean test accuracy, in percent.")
    std: float = Field(
        ge=0, description="Its sample standard deviation, in points; 0 for one network."
    )
    networks: int = Field(ge=1, description="Networks trained.")


class Score(Extended):
    """One row of an evaluation: what was trained on, how, and how well it did."""

    left_out_if_empty: ClassVar = frozenset({"versions", "device", "arithmetic", "controls"})

    protocol: EvaluateConfig = Field(description="Network, training and seeds, as followed.")
    data: ShortText = Field(description="Name of the data set that was tested on.")
    fingerprint: Sha256 = Field(
        description="sha256 of the images that were tested on, as decoded: the test split, or what "
        "was held out of train (`protocol.held_out`)."
    )
    images: int = Field(ge=1, description="Training images.")
    accuracies: Annotated[tuple[Percent, ...], FailFast()] = Field(
        min_length=1,
        description="Accuracy of each network on them after its last epoch, in percent.",
    )
    versions: Versions | None = Field(default=None, description="What it ran on, if recorded.")
    device: ShortText | None = Field(
        default=None, description="Kind of device, if recorded: cpu, cuda, ..."
    )
    arithmetic: Literal["bfloat16", "float32"] | None = Field(
        default=None, description="What networks ran in, if recorded: `auto` depends on the device."
    )
    controls: Annotated[tuple[ControlScore, ...], FailFast()] = Field(
        default=(), description="The rows beside it, if they were trained."
    )


class Margins(Frozen):
    """How hard each image is to learn: a statistic of the images, not part of the data."""

    epochs: int = Field(ge=1, description="Epochs of the trainings that margins were taken in.")
    seeds: int = Field(ge=1, description="Trainings that each margin is the mean of.")
    values: Annotated[
        tuple[Annotated[int, Field(ge=-MARGIN_UNITS, le=MARGIN_UNITS)], ...], FailFast()
    ] = Field(
        min_length=1,
        max_length=MAX_MARGINS,
        description="Of each image, in their order: its mean margin over the epochs (probability "
        "of its class less the greatest of another), in ten-thousandths; times the epochs it is "
        "the area under the margin.",
    )

    @property
    def areas(self) -> tuple[float, ...]:
        """Area under the margin of each image, from -epochs to epochs; low ones are hard."""
        return tuple(value * self.epochs / MARGIN_UNITS for value in self.values)


class BetaScore(Frozen):
    """How well the images that one beta leaves teach."""

    beta: Fraction = Field(description="Part of the dropped images that were the hardest.")
    accuracies: tuple[Percent, ...] = Field(
        min_length=1, description="Of each network on held-out real images, in percent."
    )


class Pruning(Frozen):
    """How the images were chosen from more."""

    config: PruneConfig = Field(description="The settings, as they were followed.")
    seed: int = Field(ge=0, lt=2**63, description="Seed of every random stream.")
    instances: Instances = Field(
        description="Images that were chosen from: of each class, or one number for every class."
    )
    beta: Fraction | None = Field(
        description="Part of the dropped images that were the hardest of their class; null if the "
        "strategy has none."
    )
    held_out: int = Field(
        ge=0, description="Held-out real images that beta was chosen by; 0: none."
    )
    scores: Annotated[tuple[BetaScore, ...], FailFast()] = Field(
        default=(), description="What each beta came to, where it was chosen."
    )


class Provenance(Extended):
    """With what the bundle was made."""

    left_out_if_empty: ClassVar = frozenset({"prunings"})

    hmnpack: ShortText = Field(description="Version of hmnpack.")
    torch: ShortText = Field(description="Version of torch.")
    device: ShortText = Field(description="Kind of device: cpu, cuda, ...")
    real_images_used_to_start: bool = Field(
        description="Whether the container was first fitted to real images, which it may then "
        "resemble (a matter of privacy)."
    )
    prunings: Annotated[tuple[Pruning, ...], FailFast()] = Field(
        default=(), description="How images were chosen from more, oldest first."
    )


class Manifest(Extended):
    """Everything that a bundle says about itself."""

    left_out_if_empty: ClassVar = frozenset({"margins"})

    format_version: Literal[1] = Field(default=1, description="Version of the file format.")
    source: SourceFacts = Field(description="The data that the bundle was made from.")
    classes: Annotated[tuple[str, ...], FailFast()] = Field(
        min_length=1, max_length=100_000, description="Class names; the index is the label."
    )
    normalisation: Normalisation = Field(description="For networks that expect centred input.")
    container: ContainerSpec = Field(description="What is stored, and how it decodes.")
    ledger: Ledger = Field(description="One row per stored tensor.")
    budget: Budget = Field(description="What may be stored.")
    config: CompressConfig | None = Field(description="The settings; null if made by hand.")
    scores: Annotated[tuple[Score, ...], FailFast()] = Field(
        default=(), description="Evaluations, oldest first."
    )
    margins: Margins | None = Field(
        default=None, description="How hard each image is to learn, if that was measured."
    )
    provenance: Provenance = Field(description="With what the bundle was made.")
    data_sha256: Sha256 = Field(description="sha256 of all tensor bytes, in the file's order.")

    @field_validator("classes")
    @classmethod
    def _names_are_safe(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        seen: dict[str, str] = {}
        for name in names:
            fault = class_name_fault(name)
            if fault:
                raise PydanticCustomError(
                    "class_name",
                    "class name {name} {fault}",
                    {"name": _shown(name), "fault": fault},
                )
            twin = seen.get(same_on_disk(name))
            if twin is not None:
                raise PydanticCustomError(
                    "class_name",
                    "class names {twin} and {name} are one on disk",
                    {"twin": _shown(twin), "name": _shown(name)},
                )
            seen[same_on_disk(name)] = name
        return names

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        spec, image = self.container, self.container.image
        if len(self.classes) != spec.classes:
            raise ValueError(f"{len(self.classes)} class names for {spec.classes} classes")
        if not len(self.normalisation.mean) == len(self.normalisation.std) == image.channels:
            raise ValueError(f"normalisation is not for {image.channels} channels")
        if self.ledger != spec.ledger():
            raise PydanticCustomError("ledger", "the ledger is not that of the container")
        floats = self.budget.ipc * spec.classes * image.elements
        if (self.budget.floats, self.budget.bytes) != (floats, floats * 4):
            raise ValueError(f"the budget is not that of {self.budget.ipc} images per class")
        if self.ledger.floats > floats or self.ledger.bytes > floats * 4:
            raise PydanticCustomError(
                "over_budget",
                "over budget: {stored} numbers in {stored_bytes} bytes are stored, {floats} in "
                "{bytes} may be",
                {
                    "stored": self.ledger.floats,
                    "stored_bytes": self.ledger.bytes,
                    "floats": floats,
                    "bytes": floats * 4,
                },
            )
        return self

    @model_validator(mode="after")
    def _every_image_has_its_margin(self) -> Self:
        images = self.container.images
        if self.margins is not None and len(self.margins.values) != images:
            raise ValueError(f"{len(self.margins.values)} margins for {images} images")
        return self

    @model_validator(mode="after")
    def _every_class_has_its_count(self) -> Self:
        for pruning in self.provenance.prunings:
            check_length("prunings", pruning.instances, self.container.classes)
        return self


class StoredManifest(Manifest):
    """A manifest as it stands in a file: with a hash of its own text."""

    manifest_sha256: Sha256 = Field(
        description="sha256 of this JSON text, with these 64 digits taken as zeros."
    )
