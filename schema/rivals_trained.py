"""Recipes of methods that match through networks in training: CAFE, IDM and MTT.

As in :mod:`hmnpack.schema.rivals`, rows that state a dataset and a budget are the authors'; for any
other dataset or budget the nearest row applies.
"""

from math import log
from typing import Any, NamedTuple

from hmnpack.schema.cafe import CafeConfig
from hmnpack.schema.config import CompressConfig, WarmupConfig
from hmnpack.schema.idm import IdmConfig
from hmnpack.schema.mtt import MttConfig
from hmnpack.schema.multi_formation import MultiFormationConfig
from hmnpack.schema.recipes import CIFAR10, DataShape
from hmnpack.schema.rivals import ADAM_LR, CONVNET, LARGE_SIDE, nearest, rival_recipe, siamese
from hmnpack.schema.training import Augmentation, NetworkConfig

LARGE = "large"
"""Key of the rows for images of ``LARGE_SIDE`` pixels or more, which the authors took of ImageNet.
Other keys are numbers of classes: 10 for CIFAR-10, 100 for CIFAR-100, 200 for Tiny-ImageNet."""


class IdmRow(NamedTuple):
    """What the authors of IDM vary; see :class:`IdmConfig`."""

    ce_weight: float
    push_every: int = 30
    train_steps: int = 10
    real_batch: int = 256
    count_steps: int = 100
    queue: int = 100
    train_batch: int = 256


IDM_ROWS: dict[int | str, dict[int, IdmRow]] = {
    10: {
        1: IdmRow(0.5, push_every=5, real_batch=5000),
        10: IdmRow(0.5),
        50: IdmRow(0.1, count_steps=500),
    },
    100: {
        1: IdmRow(0.5, push_every=5, real_batch=5000),
        10: IdmRow(0.1, train_steps=50),
        50: IdmRow(0.1, count_steps=500),
    },
    200: {
        1: IdmRow(0.5),
        10: IdmRow(0.5, count_steps=500),
        50: IdmRow(0.8, train_steps=50, count_steps=1000),
    },
    LARGE: {
        1: IdmRow(3, 50, real_batch=128, count_steps=200, queue=50, train_batch=128),
        10: IdmRow(3, 50, real_batch=128, count_steps=1000, queue=50, train_batch=128),
    },
}
"""Rows of the released commands. Accuracies are counted anew at each of its evaluations."""


class MttRow(NamedTuple):
    """What the authors of MTT vary; see :class:`MttConfig`."""

    student_steps: int
    expert_epochs: int
    start_epochs: int
    lr: float
    student_lr_step: float
    student_lr: float
    student_batch: int = 0


MTT_ROWS: dict[int | str, dict[int, MttRow]] = {
    10: {
        1: MttRow(50, 2, 2, 100, 1e-7, 0.01),
        10: MttRow(30, 2, 20, 100, 1e-5, 0.001),
        50: MttRow(30, 2, 40, 1000, 1e-5, 0.001),
    },
    100: {
        1: MttRow(20, 3, 20, 1000, 1e-5, 0.01),
        10: MttRow(20, 2, 20, 1000, 1e-5, 0.01),
        50: MttRow(80, 2, 40, 1000, 1e-5, 0.01, 125),
    },
    200: {
        1: MttRow(10, 2, 10, 1e4, 1e-4, 0.01),
        10: MttRow(20, 2, 40, 1e4, 1e-4, 0.01, 200),
        50: MttRow(20, 2, 40, 1e4, 1e-4, 0.01, 300),
    },
    LARGE: {
        1: MttRow(20, 2, 10, 1000, 1e-6, 0.01),
        10: MttRow(20, 2, 10, 1000, 1e-6, 0.01, 20),
    },
}
"""The authors' rows. CIFAR-10 at 1 and 10 and CIFAR-100 at 1 and 50 images per class are for images
after ZCA whitening, which we do not apply."""


