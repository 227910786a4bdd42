"""The Hugging Face image convention: names of columns and splits, rules for labels.

Shape legend: N images, K classes.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor

from hmnpack.errors import BadData
from hmnpack.runtime.notes import warn
from hmnpack.sources.types import SourceOptions

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
TRAIN = "train"
TEST_SPLITS = ("test", "validation", "valid", "val", "dev", "eval")
"""Names of test splits, in order of preference."""


def columns_of(
    where: object, features: Mapping[str, object], present: Sequence[str], options: SourceOptions
) -> tuple[str, str]:
    """Return the names of the image and the label column.

    Args:
        where: Name of the file or dataset in messages.
        features: Features by column, as parsed JSON or as objects of the `datasets` library.
        present: Names of the columns.
        options: The columns that the caller chose, if any.

    Raises:
        BadData: if a column is not present, or if several may be meant.
    """

    def find(kind: str, chosen: str | None, usual: Sequence[str], option: str) -> str:
        if chosen:
            return column_of(where, present, [chosen], option=option)
        described = [name for name in described_as(kind, features) if name in present]
        return column_of(where, present, usual, described, option=option)

    return (
        find("Image", options.image_column, IMAGE_COLUMNS, "--image-column"),
        find("ClassLabel", options.label_column, LABEL_COLUMNS, "--label-column"),
    )


def column_of(
    where: object,
    present: Sequence[str],
    wanted: Sequence[str],
    described: Sequence[str] = (),
    *,
    option: str | None = None,
) -> str:
    """Return the first of the wanted columns that is present, else the only described one.

    Args:
        where: Name of the file or dataset in messages.
        present: Names of its columns.
        wanted: Names to look for, in order of preference.
        described: Columns that are of this kind by the dataset's own description.
        option: The option that chooses the column, for messages.

    Raises:
        BadData: if none is present, or if several are described.
    """
    for name in wanted:
        if name in present:
            return name
    if len(described) == 1:
        return described[0]
    raise BadData(
        f"{where} has no column {' or '.join(wanted)}: its columns are "
        + ", ".join(described or present)
        + (f"; choose one with {option}" if option else "")
    )


def described_as(kind: str, features: Mapping[str, object]) -> list[str]:
    """Return the columns that a dataset's features describe as `ClassLabel` or `Image`.

    Args:
        kind: The type of feature.
        features: Features by column, as parsed JSON or as objects of the `datasets` library.
    """
    kinds = {
        name: feature.get("_type") if isinstance(feature, dict) else getattr(feature, "_type", None)
        for name, feature in features.items()
    }
    return [name for name, found in kinds.items() if found == kind]


def choose_test_split(
    where: object, splits: Collection[str], problem: Callable[[str], str | None]
) -> str | None:
    """Return the name of the first usable test split, or None if there is none.

    Logs a warning for each test split before it, which cannot be used.

    Args:
        where: Name of the dataset in messages.
        splits: Names of its splits.
        problem: Returns why a split cannot be used, given its name; None if it can be.
    """
    for name in TEST_SPLITS:
        if name not in splits:
            continue
        reason = problem(name)
        if reason is None:
            return name
        warn("%s: split %s is left out: %s", where, name, reason)
    return None


def warn_of_unknown_splits(where: object, names: Iterable[str]) -> None:
    """Log a warning that names the parts of a dataset that are no known split, if there are any."""
    unknown = ", ".join(sorted(names))
    if unknown:
        warn(
            "%s: left out %s: the splits that are read are %s",
            *(where, unknown, ", ".join((TRAIN, *TEST_SPLITS))),
        )


def why_unlabelled(labels: Collection[object]) -> str | None:
    """Return why the labels of a test split cannot be used; None if they can be.

    Datasets of competitions have a test split whose labels are missing or -1.

    Args:
        labels: The label column as Python objects.
    """
    if not labels:
        return "it has no images"
    present = [label for label in labels if label is not None]
    if all(isinstance(label, int) and label < 0 for label in present):
        return "it has no labels"
    integers = all(type(label) is int for label in present)
    return None if integers else "its labels are not integers"


def split_in_name(name: str) -> str | None:
    """Return the split in a file name such as `train-00000-of-00002`, or None."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((split for split in (TRAIN, *TEST_SPLITS) if split in words), None)


