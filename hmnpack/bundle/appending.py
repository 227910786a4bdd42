"""Joining new classes to the file whose decoder they share. Rows of the file are copied."""

from collections.abc import Sequence

import torch

from hmnpack.bundle.bundle import Bundle, with_tensors
from hmnpack.bundle.described import described_by_images, joined_budget, pooled
from hmnpack.bundle.joining import joined_margins, joined_rows
from hmnpack.container.budget import budget_of
from hmnpack.errors import BadData
from hmnpack.schema.class_names import listed_bytes, same_on_disk
from hmnpack.schema.manifest import Edit, Made, Manifest
from hmnpack.schema.pruning import MAX_LISTED
from hmnpack.version import __version__

_MOST = 10
"""Maximum number of classes that a message names."""


def check_new_classes(file: str, manifest: Manifest, data: str, classes: Sequence[str]) -> None:
    """Check that a file can get these classes.

    Args:
        file: Name of the file, for the message.
        manifest: Its manifest.
        data: Name of the dataset of the new classes, for the message.
        classes: Their names, as a file stores them.

    Raises:
        BadData: if the file has one of them, or would have too many names.
    """
    known = {same_on_disk(name) for name in manifest.classes}
    there = [name for name in classes if same_on_disk(name) in known]
    if there:
        new = [name for name in classes if name not in there]
        way_out = f"choose the new ones with --classes {_listed(new)}"
        raise BadData(
            f"{file} already has {'class' if len(there) == 1 else 'the classes'} {_listed(there)} "
            f"of {data}; " + (way_out if new else "choose others with --classes, or rename them")
        )
    size = listed_bytes((*manifest.classes, *classes))
    if size > MAX_LISTED:
        raise BadData(
            f"with {data}, the names of the classes of {file} would take {size:,} bytes, but a "
            f"file holds at most {MAX_LISTED:,}; append fewer classes, or shorten their names"
        )


def with_classes(file: Bundle, part: Bundle, ipc: int) -> Bundle:
    """Return a file with further classes, after its own.

    Budgets add up. Scores are removed, because they belong to fewer images.

    Args:
        file: The file.
        part: The new classes: a container that shares all that the classes of the file share.
        ipc: Budget of the new classes, in images per class.
    """
    manifests = old, new = file.manifest, part.manifest
    places = [
        [(number, label)] for number in (0, 1) for label in range(len(manifests[number].classes))
    ]
    spec, tensors = joined_rows([file, part], places)
    own = budget_of(ipc, len(new.classes), new.container.image)
    made = ((made_of(old),) if made_last(old) is None else ()) + (made_of(new),)
    edit = Edit(operation="append", files=(old.data_sha256,), made=made)
    before, now = old.provenance, new.provenance
    provenance = now.model_copy(
        update={
            "hmnpack": __version__,
            "torch": str(torch.__version__),
            "device": ", ".join(dict.fromkeys((*before.device.split(", "), now.device))),
            "real_images_used_to_start": before.real_images_used_to_start
            or now.real_images_used_to_start,
            "prunings": (),
            "edits": (*(before.edits or ()), edit),
        }
    )
    joined = with_tensors(
        file,
        spec,
        tensors,
        classes=(*old.classes, *new.classes),
        normalisation=pooled(manifests),
        budget=joined_budget([old.budget, own], spec),
        margins=joined_margins(manifests, places),
        provenance=provenance,
        source=old.source.model_copy(update={"classes": None}),
    )
    names = dict(zip(joined.manifest.classes, places, strict=True))
    return described_by_images(joined, manifests, names)


def made_of(manifest: Manifest) -> Made:
    """Return how the classes of a file were made, if none of them were appended."""
    shared = set(Made.model_fields) & set(Manifest.model_fields) - {"classes"}
    return Made(classes=len(manifest.classes), **{name: getattr(manifest, name) for name in shared})


def made_last(manifest: Manifest) -> Made | None:
    """Return how the classes that were last appended to a file were made; None: none were."""
    made = [one for edit in manifest.provenance.edits or () for one in edit.made or ()]
    return made[-1] if made else None


def _listed(names: Sequence[str]) -> str:
    return ",".join(names[:_MOST]) + (",..." if len(names) > _MOST else "")
