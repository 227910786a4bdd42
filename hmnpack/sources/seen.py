"""Which real images condensing sees, and which it holds out: by its settings, or a finished bundle.

What is held out judges the condensed images without the test split, so every reader of it must
find the same images.
"""

from dataclasses import replace

from hmnpack.errors import BadData
from hmnpack.runtime.seeds import stream
from hmnpack.schema.manifest import Manifest
from hmnpack.sources.split import hold_out
from hmnpack.sources.types import Source, Split


def seen_and_held_out(train: Split, holdout: float, seed: int) -> tuple[Split, Split]:
    """Return (what condensing sees, what it holds out) of the training split.

    Args:
        train: All images that are trained on.
        holdout: Part of each class that is held out, in [0, 1).
        seed: Seed of the run.
    """
    return hold_out(train, holdout, stream(seed, "hold-out"))


def seen_and_held_out_by(manifest: Manifest, source: Source) -> tuple[Split, Split]:
    """Return (what a bundle was condensed from, what was held out for it) of its data.

    Raises:
        BadData: if that cannot be known.
    """
    made_from = manifest.source
    if source.train.fingerprint != made_from.fingerprint:
        raise BadData(
            f"{source.name} is not the data that the bundle was made from ({made_from.name}; its "
            "fingerprint differs), so which images it never saw is not known; name that data"
        )
    if manifest.holdout is not None and manifest.seed is not None:
        seen, held_out = seen_and_held_out(source.train, manifest.holdout, manifest.seed)
        if len(held_out) == made_from.held_out:
            return seen, held_out
    raise BadData("the bundle does not tell which images were held out of its data")


def chosen_by_held_out(manifest: Manifest) -> bool:
    """Return whether held-out images chose a bundle's beta.

    It is then a little better on them than on others.
    """
    return any(pruning.held_out for pruning in manifest.provenance.prunings)


def as_seen(manifest: Manifest, source: Source) -> Source:
    """Return a bundle's data as condensing saw it, with what was held out as the test split.

    Raises:
        BadData: if it cannot be known what was held out, or nothing was.
    """
    seen, held_out = seen_and_held_out_by(manifest, source)
    if not len(held_out):
        raise BadData(
            "the bundle was made from all of train, so there are no held-out images to test on; "
            "condense with a holdout that leaves some out of each class, such as 0.1"
        )
    return replace(source, train=seen, test=held_out)
