"""A bundle with some of the images of another: leaving rows out changes no image that stays.

Shape legend: N images, K classes.
"""

from collections.abc import Sequence

from torch import Tensor

from hmnpack.budget import budget_of, instances_within, ipc_of
from hmnpack.bundle import Bundle, with_tensors
from hmnpack.errors import BadSettings, BudgetTooSmall
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.ledger import Role
from hmnpack.schema.manifest import (
    MARGIN_UNITS,
    MAX_LISTED,
    MAX_MARGINS,
    Margins,
    Pruning,
    listed_bytes,
)

_OF_AN_IMAGE: frozenset[Role] = frozenset({"instance memory", "pixels"})
"""Roles of the tensors that have a row for each image."""

_MARGIN_BYTES = 7
"""Of the longest margin in a header: ``-10000,``."""


def instances_to_keep(spec: ContainerSpec, ipc: int) -> int:
    """Return how many images per class a smaller budget holds of a container.

    Raises:
        BadSettings: if it holds all of them.
        BudgetTooSmall: if it holds none; the text names the smallest that works.
    """
    keep = instances_within(spec, ipc)
    if keep >= spec.instances:
        raise BadSettings(
            f"all {spec.instances} images of each class are within the budget of ipc {ipc}; there "
            "is nothing to prune"
        )
    if keep < 1:
        one = spec.model_copy(update={"instances": 1})
        enough = ipc_of(one)
        while not instances_within(spec, enough):
            enough += 1
        way_out = f"the smallest ipc that works here is {enough}"
        if instances_within(spec, enough) >= spec.instances:
            way_out = "no smaller budget than its own holds any of its images"
        raise BudgetTooSmall(
            f"ipc {ipc} allows {budget_of(ipc, spec.classes, spec.image).floats} numbers, fewer "
            f"than one image of each class and what they share ({one.ledger().floats}); {way_out}"
        )
    return keep


def fewer_instances(spec: ContainerSpec, ipc: int, keep: int) -> int:
    """Return a number of images per class to keep, if a container has more and a budget as many.

    Raises:
        BadSettings: if it does not.
    """
    most = min(spec.instances - 1, instances_within(spec, ipc))
    if not 1 <= keep <= most:
        raise BadSettings(
            f"cannot keep {keep} of {spec.instances} images of each class at ipc {ipc}; keep from "
            f"1 to {most}"
        )
    return keep


def with_images(
    bundle: Bundle, kept: Tensor, ipc: int, pruning: Pruning, margins: Margins | None
) -> Bundle:
    """Return the bundle that has the images that are kept, and says how it came about.

    Its evaluations are left out: they are of other images.

    Args:
        bundle: All images.
        kept: Positions of images, int64 [K, keep], class by class.
        ipc: The budget, in images per class.
        pruning: How they were chosen.
        margins: Of the images that are kept.
    """
    old, rows = bundle.manifest, kept.flatten().cpu()
    spec = type(old.container).model_validate(
        old.container.model_dump() | {"instances": kept.shape[1]}
    )
    of_images = {row.name for row in old.ledger.rows if row.role in _OF_AN_IMAGE}
    tensors = {
        name: tensor[rows] if name in of_images else tensor
        for name, tensor in bundle.tensors.items()
    }
    prunings = (*old.provenance.prunings, pruning)
    return with_tensors(
        bundle,
        spec,
        tensors,
        budget=budget_of(ipc, spec.classes, spec.image),
        margins=margins,
        provenance=old.provenance.model_copy(update={"prunings": prunings}),
    )


def stored_margins(
    areas: Tensor, kept: Tensor, epochs: int, seeds: int, classes: Sequence[str] = ()
) -> Margins | None:
    """Return the margins of the images that are kept, as a manifest has them.

    Args:
        areas: Area under the margin of each image, float32 [N], from -epochs to epochs.
        kept: Positions of images, int64 [K, keep].
        epochs: Epochs that margins were added up over.
        seeds: Trainings that each area is the mean of.
        classes: The names that the header has, too.

    Returns:
        None where there are more images than a header has room for.
    """
    if kept.numel() > min(MAX_MARGINS, (MAX_LISTED - listed_bytes(classes)) // _MARGIN_BYTES):
        return None
    units = (areas[kept.flatten()] / epochs * MARGIN_UNITS).round()
    bounded = units.clamp(-MARGIN_UNITS, MARGIN_UNITS).int().tolist()
    return Margins(epochs=epochs, seeds=seeds, values=tuple(bounded))


def kept_margins(margins: Margins | None, kept: Tensor) -> Margins | None:
    """Return what was stored of the images that are kept: int64 [K, keep]."""
    if margins is None:
        return None
    values = tuple(margins.values[row] for row in kept.flatten().tolist())
    return margins.model_copy(update={"values": values})
