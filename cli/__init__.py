"""What is typed and printed: each command parses, calls one hmnpack function, and prints."""

from hmnpack.cli.group import main

__all__ = ["main"]
