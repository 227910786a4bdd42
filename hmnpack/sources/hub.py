"""Datasets of the Hugging Face Hub: `hf:owner/name` or `hf:owner/name:config`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hmnpack.errors import BadData, BadSettings, MissingExtra, first_line
from hmnpack.runtime.progress import Listener
from hmnpack.sources.assemble import attempt, decode_source
from hmnpack.sources.cache import through_cache
from hmnpack.sources.convention import (
    TEST_SPLITS,
    TRAIN,
    choose_test_split,
    class_names,
    columns_of,
    expect_same_names,
    integer_labels,
    warn_of_unknown_splits,
    why_unlabelled,
)
from hmnpack.sources.decode import Encoded, Payload
from hmnpack.sources.types import Source, SourceOptions

_PREFIX = "hf:"


def is_hub_address(spec: str) -> bool:
    """Return whether a text is a Hub address."""
    return spec.startswith(_PREFIX)


def open_hub(spec: str, options: SourceOptions, listener: Listener) -> Source:
    """Open a dataset of the Hub with the `datasets` library, which has its own cache.

    Raises:
        MissingExtra: if `datasets` is not installed.
        BadSettings: if the address has no repository.
        BadData: if it cannot be fetched or is invalid (see `hmnpack.sources.open_source`).
    """
    repository, _, config = spec.removeprefix(_PREFIX).partition(":")
    if not repository:
        raise BadSettings(
            f"{spec!r} does not name a dataset: use hf:owner/name or hf:owner/name:config"
        )
    splits = _load(spec, repository, config or None)
    if TRAIN not in splits:
        raise BadData(f"{spec} has no split named train: its splits are {', '.join(splits)}")
    train = splits[TRAIN]
    image, label = columns_of(spec, train.features, train.column_names, options)
    warn_of_unknown_splits(spec, set(splits) - {TRAIN, *TEST_SPLITS})
    named = getattr(train.features[label], "names", None)

    def tested() -> Any:  # noqa: ANN401
        name = choose_test_split(
            spec, splits, lambda name: _why_unusable(splits[name], image, label)
        )
        part = splits[name] if name else None
        if part is not None:
            others = getattr(part.features[label], "names", None)
            expect_same_names(f"{name} of {spec}", named, others, reference=TRAIN)
        return part

    test, problem = attempt(tested)

    def make(folder: Path | None) -> Source:
        encoded = _encoded(spec, train, image, label)
        read_test = None if test is None else lambda: _encoded(spec, test, image, label)
        classes = class_names(named or None, encoded.labels)
        return decode_source(*(spec, classes, encoded, read_test, options, listener), folder=folder)

    # The library's fingerprints change with the data, so its files need not be hashed again.
    identity = [part._fingerprint for part in (train, test) if part is not None]
    source = through_cache(spec, f"hf {image} {label} {identity}", options, make)
    return replace(source, test_problem=problem or source.test_problem)


def _load(spec: str, repository: str, config: str | None) -> Mapping[str, Any]:
    try:
        import datasets  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra.of("reading from the Hugging Face Hub", "hub") from error
    try:
        splits: Mapping[str, Any] = datasets.load_dataset(repository, config)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = first_line(error.__cause__ or error)
        raise BadData(
            f"cannot fetch {spec} ({reason}): check the name and the network, or "
            "download its parquet files and give their folder"
        ) from error
    return splits


def _why_unusable(part: Any, image: str, label: str) -> str | None:  # noqa: ANN401
    """Return why a test split cannot be used; None if it can be."""
    for column in (image, label):
        if column not in part.column_names:
            return f"it has no column {column}"
    return why_unlabelled(list(part[label]))


def _encoded(spec: str, part: Any, image: str, label: str) -> Encoded:  # noqa: ANN401
    import datasets  # noqa: PLC0415 - an extra

    rows = part.cast_column(image, datasets.Image(decode=False))
    kind = str(part.features[label].dtype)
    where = f"{spec} ({part.split})"

    def name(index: int) -> str:
        return f"row {index} of {where}"

    labels = integer_labels(where, label, kind, rows[label], name=name)
    caches = _caches(datasets)

    def read(start: int, stop: int) -> list[Payload]:
        cells = rows[start:stop][image]
        return [None if cell is None else _payload(cell, caches) for cell in cells]

    return Encoded(labels, read, name)


def _payload(cell: Mapping[str, Any], caches: Sequence[Path]) -> Payload:
    """Return an image's bytes, else its path in the library's cache, else None.

    A row may name any file of this machine, which a bundle would then be made from.
    """
    if cell["bytes"] or not cell["path"]:
        return cell["bytes"] or None
    path = Path(cell["path"]).absolute()
    if not any(path.resolve().is_relative_to(cache.resolve()) for cache in caches):
        raise BadData(f"a row names the local file {path}, which was not downloaded with the data")
    return path


def _caches(datasets: Any) -> Sequence[Path]:  # noqa: ANN401
    """Return the folders that the library downloads to."""
    names = ("HF_CACHE_HOME", "HF_DATASETS_CACHE", "DOWNLOADED_DATASETS_PATH", "HF_HUB_CACHE")
    found = [getattr(datasets.config, name, None) for name in names]
    return [Path(folder) for folder in (*found, os.environ.get("HF_HUB_CACHE")) if folder]
