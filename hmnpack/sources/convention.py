"""The Hugging Face image convention: names of columns and splits, rules of labels.

Shape legend: N images, K classes.
"""

import re
from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor

from hmnpack.errors import BadData

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
TRAIN = "train"
TEST_SPLITS = ("test", "validation", "valid", "val")
"""Names of splits to test on; the first that exists is taken."""


def column_of(where: object, present: Sequence[str], wanted: Sequence[str]) -> str:
    """Return the first wanted column that is present.

    Raises:
        BadData: if there is none.
    """
    for name in wanted:
        if name in present:
            return name
    raise BadData(
        f"{where} has no column {' or '.join(wanted)}: its columns are {', '.join(present)}"
    )


def test_split_of(splits: Collection[str]) -> str | None:
    """Return the name of the split to test on, or None if there is none."""
    return next((name for name in TEST_SPLITS if name in splits), None)


def split_in_name(name: str) -> str | None:
    """Return the split that a file's name says, such as `train-00000-of-00002`."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((split for split in (TRAIN, *TEST_SPLITS) if split in words), None)


def integer_labels(where: object, column: str, kind: str, values: Iterable[int | None]) -> Tensor:
    """Return a column of labels.

    Args:
        where: What messages call the file or data set.
        column: Name of the column.
        kind: Name of its type, such as `int64`.
        values: The labels.

    Returns:
        int64 [N].

    Raises:
        BadData: if there are none, they are not integers, or one is missing.
    """
    if not kind.startswith(("int", "uint")):
        raise BadData(
            f"labels in column {column!r} of {where} are {kind}, not integers: number the classes "
            "from 0"
        )
    labels = list(values)
    if not labels:
        raise BadData(f"{where} has no images: give it some, or remove it")
    if None in labels:
        raise BadData(f"row {labels.index(None)} of {where} has no label: leave the row out")
    return torch.tensor(labels, dtype=torch.int64)


def class_names(named: Sequence[str] | None, labels: Tensor) -> list[str]:
    """Return the names that the data give, else the labels as text.

    Args:
        named: Names of the labels, if the data have them.
        labels: int64 [N], of the training split.

    Raises:
        BadData: if there are no names and the labels have gaps for certain.
    """
    if named:
        return list(named)
    highest = int(labels.max())
    if highest >= len(labels):  # found before a list of that length is made
        raise BadData(
            f"labels go up to {highest} with {len(labels)} images in train: number the classes "
            "from 0 without gaps"
        )
    return [str(label) for label in range(highest + 1)]
