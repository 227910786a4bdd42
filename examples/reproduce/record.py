"""Shared by measurement scripts: progress, rows of trained networks, result files."""

import json
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean

from hmnpack.condensing.fitting import REPORT_EVERY
from hmnpack.errors import BadSettings
from hmnpack.evaluation.rows import statistics_of
from hmnpack.registry import DATA_SETS
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.machine import commit, machine_facts, without_folders
from hmnpack.runtime.output import write_atomically
from hmnpack.schema.result import Figure, Result, Row

RESULTS = Path(__file__).parent / "results"

COMMIT = commit()
"""Commit of the running code, read at import: the tree may change during a measurement."""


def print_progress(stage: str, done: int, total: int, **facts: float) -> None:
    """Print progress about twenty times per stage; a listener."""
    every = max(1, total // 20)
    if every > REPORT_EVERY:  # other steps are not reported
        every -= every % REPORT_EVERY
    if done == total or done % every == 0:
        figures = "  ".join(f"{name} {value:.4g}" for name, value in facts.items())
        print(f"{stage}: {done}/{total}  {figures}", file=sys.stderr, flush=True)


def named(name: str, tag: str | None) -> str:
    """Return the name of a result, with the tag of the command line if there is one."""
    return f"{name}-{tag}" if tag else name


def cached_rows(path: Path, make: Callable[[], Iterable[Row]]) -> None:
    """Write the rows of one seed to a file, unless the file exists.

    Args:
        path: JSON file with a list of rows; written atomically.
        make: Trains and tests one network per row.
    """
    if not path.exists():
        text = json.dumps([row.model_dump(mode="json") for row in make()])
        write_atomically(path, text.encode(), force=True)


def over_seeds(paths: Iterable[Path]) -> list[Row]:
    """Return each row's mean, standard deviation and interval over the seeds with a file."""
    runs = [json.loads(path.read_text()) for path in paths if path.exists()]
    rows = []
    for same in zip(*runs, strict=True):
        accuracies = [row["accuracy_mean"] for row in same]
        changes = {
            "images": round(mean(row["images"] for row in same)),
            "figures": _common([row["figures"] for row in same]),
            **statistics_of(accuracies),
        }
        rows.append(Row.model_validate(same[0]).model_copy(update=changes))
    return rows


def _common(figures: list[dict[str, Figure]]) -> dict[str, Figure]:
    """Return the metrics that are equal for all seeds, and the mean of the bytes."""
    first, *others = figures
    found = {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others)
    }
    sizes = [size for each in figures if isinstance(size := each.get("bytes"), int)]
    return found | ({"bytes": round(mean(sizes))} if sizes else {})


def write_result(folder: Path, *, device: str, typed_data: str, **facts: object) -> Path:
    """Add the command, commit and machine to a result, write it, and print its path.

    A result with fewer networks, as from one process of several, does not replace one with more.

    Args:
        folder: Folder to write to; the file is named after the result.
        device: Device of the measurement.
        typed_data: The dataset as given on the command line; see :func:`command_line`.
        facts: Fields of ``Result`` except the command, the commit and the machine.

    Raises:
        BadSettings: if a result of that name exists for other data.
    """
    known = {
        "command": command_line(sys.argv, typed_data),
        "commit": COMMIT,
        "machine": machine_facts(choose_device(device)),
    }
    result = Result.model_validate(facts | known)
    folder.mkdir(exist_ok=True)
    path = folder / f"{result.name}.json"
    there = Result.model_validate_json(path.read_bytes()) if path.exists() else None
    if there and there.data and result.data and there.data.fingerprint != result.data.fingerprint:
        raise BadSettings(
            f"{path} was measured on {there.data.name}, this result on {result.data.name}; use "
            "another name (--tag or --name); trained networks are cached"
        )
    if there and _networks(there) > _networks(result):
        message = f"{path} has more networks than this result; delete it to replace it"
        print(message, file=sys.stderr)
        return path
    path.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print(path)
    return path


def _networks(result: Result) -> int:
    """Return the number of networks behind a result's headline, or behind all rows of a table."""
    return result.networks or sum(row.networks for row in result.baselines)


def command_line(words: list[str], data: str) -> str:
    """Return the command line without this machine's folders.

    Args:
        words: The script and its arguments.
        data: The dataset among the arguments: a path becomes ``DATA``. Other absolute paths are
            shortened to their last part.
    """
    script, *options = words
    place = data not in DATA_SETS and Path(data).exists()
    if place:
        hidden = {data: "DATA", f"--data={data}": "--data=DATA"}
        options = [hidden.get(word, word) for word in options]
    shown = without_folders(options)
    return shlex.join(["python", f"examples/reproduce/{Path(script).name}", *shown])
