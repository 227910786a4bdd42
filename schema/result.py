"""A recorded measurement: its metrics and everything needed to reproduce them."""

from typing import Annotated

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.evaluation import EvaluateConfig

Figure = float | int | str | bool | None
Percent = Annotated[float, Field(ge=0, le=100)]


class Machine(Frozen):
    """The machine of the measurement."""

    processor: str = Field(description="Model of the processor.")
    cores: int = Field(ge=1, description="Logical cores used.")
    memory_gib: float = Field(gt=0, description="Main memory, in GiB.")
    device: str = Field(description="`cpu`, or the model of the accelerator.")
    versions: dict[str, str] = Field(description="Versions of Python and of the libraries.")


class DataFacts(Frozen):
    """The dataset of the measurement."""

    name: str = Field(description="Name of the dataset, with `(JPEG)` for a JPEG copy.")
    fingerprint: str = Field(
        description="sha256 of the shapes, pixels and labels of the training split."
    )


class Row(Frozen):
    """One row of an accuracy table."""

    name: str = Field(description="Training data of the networks.")
    images: int = Field(ge=1, description="Number of training images.")
    accuracy_mean: Percent = Field(description="Mean test accuracy, in percent.")
    accuracy_std: float = Field(
        ge=0, description="Sample standard deviation, in percentage points."
    )
    accuracy_ci95: float | None = Field(
        default=None,
        ge=0,
        description="Half-width of the mean's 95 % confidence interval (Student's t), in "
        "percentage points; null: unknown, as with one network.",
    )
    networks: int = Field(ge=1, description="Number of networks trained.")
    accuracies: tuple[Percent, ...] = Field(
        default=(), description="Test accuracy of each network, in percent; empty: not recorded."
    )
    figures: dict[str, Figure] = Field(default={}, description="Additional metrics of the row.")


class Result(Frozen):
    """One file of `examples/reproduce/results/`."""

    name: str = Field(description="Name of the benchmark or run.")
    recipe: str | None = Field(default=None, description="Name of the recipe, if one was run.")
    command: str = Field(description="Command line that repeats the measurement.")
    commit: str = Field(
        description="Commit of the source tree, with `-dirty` if there were local changes."
    )
    seed: int | None = Field(default=None, description="Seed of every random stream.")
    machine: Machine = Field(description="Machine of the measurement.")
    data: DataFacts | None = Field(default=None, description="Dataset of the measurement.")
    minutes: float | None = Field(default=None, ge=0, description="Wall-clock time, in minutes.")
    accuracy_mean: Percent | None = Field(
        default=None, description="Main result: mean accuracy, in percent."
    )
    accuracy_std: float | None = Field(
        default=None, ge=0, description="Its sample standard deviation, in percentage points."
    )
    accuracy_ci95: float | None = Field(
        default=None,
        ge=0,
        description="Half-width of its 95 % confidence interval, in percentage points.",
    )
    networks: int | None = Field(
        default=None, ge=1, description="Number of networks of the main result."
    )
    accuracies: tuple[Percent, ...] = Field(
        default=(),
        description="Accuracy of each of these networks, in percent; empty: not recorded.",
    )
    protocol: EvaluateConfig | None = Field(
        default=None, description="Evaluation settings of the main result; null: not recorded."
    )
    baselines: tuple[Row, ...] = Field(default=(), description="Baselines of the main result.")
    figures: dict[str, Figure] = Field(
        default={}, description="Additional metrics; their names include the unit."
    )