def row_of(rows: dict[int | str, dict[int, Any]], data: DataShape, ipc: int) -> Any:  # noqa: ANN401
    """Return the row of the nearest dataset and, in it, of the nearest budget.

    Args:
        rows: A table of this module.
        data: The dataset: the size of its images, or else its number of classes, decides.
        ipc: Budget, in images per class.
    """
    counts = [key for key in rows if isinstance(key, int)]
    near = min(counts, key=lambda known: abs(log(known / data.classes)))
    return nearest(rows[LARGE if data.image.side >= LARGE_SIDE else near], ipc)


def network_for(data: DataShape) -> NetworkConfig:
    """Return MTT's ConvNet: 3 blocks at 32 pixels, 4 at 64, 5 at 128."""
    side = data.image.side
    return CONVNET.model_copy(update={"depth": 5 if side >= LARGE_SIDE else 3 + (side >= 48)})


def cafe(data: DataShape = CIFAR10, ipc: int = 1) -> CompressConfig:
    """Return CAFE's settings (Wang et al., CVPR 2022; the authors' code, December 2023).

    The authors' settings are those of CIFAR-10, for every budget. They start from normal noise in
    normalised space, we from uniform noise in [0, 1].

    Args:
        data: The dataset.
        ipc: Budget, in images per class.
    """
    return rival_recipe("cafe", _cafe(()), warmup=WarmupConfig(images="none"))


def cafe_dsa(data: DataShape = CIFAR10, ipc: int = 1) -> CompressConfig:
    """Return the settings of CAFE+DSA: CAFE's, with augmentation.

    Args:
        data: The dataset; its name decides about mirroring.
        ipc: Budget, in images per class.
    """
    return rival_recipe("cafe-dsa", _cafe(siamese(data)), warmup=WarmupConfig(images="none"))


def idm(data: DataShape = CIFAR10, ipc: int = 1) -> CompressConfig:
    """Return IDM's settings (Zhao et al., CVPR 2023; the authors' code, June 2023).

    Partition and expansion is the container `multi-formation`, with factor 2.

    Args:
        data: The dataset; its name decides about mirroring.
        ipc: Budget, in images per class.
    """
    is_large = data.image.side >= LARGE_SIDE
    row: IdmRow = row_of(IDM_ROWS, data, ipc)
    rival = IdmConfig(
        **row._asdict(),
        iterations=20_000,
        network=CONVNET.model_copy(update={"depth": 6}) if is_large else CONVNET,
        synthetic_batch=max(128, 4 * ipc),
        augment=siamese(data),
        network_lr=0.01,
        network_momentum=0.9,
        network_decay=5e-4,
        lr=0.2,
        momentum=0.5,
        adam_lr=ADAM_LR,
    )
    return rival_recipe("idm", rival, container=MultiFormationConfig(factor=2))


def mtt(data: DataShape = CIFAR10, ipc: int = 1) -> CompressConfig:
    """Return MTT's settings (Cazenavette et al., CVPR 2022), without ZCA whitening.

    Args:
        data: The dataset; its name decides about mirroring.
        ipc: Budget, in images per class.
    """
    row: MttRow = row_of(MTT_ROWS, data, ipc)
    rival = MttConfig(
        **row._asdict(),
        iterations=5000,
        network=network_for(data),
        synthetic_batch=max(128, ipc),
        augment=siamese(data),
        experts=100,
        expert_lr=0.01,
        expert_batch=256,
        student_lr_momentum=0.5,
        momentum=0.5,
        adam_lr=ADAM_LR,
    )
    return rival_recipe("mtt", rival)


def _cafe(augment: tuple[Augmentation, ...]) -> CafeConfig:
    return CafeConfig(
        iterations=2000,
        image_steps=11,
        epochs=10,
        batch=256,
        network=CONVNET,
        network_lr=0.01,
        real_batch=256,
        synthetic_batch=128,
        augment=augment,
        lr=0.1,
        momentum=0.5,
        adam_lr=ADAM_LR,
    )


CAFE = cafe()
CAFE_DSA = cafe_dsa()
IDM = idm()
MTT = mtt()
