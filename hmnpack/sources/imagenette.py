"""Imagenette: a folder of image files that torchvision downloads."""

from dataclasses import replace
from pathlib import Path

from hmnpack.errors import BadData, BadSettings
from hmnpack.runtime.progress import Listener
from hmnpack.sources.folder import open_folder
from hmnpack.sources.named import obtain
from hmnpack.sources.types import MAX_SIDE, Source, SourceOptions

_VARIANTS = {"160px": (160, "imagenette2-160"), "320px": (320, "imagenette2-320")} | {
    "full": (MAX_SIDE, "imagenette2")
}
"""Shorter side in pixels, and folder, of each of torchvision's downloads."""


def open_imagenette(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open Imagenette, with its `val` folder as the test split.

    The smallest sufficient variant on disk is used; if there is none, the smallest sufficient
    variant is downloaded.

    Raises:
        BadSettings: if no size is given, because image sizes vary.
        BadData: if the dataset can be neither found nor downloaded.
    """
    if options.size is None:
        raise BadSettings("imagenette's images vary in size: choose a size, such as --size 128")
    root = options.data_root
    enough = [name for name, (side, _) in _VARIANTS.items() if side >= options.size]
    present = [name for name in enough if (root / _VARIANTS[name][1]).is_dir()]
    variant = [*present, *enough][0]
    folder = root / _VARIANTS[variant][1]
    names = _obtain(spec, root, folder, variant)
    source = open_folder(str(folder), options, listener)
    return replace(source, name=spec, classes=names)


def _obtain(spec: str, root: Path, folder: Path, variant: str) -> tuple[str, ...]:
    """Download the files if necessary, and return the class names in the folders' order."""
    from torchvision.datasets import Imagenette  # noqa: PLC0415 - slow to import

    try:
        found = obtain(
            lambda download: Imagenette(str(root), "train", variant, download=download),
            spec,
            root,
            f"{folder.name}.tgz, or {folder.name}/ from it,",
        )
    except KeyError as error:
        raise BadData(
            f"{folder / 'train'} has a folder {error.args[0]!r}, which is no class of {spec}: move "
            "it elsewhere"
        ) from error
    return tuple(names[0] for names in found.classes)
