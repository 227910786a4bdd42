"""Options that several commands share, and what they become."""

import contextlib
import re
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from hmnpack.errors import BadSettings, Paused
from hmnpack.registry import DATA_SETS, RECIPES

if TYPE_CHECKING:
    from hmnpack.runtime.progress import Listener
    from hmnpack.sources import Source, SourceOptions

Function = TypeVar("Function", bound=Callable[..., Any])

DATA_HELP = (
    f"DATA is a name ({', '.join(DATA_SETS)}), "
    "a folder with train/ and test/ and one folder per class, a folder of Parquet files, or "
    "hf:owner/name."
)

_SOURCE = ("size", "skip_bad", "data_dir", "cache_dir")
"""What :func:`source_options` adds."""

_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12} | {
    f"{letter}{end}": base**power
    for power, letter in enumerate("kmgt", 1)
    for end, base in (("b", 10**3), ("ib", 2**10))
}
"""Lower-case unit -> bytes."""


if TYPE_CHECKING:
    TextType = click.ParamType[str, Any]
    NumberType = click.ParamType[int, Any]
else:  # only in newer versions of click is it generic when the program runs
    TextType = NumberType = click.ParamType


class DataName(TextType):
    """Where a data set is: a name, a path, or ``hf:owner/name``."""

    name = "data"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the names that fit, else folders."""
        names = [name for name in DATA_SETS if incomplete and name.startswith(incomplete)]
        return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="dir")]


class RecipeName(TextType):
    """The name of a recipe; what is unknown is refused with the others, later."""

    name = "recipe"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the recipes."""
        return [CompletionItem(name) for name in RECIPES if name.startswith(incomplete)]


class ByteSize(NumberType):
    """A number of bytes: ``512MB``, ``4GB``, ``1.5GiB``, or a number alone."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number of bytes.

        Raises:
            BadSettings: if it is none, or less than one.
        """
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value).lower())
        count = float(match[1]) * _UNITS.get(match[2], 0) if match else 0.0
        if not 1 <= count < inf:
            name = param.opts[0] if param else "size"
            raise BadSettings(f"{name} {value!r} is no size; write 4GB, 512MB or a number of bytes")
        return int(count)


def source_options(function: Function) -> Function:
    """Add the options that say how a data set is read."""
    for option in reversed(
        (
            click.option(
                "--size",
                type=click.IntRange(min=1),
                metavar="PIXELS",
                help="Resize and centre-crop every image to this side.",
            ),
            click.option(
                "--skip-bad", is_flag=True, help="Leave out images that cannot be decoded."
            ),
            click.option(
                "--data-dir",
                type=click.Path(file_okay=False, path_type=Path),
                metavar="DIR",
                help="Where data sets are downloaded to, or lie already [HMNPACK_DATA].",
            ),
            click.option(
                "--cache-dir",
                type=click.Path(file_okay=False, path_type=Path),
                metavar="DIR",
                help="Where decoded data and trained networks are kept [HMNPACK_CACHE].",
            ),
        )
    ):
        function = option(function)
    return function


def run_options(function: Function) -> Function:
    """Add the device and the switch that silences progress."""
    function = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")(function)
    return click.option(
        "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps, ..."
    )(function)


def work_option(function: Function) -> Function:
    """Add ``--work``, where what trainings gave is kept."""
    return click.option(
        "--work",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Keep there what every training gave: the same command, typed again, goes on where it "
        "was interrupted.",
    )(function)


@contextlib.contextmanager
def going_on(work: Path | None) -> Iterator[None]:
    """Say, where work is kept, that what is interrupted can go on.

    Raises:
        Paused: instead of ``KeyboardInterrupt``.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if work is None:
            raise
        raise Paused(f"interrupted; the same command goes on, with what {work} keeps") from error


def output_option(function: Function) -> Function:
    """Add ``-o``, the bundle to be written."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        required=True,
        metavar="FILE.hmn",
        help="The file to write.",
    )(function)


def set_option(example: str, listed: str = "hmnpack settings") -> Callable[[Function], Function]:
    """Return what adds ``--set KEY=VALUE``.

    Args:
        example: A setting of the command, with a value.
        listed: The command that lists them all.
    """
    return click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Any setting by its path, such as {example}; repeatable [{listed}].",
    )


def config_option(function: Function) -> Function:
    """Add ``--config FILE.toml``."""
    return click.option(
        "--config",
        "config_file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE.toml",
        help="Settings from a file; they beat the recipe or protocol, options beat them.",
    )(function)


def taken_source(typed: dict[str, Any]) -> dict[str, Any]:
    """Take the values of :func:`source_options` out of all that was typed."""
    return {name: typed.pop(name) for name in _SOURCE}


def chosen_source(options: dict[str, Any]) -> "SourceOptions":
    """Return the values of :func:`source_options` as hmnpack takes them."""
    from hmnpack.sources import SourceOptions

    return SourceOptions(**{name: options[name] for name in _SOURCE})


def opened(data: str, options: dict[str, Any], listener: "Listener") -> "Source":
    """Open a data set with the values of :func:`source_options`."""
    from hmnpack.sources import open_source

    return open_source(data, chosen_source(options), listener)
