"""`parquet`: one file in the Hugging Face image convention, for `datasets` and its viewer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hmnpack.bundle.pictures import png
from hmnpack.errors import MissingExtra
from hmnpack.runtime.output import replacing
from hmnpack.writers.base import Album, digits_of

ROW_GROUP = 1000
"""Images per row group, the smallest unit that a reader has to load."""


def write_parquet(album: Album, out: Path, *, force: bool) -> None:
    """Write columns `image` (struct of PNG bytes and path) and `label` (with class names).

    Raises:
        MissingExtra: if pyarrow is not installed.
    """
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of("writing parquet", "parquet") from error
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema([("image", image), ("label", pyarrow.int64())], _features(album))
    with replacing(out, force=force) as file, parquet.ParquetWriter(file, schema) as writer:
        rows: list[dict[str, Any]] = []
        for row in _rows(album):
            rows.append(row)
            if len(rows) == ROW_GROUP:
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))
                rows.clear()
        if rows:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def _features(album: Album) -> dict[str, str]:
    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(album.classes)},
    }
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _rows(album: Album) -> Iterator[dict[str, Any]]:
    digits = digits_of(sum(album.counts))
    for number, (label, _, image) in enumerate(album):
        path = f"{number:0{digits}d}.png"
        yield {"image": {"bytes": png(image), "path": path}, "label": label}
