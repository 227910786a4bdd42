"""Opening a dataset by its name, path or address."""

from collections.abc import Callable
from dataclasses import replace
from os import PathLike

from hmnpack.errors import BadData, BadSettings
from hmnpack.registry import DATA_SETS
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.torch_state import with_torch_defaults
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
"""Kinds of unnamed datasets: a predicate for the text, and the reader. The first match is used."""


@with_torch_defaults
def open_source(
    spec: str | PathLike[str] | Source,
    options: SourceOptions = _DEFAULTS,
    listener: Listener = no_progress,
) -> Source:
    r"""Open a labelled image dataset.

    Args:
        spec: One of: a name (`cifar10`, `digits`, ...); a folder with `train/<class>/<image>` and
            `test/` or `val/`; a parquet file or a folder of them; `hf:owner/name[:config]`; an
            open source, which is returned. Text that is a name and also a path means the name;
            write `./digits` for the path.
        options: Image size, data and cache folders, and whether to skip bad images.
        listener: Called with stage `decode`, counting the images of a split.

    Raises:
        BadSettings: if no dataset has that name.
        BadData: if the path does not exist or the data are invalid: no classes, a class without
            images, a label that is not an integer in range, a class in test but not in train,
            or images of different sizes and no `size`.
        BadImage: if an image is unreadable and `skip_bad` is off.
        MissingExtra: if an optional package is missing.
    """
    if isinstance(spec, Source):
        return spec
    text = spec if isinstance(spec, str) else _path_text(spec)
    return replace(_reader(text)(text, options, listener), size=options.size)


def _path_text(path: PathLike[str]) -> str:
    """Return a path as absolute text, so that it is never taken for a dataset's name."""
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
        raise BadSettings(f"{error} (there is no file or folder of that name either)") from None
