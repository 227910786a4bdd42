"""Options shared by several commands, and their conversion to hmnpack arguments."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hmnpack.cli.parameters import PathName, class_names
from hmnpack.cli.speaker import echo_once
from hmnpack.errors import BadSettings, BadValue, Paused
from hmnpack.registry import DATA_SETS

if TYPE_CHECKING:
    from hmnpack.schema.manifest import Manifest
    from hmnpack.sources import SourceOptions

Function = TypeVar("Function", bound=Callable[..., Any])

DATA_HELP = (
    f"DATA is a dataset name ({', '.join(DATA_SETS)}), a folder with train/ and test/ that contain "
    "one folder per class, a folder of class folders, a folder of Parquet files, or hf:owner/name."
)

_SOURCE = (
    *("size", "skip_bad", "data_dir", "cache_dir", "image_column", "label_column", "classes"),
    *("test_split", "train_list", "test_list"),
)
"""Parameters that :func:`source_options` adds."""

_SPLIT_OPTIONS = (
    click.option(
        "--test-split",
        type=float,
        metavar="PART",
        help="Part of each class to draw as the test split, of data without one "
        "[default: 0.1 of a folder of class folders, else 0].",
    ),
    click.option(
        "--train-list",
        type=PathName(),
        metavar="FILE",
        help="Text file of the training images of a folder of class folders, one "
        "<class>/<image> a line [default: all that --test-list does not list].",
    ),
    click.option(
        "--test-list",
        type=PathName(),
        metavar="FILE",
        help="Text file of the test images, likewise.",
    ),
)
"""Options that divide a dataset into splits."""


def source_options(function: Function) -> Function:
    """Add the options that control how a dataset is read."""
    for option in reversed(
        (
            click.option(
                "--size",
                type=click.IntRange(min=1),
                metavar="PIXELS",
                help="Resize and centre-crop every image to a square of PIXELS pixels a side.",
            ),
            click.option("--skip-bad", is_flag=True, help="Skip images that cannot be decoded."),
            click.option(
                "--data-dir",
                type=PathName(file=False),
                metavar="DIR",
                help="Folder of downloaded datasets "
                "[default: HMNPACK_DATA or ~/.cache/hmnpack/data].",
            ),
            click.option(
                "--cache-dir",
                type=PathName(file=False),
                metavar="DIR",
                help="Cache of decoded datasets and trained networks "
                "[default: HMNPACK_CACHE or ~/.cache/hmnpack].",
            ),
            click.option(
                "--image-column",
                metavar="NAME",
                help="Column of images in Parquet files and hub datasets [default: img or image].",
            ),
            click.option(
                "--label-column",
                metavar="NAME",
                help="Column of labels in Parquet files and hub datasets "
                "[default: label or fine_label].",
            ),
            click.option(
                "--classes",
                metavar="NAME,NAME",
                callback=class_names,
                help="Use these classes of the dataset alone [default: all].",
            ),
            *_SPLIT_OPTIONS,
        )
    ):
        function = option(function)
    return function


def run_options(function: Function) -> Function:
    """Add ``--device`` and ``--quiet``."""
    function = click.option("-q", "--quiet", is_flag=True, help="Hide progress.")(function)
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        help="Compute device: cpu, cuda, cuda:1, mps, ...",
    )(function)


def scale_option(function: Function) -> Function:
    """Add ``--scale``, a fraction of the recipe's iterations."""
    return click.option(
        "--scale",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        metavar="PART",
        help="Run this fraction of the recipe's iterations, such as 0.05; settings that are given "
        "override it.",
    )(function)


def work_option(function: Function) -> Function:
    """Add ``--work``, the work directory of training results and checkpoints."""
    return click.option(
        "--work",
        type=PathName(file=False),
        metavar="DIR",
        help="Store results and checkpoints in DIR; rerun the command to resume.",
    )(function)


def save_options(use: str) -> Callable[[Function], Function]:
    """Return a decorator that adds ``--save`` and ``--force``, the result file of a command.

    Args:
        use: What the help adds about the file, beginning with a comma; or nothing.
    """
    save = click.option(
        "--save",
        type=PathName(),
        metavar="FILE.json",
        help=f"Write the result to a file{use}.",
    )
    force = click.option("--force", is_flag=True, help="Replace an existing FILE.json.")
    return lambda function: save(force(function))


