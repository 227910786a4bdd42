"""Datasets of digits or letters, in which a mirrored image may belong to another class."""

import re

_CHARACTER_DATASETS = {"digits", "emnist", "kmnist", "mnist", "qmnist", "svhn", "usps"}


def is_of_characters(name: str) -> bool:
    """Return whether a dataset's name has a word such as ``mnist``, ``svhn`` or ``digits``.

    Example:
        >>> [is_of_characters(name) for name in ("svhn", "fashion-mnist")]
        [True, False]
    """
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return bool(words & _CHARACTER_DATASETS) and "fashion" not in words
