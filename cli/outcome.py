"""Evaluations as a table on the terminal."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hmnpack.cli.show import plain, table

if TYPE_CHECKING:
    from hmnpack.evaluation import Evaluation
    from hmnpack.schema.manifest import Manifest

COLUMNS = ("trained on", "images", "epochs", "steps", "accuracy", "std", "+- 95 %", "nets")
COMPARISONS = ("above\nrandom", "below\nfull")
UNKNOWN = "-"


def accuracy_table(found: Mapping[str, "Evaluation"], manifest: "Manifest") -> Table:
    """Return a table of training sets, training lengths and test accuracies.

    Each row has the mean accuracy in percent, the sample standard deviation and half the 95 %
    interval of the mean. If the baselines were evaluated, it also has the difference in percentage
    points to random real images with the same number of floats, and to the full dataset.

    Args:
        found: Evaluations by network name, at least one; several have a block of rows each.
        manifest: Manifest of the bundle.
    """
    network = "" if len(found) > 1 else f"{next(iter(found))}, "
    score = next(iter(found.values())).score
    title = f"{network}tested on {score.tested_on}"
    lines = [line for name, one in found.items() for line in _block(name, one, len(found) > 1)]
    columns = (*COLUMNS, *COMPARISONS)
    cells = zip(*lines, strict=True)
    used = [index for index, column in enumerate(cells) if not {"", UNKNOWN}.issuperset(column)]
    shown = ([line[index] for index in used] for line in lines)
    made = table(title, [columns[index] for index in used], shown)
    made.caption = Text("\n").join(plain(note) for note in _notes(found, manifest)) or None
    made.caption_justify = "left"
    return made


def _block(name: str, found: "Evaluation", several: bool) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each row, headed by the network's name if there are several networks."""
    from hmnpack.evaluation import below_whole, over_random

    if several:
        yield (name, *[""] * (len(COLUMNS) + len(COMPARISONS) - 1))
    for row in found.rows:
        yield (
            f"  {row.name}" if several else row.name,
            f"{row.images:,}",
            str(row.figures.get("epochs", UNKNOWN)),
            str(row.figures.get("steps", UNKNOWN)),
            f"{row.accuracy_mean:.2f} %",
            f"{row.accuracy_std:.2f}" if row.networks > 1 else UNKNOWN,
            _points(row.accuracy_ci95),
            str(row.networks),
            _points(over_random(row, found.rows), "+"),
            _points(below_whole(row, found.rows)),
        )


def _points(value: float | None, sign: str = "") -> str:
    return UNKNOWN if value is None else f"{value:{sign}.2f}"


def _notes(found: Mapping[str, "Evaluation"], manifest: "Manifest") -> Iterator[str]:
    """Yield notes: the JPEG quality, how it was selected, and whether the score is optimistic."""
    from hmnpack.sources import chosen_by_held_out

    held_out_used = any(one.score.held_out for one in found.values())
    if held_out_used and chosen_by_held_out(manifest):
        yield "bundle: the score is optimistic, because these images selected its beta"
    for name, one in found.items():
        prefix = f"{name}, " if len(found) > 1 else ""
        for row in one.rows:
            quality = row.figures.get("jpeg_quality")
            if quality is not None:
                held_out = row.figures.get("held_out_images", 0)
                chosen = f", selected on {held_out:,} held-out images" if held_out else ""
                yield f"{prefix}{row.name}: quality {quality}{chosen}"
