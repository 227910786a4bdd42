"""A recorded measurement: the figures, and everything needed to get them again."""

from typing import Annotated

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.evaluation import EvaluateConfig

Figure = float | int | str | bool | None
Percent = Annotated[float, Field(ge=0, le=100)]


class Machine(Frozen):
    """Where it was measured."""

    processor: str = Field(description="Model of the processor.")
    cores: int = Field(ge=1, description="Logical cores that were used.")
    memory_gib: float = Field(gt=0, description="Main memory, in GiB.")
    device: str = Field(description="`cpu`, or the model of the accelerator.")
    versions: dict[str, str] = Field(description="Versions of Python and of the libraries.")


class DataFacts(Frozen):
    """What it was measured on."""

    name: str = Field(description="Name of the data set, with `(JPEG)` where it is a JPEG copy.")
    fingerprint: str = Field(description="sha256 over shapes, pixels and labels of train.")


class Row(Frozen):
    """One line of an accuracy table."""

    name: str = Field(description="What the networks were trained on.")
    images: int = Field(ge=1, description="Number of training images.")
    accuracy_mean: Percent = Field(description="Mean test accuracy, in percent.")
    accuracy_std: float = Field(ge=0, description="Sample standard deviation, in points.")
    accuracy_ci95: float | None = Field(
        default=None,
        ge=0,
        description="Half the width of the mean's 95 % interval (Student's t), in points; null "
        "where it is not known, as with one network.",
    )
    networks: int = Field(ge=1, description="Number of networks trained.")
    accuracies: tuple[Percent, ...] = Field(
        default=(), description="Test accuracy of each network, in percent; empty: not kept."
    )
    figures: dict[str, Figure] = Field(default={}, description="Further figures of the row.")


class Result(Frozen):
    """One file of `examples/reproduce/results/`."""

    name: str = Field(description="Name of the benchmark or run.")
    recipe: str | None = Field(default=None, description="Recipe, where one was run.")
    command: str = Field(description="The command line that repeats it.")
    commit: str = Field(description="Commit of the source tree, `-dirty` if it had changes.")
    seed: int | None = Field(default=None, description="Seed of every random stream.")
    machine: Machine = Field(description="Where it was measured.")
    data: DataFacts | None = Field(default=None, description="What it was measured on.")
    minutes: float | None = Field(default=None, ge=0, description="Wall time, in minutes.")
    accuracy_mean: Percent | None = Field(default=None, description="Headline accuracy, percent.")
    accuracy_std: float | None = Field(default=None, ge=0, description="Its sample std, points.")
    accuracy_ci95: float | None = Field(
        default=None, ge=0, description="Half the width of its 95 % interval, points."
    )
    networks: int | None = Field(default=None, ge=1, description="Networks of the headline.")
    accuracies: tuple[Percent, ...] = Field(
        default=(), description="Of each network of the headline, percent; empty: not kept."
    )
    protocol: EvaluateConfig | None = Field(
        default=None, description="How the headline's networks were trained; null: not kept."
    )
    baselines: tuple[Row, ...] = Field(default=(), description="Rows beside the headline.")
    figures: dict[str, Figure] = Field(default={}, description="Free figures, units in names.")
