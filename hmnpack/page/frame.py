"""The frame of every page: head, contents, sections, footer. Nothing external, no scripts."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from hmnpack.page.markup import Html, tag
from hmnpack.page.parts import Part, paragraph, section
from hmnpack.version import __version__

STYLES = ("style.css",)
"""Style sheets of a report, files in this package."""

WITH_STRIPS = (*STYLES, "strip.css")
"""Those of a page with rows of images in one picture."""


def framed(
    title: str, header: Html, parts: Sequence[Part], styles: tuple[str, ...] = STYLES
) -> str:
    """Return the text of a self-contained page.

    It has no external resources and no scripts, and its content security policy forbids both, and
    any style sheet except its own.

    Args:
        title: Title of the window.
        header: First part of the page, above the contents.
        parts: Sections, in order.
        styles: Style sheets, files in this package.
    """
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag("div", header, _contents(parts), class_="head"),
        tag("main", *(section(part) for part in parts), id="content", tabindex=-1),
        tag("footer", paragraph(f"Written by hmnpack {__version__}. This page is self-contained.")),
    )
    return f"<!doctype html>\n{tag('html', _head(title, styles), body, lang='en')}\n"


@cache
def style(styles: tuple[str, ...] = STYLES) -> Html:
    """Return style sheets, from files in this package, as one."""
    folder = files("hmnpack.page")
    return Html("".join(folder.joinpath(name).read_text(encoding="utf-8") for name in styles))


def policy(styles: tuple[str, ...] = STYLES) -> str:
    """Return the content security policy: only inline images and the page's own style sheet."""
    digest = b64encode(hashlib.sha256(style(styles).encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )


def _head(title: str, styles: tuple[str, ...]) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(styles)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="generator", content=f"hmnpack {__version__}"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", style(styles)),
    )


def _contents(parts: Sequence[Part]) -> Html:
    links = (tag("li", tag("a", part.title, href=f"#{part.name}")) for part in parts)
    return tag("nav", tag("ol", *links), aria_label="Contents")
