"""Parquet files in the Hugging Face image convention.

They have a column `img` or `image` of struct<bytes, path> or of bytes, an integer column `label` or
`fine_label`, and class names in the `huggingface` metadata of the schema. Columns of other names
are read if the metadata describe only one of that kind.
"""

import bisect
import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from hmnpack.errors import BadData, MissingExtra, first_line
from hmnpack.runtime.contents import first_bytes, mistaken_for
from hmnpack.runtime.progress import Listener
from hmnpack.sources.assemble import attempt, decode_source
from hmnpack.sources.cache import key_of_files, through_cache
from hmnpack.sources.convention import (
    TRAIN,
    choose_test_split,
    class_names,
    column_of,
    columns_of,
    expect_same_names,
    integer_labels,
    is_integer,
    name_of,
    why_unlabelled,
)
from hmnpack.sources.decode import Encoded, Payload
from hmnpack.sources.shards import parquet_files, parquet_splits
from hmnpack.sources.types import Source, SourceOptions, is_path, source_path

_EMBED = (
    "embed the image files, such as with embed_table_storage of datasets.table, or give the folder "
    "of image files"
)

_BINARY = ("binary", "large_binary", "binary_view", "fixed_size_binary")
"""Names of the types that hold bytes."""


def is_parquet(spec: str) -> bool:
    """Return whether a text is the path of a parquet file or of a folder of them."""
    return is_path(spec) and bool(parquet_files(source_path(spec)))


