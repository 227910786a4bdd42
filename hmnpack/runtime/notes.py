"""Warnings: log records of `hmnpack`, from the first rank alone."""

import logging
import os

_log = logging.getLogger("hmnpack")


def warn(text: str, *facts: object) -> None:
    """Log a warning, unless this process is another rank of a run, which reads the same data.

    Args:
        text: The message, with a placeholder for each fact, as for :mod:`logging`.
        facts: What to insert.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or os.environ.get("RANK", "0") == "0":
        _log.warning(text, *facts)
