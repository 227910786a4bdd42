"""A dataset in the forms of other tools: a Hugging Face dataset, HTML for a notebook."""

import html
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from hmnpack.bundle.pictures import PNG_CHANNELS, picture, png
from hmnpack.errors import MissingExtra

if TYPE_CHECKING:
    import datasets

    from hmnpack.dataset.base import DecodedDataset

THUMBNAILS = 50
"""Maximum number of images in a notebook's output."""


def hf_dataset(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], classes: list[str]
) -> "datasets.Dataset":
    """Return images as a Hugging Face dataset; see :meth:`hmnpack.CondensedDataset.to_hf`.

    Args:
        images: uint8 [N, H, W, C].
        labels: int64 [N].
        classes: Class names; the index is the label.
    """
    try:
        import datasets  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of("a Hugging Face dataset", "hub") from error
    names = datasets.ClassLabel(names=classes)
    features = datasets.Features({"image": datasets.Image(), "label": names})
    cells = [{"bytes": png(picture(image)), "path": None} for image in images]
    columns = {"image": cells, "label": labels.tolist()}
    return datasets.Dataset.from_dict(columns, features=features)


def notebook_view(dataset: "DecodedDataset") -> str:
    """Return a dataset's text and some images as HTML; names are escaped."""
    figures = ""
    if dataset.image.channels in PNG_CHANNELS:
        figures = "".join(_figures(dataset))
    return f"<pre>{html.escape(repr(dataset))}</pre><div>{figures}</div>"


def _figures(dataset: "DecodedDataset") -> Iterator[str]:
    """Yield the first images of each class as HTML, at most :data:`THUMBNAILS`."""
    shown = max(1, THUMBNAILS // len(dataset.classes))
    seen: Counter[int] = Counter()
    chosen: list[int] = []
    for row, label in enumerate(dataset.targets):
        if seen[label] < shown and len(chosen) < THUMBNAILS:
            chosen.append(row)
        seen[label] += 1
    images = (image for part in dataset.pixels(torch.tensor(chosen)) for image in part.numpy())
    for row, image in zip(chosen, images, strict=True):
        yield _figure(png(picture(image)), dataset.classes[dataset.targets[row]])


def _figure(image: bytes, name: str) -> str:
    label = html.escape(name, quote=True)
    style = "min-width:48px;image-rendering:pixelated"
    source = f"data:image/png;base64,{b64encode(image).decode()}"
    return f'<img src="{source}" alt="{label}" title="{label}" style="{style}">'
