"""Settings of networks that are trained on the synthetic images, between steps on these."""

from pydantic import Field

from hmnpack.schema.rival import RivalConfig
from hmnpack.schema.training import Positive


class OnSyntheticConfig(RivalConfig):
    """What DC, DSA and CAFE share: a new network per iteration, and its training (base class)."""

    image_steps: int = Field(
        ge=1, description="Steps on the images per network (the authors' `outer_loop`)."
    )
    epochs: int = Field(
        ge=0,
        description="Epochs of the network's training on all synthetic images between two of "
        "these steps (`inner_loop`).",
    )
    batch: int = Field(ge=1, description="Synthetic images per step of that training.")
    network_lr: Positive = Field(description="Its learning rate (plain SGD).")
    real_batch: int = Field(ge=1, description="Real images per class and step.")

    @property
    def steps(self) -> int:
        """Steps on the images: of all networks together."""
        return self.iterations * self.image_steps
