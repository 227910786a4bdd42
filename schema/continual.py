"""Class-incremental protocols: classes arrive in stages, and networks learn from what was stored.

Once released, the settings of a protocol never change; new settings get a new name.
"""

from typing import Annotated, Literal

from pydantic import Field

from hmnpack.schema.base import Frozen
from hmnpack.schema.training import NetworkConfig, Positive, TrainConfig


class ContinualConfig(Frozen):
    """A class-incremental protocol: stages, the memory of each, and the training after each."""

    protocol: str = Field(description="Name of the protocol that these settings started from.")
    stages: int = Field(ge=1, description="Stages, with equally many classes each.")
    ipc: int = Field(ge=1, description="Budget of the memory, in images per class.")
    order: Literal["given", "permuted"] = Field(
        default="given",
        description="Order of the classes: `given`, that of the dataset, or `permuted`, NumPy's "
        "permutation of the run's seed (`RandomState(seed)`).",
    )
    is_sorted: bool = Field(
        default=False, description="Sort the classes within each stage of a permuted order."
    )
    order_seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="Seed of a permuted order; null: the seed of the run.",
    )
    keeps_network: bool = Field(
        description="Train the network of the stage before further, with a row of the last layer "
        "for each new class; otherwise a new network is trained after each stage."
    )
    distillation: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the divergence from the predictions of the stage before, for its "
        "classes; 0: none.",
    )
    temperature: Positive = Field(
        default=2.0, description="Temperature of both predictions in the divergence."
    )
    network: NetworkConfig = Field(default=NetworkConfig(), description="Architecture.")
    train: TrainConfig = Field(
        description="Training after each stage, on all that was stored; the rate is that of "
        "`drops`, not of a schedule."
    )
    drops: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        description="Completed epochs after which the learning rate drops."
    )
    drop: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Factor on the learning rate at each drop."
    )
    networks: int = Field(default=1, ge=1, description="Networks per seed, without a kept one.")
    seeds: int = Field(default=3, ge=1, description="Runs: seeds 0, 1, ...")

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.train.lr * self.drop ** sum(epoch >= end for end in self.drops)


_KEPT = TrainConfig(epochs=1000, lr=0.01, schedule="constant", weight_decay=0.0005, cutmix=0.5)

PAPER = ContinualConfig(
    protocol="paper",
    stages=5,
    ipc=1,
    keeps_network=True,
    distillation=1.0,
    temperature=2.0,
    train=_KEPT,
    drops=(600, 800),
    drop=0.2,
)
"""Paper section 4.6 and appendix C: CIFAR-10, five stages of two classes, at 1 and 10 IPC; a
ConvNet-3 that is kept and whose last layer grows; distillation; 1,000 epochs after each stage; SGD
with momentum 0.9, weight decay 0.0005, rate 0.01, times 0.2 at epochs 600 and 800. From IDC:
temperature 2, weight 1, batches of 64, augmentation, CutMix with probability 0.5. The paper states
neither the order of classes nor the number of runs: that of the dataset, and three, are ours."""

IDC = PAPER.model_copy(
    update={
        "protocol": "idc",
        "ipc": 20,
        "order": "permuted",
        "is_sorted": True,
        "order_seed": 0,
    }
)
"""IDC: CIFAR-100, five stages of twenty classes, in DM's order of seed 0, sorted in each stage."""


def _dm(stages: int) -> ContinualConfig:
    every = ("flip", "brightness", "saturation", "contrast", "crop", "scale", "rotate", "cutout")
    return ContinualConfig(
        protocol=f"dm-{stages}",
        stages=stages,
        ipc=20,
        order="permuted",
        keeps_network=False,
        train=TrainConfig(
            epochs=1001, batch=256, lr=0.01, schedule="constant", augment=every, cutmix=0.0
        ),
        drops=(502,),
        drop=0.1,
        networks=3,
        seeds=5,
    )


DM_5, DM_10 = _dm(5), _dm(10)
"""DM: CIFAR-100, five or ten stages, memory of 20 images per class; after each, three new networks
are trained on the memory alone. Its implementation starts a new optimiser at the drop, which
forgets the momentum; ours keeps it."""

CONTINUAL: dict[str, ContinualConfig] = {one.protocol: one for one in (PAPER, IDC, DM_5, DM_10)}
"""Protocols by name."""
