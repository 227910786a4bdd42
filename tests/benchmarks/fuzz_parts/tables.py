"""Parquet files: shards, columns, types, labels, damage."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow
from fuzz_parts.names import draw_names
from fuzz_parts.pictures import FORMS, damaged, draw_code, encoded, unreadable
from fuzz_parts.truth import Picture, State, Truth, problems_of_pictures
from pyarrow import parquet

_IMAGES = {
    "struct": pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
    "large": pyarrow.struct([("bytes", pyarrow.large_binary()), ("path", pyarrow.string())]),
    "bytes": pyarrow.struct([("bytes", pyarrow.binary())]),
    "swapped": pyarrow.struct([("path", pyarrow.large_string()), ("bytes", pyarrow.binary())]),
}
"""Types of image columns that are read."""

_STRANGE = {
    "plain bytes": pyarrow.binary(),
    "paths": pyarrow.string(),
    "pixels": pyarrow.list_(pyarrow.list_(pyarrow.uint8())),
    "no bytes": pyarrow.struct([("path", pyarrow.string())]),
    "numbers": pyarrow.int64(),
}
"""Types of image columns that are refused."""

_LABELS = {
    name: getattr(pyarrow, name)()
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}

_BAD_LABELS = ("text", "float", "null", "negative", "gap", "too large", "bool", "list")


@dataclass(frozen=True)
class Style:
    """How the tables of one dataset look.

    Attributes:
        image: Name of the type of the image column.
        label: Type of the label column.
        columns: Names of the two columns.
        named: Whether the class names are in the metadata.
        described: Whether the metadata describe both columns.
        fault: What is wrong with the labels or a file, or an empty text.
        form: Form of the images.
        sizes: Widths and heights of the images.
        bad: Probability of unreadable images.
        maybe: Probability of damaged images.
    """

    image: str
    label: Any
    columns: tuple[str, str]
    named: bool
    described: bool
    fault: str
    form: str
    sizes: tuple[tuple[int, int], ...]
    bad: float
    maybe: float


def draw_style(draw: Random) -> Style:
    """Return a style; one in three has a fault."""
    described = draw.random() < 0.6
    usual = (draw.choice(("img", "image")), draw.choice(("label", "fine_label")))
    odd = (draw.choice(("picture", "bild", "é")), draw.choice(("target", "kind", "y z")))
    files = ("", "truncated", "empty file", "column missing", "other names")
    faults = ("",) * 22 + files + _BAD_LABELS
    return Style(
        image=draw.choice(tuple(_IMAGES) * 6 + tuple(_STRANGE)),
        label=draw.choice(tuple(_LABELS.values())),
        columns=odd if described and draw.random() < 0.3 else usual,
        named=described and draw.random() < 0.7,
        described=described,
        fault=draw.choice(faults),
        form=draw.choice(tuple(FORMS)),
        sizes=((draw.choice((8, 9, 16)), draw.choice((8, 12, 17))), (8, 8))[
            : draw.choice((1, 1, 1, 2))
        ],
        bad=draw.choice((0, 0, 0, 0.1)),
        maybe=draw.choice((0, 0, 0, 0.1)),
    )


def make(draw: Random, folder: Path) -> Truth:
    """Write random Parquet files and return what was put in."""
    style = draw_style(draw)
    count = draw.choice((2, 3, 5))
    classes = draw_names(draw, count, draw.choice((0, 0.6))) if style.named else None
    names = classes or [str(label) for label in range(count)]
    names = [name.encode(errors="replace").decode() for name in names]  # JSON has no other text
    truth = Truth(folder / "tables", _options(draw, style), names, [])
    if len(set(names)) < len(names):
        style, names = replace(style, named=False), [str(label) for label in range(count)]
        truth.classes = names
    single = draw.random() < 0.25
    truth.train = _rows(draw, style, names, all_needed=True)
    shards = _shards(draw, truth.train, 1 if single else draw.choice((1, 1, 2, 3)))
    paths = _paths(draw, folder / "tables", "train", len(shards), single=single)
    truth.spec = paths[0] if single else folder / "tables"
    _write(draw, style, truth, list(zip(paths, shards, strict=True)))
    if not single:
        _tests(draw, style, truth, paths[0].parent)
    if style.image in _STRANGE:
        truth.problems.append(f"images are {style.image}")
    truth.noisy = style.form.startswith("tiff")
    problems_of_pictures(truth)
    return truth


def _options(draw: Random, style: Style) -> dict[str, object]:
    options: dict[str, object] = {}
    if len(style.sizes) > 1 or draw.random() < 0.2:
        options["size"] = draw.choice((8, 12, 16))
    if style.bad or style.maybe:
        options["skip_bad"] = draw.random() < 0.7
    if not style.described or draw.random() < 0.1:
        options |= dict(zip(("image_column", "label_column"), style.columns, strict=True))
    return options


def _rows(draw: Random, style: Style, names: list[str], *, all_needed: bool) -> list[Picture]:
    labels = [*names] if all_needed else []
    labels += [draw.choice(names) for _ in range(draw.randint(1, 8))]
    draw.shuffle(labels)
    form = FORMS[style.form]
    return [
        Picture(
            label,
            draw_code(draw, form),
            form.grey,
            _state(draw, style),
            draw.choice(style.sizes),
        )
        for label in labels
    ]


def _state(draw: Random, style: Style) -> State:
    chance = draw.random()
    return "bad" if chance < style.bad else "maybe" if chance < style.bad + style.maybe else "good"


def _shards(draw: Random, rows: list[Picture], count: int) -> list[list[Picture]]:
    cuts = sorted(draw.randint(0, len(rows)) for _ in range(count - 1))
    return [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]


def _paths(draw: Random, root: Path, split: str, count: int, *, single: bool = False) -> list[Path]:
    if single:
        return [root / draw.choice(("any.parquet", "test.parquet", "train.parquet"))]
    place = draw.choice((".", "data", "plain_text", "default/" + split))
    return [root / place / f"{split}-{index:05d}-of-{count:05d}.parquet" for index in range(count)]


def _write(draw: Random, style: Style, truth: Truth, shards: list[tuple[Path, Any]]) -> None:
    """Write the shards of the training split, one of them with the fault."""
    chosen = draw.randrange(len(shards))
    for index, (path, rows) in enumerate(shards):
        faulty = style.fault if index == chosen else ""
        if faulty == "other names" and len(shards) == 1:
            faulty = ""  # there are no others to differ from
        table = _table(draw, style, truth, rows, faulty)
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, path, row_group_size=draw.choice((1, 3, 1000)))
        if faulty == "truncated":
            path.write_bytes(path.read_bytes()[: -draw.randint(1, 200)])
        if faulty == "empty file":
            path.write_bytes(b"")
        if faulty in ("truncated", "empty file", "column missing"):
            truth.problems.append(faulty)
        if faulty == "other names" and style.named:
            truth.problems.append(faulty)


def _table(draw: Random, style: Style, truth: Truth, rows: list[Picture], fault: str) -> Any:
    image, label = style.columns
    values, kind = _labels(draw, style, truth, rows, fault)
    columns = {
        "id": pyarrow.array(range(len(rows)), pyarrow.int64()),
        image: _images(draw, style, truth, rows),
        label: pyarrow.array(values, kind),
    }
    if fault == "column missing":
        del columns[draw.choice(style.columns)]
    names = truth.classes[::-1] if fault == "other names" else truth.classes
    return pyarrow.table(columns).replace_schema_metadata(_metadata(style, names))


def _metadata(style: Style, names: list[str]) -> dict[str, str] | None:
    if not style.described:
        return None
    label = {"_type": "ClassLabel"} | ({"names": names} if style.named else {})
    image, target = style.columns
    features = {"id": {"_type": "Value"}, image: {"_type": "Image"}, target: label}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _images(draw: Random, style: Style, truth: Truth, rows: list[Picture]) -> Any:
    files = [_file(draw, style, row) for row in rows]
    truth.perhaps |= not any(files)  # a file of paths alone is refused
    if style.image in _IMAGES:
        kind = _IMAGES[style.image]
        cells = [
            {field.name: data if field.name == "bytes" else "a.png" for field in kind}
            for data in files
        ]
        return pyarrow.array(cells, kind)
    kind = _STRANGE[style.image]
    cells = {
        "plain bytes": b"x",
        "paths": "a.png",
        "pixels": [[1]],
        "numbers": 1,
        "no bytes": {"path": "a"},
    }
    return pyarrow.array([cells[style.image]] * len(rows), kind)


def _file(draw: Random, style: Style, row: Picture) -> bytes | None:
    whole = encoded(draw, FORMS[style.form], row.code, row.size)
    if row.state == "bad":
        return None if draw.random() < 0.3 else unreadable(draw, whole)
    return damaged(draw, whole) if row.state == "maybe" else whole


def _labels(
    draw: Random, style: Style, truth: Truth, rows: list[Picture], fault: str
) -> tuple[list[Any], Any]:
    """Return the values of the label column and their type."""
    values: list[Any] = [truth.classes.index(row.label) for row in rows]
    kind = style.label
    if fault not in _BAD_LABELS or not values:
        return values, kind
    truth.problems.append(f"labels: {fault}")
    place = draw.randrange(len(values))
    if fault in ("text", "float", "bool", "list"):
        kinds = {"text": pyarrow.string(), "float": pyarrow.float32(), "bool": pyarrow.bool_()}
        casts = {"text": str, "float": float, "bool": bool, "list": lambda value: [value]}
        return [casts[fault](value) for value in values], kinds.get(fault, pyarrow.list_(kind))
    values[place] = {"null": None, "negative": -1, "gap": 99, "too large": 2**63}[fault]
    kind = {"negative": pyarrow.int64(), "too large": pyarrow.uint64()}.get(fault, kind)
    return values, kind


def _tests(draw: Random, style: Style, truth: Truth, beside: Path) -> None:
    """Write test splits beside the training split; the first usable one is the truth's."""
    for name in [name for name in ("test", "validation", "val") if draw.random() < 0.35]:
        rows = _rows(draw, style, truth.classes, all_needed=False)
        kind = draw.choice(("labelled", "labelled", "labelled", "minus", "null", "no rows"))
        table = _table(draw, style, truth, [] if kind == "no rows" else rows, "")
        if kind in ("minus", "null"):
            place = table.schema.get_field_index(style.columns[1])
            empty = [-1 if kind == "minus" else None] * len(rows)
            table = table.set_column(place, style.columns[1], pyarrow.array(empty, pyarrow.int64()))
        folder = beside.parent / name if beside.name == "train" else beside
        folder.mkdir(exist_ok=True)
        parquet.write_table(table, folder / f"{name}-00000-of-00001.parquet")
        if truth.test is None and kind == "labelled":
            truth.test = rows
        elif truth.test is None:
            truth.warned.append(f"split {name} is left out")
    if draw.random() < 0.1 and beside.name != "train":  # whose files are all of that split
        parquet.write_table(pyarrow.table({"a": [1]}), beside / "extra.parquet")
        truth.warned.append("extra.parquet")
