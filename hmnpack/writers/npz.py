"""`npz`: one NumPy archive with the keys of medmnist's files.

`train_images`: uint8 [N, H, W], or [N, H, W, C] with more than one channel. `train_labels`: int64
[N]. `classes`: the class names, text [K].
"""

from pathlib import Path

import numpy as np

from hmnpack.bundle.pictures import pixels, positions
from hmnpack.runtime.output import replacing
from hmnpack.writers.base import Album


def write_npz(album: Album, out: Path, *, force: bool) -> None:
    """Write an archive that ``numpy.load`` reads without pickle."""
    chosen = positions(album.bundle.manifest.container, album.per_class)
    parts = [part.numpy() for part in pixels(album.bundle, chosen)]
    images = np.concatenate(parts)
    with replacing(out, force=force) as file:
        np.savez(
            file,
            train_images=images[..., 0] if images.shape[-1] == 1 else images,
            train_labels=np.repeat(np.arange(len(album.counts), dtype=np.int64), album.counts),
            classes=np.array(album.classes),
        )
