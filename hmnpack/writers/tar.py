"""`tar`: a WebDataset shard, with `000017.png` and `000017.cls` for each image."""

import tarfile
from io import BytesIO
from pathlib import Path

from hmnpack.bundle.pictures import png
from hmnpack.runtime.output import replacing
from hmnpack.writers.base import Album, digits_of


def write_tar(album: Album, out: Path, *, force: bool) -> None:
    """Write a reproducible tar file; see :func:`hmnpack.writers.expand`.

    The `.cls` file of an image contains its label as decimal text. Samples are in the bundle's
    order, class by class, so readers should shuffle them.
    """
    digits = max(6, digits_of(sum(album.counts)))
    with (
        replacing(out, force=force) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for number, (label, _, image) in enumerate(album):
            key = f"{number:0{digits}d}"
            tar.addfile(*_member(f"{key}.cls", str(label).encode()))
            tar.addfile(*_member(f"{key}.png", png(image)))


def _member(name: str, data: bytes) -> tuple[tarfile.TarInfo, BytesIO]:
    # TarInfo defaults to mode 0644, owner 0 and time 0: the bytes do not depend on the machine.
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, BytesIO(data)
