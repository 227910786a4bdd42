"""The Hugging Face image convention: names of columns and splits, rules of labels.

Shape legend: N images, K classes.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

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


def integer_labels(
    where: object,
    column: str,
    kind: str,
    values: Iterable[int | None],
    *,
    name: Callable[[int], str],
) -> Tensor:
    """Return a column of labels.

    Args:
        where: What messages call the file or dataset.
        column: Name of the column.
        kind: Name of its type, such as `int64`.
        values: The labels.
        name: What messages call a row, by its number.

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
        raise BadData(f"{name(labels.index(None))} has no label: leave the row out")
    highest = max(label for label in labels if label is not None)
    if highest >= 2**63:
        raise BadData(f"{where} has the label {highest}: number the classes from 0")
    return torch.tensor(labels, dtype=torch.int64)


def name_of(path: Path) -> str:
    """Return what a bundle records of where data lie: the path's last part, as UTF-8."""
    return (path.resolve().name or "data").encode(errors="replace").decode()


def expect_same_names(
    where: object, train: Sequence[str] | None, test: Sequence[str] | None
) -> None:
    """Check that a label is the same class in both splits, where both name their classes.

    Args:
        where: What messages call the test split.
        train: Names of the training split's labels, if it has them.
        test: The same of the test split.

    Raises:
        BadData: if they differ.
    """
    if not train or not test:
        return
    for label, (ours, theirs) in enumerate(zip_longest(train, test)):
        if ours != theirs:
            raise BadData(
                f"label {label} is {theirs!r} in {where} but {ours!r} in train: give both splits "
                "the same classes in the same order"
            )


def class_names(named: Sequence[str] | None, labels: Tensor) -> list[str]:
    """Return the names that the data give, else the labels as text.

    Args:
        named: Names of the labels, if the data have them.
        labels: int64 [N], of the training split.

    Raises:
        BadData: if a name is no text; or there are no names and the labels have gaps for certain.
    """
    if named:
        for name in named:
            if not isinstance(name, str):
                raise BadData(f"a class is named {name!r}, which is no text: name it in quotes")
        return list(named)
    highest = int(labels.max())
    if highest >= len(labels):  # found before a list of that length is made
        raise BadData(
            f"labels go up to {highest} with {len(labels)} images in train: number the classes "
            "from 0 without gaps"
        )
    return [str(label) for label in range(highest + 1)]
