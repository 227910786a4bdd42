"""Handwritten digits that come with scikit-learn: real images that need no download."""

import torch

from hmnpack.errors import MissingExtra
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.seeds import stream
from hmnpack.sources.assemble import array_source
from hmnpack.sources.split import draw_held_out
from hmnpack.sources.types import Source, SourceOptions

_TEST = 0.25
"""Part of each class that is the test split; the set itself has none."""

_WHITE = 16
"""Largest value of a pixel in the set (counts of 4x4 blocks of ink)."""


def open_digits(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open the 1,797 digits, 8x8 grey pixels, divided by a fixed seed and stratified.

    Raises:
        MissingExtra: if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of("the dataset 'digits'", "digits") from error
    raw = load_digits()
    images = torch.from_numpy(raw.images * 255 / _WHITE).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(raw.target).long()
    # There is one form of this set, so the draw may go by the order in which it comes.
    held = draw_held_out(labels, _TEST, stream(0, "sources", "digits"))
    names = [str(name) for name in raw.target_names]
    train, test = ((images[rows], labels[rows]) for rows in (~held, held))
    return array_source(spec, names, train, test, options)
