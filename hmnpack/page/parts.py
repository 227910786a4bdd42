"""Building blocks of sections: headings, tables, figures, description lists."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hmnpack.page.markup import Html, join, tag


@dataclass(frozen=True)
class Part:
    """One section of the page.

    Attributes:
        name: Anchor for links; a single word.
        title: Heading.
        body: Content below the heading.
    """

    name: str
    title: str
    body: Html


def section(part: Part) -> Html:
    """Return a section with its heading, as an ARIA landmark."""
    heading = f"{part.name}-title"
    return tag(
        "section",
        tag("h2", part.title, id=heading),
        part.body,
        id=part.name,
        aria_labelledby=heading,
    )


def paragraph(*children: object, kind: str | None = None) -> Html:
    """Return a paragraph with style class ``kind``."""
    return tag("p", *children, class_=kind)


def table(
    caption: str, columns: Sequence[object], rows: Iterable[Sequence[object]], kind: str = ""
) -> Html:
    """Return a table; the first cell of a row is its heading, the others are numeric.

    Args:
        caption: Content of the table.
        columns: Column headings.
        rows: Cells of each row.
        kind: Style classes: ``quiet`` hides the caption visually, ``words`` aligns cells as text.
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
    """Return a figure: an image or chart, its caption, and further content below."""
    return tag("figure", picture, tag("figcaption", caption), *below)


def folded(summary: object, content: Html, kind: str | None = None) -> Html:
    """Return collapsible content.

    It is expanded in print, except for kind ``numbers``, which repeats a chart as a table.
    """
    return tag("details", tag("summary", summary), content, class_=kind)


def facts(rows: Iterable[tuple[str, object]], kind: str = "facts") -> Html:
    """Return a description list of names and values."""
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in rows)
    return tag("dl", *pairs, class_=kind)
