"""The handwritten digits of scikit-learn: real images without a download."""

import torch

from hmnpack.errors import MissingExtra
from hmnpack.runtime.progress import Listener
from hmnpack.runtime.seeds import stream
from hmnpack.sources.assemble import array_source
from hmnpack.sources.split import draw_held_out
from hmnpack.sources.types import Source, SourceOptions

_TEST = 0.25
"""Fraction of each class used as the test split; the dataset defines none."""

_WHITE = 16
"""Largest pixel value in the dataset (number of inked pixels in a 4x4 block)."""


def open_digits(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open the 1,797 greyscale digits of 8x8 pixels, with a stratified split of fixed seed.

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
    # The dataset exists in one order only, so the draw may depend on that order.
    held = draw_held_out(labels, _TEST, stream(0, "sources", "digits"))
    names = [str(name) for name in raw.target_names]
    train, test = ((images[rows], labels[rows]) for rows in (~held, held))
    return array_source(spec, names, train, lambda: test, options)
