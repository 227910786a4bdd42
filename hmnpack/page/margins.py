"""Section on learning difficulty: a histogram of areas under the margin, and extreme images."""

import math
from collections.abc import Sequence
from statistics import median

from hmnpack.page.axes import axis_around, axis_from
from hmnpack.page.charts import Frame, histogram
from hmnpack.page.gallery import Gallery
from hmnpack.page.images import extremes
from hmnpack.page.markup import Html, join
from hmnpack.page.numbers import count, decimal, percent, plural, short
from hmnpack.page.parts import Part, figure, folded, paragraph, table
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.pruning import Margins

BINS = 40
"""Number of bins over the full range of possible areas."""


def margins_part(manifest: Manifest, margins: Margins, gallery: Gallery) -> Part:
    """Return the section of margins (paper figures 8, 9 and 10)."""
    areas = margins.areas
    negative = sum(area < 0 for area in areas)
    intro = paragraph(
        "The margin of an image is the predicted probability of its class minus the highest of "
        "any other class. The area under the margin is its sum over "
        f"{plural(margins.epochs, 'epoch')} of training on these images (mean of "
        f"{plural(margins.seeds, 'network')}), from {decimal(-margins.epochs, 0)} to "
        f"{decimal(margins.epochs, 0)}. Images with low areas are hard to learn and can be "
        "harmful; images with high areas are easy and can be redundant."
    )
    found = paragraph(
        f"The median is {decimal(median(areas))}, the range {decimal(min(areas))} to "
        f"{decimal(max(areas))}; {count(negative)} of {plural(len(areas), 'image')} "
        f"({percent(100 * negative / len(areas))}) have a negative area."
    )
    body = (intro, found, _histogram(margins), extremes(manifest, margins, gallery))
    return Part("margins", "Hard and easy images", join(body))


def bins_of(areas: Sequence[float], epochs: int) -> list[tuple[float, float, int]]:
    """Return lower edge, upper edge and count of each bin of the histogram.

    Bin edges do not depend on the areas, so that bundles can be compared; empty bins below the
    lowest area are omitted. Bins are half-open; only the last one includes its upper edge.
    """
    width = 2 * epochs / BINS
    counts = [0] * BINS
    for area in areas:
        counts[min(BINS - 1, math.floor((area + epochs) / width))] += 1
    first = next(index for index, number in enumerate(counts) if number)
    return [
        (index * width - epochs, (index + 1) * width - epochs, counts[index])
        for index in range(first, BINS)
    ]


def _histogram(margins: Margins) -> Html:
    areas = margins.areas
    bins = bins_of(areas, margins.epochs)
    shares = [(low, high, 100 * number / len(areas)) for low, high, number in bins]
    fullest = max(shares, key=lambda each: each[2])
    frame = Frame(
        name=f"Histogram of the areas under the margin of {plural(len(areas), 'image')}; the "
        f"fullest bin is {short(fullest[0])} to {short(fullest[1])} with {percent(fullest[2])}",
        x=axis_from(bins[0][0], float(margins.epochs), 8),
        y=axis_around([0.0, fullest[2]], 4),
        x_label="area under the margin",
        y_label="images, %",
    )
    rows = [
        (f"{short(low)} to {short(high)}", count(number), percent(part))
        for (low, high, number), (_, _, part) in zip(bins, shares, strict=True)
    ]
    values = table("Images by area under the margin", ("area", "images", "share"), rows, "quiet")
    caption = "Distribution of the areas under the margin (as in figures 8 and 9 of the paper)"
    return figure(histogram(frame, shares), caption, folded("Table of values", values, "numbers"))
