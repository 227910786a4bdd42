"""A bundle with some of the images of another: leaving rows out changes no image that stays.

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
from hmnpack.schema.ledger import Role
from hmnpack.schema.pruning import MARGIN_UNITS, MAX_LISTED, MAX_MARGINS, Margins, Pruning

_OF_AN_IMAGE: frozenset[Role] = frozenset({"instance memory", "pixels"})
"""Roles of the tensors that have a row for each image."""

_MARGIN_BYTES = 7
"""Of the longest margin in a header: ``-10000,``."""


def counts_to_keep(spec: ContainerSpec, ipc: int) -> tuple[int, ...]:
    """Return how many images of each class a smaller budget holds, as even as the classes allow.

    Returns:
        One entry per class, see :func:`hmnpack.container.budget.as_even_as`.

    Raises:
        BadSettings: if it holds all of them.
        BudgetTooSmall: if it holds none of a class; the text names the smallest that works.
    """
    keep = as_even_as(spec.counts, images_within(spec, ipc))
    if keep == spec.counts:
        raise BadSettings(
            f"all {in_words(spec.instances)} images of each class are within the budget of ipc "
            f"{ipc}; there is nothing to prune"
        )
    if min(keep) < 1:
        one = spec.model_copy(update={"instances": 1})
        enough = ipc_of(one)
        while not instances_within(spec, enough):
            enough += 1
        way_out = f"the smallest ipc that works here is {enough}"
        if images_within(spec, enough) >= spec.images:
            way_out = "no smaller budget than its own holds any of its images"
        raise BudgetTooSmall(
            f"ipc {ipc} allows {floats_of(ipc, spec.classes, spec.image)} numbers, fewer "
            f"than one image of each class and what they share ({one.ledger().floats}); {way_out}"
        )
    return keep


def fewer_counts(spec: ContainerSpec, ipc: int, keep: int | Sequence[int]) -> tuple[int, ...]:
    """Return how many images of each class to keep, if that is fewer and the budget holds them.

    Args:
        spec: The container.
        ipc: The budget, in images per class.
        keep: Images per class, or of each class; one number counts as all of a class that has
            fewer.

    Raises:
        BadSettings: if it does not, or if it is not from 1 to the images of each class.
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
        raise BadSettings(f"cannot keep {len(keep)} counts of images of {spec.classes} classes")
    for label, (count, there) in enumerate(zip(keep, spec.counts, strict=True)):
        if not 1 <= count <= there:
            raise BadSettings(
                f"cannot keep {count} of the {there} images of class {label}; keep from 1 to "
                f"{there}"
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
    """Return the bundle that has the images that are kept, and says how it came about.

    Its evaluations are left out: they are of other images.

    Args:
        bundle: All images.
        kept: Positions of the images of each class: K tensors int64 [images of the class].
        ipc: The budget, in images per class.
        pruning: How they were chosen.
        margins: Of the images that are kept.
    """
    old, rows = bundle.manifest, torch.cat(tuple(kept)).cpu()
    spec = type(old.container).model_validate(
        old.container.model_dump() | {"instances": instances_of(map(len, kept))}
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
        kept: Positions of images, int64 [n].
        epochs: Epochs that margins were added up over.
        seeds: Trainings that each area is the mean of.
        classes: The names that the header has, too.

    Returns:
        None where there are more images than a header has room for.
    """
    if len(kept) > min(MAX_MARGINS, (MAX_LISTED - listed_bytes(classes)) // _MARGIN_BYTES):
        return None
    units = (areas[kept] / epochs * MARGIN_UNITS).round()
    bounded = units.clamp(-MARGIN_UNITS, MARGIN_UNITS).int().tolist()
    return Margins(epochs=epochs, seeds=seeds, values=tuple(bounded))


def kept_margins(margins: Margins | None, kept: Tensor) -> Margins | None:
    """Return what was stored of the images that are kept: int64 [n]."""
    if margins is None:
        return None
    values = tuple(margins.values[row] for row in kept.tolist())
    return margins.model_copy(update={"values": values})
