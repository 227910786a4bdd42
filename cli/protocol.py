"""Options for the training of networks, shared by the commands that train some on a file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmnpack.cli.options import Function, naming_options
from hmnpack.registry import NETWORK_LIBRARIES, NETWORKS, PROTOCOLS

if TYPE_CHECKING:
    from hmnpack.schema.evaluation import EvaluateConfig
    from hmnpack.schema.manifest import Manifest

TRAINING = {
    "width": "network.width",
    "epochs": "train.epochs",
    "batch": "train.batch",
    "repeats": "repeats",
    "seed": "seed",
    "held_out": "held_out",
}
"""Options that are shorthands for settings: parameter name to path of the setting."""


@dataclass(frozen=True)
class Choice:
    """Evaluation settings from the command line.

    Attributes:
        protocol: Name of the protocol to start from.
        networks: Names of networks; empty for the protocol's network.
        assignments: Assignments such as ``"train.lr=0.02"``.
        file: TOML file of settings, or None.
        options: Values by path of the setting, None if not given.
    """

    protocol: str
    networks: tuple[str, ...]
    assignments: tuple[str, ...]
    file: Path | None
    options: dict[str, Any]

    def configs(self, manifest: "Manifest") -> list["EvaluateConfig"]:
        """Return the settings for each network.

        Raises:
            BadSettings: for an unknown setting or an invalid value.
        """
        from hmnpack.settings import evaluate_config, protocol_of

        base, assignments = protocol_of(self.protocol, manifest), self.assignments
        if self.options["train.epochs"] is not None:  # an explicit --epochs is exact
            assignments = ("min_steps=0", *assignments)
        with naming_options(self.options):
            return [
                evaluate_config(
                    assignments, {**self.options, "network.name": name}, base, self.file
                )
                for name in dict.fromkeys(self.networks) or (None,)
            ]


def protocol_options(*, several: bool) -> Callable[[Function], Function]:
    """Return a decorator that adds the options of a protocol.

    Args:
        several: Accept several networks.
    """
    libraries = " or ".join(f"{name}:NAME" for name in NETWORK_LIBRARIES)
    more = "; repeatable" if several else ""
    options = (
        click.option(
            "--protocol",
            type=click.Choice(tuple(PROTOCOLS)),
            default=next(iter(PROTOCOLS)),
            show_default=True,
            help="Settings to start from; paper: those of the paper for the nearest dataset and "
            "budget.",
        ),
        click.option(
            "--net",
            multiple=several,
            metavar="NAME",
            help=f"{', '.join(NETWORKS)}, {libraries}{more} [default: the protocol's network].",
        ),
        click.option(
            "--width",
            type=click.IntRange(min=1),
            help="Channels of a ConvNet layer [default: 128].",
        ),
        click.option(
            "--epochs",
            type=click.IntRange(min=0),
            help="Training epochs; disables the minimum of 1,000 steps [default: 300 for short].",
        ),
        click.option("--batch", type=click.IntRange(min=1), help="Images per step [default: 64]."),
        click.option(
            "--repeats",
            type=click.IntRange(min=1),
            help="Networks per row [default: 3 for short, 10 for paper].",
        ),
        click.option("--seed", type=click.IntRange(min=0), help="Random seed [default: 0]."),
    )

    def add(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def held_out_option(function: Function) -> Function:
    """Add ``--held-out``."""
    return click.option(
        "--held-out",
        is_flag=True,
        default=None,
        help="Test on the held-out training images instead of the test split.",
    )(function)


def at_once_option(function: Function) -> Function:
    """Add ``--at-once``, the number of networks of a row that are trained together."""
    return click.option(
        "--at-once",
        type=click.IntRange(min=1),
        metavar="N",
        help="Networks of a row to train together [default: 1 on a CPU, else all].",
    )(function)
