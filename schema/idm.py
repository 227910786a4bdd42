"""Distribution matching through a queue of trained networks: IDM (Zhao et al., CVPR 2023)."""

from typing import ClassVar, Literal

from pydantic import Field

from hmnpack.schema.rival import RivalConfig
from hmnpack.schema.training import Fraction, Positive


class IdmConfig(RivalConfig):
    """Settings of IDM."""

    needs_features: ClassVar[bool] = True

    method: Literal["idm"] = Field(
        default="idm",
        description="Method: `idm`, matching of class means through a queue of networks that are "
        "trained on real images, with a cross-entropy weighted by their accuracy (IDM).",
    )
    real_batch: int = Field(ge=1, description="Real images per class and step.")
    ce_weight: float = Field(
        ge=0,
        description="Weight of the cross-entropy of the synthetic images. It is multiplied by the "
        "network's training accuracy in percent: 0.5 at 70 % counts 35-fold.",
    )
    queue: int = Field(ge=4, description="Most networks in the queue; 3 precede the first step.")
    push_every: int = Field(ge=1, description="Steps after which a new network enters the queue.")
    train_steps: int = Field(
        ge=1, description="Training steps of two networks of the queue, after each step on images."
    )
    train_batch: int = Field(ge=1, description="Real images per training step, not augmented.")
    network_lr: Positive = Field(description="Learning rate of this training (SGD).")
    network_momentum: Fraction = Field(description="Its momentum.")
    network_decay: float = Field(ge=0, description="Its weight decay.")
    count_steps: int = Field(
        ge=1,
        description="Steps after which the training accuracies are counted anew; a network that "
        "was not trained since then has a cross-entropy of weight 0.",
    )
