"""An audit: how near synthetic images are to real ones, and what a membership attack finds."""

from typing import Annotated, Literal

from pydantic import Field

from hmnpack.schema.base import Frozen, Sha256
from hmnpack.schema.evaluation import EvaluateConfig
from hmnpack.schema.result import DataFacts, Machine, Percent

Chance = Annotated[float, Field(ge=0, le=1)]

Space = Literal["pixels", "features", "logits"]
"""What a distance is measured in."""

UNITS: dict[Space, str] = {
    "pixels": "root mean square difference of a pixel value, of 255",
    "features": "Euclidean distance of the last features of a network trained on real images",
    "logits": "Euclidean distance of the logits of a network trained on real images",
}
"""Space -> unit of its distances."""

CAVEAT = (
    "Measured with one network architecture and one simple attack. Other attacks may find more: "
    "this is not a guarantee, and not differential privacy."
)
"""What an audit does not show; beside every result."""


class Quantiles(Frozen):
    """Distances from each of some images to the nearest condensed real image."""

    images: int = Field(ge=1, description="Number of images.")
    least: float = Field(ge=0, description="Smallest distance.")
    p1: float = Field(ge=0, description="1 % quantile.")
    p5: float = Field(ge=0, description="5 % quantile.")
    median: float = Field(ge=0, description="Median.")
    p95: float = Field(ge=0, description="95 % quantile.")


class Nearest(Frozen):
    """Distances to the nearest condensed real image, in one space."""

    space: Space = Field(
        description="`pixels`: root mean square difference of a pixel value, of 255; `features`: "
        "Euclidean distance of the last features of a network trained on real images that were "
        "not condensed; `logits`: of its logits, if it has no features."
    )
    synthetic: Quantiles = Field(description="From the synthetic images.")
    real: Quantiles = Field(
        description="From real images that were not condensed: what is usual between real images."
    )
    below_p1: Percent = Field(
        description="Synthetic images that are nearer than the 1 % quantile of the real ones, in "
        "percent."
    )
    copies: int = Field(ge=0, description="Synthetic images at distance 0.")


class Pair(Frozen):
    """A synthetic image and the nearest condensed real image, by pixels."""

    image: int = Field(ge=0, description="Position of the synthetic image in the file.")
    label: int = Field(ge=0, description="Its class.")
    real_sha256: Sha256 = Field(description="sha256 of the real image's pixels, uint8 [C, H, W].")
    real_label: int = Field(ge=0, description="Class of the real image.")
    distance: float = Field(ge=0, description="Distance, as of space `pixels`.")


class Interval(Frozen):
    """A value and its 95 % bootstrap interval, over the tested images."""

    value: float = Field(ge=-1, le=1, description="The value.")
    low: float = Field(ge=-1, le=1, description="2.5 % quantile of the resamples.")
    high: float = Field(ge=-1, le=1, description="97.5 % quantile of the resamples.")


class Attack(Frozen):
    """Membership inference by the loss, on networks trained on one kind of images."""

    name: str = Field(description="Training data of the networks.")
    images: int = Field(ge=1, description="Number of training images.")
    members: int = Field(ge=1, description="Tested images that are called members.")
    non_members: int = Field(ge=1, description="Tested images that no network was trained on.")
    aucs: tuple[Chance, ...] = Field(
        min_length=1,
        description="Of each network: probability that a member has a lower loss than a "
        "non-member (area under the ROC curve); 0.5 is chance.",
    )
    auc: Interval = Field(description="Mean over the networks.")


class Audit(Frozen):
    """All that an audit measures."""

    protocol: EvaluateConfig = Field(
        description="Training settings of the networks; those of baselines have no effect."
    )
    held_out: bool = Field(
        description="Whether the real images that were not condensed are the held-out images of "
        "the training split instead of the test split."
    )
    condensed: int = Field(ge=1, description="Real images that the file was made from.")
    mixed_in: int = Field(
        default=0,
        ge=0,
        description="Held-out images that are counted among these, because the file does not "
        "record which were held out.",
    )
    nearest: tuple[Nearest, ...] = Field(min_length=1, description="Distances, by space.")
    pairs: tuple[Pair, ...] = Field(description="The nearest pairs by pixels, nearest first.")
    picture: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$")] | None = Field(
        default=None,
        description="The pairs as a PNG file in base64: a row of synthetic images above the real "
        "ones; null: left out.",
    )
    attacks: tuple[Attack, ...] = Field(
        min_length=1,
        description="Attacks on networks trained on the file; on as many real images that were "
        "not condensed, with the same members and non-members (the control); and on as many "
        "condensed real images, where the members are these images.",
    )
    over_control: Interval = Field(
        description="Mean AUC of the file's networks minus that of the control."
    )
    resamples: int = Field(ge=1, description="Bootstrap resamples of the tested images.")


class AuditResult(Frozen):
    """A recorded audit, with everything needed to repeat it."""

    name: str = Field(description="Name of the measurement.")
    command: str = Field(description="Command line that repeats the measurement.")
    commit: str = Field(
        description="Commit of the source tree, with `-dirty` if there were local changes."
    )
    seed: int = Field(description="Seed of every random stream, as in the audit's protocol.")
    machine: Machine = Field(description="Machine of the measurement.")
    data: DataFacts = Field(description="Dataset of the measurement.")
    minutes: float | None = Field(default=None, ge=0, description="Wall-clock time, in minutes.")
    bundle_data_sha256: Sha256 = Field(description="data_sha256 of the audited file.")
    audit: Audit = Field(description="The measurements.")
