"""Types of command-line arguments and options: datasets, paths, recipes, sizes, class names."""

import re
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from hmnpack.errors import BadSettings
from hmnpack.registry import DATA_SETS, RECIPES
from hmnpack.runtime.paths import STDIN, is_hub_file

_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12} | {
    f"{letter}{end}": base**power
    for power, letter in enumerate("kmgt", 1)
    for end, base in (("b", 10**3), ("ib", 2**10))
}
"""Bytes per unit, by lower-case unit."""


if TYPE_CHECKING:
    TextType = click.ParamType[str, Any]
    NumberType = click.ParamType[int, Any]
else:  # older versions of click have no generic ParamType at run time
    TextType = NumberType = click.ParamType


class DataName(TextType):
    """A dataset: a name, a path, or ``hf:owner/name``."""

    name = "data"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete dataset names, or folders if none matches."""
        names = [name for name in DATA_SETS if incomplete and name.startswith(incomplete)]
        return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="dir")]


class PathName(click.Path):
    """A path; an empty one is refused, since ``pathlib`` takes it for the current folder."""

    def __init__(self, *, file: bool = True, folder: bool = True) -> None:
        super().__init__(file_okay=file, dir_okay=folder, path_type=Path)

    def convert(
        self,
        value: Any,  # noqa: ANN401
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401
        """Return the path."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


class BundleFile(PathName):
    """The path of a file to read; ``-`` is standard input, ``hf://...`` an address on the hub."""

    def convert(
        self,
        value: Any,  # noqa: ANN401
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:  # noqa: ANN401
        """Return the path, or the text of an address."""
        if is_hub_file(value):
            return value
        return STDIN if str(value) == "-" else super().convert(value, param, ctx)


class RecipeName(TextType):
    """The name of a recipe; unknown names are reported later, with the other settings."""

    name = "recipe"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete recipe names."""
        return [CompletionItem(name) for name in RECIPES if name.startswith(incomplete)]


class ByteSize(NumberType):
    """A size in bytes: ``512MB``, ``4GB``, ``1.5GiB``, or a plain number."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number of bytes.

        Raises:
            BadSettings: if the value is not a size of at least one byte.
        """
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value).lower())
        count = float(match[1]) * _UNITS.get(match[2], 0) if match else 0.0
        if not 1 <= count < inf:
            name = param.opts[0] if param else "size"
            raise BadSettings(
                f"{name} {value!r} is not a size; write 4GB, 512MB or a number of bytes"
            )
        return int(count)


def class_names(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """Return the names in a list separated by commas."""
    if value is None:
        return None
    return tuple(name.strip() for name in value.split(",") if name.strip())
