"""Held-out images: the part of the training split that condensing never sees.

They evaluate the synthetic images without the test split, so the same images must be found from
a run's settings and from a finished bundle.
"""

from dataclasses import replace

from hmnpack.errors import BadData
from hmnpack.runtime.seeds import stream
from hmnpack.schema.manifest import Manifest
from hmnpack.sources.split import hold_out
from hmnpack.sources.types import Source, Split


def seen_and_held_out(train: Split, holdout: float, seed: int) -> tuple[Split, Split]:
    """Split the training split into (images that condensing sees, held-out images).

    Args:
        train: The full training split.
        holdout: Fraction of each class to hold out, in [0, 1).
        seed: Seed of the run.
    """
    return hold_out(train, holdout, stream(seed, "hold-out"))


def seen_and_held_out_by(manifest: Manifest, source: Source) -> tuple[Split, Split]:
    """Return (the images that a bundle was condensed from, its held-out images).

    Raises:
        BadData: if the bundle and the data do not determine them.
    """
    made_from = manifest.source
    if source.train.fingerprint != made_from.fingerprint:
        raise BadData(
            f"{source.name} is not the dataset that the bundle was made from ({made_from.name}; "
            "its fingerprint differs), so the held-out images are unknown; use that dataset"
            + other_size(manifest, source)
        )
    if manifest.holdout is not None and manifest.seed is not None:
        seen, held_out = seen_and_held_out(source.train, manifest.holdout, manifest.seed)
        if len(held_out) == made_from.held_out:
            return seen, held_out
    raise BadData("the bundle does not record which images were held out of its data")


def other_size(manifest: Manifest, source: Source) -> str:
    """Return what to do about a dataset that was read in another size than a bundle's, if it was.

    The text continues a message; it is empty if the sizes are the same.
    """
    ours, theirs = source.size, manifest.source.size
    if ours == theirs:
        return ""
    wanted = f"with size {theirs} (--size {theirs})" if theirs else "without a size (--size)"
    return f", read {wanted} as for the bundle"


def chosen_by_held_out(manifest: Manifest) -> bool:
    """Return whether a bundle's beta was selected on the held-out images.

    Its score on them is then slightly optimistic.
    """
    return any(pruning.held_out for pruning in manifest.provenance.prunings)


def as_seen(manifest: Manifest, source: Source) -> Source:
    """Return a bundle's dataset as condensing saw it, with the held-out images as the test split.

    Raises:
        BadData: if the held-out images are unknown, or there are none.
    """
    seen, held_out = seen_and_held_out_by(manifest, source)
    if not len(held_out):
        raise BadData(
            "the bundle was made from the full training split, so there are no held-out images to "
            "test on; condense with a holdout, such as 0.1"
        )
    return replace(source, train=seen, test=held_out, test_problem=None)
