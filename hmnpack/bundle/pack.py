"""Storing images from another method as plain pixels in a `.hmn` file, within a budget."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from hmnpack.bundle.bundle import Bundle, data_sha256
from hmnpack.bundle.pictures import to_uint8
from hmnpack.container.budget import budget_of, ipc_of
from hmnpack.container.stored import as_stored
from hmnpack.errors import BadData, BadSettings, BudgetTooSmall
from hmnpack.runtime.numbers import as_integer
from hmnpack.runtime.output import check_output_path
from hmnpack.runtime.paths import AnyPath
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.class_names import storable_class_names
from hmnpack.schema.container import ImageShape, ImagesSpec
from hmnpack.schema.instances import instances_of
from hmnpack.schema.ledger import FloatDtype
from hmnpack.schema.manifest import Manifest, Normalisation, Provenance, SourceFacts
from hmnpack.sources import Source, Split, normalisation_of, open_source
from hmnpack.sources.arrays import tensor_of
from hmnpack.sources.convention import class_names
from hmnpack.sources.tensors import WHITE, check_images_and_labels, check_name
from hmnpack.sources.types import split_of
from hmnpack.version import __version__

NAME = "images"
"""Default name of the dataset."""


@with_torch_defaults
def pack(  # noqa: PLR0913
    images: Any,  # noqa: ANN401 - tensors, arrays, nested lists
    labels: Any,  # noqa: ANN401
    *,
    ipc: int,
    classes: Sequence[str] | None = None,
    data: AnyPath | Source | None = None,
    name: str | None = None,
    normalisation: Normalisation | None = None,
    dtype: FloatDtype = "F32",
    real_start: bool = True,
    output: AnyPath | None = None,
    force: bool = False,
) -> Bundle:
    """Store images from any method as plain pixels, in a bundle that all of hmnpack can read.

    Args:
        images: float in [0, 1] or uint8, [N, C, H, W]: a tensor on any device, or an array.
            Undo any normalisation first: ``(images * std + mean).clamp(0, 1)``.
        labels: Integers [N] from 0, in any order. The bundle stores the images class by class,
            those of a class in the given order. Classes may have different numbers of images,
            but at least one each.
        ipc: Budget, in images per class.
        classes: Class names; the index is the label. None: those of ``data``, otherwise the
            labels as text.
        data: The dataset that the images were made from: a source, or any argument of
            :func:`hmnpack.open_source`. The bundle records its name and the fingerprint of its
            training split. None: the dataset is not available, and the bundle records the
            fingerprint of the packed images instead.
        name: Name of the dataset, recorded in the bundle. None: that of ``data``, otherwise
            ``images``.
        normalisation: Mean and standard deviation per channel, of pixels in [0, 1]. None: those of
            the training split of ``data``, otherwise of the packed images.
        dtype: Type of the stored floats: ``F32``, or ``F16`` with half the bytes.
        real_start: Whether the images were initialised from real ones, which they may then
            resemble (relevant for privacy). Pass False only if you know that they were not.
        output: Path to write the bundle to; None: nothing is written.
        force: Replace an existing output.

    Returns:
        The bundle, which has been written if ``output`` is given.

    Example:
        >>> images = torch.rand(4, 3, 8, 8)
        >>> bundle = pack(images, [1, 0, 0, 1], ipc=2, classes=["cat", "dog"])
        >>> bundle.manifest.container.kind, bundle.manifest.container.counts
        ('images/1', (2, 2))

    Raises:
        BadData: if pixels are neither uint8 nor in [0, 1], shapes are inconsistent, a label has no
            class name, a class has no images, or the images do not match ``data``.
        BadSettings: for another dtype, or a normalisation with another number of channels.
        BudgetTooSmall: if the images exceed the budget.
        OutputExists: if the output exists already or is not writable.
    """
    ipc = as_integer(ipc)
    if output is not None:
        check_output_path(output, force=force)
    pixels, targets = _checked(images, labels)
    source = None if data is None else open_source(data, needs_test=False)
    names = _names(classes, source, targets)
    spec = _spec_of(pixels, targets, len(names), dtype)
    _check_budget(spec, ipc)
    order = targets.argsort(stable=True)
    tensors = as_stored(spec, {"pixels": pixels[order]})
    made_from = source.train if source else split_of(to_uint8(pixels), targets, owned=True)
    manifest = Manifest(
        source=_facts(made_from, source, name, spec),
        classes=storable_class_names(names),
        normalisation=_normalisation(normalisation, made_from),
        container=spec,
        ledger=spec.ledger(),
        budget=budget_of(ipc, spec.classes, spec.image),
        provenance=Provenance(
            hmnpack=__version__,
            torch=str(torch.__version__),
            device="cpu",
            real_images_used_to_start=real_start,
        ),
        data_sha256=data_sha256(tensors),
    )
    bundle = Bundle(manifest, tensors)
    if output is not None:
        bundle.save(output, force=force)
    return bundle


def _checked(images: object, labels: object) -> tuple[Tensor, Tensor]:
    """Return the images as float32 in [0, 1] and the labels as int64, both copied to the CPU."""
    pixels, targets = (
        tensor_of(values, what).to("cpu", copy=True)
        for values, what in ((images, "images"), (labels, "labels"))
    )
    check_images_and_labels(pixels, targets)
    if pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
    elif not pixels.is_floating_point():
        raise BadData(f"images are {pixels.dtype}; give uint8, or floats in [0, 1]")
    if not pixels.isfinite().all():
        raise BadData("images contain an infinity or NaN")
    least, most = pixels.min().item(), pixels.max().item()
    if least < 0 or most > 1:
        mend = (
            "divide by 255, or give uint8"
            if least >= 0 and 10 < most <= WHITE  # normalised values are smaller
            else "undo the normalisation, (images * std + mean).clamp(0, 1), or give uint8"
        )
        raise BadData(
            f"images have values from {least:.3g} to {most:.3g}; give floats in [0, 1]: {mend}"
        )
    return pixels.float().contiguous(), targets.long()


def _names(classes: Sequence[str] | None, source: Source | None, labels: Tensor) -> tuple[str, ...]:
    """Return the class names, after checking that every class has an image."""
    if classes is None and source is not None:
        classes = source.classes
    classes = class_names(classes, labels)
    wrong = labels[(labels < 0) | (labels >= len(classes))]
    if len(wrong):
        raise BadData(
            f"label {int(wrong[0])} has no class name; there are {len(classes)} classes, numbered "
            "from 0"
        )
    for name, count in zip(classes, torch.bincount(labels, minlength=len(classes)), strict=True):
        if not count:
            raise BadData(f"class {name!r} has no images: add some, or remove the class")
    return tuple(classes)


def _spec_of(pixels: Tensor, labels: Tensor, classes: int, dtype: str) -> ImagesSpec:
    _, channels, height, width = pixels.shape
    if dtype not in ("F32", "F16"):
        raise BadSettings(f"pixels cannot be stored as {dtype!r}; give F32 or F16")
    try:
        return ImagesSpec(
            classes=classes,
            instances=instances_of(torch.bincount(labels, minlength=classes).tolist()),
            image=ImageShape(channels=channels, height=height, width=width),
            dtype=dtype,
        )
    except ValidationError as error:
        raise BadData(f"a bundle cannot store these images: {error.errors()[0]['msg']}") from error


def _check_budget(spec: ImagesSpec, ipc: int) -> None:
    allowed, stored = budget_of(ipc, spec.classes, spec.image).floats, spec.ledger().floats
    if allowed is not None and stored > allowed:
        raise BudgetTooSmall(
            f"{spec.images:,} images are {stored:,} floats, but ipc {ipc} allows {allowed:,} for "
            f"{spec.classes} classes: give fewer images, or an ipc of at least {ipc_of(spec)}"
        )


def _facts(
    made_from: Split, source: Source | None, name: str | None, spec: ImagesSpec
) -> SourceFacts:
    """Return the manifest's facts about the dataset, or about the packed images instead."""
    name = name if name is not None else source.name if source else NAME
    check_name(name)
    if source and source.image != spec.image:
        theirs, ours = ([x.channels, x.height, x.width] for x in (source.image, spec.image))
        raise BadData(
            f"images have shape {ours}, but those of {source.name} have {theirs}; give the data "
            "that the images were made from"
        )
    if source and len(source.classes) != spec.classes:
        raise BadData(
            f"there are {spec.classes} classes, but {len(source.classes)} in {source.name}; give "
            "the data that the images were made from"
        )
    return SourceFacts(
        name=name,
        fingerprint=made_from.fingerprint,
        train_images=len(made_from),
        held_out=0,
        skipped=dict(source.skipped) if source else {},
        size=source.size if source else None,
        test_split=source.test_split if source else None,
        train_list=source.train_list if source else None,
        test_list=source.test_list if source else None,
        image_column=source.image_column if source else None,
        label_column=source.label_column if source else None,
        classes=source.chosen if source else None,
    )


def _normalisation(given: Normalisation | None, made_from: Split) -> Normalisation:
    channels = made_from.pixels.shape[1]
    if given is None:
        return normalisation_of(made_from)
    if not len(given.mean) == len(given.std) == channels:
        raise BadSettings(
            f"the normalisation has {len(given.mean)} means and {len(given.std)} standard "
            f"deviations, but images have {channels} channels"
        )
    return given
