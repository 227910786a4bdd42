"""What measuring scripts share: progress, rows of trained networks, the result's file."""

import json
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, stdev

from hmnpack.condensing.fitting import REPORT_EVERY
from hmnpack.errors import BadSettings
from hmnpack.evaluation.rows import half_interval
from hmnpack.registry import DATA_SETS
from hmnpack.runtime.devices import choose_device
from hmnpack.runtime.machine import commit, machine_facts, without_folders
from hmnpack.runtime.output import write_atomically
from hmnpack.schema.result import Figure, Result, Row

RESULTS = Path(__file__).parent / "results"

COMMIT = commit()
"""Of the code that runs: by the end of a measurement the tree may be another."""


def print_progress(stage: str, done: int, total: int, **facts: float) -> None:
    """Print a line at about every twentieth of a stage; a listener."""
    every = max(1, total // 20)
    if every > REPORT_EVERY:  # other steps are not told of
        every -= every % REPORT_EVERY
    if done == total or done % every == 0:
        figures = "  ".join(f"{name} {value:.4g}" for name, value in facts.items())
        print(f"{stage}: {done}/{total}  {figures}", file=sys.stderr, flush=True)


def cached_rows(path: Path, make: Callable[[], Iterable[Row]]) -> None:
    """Write the rows of one seed to a file, unless it is there already.

    Args:
        path: JSON, a list of rows; a kill leaves no part of it.
        make: Trains and tests one network per row.
    """
    if not path.exists():
        text = json.dumps([row.model_dump(mode="json") for row in make()])
        write_atomically(path, text.encode(), force=True)


def over_seeds(paths: Iterable[Path]) -> list[Row]:
    """Return each row's mean, deviation and interval over the seeds whose files are there."""
    runs = [json.loads(path.read_text()) for path in paths if path.exists()]
    rows = []
    for same in zip(*runs, strict=True):
        accuracies = [row["accuracy_mean"] for row in same]
        changes = {
            "images": round(mean(row["images"] for row in same)),
            "figures": _common([row["figures"] for row in same]),
            "accuracy_mean": mean(accuracies),
            "accuracy_std": stdev(accuracies) if len(accuracies) > 1 else 0.0,
            "accuracy_ci95": half_interval(accuracies),
            "networks": len(accuracies),
            "accuracies": tuple(accuracies),
        }
        rows.append(Row.model_validate(same[0]).model_copy(update=changes))
    return rows


def _common(figures: list[dict[str, Figure]]) -> dict[str, Figure]:
    """Return the figures that are the same for every seed, and the mean of the bytes."""
    first, *others = figures
    found = {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others)
    }
    sizes = [size for each in figures if isinstance(size := each.get("bytes"), int)]
    return found | ({"bytes": round(mean(sizes))} if sizes else {})


def write_result(folder: Path, *, device: str, typed_data: str, **facts: object) -> Path:
    """Fill in what every result has, write it, and print where.

    A result of fewer networks, as of one process of several, does not replace one of more.

    Args:
        folder: Where; the file has the result's name.
        device: Where it was measured.
        typed_data: The data set as it was typed; see :func:`command_line`.
        facts: Fields of ``Result`` but the command, the commit and the machine.

    Raises:
        BadSettings: if there is a result of that name on other data.
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
            f"{path} is of {there.data.name}, this of {result.data.name}; name this one (--tag, or "
            "--name): what was trained is kept"
        )
    if there and _networks(there) > _networks(result):
        more = f"{path} stays, as it is of more networks than this; delete it to replace it"
        print(more, file=sys.stderr)
        return path
    path.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print(path)
    return path


def _networks(result: Result) -> int:
    """Return of how many networks a result's headline is, or of a table all rows."""
    return result.networks or sum(row.networks for row in result.baselines)


def command_line(words: list[str], data: str) -> str:
    """Return a command line that says nothing of this machine's folders.

    Args:
        words: The script, and what was typed after it.
        data: The data set among them: a path becomes ``DATA``. Of other absolute paths the last
            part is kept.
    """
    script, *typed = words
    place = data not in DATA_SETS and Path(data).exists()
    if place:
        hidden = {data: "DATA", f"--data={data}": "--data=DATA"}
        typed = [hidden.get(word, word) for word in typed]
    shown = without_folders(typed)
    return shlex.join(["python", f"examples/reproduce/{Path(script).name}", *shown])
