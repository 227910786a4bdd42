"""How long work says how far it is."""

from typing import Protocol


class Listener(Protocol):
    """Receives progress; drawing it is the caller's business."""

    def __call__(self, stage: str, done: int, total: int, **facts: float) -> None:
        """Say that ``done`` of ``total`` parts of a stage are done, with figures such as a loss."""


def no_progress(stage: str, done: int, total: int, **facts: float) -> None:
    """Ignore progress."""
