"""Which process of a run speaks, and its warnings: log records of `hmnpack`."""

import logging
import os

_log = logging.getLogger("hmnpack")


def is_one_of_several() -> bool:
    """Return whether this process is one of several ranks."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_main_rank() -> bool:
    """Return whether this process speaks for the run: the only process, or rank 0."""
    return not is_one_of_several() or os.environ.get("RANK", "0") == "0"


def warn(text: str, *facts: object) -> None:
    """Log a warning, unless this process is another rank of a run, which reads the same data.

    Args:
        text: The message, with a placeholder for each fact, as for :mod:`logging`.
        facts: What to insert.
    """
    if is_main_rank():
        _log.warning(text, *facts)
