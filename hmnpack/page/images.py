"""Sections with images by class, and with the hardest and easiest images of each class."""

from base64 import b64encode

from hmnpack.page.gallery import Gallery, Wall
from hmnpack.page.markup import Html, join, name_of, tag
from hmnpack.page.numbers import count, decimal, of_each, plural, shape
from hmnpack.page.parts import Part, paragraph
from hmnpack.schema.manifest import Manifest
from hmnpack.schema.pruning import Margins

TILE = 64
"""Approximate displayed width of an image, in CSS pixels; small images are enlarged."""


def images_part(manifest: Manifest, wall: Wall) -> Part:
    """Return the section with the first images of each class."""
    spec = manifest.container
    rows = [
        _class_row(name, row, there, wall)
        for name, row, there in zip(manifest.classes, wall.rows, spec.counts, strict=False)
    ]
    each = max(map(len, wall.rows))
    all_shown = all(len(row) == there for row, there in zip(wall.rows, spec.counts, strict=False))
    some = "All" if all_shown else f"The first {count(each)} of the"
    intro = f"{some} {of_each(spec.instances, 'image')} of each class, {_order(manifest)}."
    more = [_of_classes(manifest, wall), _made_smaller(manifest, wall)]
    body = (paragraph(" ".join([intro, *filter(None, more)])), tag("div", *rows, class_="classes"))
    return Part("images", "Images by class", join(body))


def extremes(manifest: Manifest, margins: Margins, gallery: Gallery) -> Html:
    """Return the images with the lowest and highest margins, by class (paper figure 10)."""
    low, high = gallery.hardest, gallery.easiest
    if low is None or high is None:
        return Html()
    areas = margins.areas
    rows = [
        tag(
            "div",
            tag("h4", name_of(name)),
            _end("hardest", name, hard, low, areas),
            _end("easiest", name, easy, high, areas),
            class_="ends",
        )
        for name, hard, easy in zip(manifest.classes, low.rows, high.rows, strict=False)
    ]
    each = max(map(len, low.rows))
    ends = "image with the lowest and the image with the highest area"
    if each > 1:
        ends = f"{count(each)} images with the lowest and the highest areas, most extreme first,"
    intro = f"The {ends} in each class."
    more = [_of_classes(manifest, low), _made_smaller(manifest, low)]
    return join(
        (
            tag("h3", "Hardest and easiest images"),
            paragraph(" ".join([intro, *filter(None, more)])),
            *rows,
        )
    )


def _class_row(name: str, row: tuple[tuple[int, bytes], ...], there: int, wall: Wall) -> Html:
    shown = plural(there, "image")
    if len(row) < there:
        shown = f"{count(len(row))} of {shown}"
    caption = tag("figcaption", name_of(name), " ", tag("small", shown))
    return tag("figure", caption, _tiles(f"{shown} of the class {name}", row, wall))


def _end(
    what: str, name: str, row: tuple[tuple[int, bytes], ...], wall: Wall, areas: tuple[float, ...]
) -> Html:
    first, last = areas[row[0][0]], areas[row[-1][0]]
    values = decimal(first) if len(row) == 1 else f"{decimal(first)} to {decimal(last)}"
    caption = tag("figcaption", what, " ", tag("small", values))
    said = f"The {what} {plural(len(row), 'image')} of the class {name}: areas {values}"
    return tag("figure", caption, _tiles(said, row, wall))


def _tiles(said: str, row: tuple[tuple[int, bytes], ...], wall: Wall) -> Html:
    """Return a row of images, which screen readers treat as a single image."""
    factor = max(1, round(TILE / max(wall.width, wall.height)))
    pictures = (
        tag(
            "img",
            src=f"data:image/png;base64,{b64encode(data).decode()}",
            alt="",
            width=wall.width * factor,
            height=wall.height * factor,
        )
        for _, data in row
    )
    return tag("div", *pictures, class_="tiles", role="img", aria_label=said)


def _order(manifest: Manifest) -> str:
    """Describe the order of the images in the file, which the last pruning step determines."""
    strategies = [each.strategy for each in manifest.provenance.prunings]
    chose = [strategy for strategy in strategies if strategy != "none"]
    if chose and chose[-1] != "random":
        return "the most useful first"
    return "in the order of the file"


def _of_classes(manifest: Manifest, wall: Wall) -> str:
    shown, there = len(wall.rows), len(manifest.classes)
    return (
        "" if shown == there else f"The first {count(shown)} of {count(there)} classes are shown."
    )


def _made_smaller(manifest: Manifest, wall: Wall) -> str:
    if wall.factor == 1:
        return ""
    image = manifest.container.image
    sizes = shape((wall.width, wall.height)), shape((image.width, image.height))
    return f"Images are downscaled from {sizes[1]} to {sizes[0]} pixels."
