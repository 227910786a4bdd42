"""What every section is built from: headings, tables, figures, lists of facts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hmnpack.page.markup import Html, join, tag


@dataclass(frozen=True)
class Part:
    """One section of the page.

    Attributes:
        name: Where a link leads, a word of letters.
        title: Its heading.
        body: What stands below.
    """

    name: str
    title: str
    body: Html


def section(part: Part) -> Html:
    """Return a section with its heading, as a landmark."""
    heading = f"{part.name}-title"
    return tag(
        "section",
        tag("h2", part.title, id=heading),
        part.body,
        id=part.name,
        aria_labelledby=heading,
    )


def paragraph(*children: object, kind: str | None = None) -> Html:
    """Return a paragraph, of the style ``kind``."""
    return tag("p", *children, class_=kind)


def table(
    caption: str, columns: Sequence[object], rows: Iterable[Sequence[object]], kind: str = ""
) -> Html:
    """Return a table; the first cell of a row is its heading, the others are numbers.

    Args:
        caption: What the table shows.
        columns: Headings of the columns.
        rows: Cells.
        kind: More styles: ``quiet`` hides the caption from the eye, ``words`` sets cells as text.
    """
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    body = join(
        tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in rest))
        for first, *rest in rows
    )
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", head),
        tag("tbody", body),
        class_=kind or None,
    )


def figure(picture: Html, caption: object, *below: object) -> Html:
    """Return a picture with its caption, and what belongs below both."""
    return tag("figure", picture, tag("figcaption", caption), *below)


def folded(summary: object, content: Html, kind: str | None = None) -> Html:
    """Return something that a reader unfolds.

    Print shows it unfolded, but for the kind ``numbers``, which is a chart once more in numbers.
    """
    return tag("details", tag("summary", summary), content, class_=kind)


def facts(rows: Iterable[tuple[str, object]], kind: str = "facts") -> Html:
    """Return names and values."""
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in rows)
    return tag("dl", *pairs, class_=kind)
