"""The front door of the room: from what the user typed to a dataset."""

from collections.abc import Callable
from dataclasses import replace
from os import PathLike

from hmnpack.errors import BadData, BadSettings
from hmnpack.registry import DATA_SETS
from hmnpack.runtime.devices import default_on_cpu
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.sources.folder import is_path, open_folder
from hmnpack.sources.hub import is_hub_address, open_hub
from hmnpack.sources.parquet import is_parquet, open_parquet
from hmnpack.sources.types import Reader, Source, SourceOptions, path_of

_DEFAULTS = SourceOptions()

_KINDS: tuple[tuple[Callable[[str], bool], Reader], ...] = (
    (is_hub_address, open_hub),
    (is_parquet, open_parquet),
    (is_path, open_folder),
)
"""Datasets without a name: whether a text stands for one of the kind, and what opens it. The first
kind that fits is taken."""


@default_on_cpu
def open_source(
    spec: str | PathLike[str] | Source,
    options: SourceOptions = _DEFAULTS,
    listener: Listener = no_progress,
) -> Source:
    r"""Open a labelled image dataset.

    Args:
        spec: A name (`cifar10`, `digits`, ...; it wins over a path that is text, which `./digits`
            names), a folder with `train/<class>/<image>` and `test/` or `val/`, a parquet file or a
            folder of them, or `hf:owner/name[:config]`; what is open already comes back.
        options: Size, places, and what to do with bad images.
        listener: Told of stage `decode`, in images of one split.

    Raises:
        BadSettings: if no dataset has that name.
        BadData: if the path does not exist or the data break a rule: no classes, a class without
            images, a label that is not an integer in range, a class in test that train lacks,
            sizes that differ where none is asked for.
        BadImage: if an image cannot be read and bad ones are not to be skipped.
        MissingExtra: if an optional package is needed.
    """
    if isinstance(spec, Source):
        return spec
    text = spec if isinstance(spec, str) else _path_text(spec)
    return replace(_reader(text)(text, options, listener), size=options.size)


def _path_text(path: PathLike[str]) -> str:
    """Return what is typed for a path, which is never the name of a dataset."""
    return str(path_of(path).absolute())


def _named(name: str) -> Reader:
    reader: Reader = DATA_SETS[name]
    return reader


def _reader(spec: str) -> Reader:
    if spec in DATA_SETS:
        return _named(spec)
    for fits, reader in _KINDS:
        if fits(spec):
            return reader
    if any(mark in spec for mark in "/\\.~:") or not spec:
        raise BadData(
            f"{spec!r} does not exist: give a folder, a parquet file, hf:owner/name, or one of "
            f"{', '.join(DATA_SETS)}"
        )
    try:
        return _named(spec)
    except BadSettings as error:
        raise BadSettings(f"{error} (no file or folder is called that either)") from None
