"""The manifest: one JSON document with all metadata of a bundle."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from hmnpack.schema.base import Frozen, RelativePath, Sha256, ShortText
from hmnpack.schema.class_names import ClassNames
from hmnpack.schema.container import ContainerSpec, OtherSpec
from hmnpack.schema.instances import MAX_CLASSES, check_length
from hmnpack.schema.ledger import BYTES_PER_FLOAT, Ledger
from hmnpack.schema.opaque import Opaque
from hmnpack.schema.pruning import Margins, Pruning
from hmnpack.schema.score import Score

FORMAT_VERSION = 1

MAX_IPC = 1_000_000
"""Maximum images per class of a budget."""

SkippedKind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class TestSplit(Frozen):
    """A test split that was sampled from the data."""

    __test__ = False  # pytest would collect the class because of its name

    part: float = Field(gt=0, lt=1, description="Fraction of each class that was sampled.")
    seed: int = Field(ge=0, lt=2**63, description="Seed of the sampling.")


class SourceFacts(Frozen):
    """The data that a bundle was made from, and how it was read."""

    name: ShortText = Field(description="Name of the dataset, as given by the user.")
    fingerprint: Sha256 = Field(
        description="Fingerprint of the training split: a sha256 of its pixels and labels."
    )
    train_images: int = Field(ge=1, description="Images in the training split.")
    held_out: int = Field(
        ge=0, description="Held-out images (validation split) among these, not condensed."
    )
    skipped: dict[SkippedKind, Annotated[int, Field(ge=1)]] = Field(
        max_length=16,
        description="Reason -> number of skipped images or files. `unreadable`: could not be "
        "decoded; `litter`: hidden or system files and folders; `no-suffix`: files without a "
        "suffix; `outside`: files outside the class folders; `unlisted`: images in no list; "
        "`other`: all further files; any other reason: files with that suffix, which are not read.",
    )
    size: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None,
        description="Side that images were resized to, in pixels; absent: not resized.",
    )
    test_split: TestSplit | None = Field(
        default=None,
        description="How the test split was sampled; absent: the dataset has its own or none.",
    )
    train_list: RelativePath | None = Field(
        default=None,
        description="Text file that lists the training split, relative to the data; absent: none.",
    )
    test_list: RelativePath | None = Field(
        default=None, description="Text file that lists the test split; absent: likewise."
    )
    image_column: ShortText | None = Field(
        default=None,
        description="Column of images that the user chose; absent: the usual one, or no columns.",
    )
    label_column: ShortText | None = Field(
        default=None, description="Column of labels that the user chose; absent: likewise."
    )
    classes: (
        Annotated[tuple[ShortText, ...], Field(min_length=1, max_length=100_000, fail_fast=True)]
        | None
    ) = Field(
        default=None,
        description="Names, in the dataset, of the classes that the user chose; absent: all.",
    )


class Normalisation(Frozen):
    """Mean and standard deviation of the training images, per channel."""

    mean: tuple[float, ...] = Field(description="Mean per channel, of pixels in [0, 1].")
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        description="Standard deviation per channel, of pixels in [0, 1]."
    )


class Budget(Frozen):
    """Maximum size of the bundle, in images per class or in bytes."""

    ipc: Annotated[int, Field(ge=1, le=MAX_IPC)] | None = Field(
        default=None,
        description="Images per class that the budget equals; absent: a budget in bytes.",
    )
    floats: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Maximum stored floats, ipc * K * C * H * W; absent without ipc.",
    )
    bytes: int = Field(
        ge=1, description="Maximum stored bytes; with ipc, the floats in 32 bits each."
    )

    @property
    def in_words(self) -> str:
        """The budget as text: ``"1 ipc"`` or ``"40,000 bytes"``."""
        return f"{self.bytes:,} bytes" if self.ipc is None else f"{self.ipc} ipc"


class Made(Frozen):
    """How some classes of an appended file were made; the keys are those of a manifest."""

    classes: int = Field(ge=1, le=MAX_CLASSES, description="Number of these classes.")
    source: SourceFacts = Field(description="The data that they were made from.")
    recipe: ShortText | None = Field(default=None, description="Name of the recipe.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        default=None, description="Seed of every random stream."
    )
    holdout: Annotated[float, Field(ge=0, le=0.9)] | None = Field(
        default=None, description="Fraction of each training class that was held out."
    )
    config: Opaque | None = Field(
        default=None, description="Settings that differ from the recipe's."
    )


class Edit(Frozen):
    """A step that made a bundle of the stored tensors of others."""

    operation: ShortText = Field(description="What was done: merge, split, append.")
    files: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=1000, fail_fast=True)] = (
        Field(description="data_sha256 of each file that it was done with.")
    )
    made: Annotated[tuple[Made, ...], Field(min_length=1, max_length=2)] | None = Field(
        default=None,
        description="How the classes of an appended file were made: those of the file that was "
        "appended to, unless an earlier step says so, then the appended ones.",
    )


class Provenance(Frozen):
    """Software, device and pruning steps that the bundle was made with."""

    hmnpack: ShortText = Field(description="Version of hmnpack.")
    torch: ShortText = Field(description="Version of torch.")
    device: ShortText = Field(description="Kind of device: cpu, cuda, ...")
    real_images_used_to_start: bool = Field(
        description="Whether the container was first fitted to real images. If so, synthetic "
        "images may resemble them (relevant for privacy)."
    )
    prunings: Annotated[tuple[Pruning, ...], FailFast()] = Field(
        default=(), description="Pruning steps, oldest first."
    )
    edits: (
        Annotated[tuple[Edit, ...], Field(min_length=1, max_length=1000, fail_fast=True)] | None
    ) = Field(
        default=None,
        description="Steps that merged or split files, or appended classes to one, oldest first; "
        "absent: none.",
    )


def _only_hard(labels: object) -> None:
    """Raise an error for any labels: this version only knows one class per image, by position."""
    if labels is not None:
        kind = labels.get("kind") if isinstance(labels, dict) else labels
        raise PydanticCustomError("labels", "labels of an unknown kind", {"kind": kind})


class Manifest(Frozen):
    """All metadata of a bundle."""

    format_version: Literal[1] = Field(default=1, description="Version of the file format.")
    source: SourceFacts = Field(description="The data that the bundle was made from.")
    classes: ClassNames = Field(
        min_length=1, max_length=100_000, description="Class names; the index is the label."
    )
    labels: Annotated[None, BeforeValidator(_only_hard)] = Field(
        default=None,
        description="Reserved for other kinds of labels, which this version rejects; absent: one "
        "class per image, given by its position.",
    )
    normalisation: Normalisation = Field(description="For networks that expect centred input.")
    container: ContainerSpec = Field(
        description="Container: what the tensors are and how they decode to images."
    )
    ledger: Ledger = Field(description="One row per stored tensor.")
    budget: Budget = Field(description="Maximum size of what is stored.")
    recipe: ShortText | None = Field(
        default=None, description="Name of the recipe; absent: not made by a recipe."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        default=None, description="Seed of every random stream; absent: unknown."
    )
    holdout: Annotated[float, Field(ge=0, le=0.9)] | None = Field(
        default=None,
        description="Fraction of each training class held out as the validation split; absent: "
        "unknown.",
    )
    config: Opaque | None = Field(
        default=None,
        description="Settings that differ from the recipe's for data of this shape, except seed "
        "and holdout. Readers show them without validation.",
    )
    scores: Annotated[tuple[Score, ...], FailFast()] = Field(
        default=(), description="Evaluations, oldest first."
    )
    margins: Margins | None = Field(
        default=None, description="Learning difficulty of each image; absent: not measured."
    )
    provenance: Provenance = Field(
        description="Software, device and pruning steps that the bundle was made with."
    )
    data_sha256: Sha256 = Field(description="sha256 of all tensor bytes, in file order.")

    @property
    def nearest_ipc(self) -> int:
        """Images per class of the budget; for a budget in bytes, the nearest number."""
        if self.budget.ipc is not None:
            return self.budget.ipc
        one = self.container.classes * self.container.image.elements * BYTES_PER_FLOAT
        return min(max(1, round(self.budget.bytes / one)), MAX_IPC)

    @property
    def names_training_split(self) -> bool:
        """Whether ``source`` surely describes the training split, not the stored images.

        It may describe these in a file without a recipe (FORMAT.md, section 3.3).
        """
        if self.recipe is not None or self.source.held_out:
            return True
        return not self.provenance.edits and self.source.train_images != self.container.images

    def document(self) -> dict[str, Any]:
        """Return the JSON document of a file without its hash.

        Keys that are None are omitted, except in the container, which a decoder needs whole.
        """
        container = self.container.model_dump(mode="json")
        return self.model_dump(mode="json", exclude_none=True) | {"container": container}

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        spec, image = self.container, self.container.image
        if len(self.classes) != spec.classes:
            raise ValueError(f"{len(self.classes)} class names for {spec.classes} classes")
        chosen = self.source.classes
        if chosen is not None and len(chosen) != spec.classes:
            raise ValueError(f"{len(chosen)} names of chosen classes for {spec.classes} classes")
        if not len(self.normalisation.mean) == len(self.normalisation.std) == image.channels:
            raise ValueError(f"normalisation does not have {image.channels} channels")
        if not isinstance(spec, OtherSpec) and self.ledger != spec.ledger():
            raise PydanticCustomError("ledger", "the ledger does not match the container")
        return self

    @model_validator(mode="after")
    def _budget_adds_up(self) -> Self:
        budget, spec = self.budget, self.container
        if budget.ipc is None:
            if budget.floats is not None:
                raise ValueError("the budget has floats but no ipc")
            return self
        floats = budget.ipc * spec.classes * spec.image.elements
        if (budget.floats, budget.bytes) != (floats, floats * BYTES_PER_FLOAT):
            raise ValueError(f"the budget does not equal {budget.ipc} images per class")
        return self

    @model_validator(mode="after")
    def _is_within_budget(self) -> Self:
        for what, stored, most in (
            ("floats", self.ledger.floats, self.budget.floats),
            ("bytes", self.ledger.bytes, self.budget.bytes),
        ):
            if most is not None and stored > most:
                raise PydanticCustomError(
                    "over_budget",
                    "over budget: {stored} {what} are stored, the budget allows {most}",
                    {"stored": stored, "what": what, "most": most},
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
    """A manifest as stored in a file, with a hash of its own text."""

    manifest_sha256: Sha256 = Field(
        description="sha256 of this JSON text, with these 64 digits replaced by zeros."
    )
