"""Settings that all methods to compare with share: how they optimise the container."""

from typing import ClassVar, Self

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.training import Augmentation, Fraction, NetworkConfig, Positive


class RivalConfig(Frozen):
    """Settings of a method to compare with (base class).

    A subclass has a field ``method`` and the method's own settings. None has a default: the
    method's recipe states every one, so the settings of two methods cannot be mixed up.
    """

    steps_on_normalised: ClassVar[bool] = True
    """Whether the authors step on normalised pixels, ``(x - mean) / std``, rather than on x. The
    rate of a container of pixels, which are x, is then multiplied by std squared per channel; the
    steps are the same."""

    needs_features: ClassVar[bool] = False
    """Whether the network must expose the features of its blocks."""

    iterations: int = Field(ge=1, description="Outer iterations, as the authors count them.")
    network: NetworkConfig = Field(description="Architecture of the networks.")
    synthetic_batch: int = Field(
        ge=1, description="Maximum synthetic images per class and step, chosen at random."
    )
    augment: tuple[Augmentation, ...] = Field(
        description="Augmentations. Each call applies one family of those listed, chosen at "
        "random: colour (brightness, saturation and contrast together), crop, cutout, flip, scale "
        "or rotate; empty: none.",
    )
    lr: Positive = Field(
        description="Learning rate of SGD on a container of pixels (`images`, `multi-formation`).",
    )
    momentum: Fraction = Field(description="Momentum of that SGD.")
    adam_lr: Positive = Field(
        description="Learning rate of Adam on any other container (`hmn`, `linear-basis`, "
        "`hallucinator`), for which the method's authors have no optimiser.",
    )

    @property
    def steps(self) -> int:
        """Steps of the stage: the points at which it can be paused."""
        return self.iterations

    def rate_factor(self, step: int) -> float:
        """Return the factor on the learning rate at a step, index from 0."""
        return 1.0

    def scaled(self, part: float) -> Self:
        """Return the settings of a shorter run: a part of the iterations, at least one.

        Args:
            part: Fraction of the iterations, above 0.
        """
        return self.model_copy(update={"iterations": max(1, round(part * self.iterations))})
