"""Datasets of digits or letters, in which a mirrored image may belong to another class."""

import re

from hmnpack.schema.training import Augmentation

_CHARACTER_DATASETS = {"digits", "emnist", "kmnist", "mnist", "qmnist", "svhn", "usps"}


def is_of_characters(name: str) -> bool:
    """Return whether a dataset's name has a word such as ``mnist``, ``svhn`` or ``digits``.

    Example:
        >>> [is_of_characters(name) for name in ("svhn", "fashion-mnist")]
        [True, False]
    """
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    return bool(words & _CHARACTER_DATASETS) and "fashion" not in words


def without_mirrored_characters(
    augment: tuple[Augmentation, ...], *names: str
) -> tuple[Augmentation, ...]:
    """Return augmentations, without ``flip`` if they are for a dataset of characters.

    Args:
        augment: The augmentations.
        names: Names of the dataset; one that matches suffices.
    """
    if not any(is_of_characters(name) for name in names):
        return augment
    return tuple(name for name in augment if name != "flip")
