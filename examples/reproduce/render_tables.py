"""Write the tables of numbers from the result files, so that the two cannot differ.

python examples/reproduce/render_tables.py           # rewrites the front page and this folder's
python examples/reproduce/render_tables.py --check   # fails if one would change
"""

import sys
from pathlib import Path

import markdown
import render_front
import render_paper
import render_proxies

from hmnpack.schema.result import Result

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"
BEGIN = "<!-- results: written by examples/reproduce/render_tables.py -->\n"
END = "<!-- end of results -->"
EMPTY = "No results are recorded yet.\n"
CONTROLS = ("same floats", "same bytes", "warm-up alone")
"""What the names of rows beside the headline have in them; each is a column."""

COLUMNS = (
    *("data", "ipc", "recipe", "packed in", "images", "condensed", "paper"),
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


def table(found: dict[str, Result], link: str) -> str:
    """Return a Markdown table with a row for each result, without columns that would be empty.

    Args:
        found: Results by the name of their file.
        link: Path of their folder, as seen from the page.
    """
    if not found:
        return EMPTY
    rows = [(*_cells(result), f"[json]({link}/{name})") for name, result in found.items()]
    used = [place for place in range(len(COLUMNS)) if any(row[place] != "-" for row in rows)]
    lines = [[row[place] for place in used] for row in (COLUMNS, *rows)]
    return markdown.table(lines[0], lines[1:])


def _cells(result: Result) -> tuple[str, ...]:
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
        render_front.packed_in(result),
        str(figures.get("images", "-")),
        markdown.accuracy(result.accuracy_mean, result.accuracy_std, result.networks, bold=True),
        str(figures.get("paper_accuracy", "-")),
        *(markdown.control(result.controls, words) for words in CONTROLS),
        f"{network}, {epochs}",
    )


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
    pages[README] = rendered(pages[README], BEGIN, END, render_front.table(found))
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
