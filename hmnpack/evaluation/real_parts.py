"""The real images of an audit, by what has seen them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from hmnpack.errors import BadData
from hmnpack.runtime.seeds import stream
from hmnpack.schema.manifest import Manifest
from hmnpack.sources import Source, Split, choose_per_class, other_size, seen_and_held_out_by

TESTED = 10_000
"""Maximum members, and maximum non-members, of an attack."""


@dataclass(frozen=True)
class RealParts:
    """The real images of an audit.

    Attributes:
        condensed: Images that the bundle was made from.
        mixed_in: Number of held-out images among these, if the bundle does not record which.
        members: As many random condensed images of each class as there are non-members.
        non_members: Images that neither the bundle nor the control's networks have seen.
        control: The other images that were not condensed, for the control's networks.
    """

    condensed: Split
    mixed_in: int
    members: Split
    non_members: Split
    control: Split


def condensed_of(manifest: Manifest, source: Source) -> tuple[Split, int]:
    """Return the real images that a bundle was made from, and how many others are among them.

    A bundle that does not record which images were held out has them all among these.

    Raises:
        BadData: if the dataset is another one.
    """
    made_from = manifest.source
    if source.train.fingerprint != made_from.fingerprint:
        if manifest.provenance.edits:
            raise BadData(
                "the bundle was merged, split or appended to, and does not record which images of "
                f"{source.name} it was made from; audit the files that it was made of"
            )
        raise BadData(
            f"{source.name} is not the dataset that the bundle was made from ({made_from.name}; "
            "its fingerprint differs): audit it with that dataset" + other_size(manifest, source)
        )
    if manifest.holdout is None or manifest.seed is None:
        return source.train, made_from.held_out
    return seen_and_held_out_by(manifest, source)[0], 0


def parts_of(
    condensed: tuple[Split, int], others: Split, classes: Sequence[str], seed: int
) -> RealParts:
    """Divide the real images at random; members and non-members have the same classes.

    Args:
        condensed: Images that the bundle was made from, and how many others are among them.
        others: Real images that were not condensed.
        classes: Class names.
        seed: Seed of the choice.

    Raises:
        BadData: if a class has fewer than two images that were not condensed.
    """
    there = torch.bincount(others.labels, minlength=len(classes)).tolist()
    made_from, mixed_in = condensed
    known = torch.bincount(made_from.labels, minlength=len(classes)).tolist()
    for name, count in zip(classes, there, strict=True):
        if count < 2:
            raise BadData(
                f"class {name!r} has {count} images that were not condensed; an audit needs two or "
                "more of every class, from the test split or held out (--held-out)"
            )
    most = max(1, TESTED // len(classes))
    counts = [min(most, one - one // 2, two) for one, two in zip(there, known, strict=True)]
    non_members, control = _divided(others, counts, classes, stream(seed, "audit", "non-members"))
    members, _ = _divided(made_from, counts, classes, stream(seed, "audit", "members"))
    return RealParts(made_from, mixed_in, members, non_members, control)


def _divided(
    split: Split, counts: Sequence[int], classes: Sequence[str], generator: torch.Generator
) -> tuple[Split, Split]:
    """Return random images of each class, and the others."""
    chosen = choose_per_class(split, counts, generator, classes)
    mask = torch.zeros(len(split), dtype=torch.bool).index_fill(0, chosen, True)
    return split.subset(mask), split.subset(~mask)
