"""Builds a bundle with a subset of another's images; the remaining images do not change.

Shape legend: N images, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hmnpack.bundle import Bundle, with_tensors
from hmnpack.container.budget import (
    as_even_as,
    budget_of,
    floats_of,
    images_within,
    instances_within,
    ipc_of,
)
from hmnpack.errors import BadSettings, BudgetTooSmall
from hmnpack.schema.class_names import listed_bytes
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.instances import in_words, instances_of
from hmnpack.schema.ledger import OF_AN_IMAGE
from hmnpack.schema.pruning import MARGIN_UNITS, MAX_LISTED, MAX_MARGINS, Margins, Pruning

_MARGIN_BYTES = 7
"""Length of the longest margin in a header: ``-10000,``."""


def counts_to_keep(spec: ContainerSpec, ipc: int) -> tuple[int, ...]:
    """Return how many images of each class a smaller budget holds, as even as possible.

    Returns:
        One count per class, see :func:`hmnpack.container.budget.as_even_as`.

    Raises:
        BadSettings: if the budget holds all images.
        BudgetTooSmall: if it holds no image of some class; the message names the smallest budget
            that works.
    """
    row = spec.images_per_row
    rows = as_even_as([count // row for count in spec.counts], images_within(spec, ipc) // row)
    keep = tuple(row * count for count in rows)
    if keep == spec.counts:
        raise BadSettings(
            f"all {in_words(spec.instances)} images of each class are within the budget of ipc "
            f"{ipc}; there is nothing to prune"
        )
    if min(keep) < 1:
        one = spec.model_copy(update={"instances": row})
        enough = ipc_of(one)
        while not instances_within(spec, enough):
            enough += 1
        way_out = f"the smallest ipc that works here is {enough}"
        if images_within(spec, enough) >= spec.images:
            way_out = "no budget smaller than its own holds an image of each class"
        raise BudgetTooSmall(
            f"ipc {ipc} allows {floats_of(ipc, spec.classes, spec.image)} floats, fewer than one "
            f"image of each class and the shared tensors need ({one.ledger().floats}); {way_out}"
        )
    return keep


def fewer_counts(spec: ContainerSpec, ipc: int, keep: int | Sequence[int]) -> tuple[int, ...]:
    """Return the number of images to retain of each class, after checking that it is possible.

    Args:
        spec: The container.
        ipc: The budget, in images per class.
        keep: Images to retain: one count per class, or one for all classes, of which smaller
            classes retain all their images.

    Raises:
        BadSettings: if a count is not from 1 to the size of its class, all images would remain, or
            the budget does not hold them.
    """
    most = images_within(spec, ipc)
    if isinstance(keep, int):
        highest = min(spec.largest - 1, max(as_even_as(spec.counts, most)))
        if not 1 <= keep <= highest:
            raise BadSettings(
                f"cannot keep {keep} of {in_words(spec.instances)} images of each class at ipc "
                f"{ipc}; keep from 1 to {highest}"
            )
        return tuple(min(count, keep) for count in spec.counts)
    if len(keep) != spec.classes:
        raise BadSettings(
            f"got {len(keep)} counts of images to keep for {spec.classes} classes; give one "
            "count per class"
        )
    for label, (count, there) in enumerate(zip(keep, spec.counts, strict=True)):
        if not 1 <= count <= there:
            raise BadSettings(
                f"cannot keep {count} of the {there} images of class {label}; keep from 1 to "
                f"{there}"
            )
        if count % spec.images_per_row:
            raise BadSettings(
                f"cannot keep {count} images of class {label}; keep a multiple of the "
                f"{spec.images_per_row} that share a stored row"
            )
    highest = min(spec.images - 1, most)
    if sum(keep) > highest:
        raise BadSettings(
            f"cannot keep {sum(keep)} of {spec.images} images at ipc {ipc}; keep {highest} at most"
        )
    return tuple(keep)


def with_images(
    bundle: Bundle,
    kept: Sequence[Tensor],
    ipc: int,
    pruning: Pruning,
    margins: Margins | None,
) -> Bundle:
    """Return the bundle with only some of its images, and record how they were selected.

    Scores are removed, because they belong to the original images.

    Args:
        bundle: The original bundle.
        kept: Positions of the images of each class: K tensors int64 [images of the class].
        ipc: The budget, in images per class.
        pruning: How the images were selected.
        margins: Margins of the remaining images.
    """
    old, rows = bundle.manifest, torch.cat(tuple(kept)).cpu()
    spec = type(old.container).model_validate(
        old.container.model_dump() | {"instances": instances_of(map(len, kept))}
    )
    each = spec.images_per_row
    rows = rows[::each] // each
    of_images = {row.name for row in old.ledger.rows if row.role in OF_AN_IMAGE}
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
    """Return the margins of the remaining images in the form that a manifest stores.

    Args:
        areas: Area under the margin of each image, float32 [N], from -epochs to epochs.
        kept: Positions of the remaining images, int64 [n].
        epochs: Number of epochs that the margins were summed over.
        seeds: Number of trainings that the areas were averaged over.
        classes: Class names, which share the header's space.

    Returns:
        The margins; None if there are more than the header has room for.
    """
    if len(kept) > min(MAX_MARGINS, (MAX_LISTED - listed_bytes(classes)) // _MARGIN_BYTES):
        return None
    units = (areas[kept] / epochs * MARGIN_UNITS).round()
    bounded = units.clamp(-MARGIN_UNITS, MARGIN_UNITS).int().tolist()
    return Margins(epochs=epochs, seeds=seeds, values=tuple(bounded))


def kept_margins(margins: Margins | None, kept: Tensor) -> Margins | None:
    """Return the stored margins of the images at the given positions, int64 [n]."""
    if margins is None:
        return None
    values = tuple(margins.values[row] for row in kept.tolist())
    return margins.model_copy(update={"values": values})
