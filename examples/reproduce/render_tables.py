"""Write the tables of numbers from the result files, so that the two cannot differ.

python examples/reproduce/render_tables.py           # rewrites the front page and this folder's
python examples/reproduce/render_tables.py --check   # fails if one would change
"""

import sys
from collections.abc import Mapping
from math import ceil
from pathlib import Path

import markdown
import render_paper
import render_proxies

from hmnpack.bundle import inspect
from hmnpack.cli.text import size
from hmnpack.schema.result import Figure, Result, Row

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"
BUNDLES = HERE.parent / "bundles"
BEGIN = "<!-- results: written by examples/reproduce/render_tables.py -->\n"
END = "<!-- end of results -->"
EMPTY = "No results are recorded yet.\n"
CONTROLS = ("same floats", "same bytes", "warm-up alone")
"""What the names of rows beside the headline have in them; each is a column."""

BY_PAPER = "-paper"
"""What ends the name of a shipped file's result by protocol `paper`."""

COLUMNS = (
    *("data", "ipc", "recipe", "packed in", "stored", "images"),
    *("condensed", "protocol `paper`", "paper"),
    *(*CONTROLS, "networks", "file"),
)


def results(folder: Path) -> dict[str, Result]:
    """Return the result files that have a test accuracy, by name; proxies have none."""
    found = {
        path.name: Result.model_validate_json(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }
    return {
        name: result
        for name, result in found.items()
        if result.accuracy_mean is not None and "proxy" not in result.figures
    }


def shipped(found: dict[str, Result]) -> dict[str, Result]:
    """Return the results of files that are shipped, which have the files' names."""
    files = {path.stem for path in BUNDLES.glob("*.hmn")}
    return {name: result for name, result in found.items() if Path(name).stem in files}


def table(found: dict[str, Result], link: str, every: Mapping[str, Result] | None = None) -> str:
    """Return a Markdown table with a row for each result, without columns that would be empty.

    Args:
        found: Results by the name of their file.
        link: Path of their folder, as seen from the page.
        every: Results among which those of the same files by protocol `paper` are; None: none.
    """
    if not found:
        return EMPTY
    rows = [
        (*_cells(name, result, _by_paper(name, link, every or {})), f"[json]({link}/{name})")
        for name, result in (found if every is None else _comparable(found)).items()
    ]
    used = [place for place in range(len(COLUMNS)) if any(row[place] != "-" for row in rows)]
    lines = [[row[place] for place in used] for row in (COLUMNS, *rows)]
    return markdown.table(lines[0], lines[1:])


def _by_paper(name: str, link: str, every: Mapping[str, Result]) -> str:
    """Return the accuracy of the same file by protocol `paper`, of how many networks, and where."""
    other = name.replace(".json", f"{BY_PAPER}.json")
    result = every.get(other)
    if result is None:
        return "-"
    shown = markdown.accuracy(result.accuracy_mean, result.accuracy_std, result.networks)
    return f"[{shown}]({link}/{other}) ({result.networks})"


def _cells(name: str, result: Result, by_paper: str) -> tuple[str, ...]:
    figures = result.figures
    data = result.data.name if result.data else "-"
    network = f"{result.networks} x {figures.get('network', '-')}"
    if "width" in figures:
        network += f", width {figures['width']}"
    epochs = f"{figures.get('epochs', '-')} epochs"
    return (
        data,
        str(figures.get("ipc", "-")),
        result.recipe or "-",
        _packed_in(result),
        _stored(BUNDLES / f"{Path(name).stem}.hmn"),
        str(figures.get("images", "-")),
        markdown.accuracy(result.accuracy_mean, result.accuracy_std, result.networks, bold=True),
        by_paper,
        str(figures.get("paper_accuracy", "-")),
        *(_control(result.controls, words) for words in CONTROLS),
        f"{network}, {epochs}",
    )


def _packed_in(result: Result) -> str:
    minutes = result.figures.get("processor_minutes_packing")
    if minutes is None:
        return "-"
    spent = f"{minutes:.0f} min" if minutes >= 2 else f"{60 * minutes:.0f} s"
    return f"{spent} of one CPU core"


def _stored(path: Path) -> str:
    """Return the size of a shipped file's tensors: ``"33.5 kB, 8 or 16 bits a number"``."""
    if not path.exists():
        return "-"
    ledger = inspect(path).ledger
    bits = sorted({8 * row.bytes // row.elements for row in ledger.rows})
    return f"{size(ledger.bytes)}, {' or '.join(map(str, bits))} bits a number"


def _comparable(found: dict[str, Result]) -> dict[str, Result]:
    """Return the results without the rows of real images that had fewer steps, as they once had."""

    def comparable(result: Result) -> Result:
        least = _steps(result.figures)
        rows = tuple(row for row in result.controls if _steps(row.figures) >= least)
        return result.model_copy(update={"controls": rows})

    return {name: comparable(result) for name, result in found.items()}


def _steps(figures: Mapping[str, Figure]) -> int:
    """Return the steps of a network; where a result does not say, its batches were of 64."""
    steps, epochs, images = (figures.get(name) for name in ("steps", "epochs", "images"))
    if isinstance(steps, int):
        return steps
    return epochs * ceil(images / 64) if isinstance(epochs, int) and isinstance(images, int) else 0


def _control(rows: tuple[Row, ...], words: str) -> str:
    for row in rows:
        if words in row.name:
            return markdown.accuracy(row.accuracy_mean, row.accuracy_std, row.networks)
    return "-"


def rendered(page: str, begin: str, end: str, text: str) -> str:
    """Return a page with a text between its marks."""
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise SystemExit(f"a page has lost its mark {begin.strip()} or {end}")
    return before + begin + text + end + after


def pages(folder: Path) -> dict[Path, str]:
    """Return the pages that have tables, as the results in a folder make them.

    The front page has the files that are shipped, this folder's page all that were judged.
    """
    pages = {page: page.read_text(encoding="utf-8") for page in (README, HERE / "README.md")}
    found, own = results(folder), HERE / "README.md"
    front = table(shipped(found), "examples/reproduce/results", found)
    pages[README] = rendered(pages[README], BEGIN, END, front)
    pages[own] = rendered(pages[own], BEGIN, END, table(found, "results"))
    for room in (render_paper, render_proxies):
        page, text = pages[room.README], room.sections(folder)
        pages[room.README] = rendered(page, room.BEGIN, room.END, text)
    return pages


def main(check: bool) -> int:
    """Rewrite the pages, or say whether one would change; return the exit code."""
    new = pages(HERE / "results")
    if check:
        return int(any(text != path.read_text(encoding="utf-8") for path, text in new.items()))
    for path, text in new.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
