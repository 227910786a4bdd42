"""`tar`: a shard in WebDataset's form, `000017.png` and `000017.cls` for each image."""

import tarfile
from io import BytesIO
from pathlib import Path

from hmnpack.bundle.pictures import png
from hmnpack.runtime.output import replacing
from hmnpack.writers.base import Album, digits_of


def write_tar(album: Album, out: Path, *, force: bool) -> None:
    """Write a tar file, the same bytes each time; see :func:`hmnpack.writers.expand`.

    The `.cls` of an image is its label, as decimal text. Samples are in the bundle's order, class
    by class: shuffle them on reading.
    """
    digits = max(6, digits_of(sum(album.counts)))
    with (
        replacing(out, force=force) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for number, (label, _, picture) in enumerate(album):
            key = f"{number:0{digits}d}"
            tar.addfile(*_member(f"{key}.cls", str(label).encode()))
            tar.addfile(*_member(f"{key}.png", png(picture)))


def _member(name: str, data: bytes) -> tuple[tarfile.TarInfo, BytesIO]:
    # A TarInfo's defaults are mode 0644, owner 0 and time 0: nothing of the machine gets in.
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info, BytesIO(data)
