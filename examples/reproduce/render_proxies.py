"""The tables of proxies in this folder's README, from the results that there are.

`render_tables.py` writes them, and says whether they would change.
"""

from itertools import groupby
from pathlib import Path

from markdown import accuracy, table

from hmnpack.schema.result import Result

README = Path(__file__).resolve().parent / "README.md"
BEGIN = "<!-- proxies: written by examples/reproduce/render_tables.py -->\n"
END = "<!-- end of proxies -->"
EMPTY = "No proxy is recorded yet.\n"
COLUMNS = ("run", "accuracy", "networks", "steps", "minutes: pool", "then", "recipe, and settings")


def sections(folder: Path) -> str:
    """Return a heading and a Markdown table for each proxy, the most accurate run first."""
    found = [
        (path, Result.model_validate_json(path.read_text(encoding="utf-8")))
        for path in folder.glob("*.json")
    ]
    runs = [(path, result) for path, result in found if "proxy" in result.figures]
    runs.sort(key=lambda run: (str(run[1].figures["proxy"]), -(run[1].accuracy_mean or 0), run[0]))
    parts = []
    for proxy, same in groupby(runs, key=lambda run: run[1].figures["proxy"]):
        rows = (_cells(result, f"{folder.name}/{path.name}") for path, result in same)
        parts.append(f"### Proxy {proxy}\n\n{table(COLUMNS, rows)}")
    return "\n".join(parts) if parts else EMPTY


def _cells(result: Result, link: str) -> tuple[str, ...]:
    figures = result.figures
    settings = str(figures["settings"])
    return (
        f"[{result.name}]({link})",
        accuracy(result.accuracy_mean, result.accuracy_std, result.networks),
        _networks(result),
        f"{figures['steps']:,}",
        _minutes(result, "pool"),
        _minutes(result, "after_pool"),
        f"{result.recipe or '-'}" + (f", `{settings}`" if settings else ""),
    )


def _networks(result: Result) -> str:
    """Return how many networks, and on how many bundles if not one."""
    bundles = int(result.figures.get("bundles", 1))
    return str(result.networks) if bundles == 1 else f"{result.networks} on {bundles} bundles"


def _minutes(result: Result, part: str) -> str:
    """Return processor minutes, or those by the clock where no others were counted."""
    figures = result.figures
    minutes = figures.get(f"processor_minutes_{part}", figures.get(f"minutes_{part}"))
    return "-" if minutes is None else f"{minutes:.1f}"
