"""Settings on the command line of a measurement: of condensing, and of evaluation by a prefix."""

import argparse
from collections.abc import Iterable

EVALUATION_PREFIX = "evaluate."
"""Prefix of evaluation settings on the command line; the others are condensing settings."""


def add_settings_option(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--set``, whose texts the other functions divide."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="condensing setting, or evaluation setting with prefix evaluate.; repeatable",
    )


def condensing_of(assignments: Iterable[str]) -> list[str]:
    """Return the assignments of condensing settings."""
    return [text for text in assignments if not text.startswith(EVALUATION_PREFIX)]


def evaluation_of(assignments: Iterable[str]) -> list[str]:
    """Return the assignments of evaluation settings, without their prefix."""
    found = (text for text in assignments if text.startswith(EVALUATION_PREFIX))
    return [text.removeprefix(EVALUATION_PREFIX) for text in found]
