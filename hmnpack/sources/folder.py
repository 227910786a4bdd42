"""Folders of image files in the ImageFolder layout: `train/<class>/<image>`."""

from pathlib import Path

import torch

from hmnpack.errors import BadData
from hmnpack.runtime import Listener
from hmnpack.sources.assemble import decode_source
from hmnpack.sources.cache import key_of_listing, through_cache
from hmnpack.sources.convention import name_of
from hmnpack.sources.decode import Encoded, Payload
from hmnpack.sources.kinds import KINDS
from hmnpack.sources.types import Source, SourceOptions

_TEST_FOLDERS = ("test", "val", "validation")
"""Folders to test on; the first that exists is taken."""


@KINDS.register("folder")
def open_folder(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open a folder with `train/` and `test/` or `val/`, each with one folder a class.

    Classes, and images within them, come in torchvision's order (sorted by name).

    Raises:
        BadData: if a rule is broken (see `hmnpack.sources.open_source`).
    """
    root = Path(spec).expanduser()
    train = root / "train"
    if not train.is_dir():
        raise BadData(_layout(root))
    test = next((root / name for name in _TEST_FOLDERS if (root / name).is_dir()), None)
    classes = _classes(train)
    _expect_known(classes, test)
    files = [_images(train, classes), _images(test, classes) if test else []]
    if test and not files[1]:
        raise BadData(f"{test} has no images: add some, or remove the folder")

    name = name_of(root)

    def make() -> Source:
        tested = _encoded(root, files[1]) if test else None
        return decode_source(name, classes, _encoded(root, files[0]), tested, options, listener)

    listing = key_of_listing(root, [path for part in files for path, _ in part])
    key = f"{listing} {classes!r}"
    return through_cache(name, key, options, make)


def _layout(root: Path) -> str:
    wanted = f"{root}/train/<class>/<image>, and test/ or val/ like it"
    if not root.is_dir():
        return f"{root} is neither a folder nor a parquet file: give a folder with {wanted}"
    inside = [entry for entry in root.iterdir() if entry.is_dir()]
    found = "has folders but no train/ among them" if inside else "has no classes"
    return f"{root} {found}: arrange the images as {wanted}"


def _classes(folder: Path) -> list[str]:
    from torchvision.datasets.folder import find_classes  # noqa: PLC0415 - slow to import

    try:
        return list(find_classes(folder)[0])
    except FileNotFoundError as error:
        raise BadData(f"{folder} has no classes: make a folder in it for each class") from error


def _expect_known(classes: list[str], test: Path | None) -> None:
    for name in _classes(test) if test else []:
        if name not in classes:
            raise BadData(f"class {name!r} is in {test} but not in train: give it training images")


def _images(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset  # noqa: PLC0415 - slow to import

    labels = {name: label for label, name in enumerate(classes)}
    found = make_dataset(folder, labels, extensions=IMG_EXTENSIONS, allow_empty=True)
    return [(Path(path), label) for path, label in found]


def _encoded(root: Path, images: list[tuple[Path, int]]) -> Encoded:
    def read(start: int, stop: int) -> list[Payload]:
        return [path for path, _ in images[start:stop]]

    def name(index: int) -> str:
        return str(images[index][0].relative_to(root))

    labels = torch.tensor([label for _, label in images], dtype=torch.int64)
    return Encoded(labels, read, name)
