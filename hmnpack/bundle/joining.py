"""Merging bundles that share a decoder into one, and splitting one by its classes.

Rows of stored tensors are copied: images decode as before. Shape legend: K classes, N images.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from pydantic import ValidationError
from torch import Tensor

from hmnpack.bundle.bundle import Bundle, with_tensors
from hmnpack.bundle.described import described_by_images, joined_budget, part_budget, pooled
from hmnpack.bundle.opened import AnyFile, name_of_file
from hmnpack.bundle.read import read
from hmnpack.errors import BadSettings
from hmnpack.registry import unknown_name
from hmnpack.runtime.output import check_output_path
from hmnpack.runtime.paths import AnyPath
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.container import ContainerSpec, HmnSpec, ImagesSpec, MultiFormationSpec
from hmnpack.schema.instances import instances_of
from hmnpack.schema.ledger import OF_A_CLASS, OF_AN_IMAGE
from hmnpack.schema.manifest import Edit, Manifest
from hmnpack.version import __version__

Place = tuple[int, int]
"""Number of a bundle, and a label in it."""


@with_torch_defaults
def merge(
    files: Sequence[AnyFile | Bundle], *, output: AnyPath | None = None, force: bool = False
) -> Bundle:
    """Store the images of several bundles in one, if they share a decoder.

    Images of classes of the same name become those of one class. Budgets add up. Scores are
    removed, because they belong to fewer images.

    Args:
        files: Two or more `.hmn` files, or bundles.
        output: Path to write the bundle to; None: nothing is written.
        force: Replace an existing output.

    Example:
        >>> from hmnpack import split
        >>> few, rest = split("examples/bundles/digits.hmn", ["3", "5"], ["1", "2"])
        >>> merge([rest, few]).manifest.classes
        ('1', '2', '3', '5')

    Raises:
        BadBundle: if a file violates FORMAT.md.
        BadSettings: if the files cannot share a file; the message names ``hmnpack.concat``.
        OutputExists: if the output exists already or is not writable.
    """
    if not isinstance(files, list | tuple) or len(files) < 2:
        raise BadSettings("merge needs a list of two or more files or bundles")
    if output is not None:
        check_output_path(output, force=force)
    bundles = [file if isinstance(file, Bundle) else read(file) for file in files]
    names = [
        f"bundle {number}" if isinstance(file, Bundle) else name_of_file(file)
        for number, file in enumerate(files, 1)
    ]
    for name, bundle in zip(names[1:], bundles[1:], strict=True):
        _check_shared(names[0], bundles[0], name, bundle)
    places: dict[str, list[Place]] = {}
    for number, bundle in enumerate(bundles):
        for label, name in enumerate(bundle.manifest.classes):
            places.setdefault(name, []).append((number, label))
    merged = _merged(bundles, places)
    if output is not None:
        merged.save(output, force=force)
    return merged


@with_torch_defaults
def split(file: AnyFile | Bundle, *groups: Iterable[str]) -> tuple[Bundle, ...]:
    """Return bundles with some of a bundle's classes each, whose images decode as before.

    Every part contains the decoder. Its budget is as many images per class as that of the bundle,
    or more if the decoder needs it. Scores are removed, because they belong to all images.

    Args:
        file: A `.hmn` file, or a bundle.
        groups: Class names of each part; the index is the label.

    Raises:
        BadBundle: if the file violates FORMAT.md.
        BadSettings: if there is no such class, a part has none, or the container is of a kind that
            cannot be split.
    """
    bundle = file if isinstance(file, Bundle) else read(file)
    _check_kind(bundle.manifest.container, "split")
    return tuple(_part(bundle, group) for group in groups)


def _part(bundle: Bundle, group: Iterable[str]) -> Bundle:
    old = bundle.manifest
    classes = tuple(dict.fromkeys((group,) if isinstance(group, str) else group))
    for name in classes:
        if name not in old.classes:
            raise unknown_name("class", name, old.classes)
    if not classes:
        raise BadSettings("a part has no classes; name one or more")
    labels = [old.classes.index(name) for name in classes]
    spec, tensors = joined_rows([bundle], [[(0, label)] for label in labels])
    known = old.source.classes or old.classes
    prunings = tuple(
        each.model_copy(update={"instances": _counts(each.instances, labels)})
        for each in old.provenance.prunings
    )
    edits = (*(old.provenance.edits or ()), Edit(operation="split", files=(old.data_sha256,)))
    return with_tensors(
        bundle,
        spec,
        tensors,
        classes=classes,
        source=old.source.model_copy(update={"classes": tuple(known[label] for label in labels)}),
        budget=part_budget(old.budget, old.container, spec),
        margins=joined_margins([old], [[(0, label)] for label in labels]),
        provenance=old.provenance.model_copy(update={"prunings": prunings, "edits": edits}),
    )


def _merged(bundles: Sequence[Bundle], places: dict[str, list[Place]]) -> Bundle:
    manifests = [bundle.manifest for bundle in bundles]
    first = manifests[0]
    try:
        spec, tensors = joined_rows(bundles, list(places.values()))
        edit = Edit(operation="merge", files=tuple(one.data_sha256 for one in manifests))
        made = [one.provenance for one in manifests]
        kept = made[0].edits or () if all(one.edits == made[0].edits for one in made) else ()
        provenance = first.provenance.model_copy(
            update={
                "hmnpack": __version__,
                "torch": str(torch.__version__),
                "device": ", ".join(dict.fromkeys(one.device for one in made)),
                "real_images_used_to_start": any(one.real_images_used_to_start for one in made),
                "prunings": (),
                "edits": (*kept, edit),
            }
        )
        merged = with_tensors(
            bundles[0],
            spec,
            tensors,
            classes=tuple(places),
            normalisation=pooled(manifests),
            budget=joined_budget([one.budget for one in manifests], spec),
            margins=joined_margins(manifests, list(places.values())),
            provenance=provenance,
            source=first.source.model_copy(update={"classes": None}),
        )
    except ValidationError as error:
        raise BadSettings(f"these files cannot be merged: {error.errors()[0]['msg']}") from error
    return described_by_images(merged, manifests, places)


def _check_kind(spec: ContainerSpec, what: str) -> None:
    if not isinstance(spec, HmnSpec | ImagesSpec | MultiFormationSpec):
        raise BadSettings(f"a container of kind {spec.kind} cannot be {what}; use hmnpack.concat")


def _check_shared(first_name: str, first: Bundle, name: str, bundle: Bundle) -> None:
    """Check that two bundles can be one: all that their images share is bitwise equal."""
    _check_kind(first.manifest.container, "merged")
    _check_kind(bundle.manifest.container, "merged")
    sizes = [
        one.manifest.container.model_dump(exclude={"classes", "instances"})
        for one in (first, bundle)
    ]
    different = sizes[0] != sizes[1]
    for row in () if different else first.manifest.ledger.rows:
        if row.role in OF_AN_IMAGE:
            continue
        ours, theirs = first.tensors[row.name], bundle.tensors[row.name]
        if row.role in OF_A_CLASS:
            common = [c for c in first.manifest.classes if c in bundle.manifest.classes]
            ours = ours[[first.manifest.classes.index(c) for c in common]]
            theirs = theirs[[bundle.manifest.classes.index(c) for c in common]]
        different |= ours.numpy().tobytes() != theirs.numpy().tobytes()
    if different:
        raise BadSettings(
            f"{name} has another decoder (or container, or memory of a common class) than "
            f"{first_name}, so that they cannot be one file; load them as one dataset with "
            "hmnpack.concat"
        )


def joined_rows(
    bundles: Sequence[Bundle], places: Sequence[Sequence[Place]]
) -> tuple[ContainerSpec, dict[str, Tensor]]:
    """Return the container and the tensors of classes, each with images of one or more places."""
    first = bundles[0].manifest
    specs = [bundle.manifest.container for bundle in bundles]
    counts = [sum(specs[n].counts[label] for n, label in of_class) for of_class in places]
    spec = type(first.container).model_validate(
        first.container.model_dump() | {"classes": len(places), "instances": instances_of(counts)}
    )
    tensors = {}
    for row in first.ledger.rows:
        parts = [bundle.tensors[row.name] for bundle in bundles]
        if row.role in OF_A_CLASS:
            parts = [parts[n][label : label + 1] for (n, label), *_ in places]
        elif row.role in OF_AN_IMAGE:
            each = spec.images_per_row
            parts = [
                parts[n][specs[n].offsets[label] // each :][: specs[n].counts[label] // each]
                for n, label in chain.from_iterable(places)
            ]
        else:
            parts = parts[:1]
        tensors[row.name] = torch.cat(parts)
    return spec, tensors


def joined_margins(manifests: Sequence[Manifest], places: Sequence[Sequence[Place]]) -> object:
    """Return the margins of the images, if all bundles have such, measured alike."""
    margins = [manifest.margins for manifest in manifests]
    if None in margins or len({(m.epochs, m.seeds) for m in margins if m}) > 1:
        return None
    values: list[int] = []
    for number, label in chain.from_iterable(places):
        spec, own = manifests[number].container, margins[number]
        start = spec.offsets[label]
        values += own.values[start : start + spec.counts[label]] if own else ()
    return margins[0].model_copy(update={"values": tuple(values)}) if margins[0] else None


def _counts(instances: int | tuple[int, ...], labels: Sequence[int]) -> int | tuple[int, ...]:
    if isinstance(instances, int):
        return instances
    return instances_of(instances[label] for label in labels)
