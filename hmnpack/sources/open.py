"""Opening a dataset by its name, path or address."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from hmnpack.errors import BadData, BadSettings, HmnError, is_out_of_memory
from hmnpack.registry import DATA_SETS
from hmnpack.runtime.notes import warn
from hmnpack.runtime.paths import AnyPath, path_of
from hmnpack.runtime.progress import Listener, no_progress
from hmnpack.runtime.torch_state import with_torch_defaults
from hmnpack.schema.manifest import Manifest, TestSplit
from hmnpack.sources.assemble import check_labels
from hmnpack.sources.drawn import with_drawn_test
from hmnpack.sources.folder import is_divided, open_folder
from hmnpack.sources.hub import is_hub_address, open_hub
from hmnpack.sources.parquet import is_parquet, open_parquet
from hmnpack.sources.types import Reader, Source, SourceOptions, is_path, source_path

_DEFAULTS = SourceOptions()

_KINDS: tuple[tuple[Callable[[str], bool], Reader], ...] = (
    (is_hub_address, open_hub),
    (is_parquet, open_parquet),
    (is_path, open_folder),
)
"""Kinds of unnamed datasets: a predicate for the text, and the reader. The first match is used."""


_COLUMNAR = (open_hub, open_parquet)
"""Readers of the kinds of datasets that have columns."""


@with_torch_defaults
def open_source(
    spec: AnyPath | Source,
    options: SourceOptions = _DEFAULTS,
    listener: Listener = no_progress,
    *,
    needs_test: bool = True,
) -> Source:
    r"""Open a labelled image dataset.

    Args:
        spec: One of: a name (`cifar10`, `digits`, ...); a folder with `train/<class>/<image>` and
            `test/` or `val/`, or with `<class>/<image>`; a parquet file or a folder of them;
            `hf:owner/name[:config]`; an open source, which is returned. Bytes are a path. Text that
            is a name and also a path means the name; write `./digits` for the path.
        options: Image size, classes, test split, data and cache folders, and whether to skip bad
            images. Of an open source, only the classes apply.
        listener: Called with stage `decode`, counting the images of a split.
        needs_test: Whether a test split that cannot be read is an error. If not, it is left out
            with a warning, and ``test_problem`` of the source says why.

    Raises:
        BadSettings: if no dataset or class has that name, if a column is chosen of a dataset
            without columns, lists of one that is no folder, or a test split drawn of one that has
            its own.
        BadData: if the path does not exist or the data are invalid: no classes, a chosen class
            without images, a label that is not an integer in range, a class in test but not in
            train if none are chosen, images of different sizes and no `size`, or more images than
            memory holds.
        BadImage: if an image is unreadable and `skip_bad` is off.
        MissingExtra: if an optional package is missing.
    """
    if isinstance(spec, Source):
        return _chosen(spec, options)
    text = spec if isinstance(spec, str) else _path_text(spec)
    reader = _reader(text)
    _expect_columns(text, reader, options)
    _expect_lists(text, reader, options)
    try:
        source = replace(
            reader(text, options, listener),
            size=options.size,
            image_column=options.image_column or None,
            label_column=options.label_column or None,
        )
        if isinstance(options.test_split, TestSplit) and source.test_split is None:
            source = with_drawn_test(source, options.test_split)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        side = options.size // 2 if options.size else 224
        raise BadData(
            f"the images of {text} do not fit in memory: choose a smaller size, such as "
            f"--size {max(1, side)}"
        ) from error
    if source.test_problem is not None:
        if needs_test:
            raise source.test_problem
        warn("%s: the test split is left out: %s", text, source.test_problem)
    return _chosen(source, options)


def _chosen(source: Source, options: SourceOptions) -> Source:
    """Return the dataset with the chosen classes, each of which must have training images."""
    chosen = source if options.classes is None else source.only(options.classes)
    check_labels(chosen.classes, chosen.train.labels)
    return chosen


def _expect_columns(spec: str, reader: Reader, options: SourceOptions) -> None:
    """Check that a column is only chosen where there are columns."""
    chosen = options.image_column or options.label_column
    if chosen and reader not in _COLUMNAR:
        raise BadSettings(
            f"{spec} has no column {chosen!r}: choose columns only of Parquet files and hub "
            "datasets"
        )


def _expect_lists(spec: str, reader: Reader, options: SourceOptions) -> None:
    """Check that lists are only given of a folder."""
    given = options.train_list or options.test_list
    if given and reader is not open_folder:
        raise BadSettings(
            f"{spec} is no folder of images, so {path_of(given)} cannot list any of it"
        )


def as_recorded(
    manifest: Manifest, options: SourceOptions, data: AnyPath | Source
) -> SourceOptions:
    """Return the options by which the dataset of a bundle was read.

    Args:
        manifest: Manifest of the bundle. If its images were resized, so are those that are read;
            if unreadable images were skipped, they are skipped again; if columns were chosen, they
            are read of data that have columns; a test split that was drawn is drawn again; lists
            are found by their place relative to the data; if classes were chosen, they are chosen
            again.
        options: The folders, and a size, columns, a test split and classes that replace the
            recorded ones.
        data: The dataset to read.

    Raises:
        BadSettings: if another test split is wanted than was drawn for the bundle.
    """
    made_from, reader = manifest.source, _reader_of(data)
    if reader in _COLUMNAR:
        options = replace(
            options,
            image_column=options.image_column or made_from.image_column,
            label_column=options.label_column or made_from.label_column,
        )
    root = source_path(cast(AnyPath, data)) if reader is open_folder else None
    if root is not None and not is_divided(root):
        options = replace(
            options,
            train_list=options.train_list or _beside(root, made_from.train_list),
            test_list=options.test_list or _beside(root, made_from.test_list),
        )
    return replace(
        options,
        size=options.size or made_from.size,
        skip_bad=options.skip_bad or "unreadable" in made_from.skipped,
        classes=options.classes or made_from.classes,
        test_split=_test_split(manifest, options.test_split),
    )


def _test_split(manifest: Manifest, wanted: TestSplit | float | None) -> TestSplit | float:
    """Return the test split to draw: none of whose images a file was made from.

    Where the file does not say what it was made from, it is for the user to know.

    Raises:
        BadSettings: if another one is wanted than was drawn when the file was made.
    """
    recorded = manifest.source.test_split
    if wanted is None:
        return recorded or 0
    if isinstance(wanted, float | int):
        wanted = TestSplit(part=wanted, seed=0) if wanted else 0
    known = recorded is not None or manifest.names_training_split
    if wanted and wanted != recorded and known:
        drawn = f"--test-split {recorded.part:g}" if recorded else "no test split drawn"
        raise BadSettings(
            f"the file was made with {drawn}: another test split would have images that it was "
            "made from; leave --test-split out, or evaluate with --held-out"
        )
    return wanted


def _beside(root: Path, recorded: str | None) -> Path | None:
    return None if recorded is None else Path(os.path.normpath(root.resolve() / recorded))


def _reader_of(data: AnyPath | Source) -> Reader | None:
    """Return what reads a dataset; None if it is open already, or cannot be opened."""
    if isinstance(data, Source):
        return None
    try:
        return _reader(data if isinstance(data, str) else _path_text(data))
    except HmnError:
        return None  # opening it will say what is wrong


def _path_text(path: AnyPath) -> str:
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
