"""Parquet files in the Hugging Face image convention.

They have a column `img` or `image` of struct<bytes, path>, an integer column `label` or
`fine_label`, and class names in the `huggingface` metadata of the schema.
"""

import bisect
import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hmnpack.errors import BadData, MissingExtra, first_line
from hmnpack.runtime.progress import Listener
from hmnpack.sources.assemble import decode_source
from hmnpack.sources.cache import key_of_files, through_cache
from hmnpack.sources.convention import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    TRAIN,
    class_names,
    column_of,
    expect_same_names,
    integer_labels,
    name_of,
    split_in_name,
    test_split_of,
)
from hmnpack.sources.decode import Encoded, Payload
from hmnpack.sources.types import Source, SourceOptions, path_of


def parquet_files(path: Path) -> list[Path]:
    """Return the parquet files of a path, sorted: the file itself, or those in the folder.

    In a copy of a Hub repository they are in its folder `data`.
    """
    if path.is_dir():
        return _files_of(path) or _files_of(path / "data")
    return [path] if path.suffix == ".parquet" else []


def _files_of(folder: Path) -> list[Path]:
    """Return the parquet files of a folder, without hidden files (macOS) and folders (Spark)."""
    found = sorted(folder.glob("*.parquet"))
    return [path for path in found if not path.is_dir() and not path.name.startswith(".")]


def is_parquet(spec: str) -> bool:
    """Return whether a text is the path of a parquet file or of a folder of them."""
    path = path_of(spec)
    return bool(spec) and path.exists() and bool(parquet_files(path))


def open_parquet(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open a folder of parquet files, or a single file as the training split.

    In a folder, file names contain the split: `train`, and `test` or else `validation`.

    Raises:
        MissingExtra: if pyarrow is not installed.
        BadData: if the data are invalid (see `hmnpack.sources.open_source`).
    """
    try:
        import pyarrow  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of("reading parquet", "parquet") from error
    path = path_of(spec)
    splits = _splits(path)
    test_name = test_split_of(splits)
    train_files, test_files = splits[TRAIN], splits[test_name] if test_name else []

    name = name_of(path) if path.is_dir() else name_of(path.with_suffix(""))

    def make() -> Source:
        train = _Table(train_files)
        test = _Table(test_files) if test_files else None
        tested = test.encoded() if test else None
        if test:
            expect_same_names(test_files[0], train.named(), test.named())
        return decode_source(name, train.classes(), train.encoded(), tested, options, listener)

    key = f"{key_of_files(train_files)} {key_of_files(test_files)}"
    return through_cache(name, key, options, make)


def _splits(path: Path) -> dict[str, list[Path]]:
    files = parquet_files(path)
    if files == [path]:
        return {TRAIN: files}
    splits: dict[str, list[Path]] = {}
    for file in files:
        name = split_in_name(file.stem)
        if name is None:
            raise BadData(f"{file} has no split in its name: put train or test into it")
        splits.setdefault(name, []).append(file)
    if TRAIN not in splits:
        raise BadData(f"{path} has no training split: put train into the name of a file")
    return splits


class _Table:
    """The image and label columns of the files of one split."""

    def __init__(self, files: Sequence[Path]) -> None:
        import pyarrow  # noqa: PLC0415 - an extra
        from pyarrow import compute, parquet  # noqa: PLC0415 - an extra

        with _reading(files[0]):
            self.schema = parquet.read_schema(files[0])
        image = column_of(files[0], self.schema.names, IMAGE_COLUMNS)
        self.label = column_of(files[0], self.schema.names, LABEL_COLUMNS)
        tables = []
        for file in files:
            with _reading(file):
                tables.append(parquet.read_table(file, columns=[image, self.label]))
                table = pyarrow.concat_tables(tables)
        kind = table.schema.field(image).type
        # A text column would be taken for paths, and local files would be opened.
        if not pyarrow.types.is_struct(kind) or not _is_binary(kind, "bytes"):
            raise BadData(
                f"images in column {image!r} of {files[0]} are {kind}, not struct<bytes: binary, "
                "path: string>"
            )
        self.files = files
        self.starts = [0, *itertools.accumulate(len(part) for part in tables)]
        self.bytes = compute.struct_field(table[image], "bytes")
        values = table[self.label]
        kind = str(values.type)
        self.labels = integer_labels(
            files[0], self.label, kind, values.to_pylist(), name=self._name
        )

    def classes(self) -> list[str]:
        """Return the class names in the schema's metadata, else the labels as text."""
        return class_names(self.named(), self.labels)

    def named(self) -> list[str] | None:
        """Return the class names in the schema's metadata, or None."""
        try:
            metadata = json.loads(self.schema.metadata[b"huggingface"])
            return list(metadata["info"]["features"][self.label]["names"])
        except (LookupError, TypeError, ValueError):
            return None

    def encoded(self) -> Encoded:
        """Return the encoded images."""
        return Encoded(self.labels, self._read, self._name)

    def _read(self, start: int, stop: int) -> list[Payload]:
        payloads: list[Payload] = self.bytes.slice(start, stop - start).to_pylist()
        return payloads

    def _name(self, index: int) -> str:
        file = bisect.bisect_right(self.starts, index) - 1
        return f"row {index - self.starts[file]} of {self.files[file].name}"


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Raise BadData with the file's name if it is unreadable or differs from the files before."""
    import pyarrow  # noqa: PLC0415 - an extra

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise BadData(f"cannot read {file} ({first_line(error)})") from error
    except UnicodeEncodeError as error:
        raise BadData(f"{file}: its name is not UTF-8; rename it") from error


def _is_binary(struct: Any, field: str) -> bool:  # noqa: ANN401
    """Return whether a struct type has a binary field of that name."""
    from pyarrow import types  # noqa: PLC0415 - an extra

    place = struct.get_field_index(field)
    if place < 0:
        return False
    kind = struct.field(place).type
    return bool(types.is_binary(kind) or types.is_large_binary(kind))
