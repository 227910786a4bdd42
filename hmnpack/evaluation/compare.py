"""Compares a row with random images and with the full dataset: the two metrics of DD-Ranking.

DD-Ranking (arXiv 2505.13300) asks how much a method gains over random images within the same
budget, and how much accuracy it loses against the full dataset, all with the same labels (hard) and
augmentation. Here both are plain differences between rows of one table, in percentage points,
without DD-Ranking's weights.
"""

from collections.abc import Iterable

from hmnpack.schema.result import Row

# Names of the rows. They also name random streams and are recorded in results.
BUNDLE_ROW = "bundle"
FLOATS_ROW = "random real, same floats"
BYTES_ROW = "JPEG real, same bytes"
COUNT_ROW = "random real, same number"
WHOLE_ROW = "whole data"


def over_random(row: Row, rows: Iterable[Row]) -> float | None:
    """Return how far a row's accuracy is above random real images within the same float budget.

    Args:
        row: A row.
        rows: The table it belongs to.

    Returns:
        Percentage points; None for the random images themselves, or if the table has no such row.
    """
    return _difference(row, rows, FLOATS_ROW)


def below_whole(row: Row, rows: Iterable[Row]) -> float | None:
    """Return how far a row's accuracy is below the full dataset's, trained with hard labels.

    Args:
        row: A row.
        rows: The table it belongs to.

    Returns:
        Percentage points; None for the full dataset itself, or if the table has no such row.
    """
    above = _difference(row, rows, WHOLE_ROW)
    return None if above is None else -above


def _difference(row: Row, rows: Iterable[Row], name: str) -> float | None:
    reference = next((other for other in rows if other.name == name), None)
    if reference is None or row.name == name:
        return None
    return row.accuracy_mean - reference.accuracy_mean
