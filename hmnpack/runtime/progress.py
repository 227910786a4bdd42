"""Progress callbacks of long-running work."""

from typing import Protocol


class Listener(Protocol):
    """A progress callback; displaying progress is up to the caller."""

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Report that ``done`` of ``total`` parts of a stage are done, with metrics such as a loss.

        Args:
            stage: Name of the stage.
            done: Number of finished parts.
            total: Number of parts; 0 if unknown.
            facts: Metrics by name.
        """


def no_progress(stage: str, done: int, total: int, **facts: float) -> None:
    """Ignore progress."""
