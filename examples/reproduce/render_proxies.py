"""Tables of the proxies: accuracies on held-out images, one table per proxy."""

from collections.abc import Mapping
from itertools import groupby

from markdown import accuracy, table
from recorded import REMOVED, is_removed, linked, notes

from hmnpack.schema.result import Result

COLUMNS = (
    *("run", "accuracy", "networks", "images", "steps", "minutes: pool", "then"),
    *("commit", "recipe, and settings", "remarks"),
)


def sections(found: Mapping[str, Result]) -> str:
    """Return a heading and a Markdown table per proxy, sorted by decreasing accuracy."""
    runs = [(name, result) for name, result in found.items() if "proxy" in result.figures]
    runs.sort(key=lambda run: (str(run[1].figures["proxy"]), -(run[1].accuracy_mean or 0), run[0]))
    parts = []
    for proxy, same in groupby(runs, key=lambda run: run[1].figures["proxy"]):
        rows = (_cells(name, result) for name, result in same)
        parts.append(f"### Proxy {proxy}\n\n{table(COLUMNS, rows)}")
    return "\n".join(parts)


def _cells(name: str, result: Result) -> tuple[str, ...]:
    figures = result.figures
    return (
        linked(name),
        accuracy(result.accuracy_mean, result.accuracy_std, result.networks),
        _networks(result),
        f"{figures['images']:,}",
        f"{figures['steps']:,}",
        _minutes(result, "pool"),
        _minutes(result, "after_pool"),
        f"`{result.commit}`",
        ", ".join([result.recipe or "-", *_settings(result)]),
        notes().get(name, "-"),
    )


def _settings(result: Result) -> list[str]:
    """Return each setting as code, with a mark if it no longer exists."""
    settings = str(result.figures["settings"]).split()
    return [f"`{setting}`{REMOVED if is_removed(setting) else ''}" for setting in settings]


def _networks(result: Result) -> str:
    """Return the number of networks, and of bundles if there are several."""
    bundles = int(result.figures.get("bundles", 1))
    return str(result.networks) if bundles == 1 else f"{result.networks} on {bundles} bundles"


def _minutes(result: Result, part: str) -> str:
    """Return CPU minutes, or wall-clock minutes if CPU minutes were not recorded."""
    figures = result.figures
    minutes = figures.get(f"processor_minutes_{part}", figures.get(f"minutes_{part}"))
    return "-" if minutes is None else f"{minutes:.1f}"
