"""Which containers further classes can be appended to, and how many images of them fit a budget.

What all images share is stored already, so a budget for further classes is spent on their own rows
alone: class memories, extractors and instance memories of an HMN, pixels or canvases of the others.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from hmnpack.container.base import Container, new_container
from hmnpack.container.budget import checked, floats_of, over_budget_rows, smallest_ipc
from hmnpack.container.grown import GrownHMN
from hmnpack.errors import BadSettings, BudgetTooSmall
from hmnpack.schema.container import ContainerSpec, HmnSpec, ImagesSpec, MultiFormationSpec
from hmnpack.schema.instances import instances_of
from hmnpack.schema.kinds import AnyContainerConfig
from hmnpack.schema.ledger import OF_A_CLASS, OF_AN_IMAGE


def appended_spec(
    file: ContainerSpec, ipc: int, classes: int, *, over_budget: bool = False
) -> ContainerSpec:
    """Return the container of classes that are appended to a file: all that fits the budget.

    Args:
        file: Container of the file.
        ipc: Budget of the new classes, in images per class.
        classes: Number of new classes.
        over_budget: Use the number of images of over-budget condensation.

    Raises:
        BadSettings: if nothing can be appended to such a container, or a limit of the format would
            be exceeded.
        BudgetTooSmall: if not even one image per class fits.
    """
    if not isinstance(file, HmnSpec | ImagesSpec | MultiFormationSpec):
        raise BadSettings(
            f"nothing can be appended to a container of kind {file.kind}; compress the new classes "
            "into a file of their own, and load both with hmnpack.concat"
        )
    rows = _rows(file, floats_of(ipc, 1, file.image))
    if not rows:
        enough = smallest_ipc(ipc, lambda more: _rows(file, floats_of(more, 1, file.image)))
        raise BudgetTooSmall(
            f"ipc {ipc} allows {floats_of(ipc, 1, file.image)} floats per class, fewer than a "
            f"class of this file needs for one image; the smallest ipc that works is {enough}"
        )
    each = file.images_per_row * (over_budget_rows(rows) if over_budget else rows)
    sizes = file.model_dump() | {"classes": classes, "instances": each}
    spec = checked(type(file), sizes)
    counts = (*file.counts, *spec.counts)
    both = {"classes": len(counts), "instances": instances_of(counts)}
    checked(type(file), sizes | both, "lower the ipc, or append fewer classes")
    return spec


def appended_container(
    spec: ContainerSpec,
    stored: Mapping[str, Tensor],
    config: AnyContainerConfig,
    generator: torch.Generator,
) -> Container:
    """Return an untrained container of new classes, which shares all that a file's classes share.

    Args:
        spec: The new classes alone; see :func:`appended_spec`.
        stored: Tensors of the file, as stored, by ledger name.
        config: Settings of a container that shares nothing.
        generator: CPU generator.
    """
    if isinstance(spec, HmnSpec):
        return GrownHMN(spec, stored, generator)
    return new_container(spec, config, generator)


def _rows(file: ContainerSpec, floats: int) -> int:
    """Return the stored rows of images of one class that fit into as many floats."""
    one = file.model_copy(update={"classes": 1, "instances": file.images_per_row})
    needed = dict.fromkeys((OF_A_CLASS, OF_AN_IMAGE), 0)
    for row in one.ledger().rows:
        for roles in needed:
            needed[roles] += row.elements if row.role in roles else 0
    return max(0, floats - needed[OF_A_CLASS]) // needed[OF_AN_IMAGE]