def open_parquet(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open a folder of parquet files, or a single file as the training split.

    In a folder, file names contain the split: `train`, and a test split such as `test` or
    `validation`. A test split without labels is left out.

    Raises:
        MissingExtra: if pyarrow is not installed.
        BadData: if the data are invalid (see `hmnpack.sources.open_source`).
    """
    try:
        import pyarrow  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of("reading parquet", "parquet") from error
    path = source_path(spec)
    splits = parquet_splits(path)
    train_files = splits[TRAIN]
    columns = _columns(train_files[0], options)
    names = _same_names(train_files, columns[1])
    found, problem = attempt(lambda: _tested(path, splits, columns, names))
    test_files, test_key = found or ([], key_of_files([]))
    name = name_of(path) if path.is_dir() else name_of(path.with_suffix(""))

    def make(folder: Path | None) -> Source:
        train = _Table(path, train_files, columns)
        test = (lambda: _Table(path, test_files, columns).encoded()) if test_files else None
        return decode_source(
            *(name, train.classes(), train.encoded(), test, options, listener), folder=folder
        )

    key = f"{key_of_files(train_files)} {test_key} {columns}"
    source = through_cache(name, key, options, make)
    return replace(source, test_problem=problem or source.test_problem)


def _tested(
    path: Path,
    splits: Mapping[str, list[Path]],
    columns: tuple[str, str],
    names: list[str] | None,
) -> tuple[list[Path], str] | None:
    """Return the files of the test split and the key of their contents; None without one.

    Args:
        path: The dataset.
        splits: Files by split.
        columns: Names of the image and the label column.
        names: Class names of the training split, if it has them.
    """
    name = choose_test_split(path, splits, lambda name: _why_unusable(splits[name], columns))
    if name is None:
        return None
    files = splits[name]
    expect_same_names(files[0], names, _same_names(files, columns[1]), reference=TRAIN)
    return files, key_of_files(files)


def _why_unusable(files: Sequence[Path], columns: tuple[str, str]) -> str | None:
    """Return why a test split cannot be used; None if it can be."""
    for column in columns:
        if not any(column in _schema(file).names for file in files):
            return f"it has no column {column}"
    label = columns[1:]
    return why_unlabelled(
        [row for file in files for row in _read_columns(file, label)[0].to_pylist()]
    )


def _columns(file: Path, options: SourceOptions) -> tuple[str, str]:
    """Return the names of the image and the label column of a file."""
    schema = _schema(file)
    return columns_of(file, _features(schema), schema.names, options)


class _Table:
    """The image and label columns of the files of one split.

    Every file must have both columns and, if it names its classes, the same class names. The
    types of the columns may differ in width.
    """

    def __init__(self, root: Path, files: Sequence[Path], columns: tuple[str, str]) -> None:
        import pyarrow  # noqa: PLC0415 - an extra

        self.files = files
        self.shown = [file.relative_to(root) if file != root else file.name for file in files]
        self.image, self.label = columns
        self.names = _same_names(files, self.label)
        tables = [_read_columns(file, columns) for file in files]
        self.starts = [0, *itertools.accumulate(len(table) for table in tables)]
        parts = [
            _bytes_of(file, self.image, table[self.image])
            for file, table in zip(files, tables, strict=True)
        ]
        same = all(part.type == parts[0].type for part in parts)
        kind = parts[0].type if same else pyarrow.large_binary()
        chunks = [chunk.cast(kind) for part in parts for chunk in part.chunks]
        self.bytes = pyarrow.chunked_array(chunks, type=kind)
        self.labels = self._integer_labels([table[self.label] for table in tables])

    def classes(self) -> list[str]:
        """Return the class names in the files' metadata, else the labels as text."""
        return class_names(self.names or None, self.labels)

    def _integer_labels(self, parts: Sequence[Any]) -> Tensor:
        """Return the labels of all files; a file without rows may have any type."""
        kinds = [(f, str(part.type)) for f, part in zip(self.files, parts, strict=True) if part]
        kinds = kinds or [(self.files[0], str(parts[0].type))]
        where, kind = next((pair for pair in kinds if not is_integer(pair[1])), kinds[0])
        values = itertools.chain.from_iterable(part.to_pylist() for part in parts)
        return integer_labels(where, self.label, kind, values, name=self._name)

    def encoded(self) -> Encoded:
        """Return the encoded images."""
        return Encoded(self.labels, self._read, self._name)

    def _read(self, start: int, stop: int) -> list[Payload]:
        payloads: list[Payload] = self.bytes.slice(start, stop - start).to_pylist()
        return payloads

    def _name(self, index: int) -> str:
        file = bisect.bisect_right(self.starts, index) - 1
        return f"row {index - self.starts[file]} of {self.shown[file]}"


def _same_names(files: Sequence[Path], label: str) -> list[str] | None:
    """Return the class names, which are the same in all files that have any."""
    first, names = None, None
    for file in files:
        found = _class_names(_schema(file), label)
        if names:
            expect_same_names(file, names, found, reference=first)
        elif found:
            first, names = file, found
    return names


def _schema(file: Path) -> Any:  # noqa: ANN401
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    with _reading(file):
        return parquet.read_schema(file)


def _features(schema: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the columns' descriptions in the schema's metadata; empty if there are none."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    except (LookupError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(schema: Any, label: str) -> list[str] | None:  # noqa: ANN401
    """Return the class names in the schema's metadata, or None."""
    try:
        names = _features(schema)[label]["names"]
    except (LookupError, TypeError):
        return None
    return names if isinstance(names, list) else None


def _read_columns(file: Path, columns: Sequence[str]) -> Any:  # noqa: ANN401
    """Return the table of these columns of a file."""
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    present = _schema(file).names
    for column in columns:
        column_of(file, present, [column])
        if present.count(column) > 1:
            raise BadData(
                f"{file} has {present.count(column)} columns {column!r}: rename all but one"
            )
    with _reading(file):
        return parquet.read_table(file, columns=list(columns))


def _bytes_of(file: Path, column: str, cells: Any) -> Any:  # noqa: ANN401
    """Return the encoded images of a column."""
    from pyarrow import compute, types  # noqa: PLC0415 - an extra

    if _is_binary(cells.type):
        return _plain(cells)
    # A text column would be taken for paths, and local files would be opened.
    place = cells.type.get_field_index("bytes") if types.is_struct(cells.type) else -1
    if place < 0 or not _is_binary(cells.type.field(place).type):
        hint = _EMBED if _holds_text(cells.type) else "give one image file a row, as bytes"
        raise BadData(
            f"images in column {column!r} of {file} are {cells.type}, not struct<bytes: binary, "
            f"path: string> or binary: {hint}"
        )
    payloads = compute.struct_field(cells, "bytes")
    if payloads.null_count == len(cells) > 0 and cells.type.get_field_index("path") >= 0:
        paths = compute.struct_field(cells, "path").drop_null()
        if len(paths):
            raise BadData(
                f"images in column {column!r} of {file} are paths only, such as "
                f"{paths[0].as_py()!r}: {_EMBED}"
            )
    return _plain(payloads)


def _holds_text(kind: Any) -> bool:  # noqa: ANN401
    from pyarrow import types  # noqa: PLC0415 - an extra

    return bool(types.is_string(kind) or types.is_large_string(kind))


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Raise BadData with the file's name if it is unreadable."""
    import pyarrow  # noqa: PLC0415 - an extra

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        usual = first_line(error), "make it readable, or replace it"
        reason, mend = mistaken_for(first_bytes(file)) or usual
        raise BadData(f"cannot read {file} ({reason}): {mend}") from error
    except UnicodeEncodeError as error:
        raise BadData(f"{file}: its name is not UTF-8; rename it") from error


def _is_binary(kind: Any) -> bool:  # noqa: ANN401
    """Return whether a type holds bytes in any form: long, of one size, views, a dictionary."""
    from pyarrow import types  # noqa: PLC0415 - an extra

    plain = kind.value_type if types.is_dictionary(kind) else kind
    return str(plain).partition("[")[0] in _BINARY  # by name: pyarrow 15 cannot test for views


def _plain(cells: Any) -> Any:  # noqa: ANN401
    """Return binary cells in the two forms that can be cast to each other."""
    import pyarrow  # noqa: PLC0415 - an extra
    from pyarrow import types  # noqa: PLC0415 - an extra

    usual = types.is_binary(cells.type) or types.is_large_binary(cells.type)
    return cells if usual else cells.cast(pyarrow.large_binary())
