"""Where a row stands between random images and all images: the two ideas of DD-Ranking.

DD-Ranking (arXiv 2505.13300) asks what a method adds to random images of the same budget, and how
much of the accuracy on all images it keeps, with the same labels (hard ones) and augmentation for
all. Here both are differences of rows of one table, in points, without its weights.
"""

from collections.abc import Iterable

from hmnpack.schema.result import Row

# Names of the rows of a table: they also name random streams, and stand in results.
BUNDLE_ROW = "bundle"
FLOATS_ROW = "random real, same floats"
BYTES_ROW = "JPEG real, same bytes"
COUNT_ROW = "random real, same number"
WHOLE_ROW = "whole data"


def over_random(row: Row, rows: Iterable[Row]) -> float | None:
    """Return by how many points a row is above random real images in the same floats.

    Args:
        row: A row.
        rows: The table that it is of.

    Returns:
        None for that row of random images itself, and where the table has none.
    """
    return _difference(row, rows, FLOATS_ROW)


def below_whole(row: Row, rows: Iterable[Row]) -> float | None:
    """Return by how many points a row is below the whole data, trained with hard labels.

    Args:
        row: A row.
        rows: The table that it is of.

    Returns:
        None for the whole data's row itself, and where the table has none.
    """
    above = _difference(row, rows, WHOLE_ROW)
    return None if above is None else -above


def _difference(row: Row, rows: Iterable[Row], name: str) -> float | None:
    reference = next((other for other in rows if other.name == name), None)
    if reference is None or row.name == name:
        return None
    return row.accuracy_mean - reference.accuracy_mean
