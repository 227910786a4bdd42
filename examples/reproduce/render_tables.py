"""Render the tables of measurements from the result files.

python examples/reproduce/render_tables.py           # writes RESULTS.md, and tables of other pages
python examples/reproduce/render_tables.py --check   # fails if a page is out of date
"""

import sys
from pathlib import Path

import render_comparisons
import render_front
import render_results
from recorded import HERE, RESULTS, load
from render_accuracies import accuracies

README = HERE.parents[1] / "README.md"
BEGIN = "<!-- results: written by examples/reproduce/render_tables.py -->\n"
END = "<!-- end of results -->"


def rendered(page: str, begin: str, end: str, text: str) -> str:
    """Return a page with `text` between its markers."""
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise SystemExit(f"a page lacks the marker {begin.strip()} or {end}; restore it")
    return before + begin + text + end + after


def pages(folder: Path) -> dict[Path, str]:
    """Return the rendered pages, by path."""
    found, methods = load(folder), render_comparisons
    front = render_front.table(accuracies(found))
    readme = rendered(README.read_text(encoding="utf-8"), BEGIN, END, front)
    compared = methods.tables(found)
    page = rendered(methods.PAGE.read_text(encoding="utf-8"), methods.BEGIN, methods.END, compared)
    return {README: readme, methods.PAGE: page, render_results.PAGE: render_results.page(folder)}


def main(check: bool) -> int:
    """Rewrite the pages, or check that they are up to date; return the exit code."""
    new = pages(HERE / RESULTS)
    if check:
        return int(any(text != path.read_text(encoding="utf-8") for path, text in new.items()))
    for path, text in new.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
