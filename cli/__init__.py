"""The command line. Each command parses its options, calls one hmnpack function and prints."""

from hmnpack.cli.group import main

__all__ = ["main"]