def is_integer(kind: str) -> bool:
    """Return whether the name of a column type is an integer's, such as `int64`."""
    return kind.startswith(("int", "uint"))


def integer_labels(
    where: object,
    column: str,
    kind: str,
    values: Iterable[int | None],
    *,
    name: Callable[[int], str],
) -> Tensor:
    """Return a label column as a tensor.

    Args:
        where: Name of the file or dataset in messages.
        column: Name of the column.
        kind: Name of its type, such as `int64`.
        values: The labels.
        name: Returns the name of a row in messages, given its index.

    Returns:
        int64 [N].

    Raises:
        BadData: if the column is empty, not of integers, or misses a label.
    """
    if not is_integer(kind):
        raise BadData(
            f"labels in column {column!r} of {where} are {kind}, not integers: number the classes "
            "from 0"
        )
    labels = list(values)
    if not labels:
        raise BadData(f"{where} has no images: add some, or remove it")
    if None in labels:
        raise BadData(f"{name(labels.index(None))} has no label: remove the row")
    highest = max(label for label in labels if label is not None)
    if highest >= 2**63:
        raise BadData(f"{where} has label {highest}, too large: number the classes from 0")
    return torch.tensor(labels, dtype=torch.int64)


def name_of(path: Path) -> str:
    """Return the dataset name that a bundle records for a path: its last part, as UTF-8."""
    return (path.resolve().name or "data").encode(errors="replace").decode()


def expect_same_names(
    where: object,
    names: Sequence[str] | None,
    others: Sequence[str] | None,
    *,
    reference: object,
) -> None:
    """Check that two parts of a dataset name the same classes, if both name their classes.

    Args:
        where: Name of the second part in messages, a file or a split.
        names: Class names of the first part, if it has them.
        others: The same for the second part.
        reference: Name of the first part in messages.

    Raises:
        BadData: if they differ.
    """
    if not names or not others:
        return
    for label, (ours, theirs) in enumerate(zip_longest(names, others)):
        if ours != theirs:
            raise BadData(
                f"label {label} is {theirs!r} in {where} but {ours!r} in {reference}: give both "
                "the same classes in the same order"
            )


def class_names(named: Iterable[str] | None, labels: Tensor) -> list[str]:
    """Return the dataset's class names, else the labels as text.

    Args:
        named: Class names in the order of the labels, if the dataset has them.
        labels: int64 [N], of the training split.

    Raises:
        BadData: if the names have no order, if one is not a string, or if unnamed labels do not
            number the classes from 0 without gaps.
    """
    if named is not None:
        names = _in_order(named)
        for name in names:
            if not isinstance(name, str):
                raise BadData(f"class name {name!r} is not a string: put it in quotes")
        return names
    highest = int(labels.max())
    if highest >= len(labels):  # checked before allocating a list of that length
        raise BadData(
            f"the highest label is {highest} with only {len(labels)} images: number the classes "
            "from 0 without gaps"
        )
    present = set(labels.unique().tolist())
    for label in range(highest + 1):
        if label not in present:
            raise BadData(
                f"no image has label {label}, but the highest is {highest}: number the "
                "classes from 0 without gaps"
            )
    return [str(label) for label in range(highest + 1)]


def _in_order(names: Iterable[str]) -> list[str]:
    """Return class names as a list; the order of a set or a dictionary is not that of the labels.

    Raises:
        BadData: if they are in one of these, or in one text.
    """
    if isinstance(names, Mapping | Set | str | bytes):
        raise BadData(
            f"classes is a {type(names).__name__}: give a list of names, that of label 0 first, "
            "such as sorted(class_to_idx, key=class_to_idx.get)"
        )
    return list(names)
