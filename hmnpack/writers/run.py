"""The front door of the room: a bundle's images as a folder or a file of some form."""

from os import PathLike
from pathlib import Path

from hmnpack.bundle import Bundle, read
from hmnpack.bundle.pictures import positions
from hmnpack.errors import BadSettings
from hmnpack.registry import WRITERS
from hmnpack.runtime.devices import default_on_cpu
from hmnpack.runtime.output import check_distinct
from hmnpack.writers.base import Album, Writer

_ENDINGS = {"sheet": ".png", "parquet": ".parquet", "tar": ".tar"}


@default_on_cpu
def expand(
    bundle: str | PathLike[str] | Bundle,
    out: str | PathLike[str],
    *,
    format: str = "folder",
    force: bool = False,
    per_class: int | None = None,
) -> Path:
    """Write the images of a bundle, all of them or nothing.

    Pixels become ``round(255 clamp(x, 0, 1))`` in lossless PNGs.

    Args:
        bundle: A `.hmn` file, or a bundle.
        out: The folder to be (``folder``), or the file to be (``sheet``, ``parquet``, ``tar``).
        format: Name of the form.
        force: Replace an earlier output. In a folder, what hmnpack did not write is kept.
        per_class: Take the first so many images of each class only, or all of a class that has
            fewer.

    Returns:
        ``out``.

    Raises:
        BadBundle: if the file breaks a rule of FORMAT.md.
        OutputExists: if ``out`` is a symbolic link, or is there (a folder: is not empty) and
            ``force`` is not given.
        BadSettings: if there is no such format, or no class has as many images as
            ``per_class``, or the images cannot be pictures, or nothing can be written there.
        MissingExtra: if the format needs a package that is not installed.
    """
    out = Path(out)
    writer: Writer = WRITERS[format]
    ending = _ENDINGS.get(format, "")
    if ending and out.suffix.lower() != ending:
        raise BadSettings(f"{out}: the format {format!r} is one file; name it {out.name}{ending}")
    if not isinstance(bundle, Bundle):
        check_distinct(out, bundle, "the bundle itself")
        bundle = read(bundle)
    positions(bundle.manifest.container, per_class)
    writer(Album(bundle, per_class), out, force=force)
    return out
