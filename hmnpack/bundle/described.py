"""What a manifest says of bundles that were merged, split or appended to: source, budget, ..."""

import math
from collections.abc import Mapping, Sequence

import torch

from hmnpack.bundle.bundle import Bundle, changed
from hmnpack.bundle.pictures import pixels
from hmnpack.container import class_of
from hmnpack.container.budget import budget_of, ipc_of
from hmnpack.schema.container import ContainerSpec
from hmnpack.schema.manifest import MAX_IPC, Budget, Manifest, Normalisation, SourceFacts
from hmnpack.sources.types import split_of

_LONGEST_NAME = 1000

_READ = ("size", "test_split", "train_list", "test_list", "image_column", "label_column")
"""How data were read; a merged bundle records what is the same for all its parts."""


def pooled(manifests: Sequence[Manifest]) -> Normalisation:
    """Return mean and standard deviation of the real training images of several bundles."""
    parts = [manifest.normalisation for manifest in manifests]
    if all(part == parts[0] for part in parts):
        return parts[0]
    weights = [_real_images(manifest) for manifest in manifests]
    mean, std = [], []
    for channel in range(len(parts[0].mean)):
        means = [part.mean[channel] for part in parts]
        squares = [part.std[channel] ** 2 + part.mean[channel] ** 2 for part in parts]
        mean.append(_mean(means, weights))
        std.append(math.sqrt(_mean(squares, weights) - mean[-1] ** 2))
    return Normalisation(mean=tuple(mean), std=tuple(std))


def _real_images(manifest: Manifest) -> int:
    """Return the number of real training images that a bundle was made from."""
    made = [one for edit in manifest.provenance.edits or () for one in edit.made or ()]
    return sum(one.source.train_images for one in made) or manifest.source.train_images


def joined_budget(budgets: Sequence[Budget], spec: ContainerSpec) -> Budget:
    """Return the sum of budgets: in images per class if that is a whole number, else in bytes."""
    floats = sum(budget.floats or 0 for budget in budgets)
    ipc, rest = divmod(floats, spec.classes * spec.image.elements)
    if all(budget.floats for budget in budgets) and not rest and ipc <= MAX_IPC:
        return budget_of(ipc, spec.classes, spec.image)
    return Budget(bytes=sum(budget.bytes for budget in budgets))


def part_budget(budget: Budget, whole: ContainerSpec, part: ContainerSpec) -> Budget:
    """Return the budget of a part: its classes' share, or the least that holds it."""
    if budget.ipc is not None:
        return budget_of(max(budget.ipc, ipc_of(part)), part.classes, part.image)
    share = budget.bytes * part.classes // whole.classes
    return Budget(bytes=max(share, part.ledger().bytes))


def described_by_images(
    merged: Bundle, manifests: Sequence[Manifest], places: Mapping[str, Sequence[tuple[int, int]]]
) -> Bundle:
    """Return a merged bundle that names its source.

    Parts of one file keep its source and settings. Otherwise the training split is unknown, and
    the source describes the stored images instead (FORMAT.md, section 3.3).

    Args:
        merged: The bundle.
        manifests: Those of the merged bundles.
        places: Class name -> (number of a bundle, label in it), the first is enough.
    """
    same = {
        (one.source.fingerprint, one.recipe, one.seed, one.holdout, str(one.config))
        for one in manifests
    }
    classes = None
    if len({one.source.name for one in manifests}) == 1 and any(
        m.source.classes for m in manifests
    ):
        classes = tuple(
            (manifests[number].source.classes or manifests[number].classes)[label]
            for (number, label), *_ in places.values()
        )
    if len(same) == 1:
        source = manifests[0].source.model_copy(update={"classes": classes})
        return Bundle(changed(merged.manifest, source=source), merged.tensors)
    made_from = _of_images(merged, manifests, classes)
    unknown = dict.fromkeys(("recipe", "seed", "holdout", "config"))
    return Bundle(changed(merged.manifest, source=made_from, **unknown), merged.tensors)


def _of_images(
    merged: Bundle, manifests: Sequence[Manifest], classes: tuple[str, ...] | None
) -> SourceFacts:
    spec = merged.manifest.container
    rows = torch.arange(spec.images)
    images = torch.cat(list(pixels(merged, rows))).permute(0, 3, 1, 2)
    names = dict.fromkeys(manifest.source.name for manifest in manifests)
    first, *others = [{name: getattr(one.source, name) for name in _READ} for one in manifests]
    alike = {name: v for name, v in first.items() if all(other[name] == v for other in others)}
    return SourceFacts(
        name=" + ".join(names)[:_LONGEST_NAME],
        fingerprint=split_of(images, class_of(spec, rows)).fingerprint,
        train_images=spec.images,
        held_out=0,
        skipped={},
        classes=classes,
        **alike,
    )


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    products = (value * weight for value, weight in zip(values, weights, strict=True))
    return math.fsum(products) / sum(weights)
