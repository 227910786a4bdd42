"""Expands a bundle: writes its images in one of the formats."""

from pathlib import Path

from hmnpack.bundle import Bundle, read
from hmnpack.bundle.opened import AnyFile, path_in
from hmnpack.bundle.pictures import positions
from hmnpack.errors import BadSettings
from hmnpack.registry import WRITERS
from hmnpack.runtime.output import check_distinct
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.writers.base import Album, Writer

_ENDINGS = {"sheet": ".png", "parquet": ".parquet", "tar": ".tar", "npz": ".npz"}


@with_torch_defaults
def expand(
    bundle: AnyFile | Bundle,
    out: AnyPath,
    *,
    format: str = "folder",
    force: bool = False,
    per_class: int | None = None,
) -> Path:
    """Write the images of a bundle, either all of them or none.

    Pixels are converted to 8 bits by ``round(255 clamp(x, 0, 1))`` and stored without loss.

    Args:
        bundle: A `.hmn` file, or a bundle.
        out: Path of the new folder (``folder``) or file (``sheet``, ``parquet``, ``tar``,
            ``npz``).
        format: Name of the format.
        force: Replace an earlier output. In a folder, files that hmnpack did not write are
            preserved.
        per_class: Write only the first images of each class, at most this number; smaller classes
            are written whole. None: all images.

    Returns:
        ``out``.

    Raises:
        BadBundle: if the file breaks a rule of FORMAT.md.
        OutputExists: if ``out`` is a symbolic link; or if it exists (a folder: is not empty) and
            ``force`` is not given.
        BadSettings: if the format is unknown; if every class has fewer images than ``per_class``;
            if PNG does not support the number of channels; or if ``out`` cannot be written.
        MissingExtra: if the format needs a package that is not installed.
    """
    out = path_of(out)
    writer: Writer = WRITERS[format]
    ending = _ENDINGS.get(format, "")
    if ending and out.suffix.lower() != ending:
        raise BadSettings(f"{out}: format {format!r} writes one file; name it {out.name}{ending}")
    if not isinstance(bundle, Bundle):
        file = path_in(bundle)
        if file is not None:
            check_distinct(out, file, "the bundle itself")
        bundle = read(bundle)
    positions(bundle.manifest.container, per_class)
    writer(Album(bundle, per_class), out, force=force)
    return out
