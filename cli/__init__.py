"""The command line. Each command parses its options, calls one hmnpack function and prints."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from hmnpack.cli.signals import ending


def main(args: Sequence[str] | None = None, prog_name: str | None = None) -> NoReturn:
    """Run a command, and end this process with its exit code.

    Args:
        args: The words of the command line; None: those of this process.
        prog_name: Name of the program in messages; None: that of this process.
    """
    ending.begin()  # before anything is imported that takes a while
    from hmnpack.cli.group import run

    code = run(args, prog_name)
    ending.finish()
    sys.exit(code)


__all__ = ["main"]