@contextlib.contextmanager
def resumable(work: Path | None) -> Iterator[None]:
    """Turn an interrupt into :class:`Paused` if there is a work directory to resume from.

    Raises:
        Paused: instead of ``KeyboardInterrupt``, if ``work`` is given.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if work is None:
            raise
        raise Paused(f"interrupted; rerun the same command to resume from {work}") from error


def output_option(function: Function) -> Function:
    """Add ``-o``, the bundle to write."""
    return click.option(
        "-o",
        "--output",
        type=PathName(),
        required=True,
        metavar="FILE.hmn",
        help="Output file.",
    )(function)


def minutes_option(function: Function) -> Function:
    """Add ``--minutes``, the time that a run is fitted to."""
    return click.option(
        "--minutes",
        type=click.FloatRange(min=0, min_open=True),
        metavar="MINUTES",
        help="Fit networks, steps and views to a run of this time on this device, by its measured "
        "speed.",
    )(function)


def set_option(example: str, listed: str = "hmnpack settings") -> Callable[[Function], Function]:
    """Return a decorator that adds ``--set KEY=VALUE``.

    Args:
        example: A setting of the command, with a value.
        listed: The command that lists all settings.
    """
    return click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Override a setting, such as {example}; repeatable. `{listed}` lists all.",
    )


@contextlib.contextmanager
def naming_options(options: Mapping[str, object]) -> Iterator[None]:
    """Name an option as it was typed in an error about the setting that it stands for.

    Args:
        options: Values by path of the setting; None means not given. The option has the last name
            of the path, as `--epochs` for `train.epochs`.

    Raises:
        BadSettings: with the option's name, if one was given for the setting.
    """
    try:
        yield
    except BadValue as error:
        given = [path for path, value in options.items() if value is not None]
        for path in given:
            if error.path == path or error.path.startswith(f"{path}."):
                name = path.rpartition(".")[2].replace("_", "-")
                raise BadSettings(f"--{name} {error.value!r}: {error.reason}") from error
        raise


def config_option(function: Function) -> Function:
    """Add ``--config FILE.toml``."""
    return click.option(
        "--config",
        "config_file",
        type=PathName(folder=False),
        metavar="FILE.toml",
        help="Settings file. It overrides the recipe or protocol; options override it.",
    )(function)


def pop_source_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """Remove the values of :func:`source_options` from the arguments and return them."""
    return {name: arguments.pop(name) for name in _SOURCE}


def make_source_options(options: dict[str, Any]) -> "SourceOptions":
    """Return the values of :func:`source_options` as :class:`SourceOptions`."""
    from hmnpack.sources import SourceOptions

    return SourceOptions(**{name: options[name] for name in _SOURCE})


def read_as_recorded(
    file: Path | str, manifest: "Manifest", options: dict[str, Any], data: str
) -> "SourceOptions":
    """Return how to read the dataset of a file, and tell what the file records about it.

    Args:
        file: Path or address of the file.
        manifest: Its manifest.
        options: Values of :func:`source_options`, which override the recorded ones.
        data: Name or path of the dataset.
    """
    from hmnpack.cli.text import safe
    from hmnpack.schema.manifest import TestSplit
    from hmnpack.sources import as_recorded

    found = as_recorded(manifest, make_source_options(options), data)
    words = [f"--size {found.size}"] if found.size != options["size"] else []
    words += ["--skip-bad"] if found.skip_bad and not options["skip_bad"] else []
    for kind in ("image", "label"):
        column = getattr(found, f"{kind}_column")
        words += [f"--{kind}-column {column}"] if column != options[f"{kind}_column"] else []
    if found.classes is not None and found.classes != options["classes"]:
        words += [f"--classes {','.join(found.classes)}"]
    for part in ("train", "test"):
        listed = getattr(found, f"{part}_list")
        words += [f"--{part}-list {listed}"] if listed != options[f"{part}_list"] else []
    if options["test_split"] is None and isinstance(found.test_split, TestSplit):
        words += [f"--test-split {found.test_split.part:g}"]
    if words:
        told = safe(f"{file}: the data are read with {' '.join(words)}, as recorded")
        echo_once(told)
    return found
