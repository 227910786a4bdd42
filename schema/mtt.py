"""Matching of training trajectories: MTT (Cazenavette et al., CVPR 2022)."""

from typing import Literal, Self

from pydantic import Field

from hmnpack.schema.rival import RivalConfig
from hmnpack.schema.training import Fraction, Positive


class MttConfig(RivalConfig):
    """Settings of MTT."""

    method: Literal["mtt"] = Field(
        default="mtt",
        description="Method: `mtt`, matching of the weights that networks reach on the synthetic "
        "images to those that experts reach on the real ones (MTT).",
    )
    experts: int = Field(
        ge=1, description="Networks trained on the real images; the cache stores every epoch."
    )
    expert_lr: Positive = Field(description="Learning rate of their training (plain SGD).")
    expert_batch: int = Field(ge=1, description="Real images per step of that training.")
    start_epochs: int = Field(
        ge=1,
        description="The epoch of an expert from which a student starts is below this number.",
    )
    expert_epochs: int = Field(
        ge=1, description="Epochs of the expert that a student has to repeat."
    )
    student_steps: int = Field(ge=1, description="Steps that a student has for it.")
    student_batch: int = Field(
        ge=0, description="Synthetic images, of all classes, per step of a student; 0: all."
    )
    student_lr: Positive = Field(description="First learning rate of the students; it is learned.")
    student_lr_step: float = Field(
        ge=0, description="Learning rate of SGD on that rate; 0: it is not learned."
    )
    student_lr_momentum: Fraction = Field(description="Momentum of that SGD.")

    @property
    def epochs(self) -> int:
        """Epochs that each expert is trained for: as many as a student may need."""
        return self.start_epochs - 1 + self.expert_epochs

    def scaled(self, part: float) -> Self:
        """Return the settings of a shorter run: a part of the iterations, and of the experts."""
        experts = max(1, round(part * self.experts))
        return super().scaled(part).model_copy(update={"experts": experts})
