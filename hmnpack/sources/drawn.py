"""A test split drawn from the data, for datasets that have none."""

from dataclasses import replace

from hmnpack.errors import BadData, BadSettings
from hmnpack.runtime.seeds import stream
from hmnpack.schema.manifest import TestSplit
from hmnpack.sources.split import hold_out
from hmnpack.sources.types import Source

USUAL = TestSplit(part=0.1, seed=0)
"""What is drawn from a folder of class folders, which has no test split, unless asked otherwise."""


def with_drawn_test(source: Source, wanted: TestSplit) -> Source:
    """Return a dataset with a part of each class of its training split as the test split.

    The choice does not depend on how the images are stored, nor on the seed of a run: scores of
    all files that are made from a dataset are measured on the same images.

    Raises:
        BadSettings: if the dataset has a test split of its own.
        BadData: if no class has enough images.
    """
    if source.test is not None or source.test_problem is not None:
        raise BadSettings(
            f"{source.name} has a test split of its own, so none is drawn from its training "
            "images: leave --test-split out, or set it to 0 if the file was made from other data"
        )
    train, test = hold_out(source.train, wanted.part, stream(wanted.seed, "test-split"))
    if not len(test):
        raise BadData(
            f"no class of {source.name} has enough images to draw {100 * wanted.part:g} % of them: "
            "choose a larger part with --test-split, or 0 for no test split"
        )
    return replace(source, train=train, test=test, test_split=wanted)
